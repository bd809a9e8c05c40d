"""TensorFlow Serving's REST API: what it takes, what it answers, what it refuses."""

from __future__ import annotations

import json
from typing import Any

import dialect_kit as kit
import numpy as np
import pytest

from nacre.modelserver.calls import BadRequest
from nacre.modelserver.protocols import rows

PREDICT = "v1/models/m:predict"
CLASSIFY = "v1/models/m:classify"
REGRESS = "v1/models/m:regress"
X = np.array([[1, 2, 3], [4, 5.5, -6]], "f4")


def texts(*values: Any) -> np.ndarray:
    array = np.empty(len(values), object)
    array[:] = values
    return array


TAKEN = [
    ("rows", {"instances": [[1, 2, 3], [4, 5.5, -6]]}, kit.ROWS, {"x": X}),
    ("rows by name", {"instances": [{"x": [1, 2, 3]}, {"x": [4, 5.5, -6]}]}, kit.ROWS, {"x": X}),
    ("columns", {"inputs": [[1, 2, 3], [4, 5.5, -6]]}, kit.ROWS, {"x": X}),
    ("columns by name", {"inputs": {"x": [[1, 2, 3], [4, 5.5, -6]]}}, kit.ROWS, {"x": X}),
    ("a signature", {"signature_name": "serving_default", "instances": X.tolist()}, kit.ROWS, {"x": X}),
    ("no name of a signature", {"signature_name": "", "instances": X.tolist()}, kit.ROWS, {"x": X}),
    (
        "two inputs by rows",
        {"instances": [{"a": [1, 2], "b": 3}, {"b": 6, "a": [4, 5]}]},
        kit.TWO,
        {"a": np.array([[1, 2], [4, 5]], "f4"), "b": np.array([3, 6])},
    ),
    (
        "two inputs by columns, of different lengths",
        {"inputs": {"a": [[1, 2], [4, 5]], "b": [3]}},
        kit.TWO,
        {"a": np.array([[1, 2], [4, 5]], "f4"), "b": np.array([3])},
    ),
    ("scalars", {"instances": [1, 2.5]}, kit.one("FP32", [-1]), {"x": np.array([1, 2.5], "f4")}),
    ("a bare value", {"inputs": 2.5}, kit.one("FP64", []), {"x": np.array(2.5)}),
    ("deep lists", {"inputs": [[[[1]]]]}, kit.one("INT8", [1, 1, -1, 1]), {"x": np.array([[[[1]]]], "i1")}),
    ("no columns", {"inputs": [[], []]}, kit.one("FP32", [-1, -1]), {"x": np.empty((2, 0), "f4")}),
    ("text", {"instances": ["a", "é"]}, kit.TEXT, {"t": texts("a", "é")}),
    ("b64", {"instances": [{"b64": "YQ=="}, {"b64": "w6k"}, "c"]}, kit.TEXT, {"t": texts("a", "é", "c")}),
    ("b64 by name", {"instances": [{"t": {"b64": "YQ=="}}]}, kit.TEXT, {"t": texts("a")}),
    ("b64 in columns", {"inputs": [{"b64": "YWFh\nYQ=="}]}, kit.TEXT, {"t": texts("aaaa")}),
    ("b64 alone", {"inputs": {"b64": "YQ=="}}, kit.one("BYTES", []), {"x": np.array("a", object)}),
    ("bool", {"instances": [True, False]}, kit.one("BOOL", [-1]), {"x": np.array([True, False])}),
    ("fp16", {"instances": [1, 0.5]}, kit.one("FP16", [-1]), {"x": np.array([1, 0.5], "f2")}),
    (
        "uint64",
        {"instances": [2**64 - 1, 1]},
        kit.one("UINT64", [-1]),
        {"x": np.array([2**64 - 1, 1], "u8")},
    ),
    ("empty text", {"instances": [""]}, kit.TEXT, {"t": texts("")}),
]


@pytest.mark.parametrize(
    ("body", "to", "feed"), [case[1:] for case in TAKEN], ids=[case[0] for case in TAKEN]
)
def test_requests_that_are_taken(body: Any, to: Any, feed: dict[str, Any]) -> None:
    kit.same(kit.decode(PREDICT, body, to).feed, feed)


def test_tokens_that_json_lacks_are_taken() -> None:
    call = kit.decode(PREDICT, b'{"instances": [[NaN, Infinity, -Infinity]]}')
    kit.same(call.feed, {"x": np.array([[np.nan, np.inf, -np.inf]], "f4")})


def test_a_body_of_numbers_takes_the_quick_way_and_gives_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    body = b'{"instances": [[0.1, 2, 3e4], [4, 5.5, -6]]}'
    found = rows.quick(body, kit.ROWS, "instances")
    assert found is not None
    assert found[0] == "instances"
    monkeypatch.setattr(rows, "read", lambda _: None)
    kit.same(kit.decode(PREDICT, body).feed, found[1])


REFUSED = [
    ("no JSON", b'{"instances": [', kit.ROWS, "not JSON"),
    ("nothing", b"", kit.ROWS, "not JSON"),
    ("a list", [[1, 2, 3]], kit.ROWS, "JSON object"),
    ("deep", b'{"instances": ' + b"[" * 100_000 + b"]" * 100_000 + b"}", kit.ROWS, "not JSON"),
    ("deep, with a token", b"[NaN," * 100_000 + b"1" + b"]" * 100_000, kit.ROWS, "not JSON"),
    ("deep JSON", b'{"inputs":' + b"[" * 500 + b"]" * 500 + b"}", kit.one("FP32", []), "more than 32"),
    ("a number out of range", b'{"instances": [[1e400, 2, 3]]}', kit.ROWS, "not JSON"),
    ("the same with a token", b'{"instances": [[1e400, NaN, 3]]}', kit.ROWS, "not JSON"),
    ("half a character", b'{"a": NaN, "instances": ["\\ud800"]}', kit.TEXT, "not JSON"),
    ("rows and columns", {"instances": [[1, 2, 3]], "inputs": [[1, 2, 3]]}, kit.ROWS, "send one"),
    ("neither", {"signature_name": ""}, kit.ROWS, "neither"),
    ("empty", {"instances": []}, kit.ROWS, "is empty"),
    ("no list of rows", {"instances": {"x": [1, 2, 3]}}, kit.ROWS, "one entry per row"),
    ("ragged", {"instances": [[1, 2, 3], [4, 5]]}, kit.ROWS, "ragged"),
    ("ragged, six in all", {"inputs": [[1, 2], [3], [4, 5, 6]]}, kit.one("FP32", [-1, 2]), "ragged"),
    ("ragged in depth", {"instances": [[1, 2, 3], 4]}, kit.ROWS, "ragged"),
    ("ragged text", {"instances": [["a"], "b"]}, kit.one("BYTES", [-1, 1]), "ragged"),
    ("width", {"instances": [[1, 2]]}, kit.ROWS, "shape [1, 2] where [-1, 3] is expected (-1 is any size)"),
    ("rank", {"instances": [1, 2, 3]}, kit.ROWS, "shape [3] where [-1, 3]"),
    ("fixed batch", {"instances": [1, 2]}, kit.one("FP32", [1]), "shape [2] where [1] is expected"),
    ("text for numbers", {"instances": [["1", 2, 3]]}, kit.ROWS, "holds text where FP32 needs numbers"),
    ("null", {"instances": [[None, 2, 3]]}, kit.ROWS, "holds null"),
    ("fraction", {"instances": [1.0]}, kit.one("INT64", [-1]), "a fraction where INT64 needs whole"),
    ("too large", {"instances": [128]}, kit.one("INT8", [-1]), "holds 128, which INT8 cannot hold"),
    ("too large a float", {"instances": [[1e39, 0, 0]]}, kit.ROWS, "FP32 cannot hold"),
    ("too large a half", {"instances": [70000]}, kit.one("FP16", [-1]), "FP16 cannot hold"),
    ("numbers for text", {"instances": [1]}, kit.TEXT, "BYTES needs strings"),
    ("number for bool", {"instances": [1]}, kit.one("BOOL", [-1]), "true and false"),
    ("binary for numbers", {"inputs": {"b64": "YQ=="}}, kit.ROWS, "shape [] where"),
    ("b64 that is none", {"instances": [{"b64": "not*base64"}]}, kit.TEXT, "not base64"),
    ("b64 of odd length", {"instances": [{"b64": "YWFhY"}]}, kit.TEXT, "not base64"),
    ("b64 outside ASCII", {"instances": [{"b64": "é"}]}, kit.TEXT, "not base64"),
    ("b64 of no text", {"instances": [{"b64": "/w=="}]}, kit.TEXT, "not UTF-8"),
    ("b64 of a number", {"inputs": [{"b64": 1}]}, kit.TEXT, '{"b64"'),
    ("a wrong name", {"instances": [{"z": [1]}]}, kit.ROWS, "'z', which is no input; expected: 'x' FP32"),
    ("a long name", {"instances": [{"z" * 9999: 1}]}, kit.ROWS, "no input"),
    ("a name too many", {"instances": [{"x": [1, 2, 3], "z": 1}]}, kit.ROWS, "'z'"),
    ("a missing name", {"instances": [{"a": [1, 2]}]}, kit.TWO, "lacks 'b'"),
    ("a missing column", {"inputs": {"a": [[1, 2]]}}, kit.TWO, "lacks 'b'"),
    ("a wrong column", {"inputs": {"z": [[1, 2, 3]]}}, kit.ROWS, "'z'"),
    ("two kinds", {"instances": [{"x": [1, 2, 3]}, [1, 2, 3]]}, kit.ROWS, "entry 1"),
    ("the other way round", {"instances": [[1, 2, 3], {"x": [1, 2, 3]}]}, kit.ROWS, "ragged"),
    ("no names for two", {"instances": [[1, 2]]}, kit.TWO, "has 2 inputs: give each"),
    ("no names of columns for two", {"inputs": [[1, 2]]}, kit.TWO, "has 2 inputs"),
    ("a signature", {"signature_name": "other", "instances": [[1]]}, kit.ROWS, "no signature 'other'"),
    ("no text of one", {"signature_name": 1, "instances": [[1, 2, 3]]}, kit.ROWS, "has to be text"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("body", "to", "said"), [case[1:] for case in REFUSED], ids=[case[0] for case in REFUSED]
)
def test_requests_that_are_refused(body: Any, to: Any, said: str) -> None:
    assert said in kit.refused(PREDICT, body, to)


class TestAnswers:
    def test_rows_ask_for_predictions(self) -> None:
        call = kit.decode(PREDICT, {"instances": X.tolist()})
        assert kit.encode(call, [np.array([[0.1, 2], [3, 4]], "f4")]) == {"predictions": [[0.1, 2], [3, 4]]}

    def test_columns_ask_for_outputs(self) -> None:
        call = kit.decode(PREDICT, {"inputs": X.tolist()})
        assert kit.encode(call, [np.array([[0.1, 2], [3, 4]], "f4")]) == {"outputs": [[0.1, 2], [3, 4]]}

    def test_several_outputs_are_named(self) -> None:
        arrays = [np.array([[1, 2], [3, 4]], "f4"), texts("p", "q")]
        by_rows = kit.decode(PREDICT, {"instances": [{"a": [1, 2], "b": 1}] * 2}, kit.TWO)
        assert kit.encode(by_rows, arrays, kit.TWO) == {
            "predictions": [{"sum": [1, 2], "label": "p"}, {"sum": [3, 4], "label": "q"}]
        }
        by_columns = kit.decode(PREDICT, {"inputs": {"a": [[1, 2]] * 2, "b": [1, 1]}}, kit.TWO)
        assert kit.encode(by_columns, arrays, kit.TWO) == {
            "outputs": {"sum": [[1, 2], [3, 4]], "label": ["p", "q"]}
        }

    def test_rows_of_outputs_that_differ_in_number_are_refused(self) -> None:
        call = kit.decode(PREDICT, {"instances": [{"a": [1, 2], "b": 1}] * 2}, kit.TWO)
        with pytest.raises(BadRequest, match="'sum' has 2 rows, 'label' has 1 rows"):
            kit.encode(call, [np.ones((2, 2), "f4"), texts("p")], kit.TWO)
        with pytest.raises(BadRequest, match="no rows"):
            kit.encode(call, [np.ones((2, 2), "f4"), np.array("p", object)], kit.TWO)

    def test_floats_that_are_not_finite_are_bare_tokens(self) -> None:
        call = kit.decode(PREDICT, {"instances": X.tolist()})
        body = kit.raw(call, [np.array([[np.nan, np.inf], [-np.inf, 0.1]], "f4")]).body
        assert body == b'{"predictions":[[NaN,Infinity],[-Infinity,0.1]]}'

    def test_names_in_bytes_are_binary(self) -> None:
        call = kit.decode(PREDICT, {"instances": ["a"]}, kit.TEXT)
        assert kit.encode(call, [texts("é")], kit.TEXT) == {"predictions": [{"b64": "w6k="}]}
        plain = kit.interface([("t", "BYTES", [-1])], [("u", "BYTES", [-1])])
        call = kit.decode(PREDICT, {"instances": ["a"]}, plain)
        assert kit.encode(call, [texts("é null")], plain) == {"predictions": ["é null"]}

    @pytest.mark.parametrize(
        "datatype", [np.longlong, np.ulonglong, np.int32, np.bool_, np.float16, np.float64]
    )
    def test_rows_of_bare_numbers_of_any_type(self, datatype: Any) -> None:
        to = kit.interface([("x", "FP32", [-1])], [("y", "INT64", [-1]), ("z", "INT64", [-1, 1])])
        call = kit.decode(PREDICT, {"instances": [1.0]}, to)
        found = kit.encode(call, [np.array([1], datatype), np.array([[1]], datatype)], to)
        assert found == {"predictions": [{"y": 1, "z": [1]}]}

    @pytest.mark.parametrize(
        ("datatype", "array"),
        [
            ("FP16", np.array([0.5, 1], "f2")),
            ("FP64", np.array([0.1, 1e300])),
            ("INT64", np.array([2**63 - 1, -1])),
            ("UINT64", np.array([2**64 - 1], "u8")),
            ("INT8", np.array([[-1], [2]], "i1")),
            ("BOOL", np.array([True, False])),
            ("FP32", np.ones((2, 3), "f4").T),
            ("FP32", np.array(3.5, "f4")),
            ("FP32", np.empty((0, 3), "f4")),
        ],
    )
    def test_every_type_is_written_as_it_is(self, datatype: str, array: Any) -> None:
        to = kit.interface([("x", "FP32", [-1])], [("y", datatype, [])])
        call = kit.decode(PREDICT, {"inputs": [1.0]}, to)
        assert kit.encode(call, [array], to) == {"outputs": array.tolist()}


SCORES = kit.interface([("x", "FP32", [-1, 3])], [("p", "FP32", [-1, 2]), ("k", "INT64", [-1])])
LABELS = kit.interface(
    [("x", "FP32", [-1, 3])], [("classes", "BYTES", [-1, 2]), ("scores", "FP32", [-1, 2])]
)


class TestClassify:
    def test_the_number_of_a_class_is_its_label_where_there_is_no_other(self) -> None:
        call = kit.decode(CLASSIFY, {"examples": [{"x": [1, 2, 3]}, {"x": [4, 5.5, -6]}]}, SCORES)
        kit.same(call.feed, {"x": X})
        assert call.outputs == ["p"]
        assert kit.encode(call, [np.array([[0.1, 0.9], [0.7, 0.3]], "f4")], SCORES) == {
            "results": [[["0", 0.1], ["1", 0.9]], [["0", 0.7], ["1", 0.3]]]
        }

    def test_labels_of_the_model(self) -> None:
        call = kit.decode(CLASSIFY, {"examples": [{"x": [1, 2, 3]}]}, LABELS)
        assert call.outputs == ["scores", "classes"]
        labels = np.array([["cat", "dog"]], object)
        found = kit.encode(call, [np.array([[0.1, np.nan]], "f4"), labels], LABELS)
        assert found["results"][0][0] == ["cat", 0.1]
        assert np.isnan(found["results"][0][1][1])

    def test_no_scores(self) -> None:
        to = kit.interface([("x", "FP32", [-1, 3])], [("k", "INT64", [-1])])
        assert "no outputs with one score" in kit.refused(CLASSIFY, {"examples": [{"x": [1, 2, 3]}]}, to)

    def test_an_output_of_another_shape(self) -> None:
        call = kit.decode(CLASSIFY, {"examples": [{"x": [1, 2, 3]}]}, SCORES)
        with pytest.raises(BadRequest, match="use :predict"):
            kit.encode(call, [np.ones((1, 2, 2), "f4")], SCORES)


class TestRegress:
    def test_one_number_for_each_example(self) -> None:
        to = kit.interface([("x", "FP32", [-1])], [("y", "FP32", [-1, 1])])
        body = {"signature_name": "tensorflow/serving/regress", "examples": [{"x": 1.0}, {"x": [2]}]}
        call = kit.decode(REGRESS, body, to)
        kit.same(call.feed, {"x": np.array([1, 2], "f4")})
        assert kit.encode(call, [np.array([[3.5], [4.1]], "f4")], to) == {"results": [3.5, 4.1]}
        with pytest.raises(BadRequest, match="not one number"):
            kit.encode(call, [np.ones((2, 2), "f4")], to)

    def test_a_model_without_such_an_output(self) -> None:
        assert "use :predict" in kit.refused(REGRESS, {"examples": [{"x": [1, 2, 3]}]})


def test_a_context_belongs_to_every_example() -> None:
    body = {"context": {"b": 7}, "examples": [{"a": [1, 2]}, {"a": [3, 4]}]}
    call = kit.decode(CLASSIFY, body, kit.TWO)
    kit.same(call.feed, {"a": np.array([[1, 2], [3, 4]], "f4"), "b": np.array([7, 7])})


def test_flat_features_fill_the_shape_of_the_input() -> None:
    to = kit.interface([("x", "FP32", [-1, 2, -1])], [("p", "FP32", [-1, 2])])
    call = kit.decode(CLASSIFY, {"examples": [{"x": [1, 2, 3, 4]}]}, to)
    kit.same(call.feed, {"x": np.array([[[1, 2], [3, 4]]], "f4")})


BAD_EXAMPLES = [
    ("none", {}, SCORES, 'no "examples"'),
    ("no list", {"examples": {"x": [1, 2, 3]}}, SCORES, "list of objects"),
    ("empty", {"examples": []}, SCORES, "is empty"),
    ("no objects", {"examples": [[1, 2, 3]]}, SCORES, "object of features"),
    ("wrong context", {"context": [1], "examples": [{}]}, SCORES, '"context"'),
    ("a wrong name in it", {"context": {"z": 1}, "examples": [{"x": [1]}]}, SCORES, "'z', which is no"),
    ("twice", {"context": {"x": [1, 2, 3]}, "examples": [{"x": [1]}]}, SCORES, "has already"),
    ("missing", {"examples": [{"x": [1, 2, 3]}, {}]}, SCORES, "lacks feature 'x'"),
    ("unknown", {"examples": [{"y": [1, 2, 3]}]}, SCORES, "'y', which is no input"),
    ("too few", {"examples": [{"x": [1, 2]}]}, SCORES, "2 values for one example"),
    ("ragged", {"examples": [{"x": [1, 2, 3]}, {"x": [1, 2]}]}, SCORES, "ragged"),
    ("nested", {"examples": [{"x": [[1, 2, 3]]}]}, SCORES, "flat list"),
    ("nested later", {"examples": [{"x": [1, 2, [3]]}]}, SCORES, "flat list"),
    ("text", {"examples": [{"x": ["1", 2, 3]}]}, SCORES, "holds text"),
    ("two open", {"examples": [{"x": [1]}]}, kit.interface([("x", "FP32", [-1, -1, -1])]), "use :predict"),
    ("a signature", {"signature_name": "regression", "examples": [{"x": [1]}]}, SCORES, "no signature"),
    ("long", {"context": {"x": [1] * 5000}, "examples": [{}] * 5000}, SCORES, "too long for 5000 examples"),
    ("deep", b'{"examples": ' + b"[" * 100_000 + b"]" * 100_000 + b"}", SCORES, "not JSON"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("body", "to", "said"), [case[1:] for case in BAD_EXAMPLES], ids=[case[0] for case in BAD_EXAMPLES]
)
def test_examples_that_are_refused(body: Any, to: Any, said: str) -> None:
    assert said in kit.refused(CLASSIFY, body, to)


class TestStatus:
    def test_the_versions_and_what_kserve_looks_for(self) -> None:
        status, found = kit.get("v1/models/m", kit.view(versions=[("3", "ready"), ("2", "unloaded")]))
        available = {"state": "AVAILABLE", "status": {"error_code": "OK", "error_message": ""}}
        assert status == 200
        assert found == {
            "model_version_status": [{"version": "3", **available}, {"version": "2", **available}],
            "name": "m",
            "ready": True,
        }

    def test_one_version(self) -> None:
        versions = [("3", "ready"), ("2", "loading")]
        _, found = kit.get("v1/models/m/versions/2", kit.view(versions=versions))
        assert [(one["version"], one["state"]) for one in found["model_version_status"]] == [
            ("2", "LOADING")
        ]

    def test_a_version_that_is_there_twice_has_its_better_state(self) -> None:
        _, found = kit.get("v1/models/m", kit.view(versions=[("3", "failed"), ("3", "ready")]))
        assert [one["state"] for one in found["model_version_status"]] == ["AVAILABLE"]

    def test_before_there_is_a_model(self) -> None:
        status, found = kit.get("v1/models/digits", kit.view(None, [("3", "failed")]))
        (only,) = found["model_version_status"]
        assert (status, found["name"], found["ready"], only["state"]) == (200, "digits", False, "END")
        assert only["status"] == {"error_code": "UNKNOWN", "error_message": "it is loading"}

    def test_metadata_is_a_signature_def(self) -> None:
        status, found = kit.get("v1/models/m/metadata", kit.view(kit.TWO))
        assert status == 200
        assert found["model_spec"] == {"name": "m", "signature_name": "", "version": "3"}
        signature = found["metadata"]["signature_def"]["signature_def"]["serving_default"]
        assert signature["method_name"] == "tensorflow/serving/predict"
        dim = [{"size": "-1", "name": ""}, {"size": "2", "name": ""}]
        shape = {"dim": dim, "unknown_rank": False}
        assert signature["inputs"]["a"] == {"dtype": "DT_FLOAT", "tensor_shape": shape, "name": "a:0"}
        assert signature["outputs"]["label"]["dtype"] == "DT_STRING"

    def test_metadata_before_there_is_a_model(self) -> None:
        assert kit.get("v1/models/m/metadata", kit.view(None)) == (503, {"error": "it is loading"})


def test_versions_have_no_labels() -> None:
    assert "no version label 'stable'" in kit.refused(
        "v1/models/m/labels/stable:predict", {"instances": [1]}
    )
    for path in ("v1/models/m/labels/stable", "v1/models/m/labels/stable/metadata"):
        status, found = kit.get(path, kit.view())
        assert (status, "no version label" in found["error"]) == (400, True)


def test_a_version_is_part_of_the_path() -> None:
    call = kit.decode("v1/models/m/versions/3:predict", json.dumps({"instances": X.tolist()}).encode())
    kit.same(call.feed, {"x": X})
