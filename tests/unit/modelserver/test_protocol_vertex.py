"""Vertex AI's predict."""

from __future__ import annotations

import json
from typing import Any

import dialect_kit as kit
import numpy as np
import pytest

from nacre.modelserver.protocols.vertex import error

LONG = "v1/projects/acme/locations/europe-west4/endpoints/77:predict"
X = np.array([[1, 2, 3], [4, 5.5, -6]], "f4")
Y = np.array([[0.1, 2], [3, 4.5]], "f4")


@pytest.mark.parametrize("path", [LONG, "predict"])
@pytest.mark.parametrize("parameters", [{}, {"parameters": {"k": 1}}, {"parameters": None}])
def test_instances(path: str, parameters: dict[str, Any]) -> None:
    kit.same(kit.decode(path, {"instances": X.tolist(), **parameters}).feed, {"x": X})


def test_instances_by_name_and_of_binary_text() -> None:
    call = kit.decode("predict", {"instances": [{"a": [1, 2], "b": 3}]}, kit.TWO)
    kit.same(call.feed, {"a": np.array([[1, 2]], "f4"), "b": np.array([3])})
    call = kit.decode("predict", {"instances": [{"b64": "YQ=="}]}, kit.TEXT)
    kit.same(call.feed, {"t": np.array(["a"], object)})


def test_the_answer_names_the_model() -> None:
    answer = {
        "predictions": [[0.1, 2], [3, 4.5]],
        "deployedModelId": "m@3",
        "model": "projects/acme/locations/europe-west4/models/m",
        "modelDisplayName": "m",
        "modelVersionId": "3",
    }
    body = {"instances": X.tolist()}
    assert kit.encode(kit.decode(LONG, body), [Y]) == answer
    assert kit.encode(kit.decode("predict", body), [Y]) == answer | {"model": "models/m"}


def test_several_outputs_go_by_rows() -> None:
    call = kit.decode("predict", {"instances": [{"a": [1, 2], "b": 3}]}, kit.TWO)
    found = kit.encode(call, [Y[:1], np.array(["p"], object)], kit.TWO)
    assert found["predictions"] == [{"sum": [0.1, 2], "label": "p"}]


def test_floats_that_are_not_finite_are_strings() -> None:
    def strict(token: str) -> None:
        raise AssertionError(token)

    call = kit.decode("predict", {"instances": X.tolist()})
    body = kit.raw(call, [np.array([[0.1, np.nan], [np.inf, -np.inf]], "f4")]).body
    found = json.loads(body, parse_constant=strict)
    assert found["predictions"] == [[0.1, "NaN"], ["Infinity", "-Infinity"]]


REFUSED = [
    ("no JSON", b"x", kit.ROWS, "not JSON"),
    ("deep", b'{"instances": ' + b"[" * 100_000 + b"]" * 100_000 + b"}", kit.ROWS, "not JSON"),
    ("a list", [[1, 2, 3]], kit.ROWS, "JSON object"),
    ("no instances", {"inputs": [[1, 2, 3]]}, kit.ROWS, 'no "instances"'),
    ("empty", {"instances": []}, kit.ROWS, "is empty"),
    ("no list", {"instances": 5}, kit.ROWS, "one entry per row"),
    ("parameters", {"instances": [[1, 2, 3]], "parameters": [1]}, kit.ROWS, '"parameters"'),
    ("ragged", {"instances": [[1, 2, 3], [4]]}, kit.ROWS, "ragged"),
    ("shape", {"instances": [[1, 2]]}, kit.ROWS, "shape [1, 2]"),
    ("type", {"instances": [["a", "b", "c"]]}, kit.ROWS, "holds text"),
    ("name", {"instances": [{"z": [1, 2, 3]}]}, kit.ROWS, "'z'"),
    ("b64", {"instances": [{"b64": "*"}]}, kit.TEXT, "not base64"),
]


@pytest.mark.parametrize(
    ("body", "to", "said"), [case[1:] for case in REFUSED], ids=[case[0] for case in REFUSED]
)
def test_requests_that_are_refused(body: Any, to: Any, said: str) -> None:
    assert said in kit.refused("predict", body, to)


def test_errors_have_googles_shape() -> None:
    wrong = {"error": {"code": 400, "message": "no", "status": "INVALID_ARGUMENT"}}
    assert json.loads(error(400, "no").body) == wrong
    statuses = [json.loads(error(status, "no").body)["error"]["status"] for status in (413, 500, 504)]
    assert statuses == ["INVALID_ARGUMENT", "INTERNAL", "DEADLINE_EXCEEDED"]
