"""Names, pins and what a lock covers."""

from __future__ import annotations

import pytest

from nacre.domain.requirements import canonical, lacking, logical_lines, pins, promised

LOCK = """
# torch-backend: cpu
torch==2.13.0+cpu \\
    --hash=sha256:aa
scikit-learn==1.9.1 ; python_version > '3.8' --hash=sha256:bb  # why
mine @ https://example.org/mine-1-py3-none-any.whl --hash=sha256:cc
"""


def test_lines_are_joined_and_comments_left_out() -> None:
    assert logical_lines("a \\\n  b # c\n# d\n\nhttp://x/#egg=y\n") == ["a    b", "http://x/#egg=y"]


def test_names_have_one_spelling() -> None:
    assert canonical("Scikit_Learn.X") == "scikit-learn-x"


def test_a_lock_tells_its_pins() -> None:
    assert pins(LOCK) == {
        "torch": "2.13.0+cpu",
        "scikit-learn": "1.9.1",
        "mine": "https://example.org/mine-1-py3-none-any.whl",
    }


@pytest.mark.parametrize(
    ("requirement", "covered"),
    [
        ("torch", True),
        ("Scikit_learn", True),
        ("torch==2.13.0", True),
        ("torch == 2.13.0+cpu", True),
        ("torch==2.12.0", False),
        ("torch>=2", False),
        ("torch[opt]", False),
        ("onnx", False),
    ],
)
def test_only_what_is_plainly_there_is_covered(requirement: str, covered: bool) -> None:
    assert (lacking(LOCK, [requirement]) == []) is covered


@pytest.mark.parametrize(
    ("extra", "covered"),
    [
        (["numpy"], True),
        (["onnx==1.23.2", "onnx"], True),
        (["onnx == 1.23.2"], True),
        (["onnx==1.22"], False),
        (["numpy>=2"], False),
        (["wincolor"], False),
        (["pandas"], False),
    ],
)
def test_requirements_promise_the_names_in_them(extra: list[str], covered: bool) -> None:
    asked = ["NumPy>=2,<3", "onnx==1.23.2", "wincolor; sys_platform == 'win32'"]
    assert promised(asked, extra) is covered
