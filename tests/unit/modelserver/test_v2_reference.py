"""Both ways through JSON against a slow reference: the standard library, one value at a time."""

from __future__ import annotations

import json
import math
import struct
import time
from fractions import Fraction
from typing import Any

import numpy as np
import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nacre.modelserver import numbers
from nacre.modelserver.calls import BadRequest, Interface
from nacre.modelserver.protocols import v2
from nacre.modelserver.tensors import NUMPY
from nacre.schema.serving import Signature, TensorSpec

LIMITS = {name: np.iinfo(kind) for name, kind in NUMPY.items() if kind.kind in "iu"}
SPECIAL = {"NaN": math.nan, "Infinity": math.inf, "-Infinity": -math.inf}
DATATYPES = sorted(set(NUMPY) - {"FP16"})


def interface(*specs: tuple[str, str, list[int]]) -> Interface:
    outputs = [TensorSpec(name="y", datatype="FP32", shape=[-1, 2])]
    inputs = [TensorSpec(name=name, datatype=kind, shape=shape) for name, kind, shape in specs]  # type: ignore[arg-type]
    return Interface("m", "1", Signature(inputs=inputs, outputs=outputs))


# ---- the reference


class Wrong(Exception):
    """The reference refuses the body."""


def reference(body: bytes, model: Interface) -> tuple[dict[str, list[bytes]], Any]:
    """The exact bytes of each element of each input, and the id."""
    try:
        request = json.loads(body.decode(), parse_float=finite, parse_int=whole)
        json.dumps(request, ensure_ascii=False).encode()
    except (ValueError, RecursionError) as error:
        raise Wrong from error
    if not isinstance(request, dict) or not isinstance(request.get("inputs"), list):
        raise Wrong
    if request.get("id") is not None and not isinstance(request["id"], str):
        raise Wrong
    feed: dict[str, list[bytes]] = {}
    for item in request["inputs"]:
        name = item.get("name") if isinstance(item, dict) else None
        if not isinstance(name, str) or name not in model.inputs or name in feed:
            raise Wrong
        feed[name] = elements(item, model.inputs[name])
    if set(feed) != set(model.inputs):
        raise Wrong
    return feed, request.get("id")


def finite(text: str) -> float:
    value = float(text)
    if math.isinf(value):
        raise ValueError(text)
    return value


def whole(text: str) -> int | float:
    """JSON readers keep whole numbers of 64 bits; larger ones are doubles."""
    value = int(text)
    return value if -(2**63) <= value < 2**64 else finite(text)


def elements(item: dict[str, Any], spec: TensorSpec) -> list[bytes]:
    shape = item.get("shape")
    if item.get("datatype") != spec.datatype or not isinstance(shape, list) or item.get("parameters"):
        raise Wrong
    if any(type(size) is not int or size < 0 for size in shape) or len(shape) != len(spec.shape):
        raise Wrong
    if any(want not in (-1, size) for size, want in zip(shape, spec.shape, strict=True)):
        raise Wrong
    flat = flatten(item.get("data"))
    if len(flat) != math.prod(shape):
        raise Wrong
    return [element(value, spec.datatype) for value in flat]


def flatten(data: Any) -> list[Any]:
    if not isinstance(data, list):
        raise Wrong
    while any(isinstance(value, list) for value in data):
        if len({len(value) if isinstance(value, list) else None for value in data}) > 1:
            raise Wrong
        data = [value for row in data for value in row]
    return data


def element(value: Any, datatype: str) -> bytes:
    if datatype == "BYTES":
        if not isinstance(value, str):
            raise Wrong
        return value.encode()
    if datatype == "BOOL":
        if not isinstance(value, bool):
            raise Wrong
        return bytes([value])
    if isinstance(value, bool):
        raise Wrong
    if datatype in LIMITS:
        if not isinstance(value, int) or not LIMITS[datatype].min <= value <= LIMITS[datatype].max:
            raise Wrong
        return value.to_bytes(NUMPY[datatype].itemsize, "little", signed=value < 0)
    if isinstance(value, str) and value in SPECIAL:
        value = SPECIAL[value]
    if not isinstance(value, int | float):
        raise Wrong
    if datatype == "FP64":
        return struct.pack("<d", float(value))
    try:
        return struct.pack("<f", float(value))
    except OverflowError as error:
        raise Wrong from error


def exact(array: np.ndarray) -> list[bytes]:
    """As the reference gives them; all NaN are one."""
    if array.dtype == object:
        return [text.encode() for text in array.ravel()]
    if array.dtype.kind != "f":
        return [value.tobytes() for value in array.ravel()]
    return [b"NaN" if math.isnan(value) else value.tobytes() for value in array.ravel()]


def same(array: np.ndarray, wanted: list[bytes], datatype: str) -> bool:
    if datatype in ("FP32", "FP64"):
        read = [struct.unpack("<f" if datatype == "FP32" else "<d", one)[0] for one in wanted]
        wanted = [b"NaN" if math.isnan(value) else one for value, one in zip(read, wanted, strict=True)]
    return exact(array) == wanted


def check(body: bytes, model: Interface) -> bool:
    """Compare; whether the body was taken."""
    try:
        wanted, label = reference(body, model)
    except Wrong:
        with pytest.raises(BadRequest):
            v2.decode(body, None, model)
        return False
    call = v2.decode(body, None, model)
    assert call.id == label
    assert set(call.feed) == set(wanted)
    for name, array in call.feed.items():
        datatype = model.inputs[name].datatype
        assert array.dtype == NUMPY[datatype]
        assert same(array, wanted[name], datatype), (array, wanted[name])
    return True


# ---- random bodies

LIMIT_NUMBERS = sorted(
    {
        str(value + step)
        for bounds in LIMITS.values()
        for value in (int(bounds.min), int(bounds.max))
        for step in (-1, 0, 1)
    }
)
ODD = [
    *LIMIT_NUMBERS,
    *("-0", "-0.0", "0.0", "1.0", "1E5", "1e-5", "1e400", "-1e400", "0.1e-400", "1" * 400, "3.4028235e38"),
    *(
        "3.4028235677973366e38",
        "3.4028236e38",
        "1e39",
        "9007199254740993",
        "16777217",
        "9223372036854775295",
    ),
    *("NaN", "Infinity", "-Infinity", '"NaN"', '"Infinity"', '"-Infinity"', '"1"', "true", "false", "null"),
    *("{}", "[]", "01", "1.", ".5", "+1", "-", "1e", "0x1", "nan", '"\\ud800"', '"\\u00e9"', '"é"', '"[["'),
]
number = st.one_of(
    st.integers(-5, 300).map(str),
    st.floats(allow_nan=False, allow_infinity=False).map(repr),
    st.floats(-1000, 1000, width=32).map(repr),
    st.integers(-(2**64), 2**65).map(str),
    st.sampled_from(ODD),
)
plain = st.one_of(st.integers(0, 100).map(str), st.floats(-1e6, 1e6).map(repr))


def nest(flat: list[str], shape: list[int]) -> str:
    """The values as JSON lists of this shape."""
    if len(shape) <= 1:
        return f"[{','.join(flat)}]"
    step = math.prod(shape[1:])
    rows = [nest(flat[at * step : (at + 1) * step], shape[1:]) for at in range(shape[0])]
    return f"[{', '.join(rows)}]"


@st.composite
def item(draw: st.DrawFn, name: str, datatype: str, shape: list[int]) -> str:
    """One input as text, nearly always valid in all but one respect."""
    wrong = draw(st.sampled_from([""] * 8 + ["value", "value", "count", "ragged", "keys"]))
    value = st.sampled_from(["true", "false"]) if datatype == "BOOL" else plain
    value = st.text(max_size=3).map(json.dumps) if datatype == "BYTES" else value
    value = st.integers(0, 127).map(str) if datatype in LIMITS else value
    count = math.prod(shape)
    flat = draw(st.lists(value, min_size=count, max_size=count))
    if wrong == "value" and flat:
        flat[draw(st.integers(0, count - 1))] = draw(number)
    if wrong == "count":
        flat = flat[:-1] if draw(st.booleans()) else [*flat, "1"]
    layout = draw(st.sampled_from([[count], [count], shape, shape, [1, *shape], [*shape, 1], [1, count]]))
    if wrong == "count":
        layout = [count]
    data = nest(flat, layout)
    if wrong == "ragged":
        at = draw(st.integers(0, len(data) - 1))
        data = data[:at] + draw(st.sampled_from(["[", "]", "[]", ",[]", "[],", ",", "[1],"])) + data[at:]
    pairs = [
        f'"name":{json.dumps(name)}',
        f'"datatype" : "{datatype}"',
        f'"shape":{json.dumps(shape)}',
        f'"data": {data}',
    ]
    if wrong == "keys":
        extra = [
            '"data":[1]',
            '"name":"x"',
            '"shape":[1,2]',
            '"other":[[1]]',
            '"d\\u0061ta":[3]',
            '"shape":[1.0,2]',
        ]
        pairs.insert(
            draw(st.integers(0, 4)), draw(st.sampled_from([*extra, '"parameters":{}', '"data\\u0000":1']))
        )
        if draw(st.booleans()):
            pairs.pop(draw(st.integers(0, 4)))
    else:
        pairs = draw(st.permutations(pairs))
    return "{" + ",".join(pairs) + "}"


@st.composite
def bodies(draw: st.DrawFn) -> tuple[bytes, Interface]:
    kinds = draw(
        st.lists(
            st.sampled_from(["FP32", "FP64", "INT64", "UINT8"] * 4 + DATATYPES), min_size=1, max_size=2
        )
    )
    specs = [(f"x{at}", kind, [-1, 2]) for at, kind in enumerate(kinds)]
    parts = [draw(item(name, kind, [draw(st.sampled_from([1, 2, 3, 0])), 2])) for name, kind, _ in specs]
    pairs = [f'"inputs":[{",".join(draw(st.permutations(parts)))}]']
    more = [
        '"id":"ab"',
        '"id":"a[b"',
        '"id":null',
        '"id":5',
        '"id":"\\ud83d\\ude00"',
        '"id":"\\udc00"',
        '"other":1',
        '"inputs":[]',
    ]
    pairs += draw(st.lists(st.sampled_from(more), max_size=1))
    text = (
        draw(st.sampled_from([""] * 12 + [" ", "\n", "\ufeff"]))
        + "{"
        + ",".join(draw(st.permutations(pairs)))
        + "}"
    )
    return (text + draw(st.sampled_from([""] * 8 + ["\n", "\n", "x", "\0"]))).encode(), interface(*specs)


@given(bodies())
@settings(max_examples=1500)
def test_random_bodies_mean_what_the_reference_says(made: tuple[bytes, Interface]) -> None:
    check(*made)


@given(bodies(), st.data())
@settings(max_examples=500)
def test_broken_bodies_are_refused_where_the_reference_refuses(
    made: tuple[bytes, Interface], data: st.DataObject
) -> None:
    body, model = made
    at = data.draw(st.integers(0, len(body)))
    body = body[:at] + data.draw(st.binary(max_size=2)) + body[at + data.draw(st.integers(0, 3)) :]
    check(body, model)


@pytest.mark.parametrize("token", ODD)
@pytest.mark.parametrize("datatype", ["FP32", "FP64", "INT64", "UINT64", "UINT8"])
def test_numbers_at_the_limits(token: str, datatype: str) -> None:
    for data in (f"[{token},1]", f"[[{token},1]]", f"[1,{token}]"):
        body = f'{{"inputs":[{{"name":"x","datatype":"{datatype}","shape":[1,2],"data":{data}}}]}}'
        check(body.encode(), interface(("x", datatype, [-1, 2])))


def one(data: str, datatype: str = "FP32", shape: str = "[1,2]") -> bytes:
    return f'{{"inputs":[{{"name":"x","datatype":"{datatype}","shape":{shape},"data":{data}}}]}}'.encode()


@pytest.mark.parametrize(
    ("data", "taken"),
    [
        ("[1,2]", True),
        ("[[1,2]]", True),
        ("[[[1],[2]]]", True),
        ("[[1,2],[]]", False),
        ("[[],[1,2]]", False),
        ("[1,[2]]", False),
        ("[[1],2]", False),
        ("[[[1,2],[]]]", False),
        ("[[1],[2]]", True),
        ("[]", False),
        ("[1,2,3]", False),
        ("{}", False),
    ],
)
def test_nesting(data: str, taken: bool) -> None:
    assert check(one(data), interface(("x", "FP32", [-1, 2]))) == taken


def test_the_short_way_is_gone_and_gives_what_the_long_one_gives() -> None:
    rng = np.random.default_rng(0)
    model = interface(("x", "FP32", [-1, 3, 4]))
    values = rng.normal(size=(5, 3, 4))
    for data in (values, values.reshape(-1)):
        body = orjson.dumps(
            {"inputs": [{"name": "x", "datatype": "FP32", "shape": [5, 3, 4], "data": data.tolist()}]}
        )
        if numbers.simdjson is not None:
            short = v2._numbers(body, model)
            assert short is not None
            assert np.array_equal(short.feed["x"], values.astype("f4"))
        assert check(body, model)


def test_without_simdjson_bodies_mean_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(numbers, "_parser", None)
    assert check(one("[1,2.5]"), interface(("x", "FP32", [-1, 2])))
    assert check(one("[[1,2]]", "UINT8"), interface(("x", "UINT8", [-1, 2])))
    assert not check(one("[[1,256]]", "UINT8"), interface(("x", "UINT8", [-1, 2])))


def test_whole_numbers_are_doubles_before_they_are_floats() -> None:
    """So that a number means the same alone and among fractions."""
    model = interface(("x", "FP32", [-1, 2]))
    value = 2**53 + 2**29 + 1
    alone = v2.decode(one(f"[{value},{value}]"), None, model).feed["x"]
    among = v2.decode(one(f"[{value},0.5]"), None, model).feed["x"]
    assert alone[0, 0] == among[0, 0] == np.float32(float(Fraction(value)))


@pytest.mark.parametrize("opening", ["[", '{"a":', '{"inputs":[{"data":[', '{"inputs":[{"shape":['])
@pytest.mark.parametrize("token", ["", "NaN"])
def test_deep_nesting_is_refused_in_no_time(opening: str, token: str) -> None:
    body = (opening * 100_000 + token).encode()
    start = time.perf_counter()
    assert not check_only(body)
    assert time.perf_counter() - start < 5
    closing = "".join({"[": "]", "{": "}"}[one] for one in reversed(opening) if one in "[{")
    assert not check_only((opening * 100_000 + "1" + closing * 100_000).encode())


def check_only(body: bytes) -> bool:
    try:
        v2.decode(body, None, interface(("x", "FP32", [-1, 2])))
    except BadRequest:
        return False
    return True


def test_a_parser_that_is_in_use_costs_time_alone() -> None:
    model = interface(("x", "FP32", [-1, 2]))
    held = numbers.read(one("[1,2]"))
    assert check(one("[3,4]"), model)
    del held
    assert check(one("[3,4]"), model)


def test_what_is_remembered_of_binary_requests_is_bounded_and_exact() -> None:
    model = interface(("x", "FP32", [-1, 2]))
    for rows in range(1, 400):
        array = np.arange(rows * 2, dtype="<f4").reshape(rows, 2)
        head = orjson.dumps(
            {
                "inputs": [
                    {
                        "name": "x",
                        "datatype": "FP32",
                        "shape": [rows, 2],
                        "parameters": {"binary_data_size": array.nbytes},
                    }
                ],
                "parameters": {"binary_data_output": rows % 2 == 0},
            }
        )
        for _ in range(2):
            call = v2.decode(head + array.tobytes(), len(head), model)
            assert np.array_equal(call.feed["x"], array)
            assert call.feed["x"].flags.aligned
            assert call.binary == (frozenset({"y"}) if rows % 2 == 0 else frozenset())
        with pytest.raises(BadRequest, match="bytes"):
            v2.decode(head + array.tobytes()[:-1], len(head), model)
        with pytest.raises(BadRequest, match="1 bytes follow"):
            v2.decode(head + array.tobytes() + b"x", len(head), model)
    assert 0 < len(model.plans) <= 256


@given(
    st.lists(st.sampled_from(["FP32", "FP64", "INT64", "UINT8", "BOOL", "BYTES"]), min_size=1, max_size=3),
    st.integers(0, 3),
    st.one_of(st.none(), st.text(max_size=5)),
    st.data(),
)
@settings(max_examples=300)
def test_answers_are_the_json_that_they_should_be(
    kinds: list[str], rows: int, label: str | None, data: st.DataObject
) -> None:
    specs = [TensorSpec(name=f'y"{at}', datatype=kind, shape=[-1, 2]) for at, kind in enumerate(kinds)]  # type: ignore[arg-type]
    model = Interface("m", "1", Signature(inputs=[], outputs=specs))
    rng = np.random.default_rng(data.draw(st.integers(0, 2**32)))
    arrays, names = [], []
    for spec in specs:
        names.append(spec.name)
        if spec.datatype == "BYTES":
            arrays.append(np.array([["a", "né\0"]] * rows, dtype=object).reshape(rows, 2))
        else:
            made = rng.integers(0, 2, (rows, 2)).astype(NUMPY[spec.datatype])
            if made.dtype.kind == "f" and rows:
                made[0] = data.draw(st.sampled_from([0.1, math.nan, -math.inf, 1e30]))
            arrays.append(made[::-1])
    binary = frozenset(name for name in names if data.draw(st.booleans()))
    call = v2.InferCall({}, names)
    call.id, call.binary = label, binary
    for _ in range(2):
        response = call.encode(arrays, model)
        length = len(response.body)
        if binary:
            length = int(response.extra.partition(": ")[2])
        answer = json.loads(response.body[:length], parse_constant=pytest.fail)
        assert answer.get("id") == label
        assert (answer["model_name"], answer["model_version"]) == ("m", "1")
        at = length
        for spec, array, found in zip(specs, arrays, answer["outputs"], strict=True):
            assert (found["name"], found["datatype"]) == (spec.name, spec.datatype)
            assert found["shape"] == [rows, 2]
            if spec.name in binary:
                size = found["parameters"]["binary_data_size"]
                raw = response.body[at : at + size]
                at += size
                assert len(raw) == size
                if spec.datatype != "BYTES":
                    assert raw == np.ascontiguousarray(array).tobytes()
            elif array.dtype.kind == "f":
                read = np.array([float(value) for value in found["data"]], array.dtype)
                assert np.array_equal(read, array.ravel(), equal_nan=True)
            else:
                assert found["data"] == array.ravel().tolist()
        assert at == len(response.body)
