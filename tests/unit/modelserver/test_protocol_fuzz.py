"""Any body at all to the REST dialects: the answer of a slow reference, or refused as it refuses."""

from __future__ import annotations

import io
import json
import math
from collections.abc import Callable
from typing import Any

import dialect_kit as kit
import dialect_reference as reference
import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from nacre.modelserver.calls import BadRequest, Interface

MANY = settings(max_examples=300, derandomize=True)
INTERFACES = [
    kit.ROWS,
    kit.TWO,
    kit.TEXT,
    kit.one("INT8", [-1]),
    kit.one("INT64", [-1, 2]),
    kit.one("UINT64", [-1, 1]),
    kit.one("BOOL", [-1]),
    kit.one("FP16", [-1, 2]),
    kit.one("FP64", [-1, -1]),
    kit.one("FP32", []),
    kit.one("BYTES", [-1, 2]),
    kit.one("FP32", [1, 2, 1]),
    kit.interface([("p", "FP32", [-1, 1]), ("q", "BYTES", [-1, 1])], [("y", "FP32", [-1, 2])]),
]
NAMES = st.sampled_from(["x", "a", "b", "t", "p", "q", "z", "b64"])
TEXTS = st.one_of(st.text(max_size=3), st.sampled_from(["NaN", "-Infinity", "null", "YQ==", "/w", "*"]))
FLOATS = st.one_of(st.integers(-3, 130), st.floats(width=16), st.floats(-1e6, 1e6))
EDGES = st.sampled_from(
    [
        2**24 + 1,
        2**53 + 1,
        2**63 - 1,
        2**63,
        2**64 - 1,
        2**64,
        -(2**63),
        10**30,
        1e39,
        65520.0,
        1e308,
        "NaN",
    ]
)
ENCODED = st.text("YQ=w/+é* \n", max_size=6)
BINARY = st.one_of(TEXTS, ENCODED, ENCODED).map(lambda text: {"b64": text})
LEAVES = st.one_of(FLOATS, EDGES, TEXTS, BINARY, st.none(), st.booleans())
VALUES = st.recursive(
    LEAVES,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner, max_size=2),
    max_leaves=6,
)
FITTING = {
    "f": FLOATS,
    "i": st.integers(-128, 127),
    "u": st.integers(0, 2**64 - 1),
    "b": st.booleans(),
    "O": st.one_of(st.text(max_size=3), st.sampled_from([{"b64": "YQ=="}, {"b64": "w6k"}])),
}


@st.composite
def inputs(draw: st.DrawFn, to: Interface) -> dict[str, Any]:
    """A tensor for each input, as nested lists that fit it but for a value at the edge now and then."""
    rows, open_size = draw(st.integers(1, 3)), draw(st.integers(1, 3))
    feed = {}
    for name, spec in to.inputs.items():
        shape = spec.shape or draw(st.sampled_from([[], [-1], [-1, 2]]))
        sizes = [(rows if at == 0 else open_size) if size < 0 else size for at, size in enumerate(shape)]
        leaf = FITTING[reference.NUMPY[spec.datatype].kind]
        count = math.prod(sizes)
        level = draw(st.lists(leaf, min_size=count, max_size=count))
        if draw(st.integers(0, 3)) == 0:
            level[draw(st.integers(0, count - 1))] = draw(BINARY if leaf is FITTING["O"] else EDGES)
        for size in reversed(sizes[1:]):
            level = [level[at : at + size] for at in range(0, len(level), size)]
        feed[name] = level if sizes else level[0]
    return feed


@st.composite
def wronged(draw: st.DrawFn, value: Any) -> Any:
    """The same with something somewhere in it replaced, taken away, or there twice."""
    if not isinstance(value, list | dict) or not value or draw(st.integers(0, 3)) == 0:
        return draw(VALUES)
    copy: Any = value.copy()
    at = draw(st.sampled_from(sorted(value) if isinstance(value, dict) else range(len(value))))
    how = draw(st.integers(0, 5))
    if how == 0:
        del copy[at]
    elif how == 1 and isinstance(copy, list):
        copy.append(copy[at])
    elif how == 1:
        copy[draw(NAMES)] = copy[at]
    else:
        copy[at] = draw(wronged(value[at]))
    return copy


def by_rows(feed: dict[str, Any]) -> list[Any]:
    lists = {name: value if isinstance(value, list) else [value] for name, value in feed.items()}
    return [dict(zip(lists, row, strict=True)) for row in zip(*lists.values(), strict=False)]


def frames(feed: dict[str, Any]) -> list[Any]:
    """Ways to write a table: columns by name, cells without lists, or rows of the only input."""
    rows = by_rows(feed)
    flat = [
        {name: cell[0] if isinstance(cell, list) and cell else cell for name, cell in row.items()}
        for row in rows
    ]
    found = []
    for table in (rows, flat):
        data = [[0, *row.values()] for row in table]
        found.append({"columns": ["more", *feed], "data": data, "index": list(range(len(data)))})
    only = next(iter(feed.values()))
    if len(feed) == 1 and isinstance(only, list):
        found.append({"data": only})
        found.append(
            {
                "columns": ["p", "q", "r"][: len(only[0])] if isinstance(only[0], list) else ["p"],
                "data": only,
            }
        )
    return found


def plain(feed: dict[str, Any]) -> Any:
    return next(iter(feed.values()))


Forms = dict[str, list[Callable[[dict[str, Any]], Any]]]
FORMS: Forms = {"instances": [by_rows, plain], "inputs": [lambda feed: feed, plain]}


@st.composite
def bodies(
    draw: st.DrawFn, forms: Forms, extra: dict[str, Any], among: list[Interface] = INTERFACES
) -> Any:
    """An interface and a body: a right request, one with something wrong in it, or damaged bytes."""
    to = draw(st.sampled_from(among))
    key = draw(st.sampled_from(sorted(forms)))
    value: Any = {key: draw(st.sampled_from(forms[key]))(draw(inputs(to)))}
    for name, values in extra.items():
        if draw(st.integers(0, 3)) == 0:
            value[name] = draw(values)
    how = draw(st.integers(0, 7))
    if how >= 5:
        value = draw(wronged(value))
    body = json.dumps(value, ensure_ascii=draw(st.booleans())).encode("utf-8", "surrogatepass")
    if how == 0:
        at = draw(st.integers(0, len(body)))
        new = draw(
            st.sampled_from(
                [b"", b"[", b"]", b"NaN", b"1e999", b'"', b"{", b"\\ud800", b"\xff", b"0", b"-"]
            )
        )
        body = body[:at] + new + body[at + 1 :]
    return to, draw(st.binary(max_size=20)) if how == 1 and draw(st.booleans()) else body


def check(
    path: str, slow: Callable[[bytes, Interface], Any], to: Interface, body: bytes, **headers: str
) -> bool:
    """Whether both took it, equal; both refusing is right too."""
    try:
        wanted = slow(body, to)
    except reference.Refuse:
        wanted = None
    try:
        feed = kit.decode(path, body, to, **headers).feed
    except BadRequest as wrong:
        feed, said = None, str(wrong)
    else:
        said = ""
    assert (feed is None) == (wanted is None), (body, said or feed)
    if feed is not None:
        kit.same(feed, wanted)
    return feed is not None


SIGNATURE = {"signature_name": st.sampled_from(["", "serving_default", "other", 1])}


@MANY
@given(bodies(FORMS, SIGNATURE))
def test_tensorflow_serving_predict(case: tuple[Interface, bytes]) -> None:
    check("v1/models/m:predict", reference.predict, *case)


@MANY
@given(BINARY)
def test_binary_text(value: dict[str, str]) -> None:
    check("v1/models/m:predict", reference.predict, kit.TEXT, json.dumps({"instances": [value]}).encode())


def examples(feed: dict[str, Any]) -> list[Any]:
    return [{name: reference.leaves(value) for name, value in row.items()} for row in by_rows(feed)]


SCORED = [
    kit.interface(
        [(one.name, one.datatype, one.shape) for one in to.inputs.values()], [("p", "FP32", [-1, 2])]
    )
    for to in [*INTERFACES, kit.one("FP32", [-1, 2, -1]), kit.one("FP32", [-1, -1, -1])]
    if all(one.shape for one in to.inputs.values())
]
CONTEXT = st.sampled_from([{}, {"b": 3}, {"b": [3]}, {"x": [1, 2, 3]}, {"b64": "YQ=="}, {"z": 1}, []])


@MANY
@given(bodies({"examples": [examples, by_rows]}, SIGNATURE | {"context": CONTEXT}, SCORED))
def test_tensorflow_serving_classify(case: tuple[Interface, bytes]) -> None:
    check("v1/models/m:classify", reference.classify, *case)


PARAMETERS = st.sampled_from([{}, {"k": 1}, None, [], "k"])


@MANY
@given(bodies({"instances": FORMS["instances"]}, {"parameters": PARAMETERS}))
def test_vertex(case: tuple[Interface, bytes]) -> None:
    check("predict", reference.vertex, *case)


def frame(at: int) -> Callable[[dict[str, Any]], Any]:
    return lambda feed: frames(feed)[at % len(frames(feed))]


TABLES = {"dataframe_split": [frame(at) for at in range(4)], "dataframe_records": [by_rows, by_rows]}


@MANY
@given(bodies(FORMS | TABLES, {"params": PARAMETERS}))
def test_mlflow(case: tuple[Interface, bytes]) -> None:
    check("invocations", reference.invocations, *case)


@MANY
@given(bodies(FORMS, {}))
def test_sagemakers_bare_lists(case: tuple[Interface, bytes]) -> None:
    to, body = case
    check("invocations", reference.invocations, to, body.partition(b":")[2].strip().removesuffix(b"}"))


CELLS = {
    "f": st.one_of(st.integers(-300, 300).map(str), st.floats(width=16).map(repr)),
    "i": st.integers(-128, 127).map(str),
    "u": st.integers(0, 2**64 - 1).map(str),
    "b": st.sampled_from(["true", "False", "0", "1"]),
    "O": st.sampled_from(["", "a", "é", '"a,b"', "NaN", "5"]),
}
ODD = st.sampled_from(
    ["", " ", "true", "1_0", "x", '"', "1e999", "0x1", "٣", " 5 ", "\x00", "-1", "1.5", "300"]
)


@st.composite
def csv_bodies(draw: st.DrawFn) -> tuple[Interface, bytes]:
    """Lines of cells that fit, mostly; with a header, sometimes."""
    to = draw(st.sampled_from(NARROW))
    ((name, spec),) = to.inputs.items()
    width = 1 if len(spec.shape) == 1 else spec.shape[1] if spec.shape[1] > 0 else draw(st.integers(1, 3))
    cells = CELLS[reference.NUMPY[spec.datatype].kind]
    lines = draw(st.lists(st.lists(cells, min_size=width, max_size=width), min_size=1, max_size=3))
    if draw(st.integers(0, 2)) == 0:
        lines.insert(0, draw(st.sampled_from([[name], ["0", "1", "2"][:width], ["p", "q", "r"][:width]])))
    if draw(st.integers(0, 2)) == 0:
        line = draw(st.sampled_from(lines))
        line[draw(st.integers(0, len(line) - 1))] = draw(ODD)
    body = "\n".join(map(",".join, lines)).encode()
    return to, draw(st.binary(max_size=20)) if draw(st.integers(0, 9)) == 0 else body


NARROW = [
    to
    for to in INTERFACES
    if len(to.inputs) == 1 and all(len(one.shape) in (1, 2) for one in to.inputs.values())
]


@MANY
@given(csv_bodies())
def test_csv(case: tuple[Interface, bytes]) -> None:
    check("invocations", reference.lines_of_csv, *case, content_type="text/csv")


def npy(array: Any) -> bytes:
    file = io.BytesIO()
    np.save(file, array)
    return file.getvalue()


ARRAYS = [
    np.arange(6, dtype="f4").reshape(2, 3),
    np.asfortranarray(np.arange(6.0).reshape(2, 3)),
    np.arange(3, dtype=">i2"),
    np.array(["a", "é"]),
    np.array([True]),
    np.array(1.5),
    np.empty((0, 3), "f4"),
]


@MANY
@given(
    st.sampled_from(INTERFACES),
    st.sampled_from(ARRAYS),
    st.lists(st.tuples(st.integers(0, 160), st.binary(max_size=3)), max_size=2),
    st.sampled_from(["application/x-npy", "application/x-npz"]),
)
def test_numpys_files(to: Interface, array: Any, damage: list[tuple[int, bytes]], kind: str) -> None:
    if kind == "application/x-npz":
        file = io.BytesIO()
        np.savez(file, **{next(iter(to.inputs)): array})
        body = file.getvalue()
    else:
        body = npy(array)
    for at, new in damage:
        body = body[:at] + new + body[at + len(new) :]
    try:
        feed = kit.decode("invocations", body, to, content_type=kind).feed
    except BadRequest:
        return
    loaded = np.load(io.BytesIO(body))
    found = loaded[loaded.files[0]] if kind == "application/x-npz" else loaded
    (taken,) = feed.values()
    if taken.dtype.kind == "O":
        assert taken.tolist() == found.astype(str).tolist()
    else:
        np.testing.assert_array_equal(taken, found.astype(taken.dtype))
