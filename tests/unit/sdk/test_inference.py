"""What people write into a file becomes a request of the protocol, or a sentence that says what fits."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from nacre.errors import InvalidSpec
from nacre.schema.serving import Signature
from nacre.sdk.inference import build_request


def takes(*inputs: tuple[str, str, list[int]]) -> Signature:
    """A signature with these inputs."""
    specs = [{"name": name, "datatype": datatype, "shape": shape} for name, datatype, shape in inputs]
    return Signature.model_validate({"inputs": specs, "outputs": []})


def zeros(*shape: int) -> Any:
    return np.zeros(shape).tolist()


@pytest.mark.parametrize(
    ("wanted", "content", "shape"),
    [
        ([-1, 3], zeros(2, 3), [2, 3]),
        ([-1, 3], zeros(3), [1, 3]),
        ([-1, 1, 8, 8], zeros(5, 1, 8, 8), [5, 1, 8, 8]),
        ([-1, 1, 8, 8], zeros(8, 8), [1, 1, 8, 8]),
        ([-1, 1, 8, 8], zeros(5, 8, 8), [5, 1, 8, 8]),
        ([-1, 8, 8, 1], zeros(8, 8), [1, 8, 8, 1]),
        ([-1, 64], zeros(8, 8), [1, 64]),
        ([-1, 64], zeros(3, 8, 8), [3, 64]),
        ([-1, 1], 7, [1, 1]),
        ([-1], zeros(4), [4]),
        ([2, 3], zeros(2, 3), [2, 3]),
        ([2, 3], zeros(6), [2, 3]),
        ([-1, -1], zeros(2, 5), [2, 5]),
        ([-1, -1], zeros(5), [1, 5]),
    ],
)
def test_values_get_the_shape_that_the_model_takes(
    wanted: list[int], content: Any, shape: list[int]
) -> None:
    (tensor,) = build_request(takes(("x", "FP32", wanted)), content)["inputs"]
    assert (tensor["name"], tensor["datatype"], tensor["shape"]) == ("x", "FP32", shape)
    assert len(tensor["data"]) == np.prod(shape)


@pytest.mark.parametrize(
    ("wanted", "content", "said"),
    [
        ([-1, 3], zeros(2, 4), r"x has shape \[2, 4\]: the model takes FP32\[-1, 3\]"),
        ([-1, 64], zeros(4, 32), r"x has shape \[4, 32\]"),
        ([-1, 3], [], r"x has shape \[0\]"),
        ([2, 3], zeros(4, 3), r"x has shape \[4, 3\]"),
        ([-1, 3], [[1, 2, 3], [4, 5]], "differ in length"),
        ([-1, 3], [[1, 2, 3], 4], "differ in length"),
        ([-1, 3], [1, 2, [3]], "differ in length"),
        ([-1, 3], {"y": [1]}, r"no input 'y': it takes x: FP32\[-1, 3\]"),
        ([-1, 3], {}, "'x' is missing"),
    ],
)
def test_what_does_not_fit_is_refused_with_what_would(wanted: list[int], content: Any, said: str) -> None:
    with pytest.raises(InvalidSpec, match=said):
        build_request(takes(("x", "FP32", wanted)), content)


def test_several_inputs_are_given_by_name() -> None:
    signature = takes(("a", "FP32", [-1, 2]), ("words", "BYTES", [-1]))
    request = build_request(signature, {"words": ["one", "two"], "a": [[1, 2], [3, 4]]})
    assert request == {
        "inputs": [
            {"name": "a", "datatype": "FP32", "shape": [2, 2], "data": [1, 2, 3, 4]},
            {"name": "words", "datatype": "BYTES", "shape": [2], "data": ["one", "two"]},
        ]
    }
    with pytest.raises(InvalidSpec, match=r"several inputs .*give an object with each by name"):
        build_request(signature, [[1, 2]])
    with pytest.raises(InvalidSpec, match="'words' is missing"):
        build_request(signature, {"a": [[1, 2]]})


def test_a_whole_request_is_passed_on() -> None:
    content = {"id": "7", "inputs": [{"name": "x", "shape": [1, 1], "datatype": "FP32", "data": [1]}]}
    assert build_request(takes(("x", "FP32", [-1, 1])), content) == content


def test_an_input_may_be_called_inputs() -> None:
    request = build_request(takes(("inputs", "FP32", [-1, 2])), {"inputs": [[1, 2]]})
    assert request["inputs"][0]["shape"] == [1, 2]
