"""What is taken from people's files, and what is refused."""

from __future__ import annotations

from pathlib import Path

import pytest

from nacre.errors import InvalidSpec, NacreError, PluginError
from nacre.plugins.environments import sources
from nacre.plugins.environments.explain import explanation, to_error
from nacre.plugins.environments.machine import torch_wheel
from nacre.plugins.environments.pip_settings import uv_variables


@pytest.mark.parametrize(
    "line",
    [
        "-r /etc/passwd",
        "-c /etc/passwd",
        "-e .",
        "--no-binary :all:",
        "--find-links /etc",
        "./package",
        "/etc/passwd",
        "../x.whl",
        "file:///etc/passwd",
        "x @ file:///root/x-1-py3-none-any.whl",
        "x @ git+https://example.org/x",
        "x @ https://example.org/x-1.tar.gz",
        "git+https://example.org/x",
        "https://example.org/x.whl",
        "x @ https://example.org/${NACRE_TOKEN}/x.whl",
        "--index-url https://${NACRE_TOKEN}@example.org/simple",
        "--index-url file:///etc",
        "six --config-settings=x",
        "six==1 --hash=sha256:abc",
    ],
)
def test_lines_that_read_files_run_code_or_see_variables_are_refused(line: str) -> None:
    with pytest.raises(InvalidSpec):
        sources.from_requirements(f"idna\n{line}\n")


def test_requirements_of_every_plain_kind_are_taken() -> None:
    text = (
        "# a comment\nnumpy >=2, <3  # why\nuvicorn[standard]==0.30 ; python_version > '3.8'\n"
        "torch\\\n==2.13.0\nx @ https://example.org/x-1-py3-none-any.whl#sha256=ab\n"
        "--extra-index-url https://download.pytorch.org/whl/cpu\n"
    )
    found = sources.from_requirements(text)
    assert found.lines == [
        "numpy >=2, <3",
        "uvicorn[standard]==0.30 ; python_version > '3.8'",
        "torch ==2.13.0",
        "x @ https://example.org/x-1-py3-none-any.whl#sha256=ab",
    ]
    assert found.options == ["--extra-index-url https://download.pytorch.org/whl/cpu"]


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("not toml [", "not valid TOML"),
        ("[tool.poetry]\n", "poetry export"),
        ("[build-system]\n", "no \\[project\\]"),
        ('[project]\ndynamic = ["dependencies"]', "dynamic"),
        ('[project]\ndependencies = "six"', "list of strings"),
        ("[project]\ndependencies = []", "empty"),
        ('[project]\ndependencies = ["six"]\n[tool.uv.sources]\nsix = { path = "/etc" }', "six"),
    ],
)
def test_a_pyproject_that_cannot_be_used_says_why(text: str, says: str) -> None:
    with pytest.raises(InvalidSpec, match=says):
        sources.from_pyproject(text)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("six\n", "does not pin"),
        ("six==1.*  --hash=sha256:ab", "does not pin"),
        ("six==1.17.0\n", "no hash"),
        ("", "empty"),
        ('lock-version = "1.0"\n[[packages]]\nname="x"\nversion="1"\n', "no sha256"),
        ('lock-version = "1.0"\n[[packages]]\nname="x"\n[packages.directory]\npath="/etc"\n', "folder"),
    ],
)
def test_a_lock_that_locks_nothing_says_why(text: str, says: str) -> None:
    with pytest.raises(InvalidSpec, match=says):
        sources.from_lock(text)


def test_the_same_lock_has_one_form_however_it_is_written() -> None:
    one = sources.from_lock("b==2 --hash=sha256:bb --hash=sha256:aa\na==1 --hash=sha256:cc\n")
    other = sources.from_lock(
        "# made by hand\na==1 \\\n    --hash=sha256:cc\nb==2 \\\n --hash=sha256:aa \\\n --hash=sha256:bb\n"
    )
    assert one == other


@pytest.mark.parametrize(
    ("lines", "code", "kind"),
    [
        (["error: No solution found", "  cause: Because a needs b."], 1, InvalidSpec),
        (["error: Request failed after 3 retries", "  cause: dns error"], 2, PluginError),
        (["error: Failed to install", "  cause: Hash mismatch for `six==1`"], 2, InvalidSpec),
        (["error: failed to write", "  cause: No space left on device (os error 28)"], 2, PluginError),
        (["thread 'main' panicked"], 101, PluginError),
    ],
)
def test_what_uv_says_decides_whose_fault_it_is(
    lines: list[str], code: int, kind: type[NacreError]
) -> None:
    assert type(to_error("resolving", lines, code)) is kind


def test_an_explanation_is_whole_sentences_without_labels() -> None:
    said = [
        "warning: something",
        "error: No solution found when resolving dependencies",
        "  cause: Because all versions of jax depend on numpy>=2.0 and you require numpy==1.26.4, we can",
        "         conclude that your requirements are incompatible.",
        "         And because you require jax==0.10.2, we can conclude that they are unsatisfiable.",
        "",
        "hint: `x` was found there: use `--index-strategy unsafe-best-match`",
    ]
    assert explanation(said) == (
        "No solution found when resolving dependencies. Because all versions of jax depend on numpy>=2.0 "
        "and you require numpy==1.26.4, we can conclude that your requirements are incompatible "
        "and because you require jax==0.10.2, we can conclude that they are unsatisfiable."
    )


def test_pips_files_and_variables_reach_uv(tmp_path: Path) -> None:
    config = tmp_path / ".config" / "pip" / "pip.conf"
    config.parent.mkdir(parents=True)
    config.write_text(
        "[global]\nfind-links = /a\n  /b\nindex_url = https://mirror/simple\n"
        "[install]\nextra-index-url = https://x/simple https://y/simple\n"
    )
    found = uv_variables({"HOME": str(tmp_path), "PIP_CERT": "/ca.pem", "NACRE_TOKEN": "secret"})
    assert found["UV_FIND_LINKS"] == "/a,/b"
    assert found["UV_DEFAULT_INDEX"] == "https://mirror/simple"
    assert found["UV_INDEX"] == "https://x/simple https://y/simple"
    assert found["UV_INDEX_STRATEGY"] == "unsafe-best-match"
    assert found["SSL_CERT_FILE"] == "/ca.pem"
    assert "NACRE_TOKEN" not in found


def test_what_was_said_to_uv_itself_wins(tmp_path: Path) -> None:
    given = {
        "HOME": str(tmp_path),
        "PIP_FIND_LINKS": "/pip",
        "PIP_INDEX_URL": "https://pip/simple",
        "UV_FIND_LINKS": "/uv",
        "UV_INDEX": "https://uv/simple",
    }
    found = uv_variables(given)
    assert found["UV_FIND_LINKS"] == "/uv"
    assert found["UV_INDEX"] == "https://uv/simple"
    assert "UV_DEFAULT_INDEX" not in found


def test_pips_variables_win_over_its_files(tmp_path: Path) -> None:
    (tmp_path / "pip.conf").write_text("[global]\nfind-links = /file\n")
    given = {"HOME": str(tmp_path), "PIP_CONFIG_FILE": str(tmp_path / "pip.conf")}
    assert uv_variables(given)["UV_FIND_LINKS"] == "/file"
    assert uv_variables(given | {"PIP_FIND_LINKS": "/variable"})["UV_FIND_LINKS"] == "/variable"
    assert "UV_FIND_LINKS" not in uv_variables({"HOME": str(tmp_path), "PIP_CONFIG_FILE": "/dev/null"})


@pytest.mark.parametrize(
    ("names", "gpu", "chosen"),
    [
        (["torch-2.13.0+cpu-cp311-cp311-manylinux_2_28_M.whl"], False, "2.13.0+cpu"),
        (["torch-2.13.0+cpu-cp311-cp311-manylinux_2_28_M.whl"], True, None),
        (["torch-2.13.0+cu130-cp311-cp311-manylinux_2_28_M.whl"], True, "2.13.0+cu130"),
        (["torch-2.13.0+cu130-cp311-cp311-manylinux_2_28_M.whl"], False, None),
        (["torch-2.13.0+cpu-cp312-cp312-manylinux_2_28_M.whl"], False, None),
        (["torch-2.13.0+cpu-cp311-cp311-win_amd64.whl"], False, None),
        (
            [f"torch-2.{n}.0+cpu-cp311-cp311-manylinux_2_28_M.whl" for n in (9, 13, 10)],
            False,
            "2.13.0+cpu",
        ),
    ],
)
def test_only_a_torch_for_this_machine_is_taken(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, names: list[str], gpu: bool, chosen: str | None
) -> None:
    monkeypatch.setattr("platform.machine", lambda: "x86_64")
    for name in names:
        (tmp_path / name.replace("_M.", "_x86_64.")).touch()
    assert torch_wheel(f"/nowhere,{tmp_path}", "3.11", gpu) == chosen
