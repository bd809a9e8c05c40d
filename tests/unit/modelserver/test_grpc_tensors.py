"""Numbers of protobuf fields and TensorFlow's tensors, to arrays and back."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from nacre.modelserver.calls import BadRequest
from nacre.modelserver.grpc.prediction_messages import _MESSAGES, DTYPES
from nacre.modelserver.grpc.tensor_proto import from_proto, to_proto
from nacre.modelserver.tensors import NUMPY
from nacre.schema.serving import TensorSpec

TensorProto = _MESSAGES["TensorProto"]


def tensor(datatype: str, shape: list[int], **values: Any) -> Any:
    made = TensorProto(dtype=DTYPES[datatype], **values)
    made.tensor_shape.SetInParent()
    for size in shape:
        made.tensor_shape.dim.add(size=size)
    return made


def spec(datatype: str, shape: list[int]) -> TensorSpec:
    return TensorSpec(name="x", datatype=datatype, shape=shape)


SAMPLES = {
    "BOOL": [[True, False], [False, False]],
    "UINT8": [[0, 255], [1, 2]],
    "UINT16": [[0, 65535], [1, 2]],
    "UINT32": [[0, 2**32 - 1], [1, 2]],
    "UINT64": [[0, 2**64 - 1], [1, 2]],
    "INT8": [[-128, 127], [1, 2]],
    "INT16": [[-(2**15), 2**15 - 1], [1, 2]],
    "INT32": [[-(2**31), 2**31 - 1], [1, 2]],
    "INT64": [[-(2**63), 2**63 - 1], [1, 2]],
    "FP16": [[1.5, -0.1], [65504, float("inf")]],
    "FP32": [[1.5, -0.1], [3.4e38, float("nan")]],
    "FP64": [[1.5, -0.1], [1.7e308, float("-inf")]],
    "BYTES": [["a", "é\n☃"], ["", "x" * 1000]],
}


@pytest.mark.parametrize("datatype", SAMPLES)
@pytest.mark.parametrize("shape", [[2, 2], [4], [1, 4, 1]])
def test_an_array_comes_back(datatype: str, shape: list[int]) -> None:
    array = np.array(SAMPLES[datatype], NUMPY[datatype]).reshape(shape)
    made = TensorProto()
    to_proto(made, array, datatype)
    back = from_proto(TensorProto.FromString(made.SerializeToString()), spec(datatype, [-1] * len(shape)))
    assert back.dtype == array.dtype
    np.testing.assert_array_equal(back, array)


@pytest.mark.parametrize("datatype", [name for name in SAMPLES if name != "BYTES"])
def test_the_bytes_of_tensor_content(datatype: str) -> None:
    array = np.array(SAMPLES[datatype], NUMPY[datatype])
    given = tensor(datatype, [2, 2], tensor_content=array.tobytes())
    np.testing.assert_array_equal(from_proto(given, spec(datatype, [-1, 2])), array)


def test_an_array_that_is_not_laid_out_in_rows() -> None:
    array = np.arange(6, dtype="f4").reshape(2, 3).T
    made = TensorProto()
    to_proto(made, array, "FP32")
    np.testing.assert_array_equal(from_proto(made, spec("FP32", [3, 2])), array)


def test_a_single_number_has_no_dimensions() -> None:
    made = TensorProto()
    to_proto(made, np.array(2.5, "f4"), "FP32")
    assert made.HasField("tensor_shape")
    assert from_proto(made, spec("FP32", [])).shape == ()


def test_empty_tensors() -> None:
    made = TensorProto()
    to_proto(made, np.empty((0, 3), "f4"), "FP32")
    assert from_proto(made, spec("FP32", [-1, 3])).shape == (0, 3)


@pytest.mark.parametrize(
    ("datatype", "field", "values", "wanted"),
    [
        ("FP32", "float_val", [1, 2], [1, 2, 2, 2]),
        ("INT8", "int_val", [-3], [-3, -3, -3, -3]),
        ("BYTES", "string_val", [b"a"], ["a", "a", "a", "a"]),
        ("FP16", "half_val", [0x3C00], [1, 1, 1, 1]),
    ],
)
def test_the_last_value_stands_for_those_that_are_missing(
    datatype: str, field: str, values: list[Any], wanted: list[Any]
) -> None:
    given = tensor(datatype, [2, 2], **{field: values})
    assert from_proto(given, spec(datatype, [2, 2])).ravel().tolist() == wanted


@pytest.mark.parametrize(
    ("given", "wanted", "sentence"),
    [
        (tensor("FP32", [2], float_val=[1, 2, 3]), spec("FP32", [-1]), "has 3 elements in float_val"),
        (tensor("FP32", [2]), spec("FP32", [-1]), "has 0 elements in float_val"),
        (tensor("FP32", [2], double_val=[1, 2]), spec("FP32", [-1]), "has 0 elements in float_val"),
        (tensor("FP32", [2], tensor_content=b"123"), spec("FP32", [-1]), "has 3 bytes where"),
        (tensor("FP64", [2], double_val=[1, 2]), spec("FP32", [-1]), "datatype FP64 where FP32"),
        (TensorProto(dtype=8), spec("FP32", [-1]), "type 8 of TensorFlow where FP32"),
        (tensor("FP32", [3]), spec("FP32", [2]), r"shape \[3\] where \[2\]"),
        (tensor("FP32", [-1]), spec("FP32", [-1]), r"shape \[-1\] where"),
        (tensor("FP32", [2**40], float_val=[1]), spec("FP32", [-1]), "repeats one value"),
        (tensor("FP32", [2**40, 2**40]), spec("FP32", []), "too large"),
        (tensor("FP32", [1] * 50, float_val=[1]), spec("FP32", []), "too large"),
        (tensor("INT8", [1], int_val=[300]), spec("INT8", [-1]), "holds 300, which INT8 cannot hold"),
        (tensor("FP16", [1], half_val=[-1]), spec("FP16", [-1]), "holds -1"),
        (tensor("BYTES", [1], string_val=[b"\xff"]), spec("BYTES", [-1]), "not UTF-8"),
        (tensor("BYTES", [1], tensor_content=b"a"), spec("BYTES", [-1]), "belong in string_val"),
        (tensor("BOOL", [1], tensor_content=b"\x02"), spec("BOOL", [-1]), "other than 0 and 1"),
    ],
)
def test_what_does_not_make_the_tensor_is_refused(given: Any, wanted: TensorSpec, sentence: str) -> None:
    with pytest.raises(BadRequest, match=sentence):
        from_proto(given, wanted)


def test_a_tensor_without_a_shape_is_refused() -> None:
    given = TensorProto(dtype=DTYPES["FP32"], float_val=[1])
    given.tensor_shape.unknown_rank = True
    with pytest.raises(BadRequest, match="has no shape"):
        from_proto(given, spec("FP32", [-1]))
