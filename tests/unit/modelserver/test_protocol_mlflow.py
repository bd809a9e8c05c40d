"""MLflow's scoring protocol: data frames, rows and columns as JSON and CSV."""

from __future__ import annotations

import json
from typing import Any

import dialect_kit as kit
import numpy as np
import pytest

from nacre.modelserver.protocols.mlflow import error

PATH = "invocations"
X = np.array([[1, 2, 3], [4, 5.5, -6]], "f4")
TABLE = {"columns": ["p", "q", "r"], "data": X.tolist()}
COLUMNS = kit.interface([("age", "FP32", [-1, 1]), ("town", "BYTES", [-1, 1]), ("n", "INT64", [-1])])
"""One input a column, as scikit-learn's pipelines are converted."""
PEOPLE = {
    "age": np.array([[30], [41.5]], "f4"),
    "town": np.array([["Ulm"], ["Bonn"]], object),
    "n": np.array([1, 2]),
}
CELLS = [[1, 0, 30, "Ulm"], [2, 0, 41.5, "Bonn"]]
RECORDS = [{"age": 30, "town": "Ulm", "n": 1}, {"age": 41.5, "town": "Bonn", "n": 2}]

TAKEN = [
    ("split", {"dataframe_split": TABLE}, kit.ROWS, {"x": X}),
    ("split without names", {"dataframe_split": {"data": X.tolist()}}, kit.ROWS, {"x": X}),
    ("split with an index", {"dataframe_split": TABLE | {"index": [7, 8]}}, kit.ROWS, {"x": X}),
    ("names that are numbers", {"dataframe_split": TABLE | {"columns": [0, 1, 2]}}, kit.ROWS, {"x": X}),
    ("the input's name", {"dataframe_split": TABLE | {"columns": ["a", "x", "b"]}}, kit.ROWS, {"x": X}),
    (
        "a column of lists",
        {"dataframe_split": {"columns": ["x"], "data": [[[1, 2, 3]], [[4, 5.5, -6]]]}},
        kit.ROWS,
        {"x": X},
    ),
    (
        "columns by name, in any order, and one more",
        {"dataframe_split": {"columns": ["n", "more", "age", "town"], "data": CELLS}},
        COLUMNS,
        PEOPLE,
    ),
    ("records", {"dataframe_records": RECORDS}, COLUMNS, PEOPLE),
    ("one input", {"dataframe_records": [{"a": 1, "b": 2, "c": 3}]}, kit.ROWS, {"x": X[:1]}),
    ("null", {"dataframe_records": [{"a": None, "b": 2}]}, kit.one("FP64", [-1, 2]),
        {"x": np.array([[np.nan, 2]])}),
    ("absent", {"dataframe_records": [{"a": 1}, {"b": 2}]}, kit.one("FP64", [-1, 2]),
        {"x": np.array([[1, np.nan], [np.nan, 2]])}),
    ("rows", {"instances": X.tolist()}, kit.ROWS, {"x": X}),
    ("rows by name", {"instances": RECORDS}, COLUMNS, PEOPLE),
    ("rows of text", {"instances": ["a"]}, kit.TEXT, {"t": np.array(["a"], object)}),
    ("columns", {"inputs": X.tolist()}, kit.ROWS, {"x": X}),
    ("columns by name", {"inputs": {"x": X.tolist()}}, kit.ROWS, {"x": X}),
    ("columns of a table", {"inputs": {"p": [1, 4], "q": [2, 5.5], "r": [3, -6]}}, kit.ROWS, {"x": X}),
    ("records as inputs", {"inputs": RECORDS}, COLUMNS, PEOPLE),
    ("a bare value", {"inputs": 5}, kit.one("INT64", []), {"x": np.array(5)}),
    ("params", {"inputs": X.tolist(), "params": {"top_k": 3}, "other": 1}, kit.ROWS, {"x": X}),
    ("no params", {"inputs": X.tolist(), "params": None}, kit.ROWS, {"x": X}),
]  # fmt: skip


@pytest.mark.parametrize(
    ("body", "to", "feed"), [case[1:] for case in TAKEN], ids=[case[0] for case in TAKEN]
)
def test_requests_that_are_taken(body: Any, to: Any, feed: dict[str, Any]) -> None:
    kit.same(kit.decode(PATH, body, to, content_type="application/json").feed, feed)


SPLIT = "dataframe_split"
DEEP = json.loads("[" * 400 + "]" * 400)
REFUSED = [
    ("none", {"data": [1]}, kit.ROWS, "has none of them"),
    ("two", {SPLIT: TABLE, "instances": [[1, 2, 3]]}, kit.ROWS, "has dataframe_split, instances"),
    ("rows and columns", {"inputs": [[1, 2, 3]], "instances": [[1]]}, kit.ROWS, "has instances, inputs"),
    ("params", {"inputs": [[1, 2, 3]], "params": [1]}, kit.ROWS, '"params" has to be an object'),
    ("no frame", {SPLIT: [[1, 2, 3]]}, kit.ROWS, "has to be an object"),
    ("no data", {SPLIT: {"columns": ["a"]}}, kit.ROWS, 'with "data"'),
    ("too much", {SPLIT: TABLE | {"dtypes": []}}, kit.ROWS, "no more"),
    ("columns no list", {SPLIT: TABLE | {"columns": "abc"}}, kit.ROWS, "list of names"),
    ("data no list", {SPLIT: {"data": 1}}, kit.ROWS, "list of rows"),
    ("a row no list", {SPLIT: {"data": [[1, 2, 3], 4]}}, kit.ROWS, "row 1 of the table has no list"),
    ("ragged", {SPLIT: {"data": [[1, 2, 3], [4]]}}, kit.ROWS, "row 1 of the table has 1 values where 3"),
    ("other than columns", {SPLIT: TABLE | {"columns": ["a"]}}, kit.ROWS, "3 values where 1"),
    ("empty", {SPLIT: {"columns": ["a"], "data": []}}, kit.ROWS, "no rows"),
    ("no records", {"dataframe_records": []}, kit.ROWS, "no rows"),
    ("records no list", {"dataframe_records": {"x": 1}}, kit.ROWS, "list of objects"),
    ("a record no object", {"dataframe_records": [{"a": 1}, [1]]}, kit.ROWS, "entry 1"),
    ("scattered", {"dataframe_records": [{str(at): 1} for at in range(2000)]}, kit.ROWS, "too few columns"),
    ("no instances", {"instances": []}, kit.ROWS, "is empty"),
    ("width", {SPLIT: {"data": [[1, 2]]}}, kit.ROWS, "shape [1, 2] where [-1, 3]"),
    ("a missing column", {"dataframe_records": [{"age": 1, "town": "Ulm"}]}, COLUMNS, "no column 'n'"),
    ("no names for three", {SPLIT: {"data": [[1, "Ulm", 2]]}}, COLUMNS, "no column 'age', 'town', 'n'"),
    ("a column twice", {SPLIT: {"columns": ["a", "b", "b"], "data": [[[1, 2], 2, 3]]}}, kit.TWO, "2 times"),
    ("null in whole numbers", {"dataframe_records": [RECORDS[0] | {"n": None}]}, COLUMNS, "holds null"),
    ("text in numbers", {"dataframe_records": [RECORDS[0] | {"age": "x"}]}, COLUMNS, "holds text"),
    ("cells of lists", {SPLIT: {"columns": ["x"], "data": [[[1, 2, 3]], [[4]]]}}, kit.ROWS, "ragged"),
    ("a list in a row", {SPLIT: {"data": [[1, 2, [3]]]}}, kit.ROWS, "are lists"),
    ("a list in a later row", {SPLIT: {"data": [[1, 2, 3], [1, 2, [3]]]}}, kit.ROWS, "ragged"),
    ("columns of a table, ragged", {"inputs": {"p": [1], "q": [2, 3]}}, kit.ROWS, "'p', which is no input"),
    ("deep", b'{"inputs": ' + b"[" * 100_000 + b"]" * 100_000 + b"}", kit.ROWS, "not JSON"),
    ("deep cells", {SPLIT: {"columns": ["x"], "data": [[DEEP]]}}, kit.ROWS, "32 lists"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("body", "to", "said"), [case[1:] for case in REFUSED], ids=[case[0] for case in REFUSED]
)
def test_requests_that_are_refused(body: Any, to: Any, said: str) -> None:
    assert said in kit.refused(PATH, body, to)


def csv(text: str, to: Any, kind: str = "text/csv") -> dict[str, Any]:
    return kit.decode(PATH, text.encode(), to, content_type=kind).feed


class TestCsv:
    def test_a_header_is_told_by_a_cell_that_is_no_number(self) -> None:
        kit.same(csv("p,q,r\n1,2,3\n4,5.5,-6\n", kit.ROWS), {"x": X})
        kit.same(csv("1,2,3\n4,5.5,-6", kit.ROWS), {"x": X})

    def test_a_header_may_be_announced(self) -> None:
        kit.same(csv("0,1,2\n1,2,3\n", kit.ROWS, "text/csv; header=present"), {"x": X[:1]})
        kit.same(
            csv("nan,1,2\n", kit.ROWS, "text/csv;header=absent").copy(),
            {"x": np.array([[np.nan, 1, 2]], "f4")},
        )
        assert "no rows" in kit.refused(
            PATH, b"1,2,3\n", content_type="text/csv; charset=utf-8; header=present"
        )

    def test_columns_by_name(self) -> None:
        kit.same(csv('n,age,town,more\r\n1,30,Ulm,\r\n2,41.5,"Bonn",x\r\n', COLUMNS), PEOPLE)

    def test_text(self) -> None:
        kit.same(csv('"a,b"\n""\n"é"\n', kit.TEXT), {"t": np.array(["a,b", "", "é"], object)})
        kit.same(csv("t\na\n", kit.TEXT), {"t": np.array(["a"], object)})

    def test_an_empty_cell_is_nan_and_lines_without_cells_are_left_out(self) -> None:
        kit.same(csv("\ufeff1,,3\n\n", kit.ROWS), {"x": np.array([[1, np.nan, 3]], "f4")})

    def test_bool(self) -> None:
        kit.same(
            csv("True,0\nfalse,1", kit.one("BOOL", [-1, 2])),
            {"x": np.array([[True, False], [False, True]])},
        )

    @pytest.mark.parametrize(
        ("body", "to", "said"),
        [
            (b"", kit.ROWS, "no lines"),
            (b"\n\n", kit.ROWS, "no lines"),
            (b"p,q,r\n", kit.ROWS, "no rows"),
            (b"1,2\n", kit.ROWS, "shape [1, 2]"),
            (b"1,2,3\n4,5\n", kit.ROWS, "row 1 of the table has 2 values where 3"),
            (b"1,2,3\n" + b"4," * 200_000, kit.ROWS, "has 200001 values where 3"),
            (b'1,2,"' + b"3" * 200_000 + b'"\n', kit.ROWS, "not CSV: field larger than"),
            (b"1,2,3\n4,5,x\n", kit.ROWS, "is FP32, and 'x' is none"),
            (b"1,2,3\n4,5,1_0\n", kit.ROWS, "'1_0' is none"),
            (b"1,2,3\n4,5,1e999\n", kit.one("FP64", [-1, 2]), "shape [2, 3]"),
            (b"1,2,3\n4,5,1e39\n", kit.ROWS, "FP32 cannot hold"),
            (b"1\n1.5\n", kit.one("INT64", [-1]), "is INT64, and '1.5' is none"),
            (b"1\n" + b"9" * 5000, kit.one("INT64", [-1]), "is none"),
            (b"1\n99999999999999999999\n", kit.one("INT64", [-1]), "INT64 cannot hold"),
            (b"true\n2\n", kit.one("BOOL", [-1]), "is BOOL, and '2' is none"),
            (b"\xff,1,2\n", kit.ROWS, "not UTF-8"),
        ],
    )  # fmt: skip
    def test_wrong_lines(self, body: bytes, to: Any, said: str) -> None:
        assert said in kit.refused(PATH, body, to, content_type="text/csv")


class TestAnswers:
    def test_one_output(self) -> None:
        for key in ("instances", "inputs"):
            call = kit.decode(PATH, {key: X.tolist()})
            assert kit.encode(call, [np.array([[0.1, 2]], "f4")]) == {"predictions": [[0.1, 2]]}

    def test_several_outputs(self) -> None:
        arrays = [np.array([[1, 2]], "f4"), np.array(["p"], object)]
        rows = kit.decode(PATH, {"dataframe_records": [{"a": [1, 2], "b": 3}]}, kit.TWO)
        assert kit.encode(rows, arrays, kit.TWO) == {"predictions": [{"sum": [1, 2], "label": "p"}]}
        columns = kit.decode(PATH, {"inputs": {"a": [[1, 2]], "b": [3]}}, kit.TWO)
        assert kit.encode(columns, arrays, kit.TWO) == {"predictions": {"sum": [[1, 2]], "label": ["p"]}}

    def test_nan_is_the_token_that_pythons_json_reads(self) -> None:
        call = kit.decode(PATH, {"inputs": X.tolist()})
        assert kit.raw(call, [np.array([np.nan], "f4")]).body == b'{"predictions":[NaN]}'


class TestHealth:
    @pytest.mark.parametrize("path", ["ping", "health"])
    def test_ping_and_health(self, path: str) -> None:
        assert kit.get(path, kit.view())[0] == 200
        assert kit.get(path, kit.view(None))[0] == 503

    def test_version_is_one_of_mlflow(self) -> None:
        routes, parameters = kit.TABLE.find(["version"])
        assert routes["GET"].answer is not None
        body = routes["GET"].answer(kit.request(b""), kit.view(), parameters).body
        assert int(body.partition(b".")[0]) >= 2

    def test_errors_have_mlflows_shape(self) -> None:
        codes = {status: json.loads(error(status, "no").body) for status in (400, 404, 418, 502, 503)}
        assert codes[400] == {"error_code": "BAD_REQUEST", "message": "no"}
        assert [codes[status]["error_code"] for status in (404, 418, 502, 503)] == [
            "RESOURCE_DOES_NOT_EXIST",
            "BAD_REQUEST",
            "INTERNAL_ERROR",
            "TEMPORARILY_UNAVAILABLE",
        ]
        assert "Retry-After" in error(503, "later").extra
