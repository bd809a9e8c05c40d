"""Lists of floats read by C: the same as by Python and NumPy, or nothing."""

from __future__ import annotations

import json
import math
import random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nacre.modelserver import json_floats
from nacre.modelserver.calls import BadRequest, Interface
from nacre.modelserver.json_floats import fill
from nacre.modelserver.protocols import v2, v2_floats
from nacre.schema.serving import Signature, TensorSpec

pytestmark = pytest.mark.skipif(
    not json_floats.BUILT, reason="there was no C compiler when Nacre was installed"
)

NUMBERS = st.from_regex(r"-?(0|[1-9][0-9]{0,20})(\.[0-9]{1,30})?([eE][+-]?[0-9]{1,3})?", fullmatch=True)
SPACE = st.sampled_from(["", " ", "\n\t", "  \r "])


def read(text: str, count: int) -> np.ndarray | None:
    out = np.full(count, 7, "f4")
    end = fill(text.encode(), 0, out)
    assert end in (-1, text.rfind("]") + 1)
    return None if end < 0 else out


def expected(texts: list[str]) -> np.ndarray | None:
    with np.errstate(over="ignore"):
        found = np.array([float(json.loads(text)) for text in texts]).astype("f4")
    return found if np.isfinite(found).all() else None


def same(left: np.ndarray, right: np.ndarray) -> bool:
    """To the last bit, the sign of zero too."""
    return left.tobytes() == right.tobytes()


@given(st.lists(NUMBERS, min_size=1, max_size=8), SPACE, SPACE)
@settings(max_examples=3000, deadline=None)
def test_what_is_read_is_what_python_reads(texts: list[str], before: str, after: str) -> None:
    got = read(f"[{','.join(before + text + after for text in texts)}]", len(texts))
    if got is not None:
        wanted = expected(texts)
        assert wanted is not None
        assert same(got, wanted)


def test_zero_keeps_its_sign_only_as_a_float() -> None:
    got = read("[-0,0,-0.0,-0e0,0.0]", 5)
    assert got is not None
    assert np.signbit(got).tolist() == [False, False, True, True, False]


FORMS = ["{!r}", "{:.6g}", "{:.9g}", "{:.17g}", "{:.3f}", "{:.9e}", "{:.1E}"]


@pytest.mark.parametrize("form", FORMS)
def test_every_float_that_clients_write_is_read(form: str) -> None:
    rng = random.Random(form)
    values = [rng.gauss(0, 1) * 10.0 ** rng.randint(-12, 12) for _ in range(20_000)]
    values += [float(np.float32(value)) for value in values]
    texts = [form.format(value) for value in values]
    got = read(f"[{', '.join(texts)}]", len(texts))
    wanted = expected(texts)
    assert got is not None
    assert wanted is not None
    assert same(got, wanted)


def test_numbers_halfway_between_two_doubles_go_to_the_even_one() -> None:
    rng = random.Random(1)
    odd = [2 * rng.randrange(1 << 52, 1 << 53) + 1 for _ in range(20_000)]
    texts = [str(one) for one in odd] + [f"{one // 2}.5" for one in odd]
    got, wanted = read(f"[{','.join(texts)}]", len(texts)), expected(texts)
    assert got is not None
    assert wanted is not None
    assert same(got, wanted)


@pytest.mark.parametrize(
    "text",
    [
        "", "[", "[]", "[1", "[1,", "[1,]", "[,1]", "[1 2]", "[1,2,3]", "[1]", "[1,2", "[1,2 ", "[01,2]",
        "[-,2]", "[+1,2]", "[1.,2]", "[.5,2]", "[1e,2]", "[1e+,2]", "[1e5.2,2]", "[NaN,2]", "[Infinity,2]",
        "[-Infinity,2]", "[null,2]", "[true,2]", '["1",2]', "[[1],2]", "[{},2]", "[0x10,2]", "[1_0,2]",
        "[1e400,2]", "[4e38,2]", "[1\0,2]", "[1,2\0]", "[1;2]", "{1,2}", "[--1,2]", "[1,2}",
        "[1\u00a0,2]", "[12345678901234567890123,2]",
    ],
)  # fmt: skip
def test_anything_else_is_nothing(text: str) -> None:
    out = np.zeros(2, "f4")
    assert fill(text.encode(), 0, out) == -1


@pytest.mark.parametrize("at", [-1, 1, 5, 6, 1 << 40, -(1 << 40)])
def test_a_list_that_begins_elsewhere_is_nothing(at: int) -> None:
    assert fill(b"[1,2]", at, np.zeros(2, "f4")) == -1


def test_a_list_that_is_cut_anywhere_is_nothing() -> None:
    text = json.dumps([math.pi * 10.0**power for power in range(-9, 9)]).encode()
    out = np.zeros(18, "f4")
    assert fill(text, 0, out) == len(text)
    assert {fill(text[:size], 0, out) for size in range(len(text))} == {-1}


@given(st.binary(max_size=60), st.integers(0, 200))
@settings(max_examples=3000, deadline=None)
def test_a_list_with_junk_in_it_is_nothing_or_a_list(junk: bytes, at: int) -> None:
    text = b"[" + b",".join(b"%.8f" % (number / 7) for number in range(16)) + b"]"
    text = text[:at] + junk + text[at:]
    out = np.zeros(16, "f4")
    end = fill(text, 0, out)
    if end >= 0:
        assert same(out, np.array(json.loads(text[:end]), "f8").astype("f4"))


# ---- requests

INTERFACE = {"inputs": [("x", [-1, 4])], "outputs": [("y", [-1, 2]), ("z", [-1, 2])]}


def interface() -> Interface:
    specs = {
        kind: [TensorSpec(name=name, datatype="FP32", shape=shape) for name, shape in given]
        for kind, given in INTERFACE.items()
    }
    return Interface("m", "1", Signature(**specs))


def request(values: str, shape: str = "[1,4]", item: str = "", more: str = "") -> bytes:
    text = f'{{"inputs":[{{"name":"x","datatype":"FP32","shape":{shape},"data":{values}{item}}}]{more}}}'
    return text.encode()


def meaning(body: bytes, known: Interface) -> object:
    try:
        call = v2.decode(body, None, known)
    except BadRequest as wrong:
        return str(wrong)
    return call.feed["x"].tobytes(), call.feed["x"].shape, call.outputs, call.binary, call.id


BODIES = [
    request("[1,2,3,4]"),
    request("[1.5, -2e3, 0.25, 4]"),
    request("[5,6,7,8]"),
    request(" [5,6,7,8]"),
    request("[[5,6,7,8]]"),
    request("[1,2,3]"),
    request("[1,2,3,4,5]"),
    request("[1,2,3,NaN]"),
    request("[1,2,3,1e39]"),
    request('[1,2,3,"4"]'),
    request("[]"),
    request("[1,2,3,4,5,6,7,8]", "[2,4]"),
    request("[1,2,3,4]", "[2,4]"),
    request("[1,2,3,4]", more=',"outputs":[{"name":"z"}]'),
    request("[1,2,3,4]", more=',"outputs":[{"name":"y"}]'),
    request("[1,2,3,4]", more=',"outputs":[{"name":"y","parameters":{"binary_data":true}}]'),
    request("[1,2,3,4]", more=',"id":"a"'),
    request("[1,2,3,4]", more=',"id":"b"'),
    request("[1,2,3,4]", item=',"data":[9,9,9,9]'),
    request("[1,2,3,4]", item=',"parameters":{"data":[1]}'),
    request("[1,2,3,4]", more=',"parameters":{"data":[1]}'),
    b'{"parameters":{"data":[1]},' + request("[1,2,3,4]")[1:],
    request("[1,2,3,4]") + b"x",
    request("[1,2,3,4]") + b" ",
    request("[1,2,3,4]")[:-1],
]


@given(st.lists(st.sampled_from(BODIES), max_size=12))
@settings(max_examples=400, deadline=None)
def test_what_was_asked_before_changes_no_meaning(bodies: list[bytes]) -> None:
    known = interface()
    for body in bodies:
        assert meaning(body, known) == meaning(body, interface())


def test_a_body_like_one_before_is_read_by_its_numbers_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    known = interface()
    v2.decode(request("[1,2,3,4]"), None, known)
    monkeypatch.setattr(v2, "_numbers", None)
    assert v2.decode(request("[5,6,7,8.5]"), None, known).feed["x"].tolist() == [[5, 6, 7, 8.5]]


def test_the_json_before_a_list_is_no_json_before_raw_tensors() -> None:
    known = interface()
    body = request("[1,2,3,4]")
    v2.decode(body, None, known)
    (head,) = known.lists
    with pytest.raises(BadRequest):
        v2.decode(body, len(head), known)


def test_what_is_remembered_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(v2_floats, "_MOST", 3)
    known = interface()
    for rows in range(1, 9):
        v2.decode(request(json.dumps([0.5] * 4 * rows), f"[{rows},4]"), None, known)
        assert len(known.lists) <= 3
