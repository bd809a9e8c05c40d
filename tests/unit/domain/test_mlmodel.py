"""Which file of an MLflow model Nacre converts."""

from __future__ import annotations

import json

import pytest
import yaml

from nacre.domain.mlmodel import recognise


def text(**flavours: object) -> bytes:
    return yaml.safe_dump({"flavors": {"python_function": {"loader_module": "x"}, **flavours}}).encode()


@pytest.mark.parametrize(
    ("flavours", "files", "framework", "entry", "requirements"),
    [
        (
            {"sklearn": {"pickled_model": "model.skops", "serialization_format": "skops"}},
            {"model.skops"},
            "sklearn",
            "model.skops",
            ("skops",),
        ),
        (
            {"sklearn": {"pickled_model": "model.pkl", "serialization_format": "pickle"}},
            {"model.pkl"},
            "sklearn",
            "model.pkl",
            (),
        ),
        ({"pytorch": {"model_data": "data"}}, {"data/model.pt2"}, "pytorch", "data/model.pt2", ()),
        (
            {"pytorch": {"model_data": "data"}},
            {"data/model.pth"},
            "pytorch",
            "data/model.pth",
            ("cloudpickle",),
        ),
        ({"keras": {"data": "data"}}, {"data/model.keras"}, "keras", "data/model.keras", ()),
        ({"keras": {"data": "data"}}, {"data/model/saved_model.pb"}, "tensorflow", "data/model", ()),
        (
            {"tensorflow": {"saved_model_dir": "tf2model"}},
            {"tf2model/saved_model.pb"},
            "tensorflow",
            "tf2model",
            (),
        ),
        ({"onnx": {"data": "model.onnx"}}, {"model.onnx"}, "onnx", "model.onnx", ()),
    ],
)
def test_known_flavours(
    flavours: dict[str, object],
    files: set[str],
    framework: str,
    entry: str,
    requirements: tuple[str, ...],
) -> None:
    found = recognise(text(**flavours), files)
    assert (found.framework, found.entry, found.requirements, found.why) == (
        framework,
        entry,
        requirements,
        None,
    )


def test_a_file_that_is_named_and_not_there_is_not_taken() -> None:
    found = recognise(text(sklearn={"pickled_model": "model.pkl"}), {"other.pkl"})
    assert found.framework == "mlflow"


def test_other_flavours_are_kept_with_a_sentence() -> None:
    found = recognise(text(prophet={"data": "model.pr"}), {"model.pr"})
    assert (found.framework, found.entry) == ("mlflow", ".")
    assert found.why is not None
    assert "prophet" in found.why


def test_the_tensors_of_a_signature_are_taken_and_columns_are_not() -> None:
    tensor = [{"type": "tensor", "tensor-spec": {"dtype": "float32", "shape": [-1, 8, 8]}}]
    document = yaml.safe_load(text(pytorch={"model_data": "data"}))
    for inputs, expected in (
        (tensor, [("x", "FP32", [-1, 8, 8])]),
        ([{"type": "double", "name": "a"}], []),
        ([{"type": "tensor", "tensor-spec": {"dtype": "object", "shape": [-1]}}], []),
    ):
        document["signature"] = {"inputs": json.dumps(inputs)}
        found = recognise(yaml.safe_dump(document).encode(), {"data/model.pth"})
        assert [(i.name, i.datatype, i.shape) for i in found.inputs] == expected
