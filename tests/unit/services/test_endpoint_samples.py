"""Samples beside a model become the request that warms it up; strange ones become none."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from tests import models_kit
from tests.conftest import People

from nacre.clock import FixedClock
from nacre.db.connect import Database
from nacre.errors import InvalidSpec
from nacre.schema.serving import Signature
from nacre.services.endpoint_samples import request_of

ONE = Signature.model_validate(models_kit.SIGNATURE)
TWO = Signature.model_validate(
    {
        "inputs": [
            {"name": "age", "datatype": "INT64", "shape": [-1, 1]},
            {"name": "height", "datatype": "FP32", "shape": [-1, 1]},
        ],
        "outputs": [{"name": "y", "datatype": "FP32", "shape": [-1, 1]}],
    }
)
TENSOR = {"name": "x", "shape": [1, 2], "datatype": "FP32", "data": [1, 2]}


@pytest.mark.parametrize(
    "content",
    [
        {"inputs": [TENSOR]},
        {"inputs": [[1, 2]]},
        {"instances": [[1, 2]]},
        {"inputs": {"x": [[1, 2]]}},
        {"x": [[1, 2]]},
        [[1, 2]],
        [1, 2],
        {"columns": ["a", "b"], "data": [[1, 2]]},
        {"dataframe_split": {"columns": ["a", "b"], "data": [[1, 2]]}},
    ],
)
def test_the_forms_of_a_sample(content: Any) -> None:
    assert request_of(content, ONE) == {"inputs": [TENSOR]}


def test_a_column_for_each_input() -> None:
    table = {"dataframe_split": {"columns": ["height", "age"], "data": [[1.7, 30], [1.8, 40]]}}
    tensors = {one["name"]: (one["shape"], one["data"]) for one in request_of(table, TWO)["inputs"]}
    assert tensors == {"age": ([2, 1], [30, 40]), "height": ([2, 1], [1.7, 1.8])}


@pytest.mark.parametrize("content", [[[1, 2, 3]], {"z": [1]}, [], 7, {"inputs": {}}, [[1, 2], [3]]])
def test_what_does_not_fit_is_refused(content: Any) -> None:
    with pytest.raises((InvalidSpec, ValueError)):
        request_of(content, ONE)


def test_without_a_signature_only_a_request_will_do() -> None:
    assert request_of({"inputs": [TENSOR]}, None) == {"inputs": [TENSOR]}
    with pytest.raises(ValueError, match="which inputs"):
        request_of([[1, 2]], None)


@pytest.mark.parametrize("database", ["sqlite"], indirect=True)
@pytest.mark.parametrize(
    ("files", "expected"),
    [
        ({"input_example.json": [[1, 2]]}, True),
        ({"input_example.json": [[1, 2, 3]], "serving_input_example.json": {"inputs": [[1, 2]]}}, True),
        ({"sample.json": {"inputs": [TENSOR]}, "input_example.json": "strange"}, True),
        ({"input_example.json": "strange"}, False),
        ({"other.json": [[1, 2]]}, False),
    ],
)
def test_the_model_server_is_told_of_it(
    database: Database,
    clock: FixedClock,
    people: People,
    tmp_path: Path,
    files: dict[str, Any],
    expected: bool,
) -> None:
    world = models_kit.world(database, clock, tmp_path)
    inside = {f"net/{name}": json.dumps(content).encode() for name, content in files.items()}
    run = world.trained(people.editor, {"net/model.onnx": b"onnx", **inside}).name
    version = world.register(people.editor, run=run, path="net", framework="onnx")
    world.convert(people.editor, version)
    world.deploy(people.editor)
    (served,) = world.endpoints.settling.wanted_routes().endpoints["vision/ask"].revisions
    assert (served.sample is not None) == expected
    if served.sample is not None:
        assert json.loads(Path(served.sample).read_text()) == {"inputs": [TENSOR]}
