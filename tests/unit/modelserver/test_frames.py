"""The frames between the model server and replicas: whatever the cuts, and whatever is sent."""

from __future__ import annotations

import contextlib
import json
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as some

import nacre
from nacre.modelserver import frames
from nacre.modelserver.frames import PREFIX, Frame, FrameError, Reader, pack


def feed(reader: Reader, data: bytes, cuts: list[int] | None = None) -> list[Frame]:
    """Give the bytes to a reader, in reads of these sizes and then as large as it takes them."""
    found: list[Frame] = []
    at = 0
    sizes = iter(cuts or [])
    while at < len(data):
        room = reader.buffer()
        assert len(room) > 0
        step = min(len(room), next(sizes, len(room)), len(data) - at)
        room[:step] = data[at : at + step]
        found += reader.advance(step)
        at += step
    return found


HEADS = st.dictionaries(
    st.text(max_size=20), st.integers() | st.text(max_size=50) | st.none(), max_size=4
).map(lambda some: {**some, "type": "t"})


@settings(max_examples=200)
@given(
    sent=st.lists(st.tuples(HEADS, st.binary(max_size=300)), max_size=6),
    cuts=st.lists(st.integers(1, 40), max_size=60),
    most=st.integers(0, 300),
)
def test_frames_come_out_as_they_went_in(
    sent: list[tuple[dict[str, Any], bytes]], cuts: list[int], most: int
) -> None:
    data = b"".join(b"".join(pack(head, [tail[:7], tail[7:]])) for head, tail in sent)
    got = [
        (frame.head, None if frame.tail is None else bytes(frame.tail))
        for frame in feed(Reader(most), data, cuts)
    ]
    assert got == [(head, tail if len(tail) <= most else None) for head, tail in sent]


def test_long_tails_and_heads() -> None:
    tails = [np.random.default_rng(n).bytes(200_000 * n) for n in range(1, 4)]
    heads = [{"type": "t", "text": "é" * 40_000 * n} for n in range(1, 4)]
    data = b"".join(b"".join(pack(head, [tail])) for head, tail in zip(heads, tails, strict=True))
    got = feed(Reader(1 << 20), data)
    assert [frame.head for frame in got] == heads
    assert [bytes(frame.tail or b"") for frame in got] == tails


def test_a_tail_over_the_limit_is_thrown_away_without_being_kept() -> None:
    reader = Reader(1000)
    head = json.dumps({"type": "t", "id": 1}).encode()
    assert feed(reader, PREFIX.pack(len(head), 1 << 40) + head) == []
    for _ in range(100):  # so much is announced that it would never fit
        assert feed(reader, bytes(100_000)) == []
        assert len(reader.buffer()) <= 1 << 16


@pytest.mark.parametrize(
    "data",
    [
        PREFIX.pack(frames.MAX_HEAD + 1, 0),
        PREFIX.pack(2, 0) + b"[]",
        PREFIX.pack(2, 0) + b"{}",
        PREFIX.pack(10, 0) + b'{"type":1}',
        PREFIX.pack(4, 0) + b"\xff\xfe{}",
        PREFIX.pack(200_000, 0) + b"[" * 200_000,
        PREFIX.pack(0, 0),
    ],
)
def test_what_is_no_head_is_refused(data: bytes) -> None:
    with pytest.raises(FrameError):
        feed(Reader(10), data)


@settings(max_examples=300)
@given(data=st.binary(max_size=400), cuts=st.lists(st.integers(1, 40), max_size=30))
def test_any_bytes_make_frames_or_an_error(data: bytes, cuts: list[int]) -> None:
    with contextlib.suppress(FrameError):
        feed(Reader(100), data, cuts)


# ---- tensors


def there_and_back(arrays: dict[str, Any]) -> dict[str, Any]:
    described, raw = zip(
        *(frames.describe(name, a, frames.datatype_of(a)) for name, a in arrays.items()), strict=True
    )
    (frame,) = feed(Reader(1 << 24), b"".join(pack({"type": "t", "tensors": list(described)}, list(raw))))
    assert frame.tail is not None
    return frames.tensors(frame.head["tensors"], frame.tail)


PLAIN = st.sampled_from([dtype for name, dtype in frames.NUMPY.items() if name != "BYTES"])
SHAPES = some.array_shapes(min_dims=0, max_dims=4, min_side=0, max_side=4)


@settings(max_examples=200)
@given(st.lists(some.arrays(PLAIN, SHAPES), min_size=1, max_size=4))
def test_tensors_arrive_as_they_were(arrays: list[Any]) -> None:
    sent = {str(n): array for n, array in enumerate(arrays)}
    got = there_and_back(sent)
    assert list(got) == list(sent)
    for name, array in sent.items():
        assert got[name].dtype == array.dtype
        assert got[name].shape == array.shape
        assert got[name].tobytes() == array.tobytes()
        assert got[name].flags.aligned


@given(st.lists(st.text(st.characters(exclude_categories=["Cs"]), max_size=8), min_size=1, max_size=6))
def test_strings_arrive_as_they_were(texts: list[str]) -> None:
    array = np.array(texts, dtype=object).reshape(-1, 1)
    got = there_and_back({"x": array, "y": np.ones(2)})
    assert got["x"].tolist() == array.tolist()


def test_bytes_that_are_no_text_stay_bytes() -> None:
    assert there_and_back({"x": np.array([b"\xff\x00", "é", b"abc"], dtype=object)})["x"].tolist() == [
        b"\xff\x00",
        "é",
        "abc",
    ]


def test_views_big_endian_and_odd_arrays() -> None:
    x = np.arange(12, dtype=">f4").reshape(3, 4)
    got = there_and_back(
        {"t": x.T, "s": x[:, ::2], "flag": np.array(True), "n": np.float64(3.5).reshape(())}
    )
    assert got["t"].tolist() == x.T.tolist()
    assert got["s"].tolist() == x[:, ::2].tolist()
    assert got["flag"] == np.array(True)
    assert got["n"] == 3.5
    with pytest.raises(TypeError, match="complex"):
        frames.datatype_of(np.zeros(2, complex))


def tensor(**changed: Any) -> dict[str, Any]:
    return {"name": "x", "datatype": "FP32", "shape": [2], "size": 8, **changed}


@pytest.mark.parametrize(
    ("described", "data"),
    [
        (None, b""),
        ([7], b""),
        ([tensor(name=None)], bytes(8)),
        ([tensor(datatype="FP33")], bytes(8)),
        ([tensor(datatype=["FP32"])], bytes(8)),
        ([tensor(shape=None)], bytes(8)),
        ([tensor(shape=[-2])], bytes(8)),
        ([tensor(shape=[2.0])], bytes(8)),
        ([tensor(shape=[True, 2])], bytes(8)),
        ([tensor(shape=[3])], bytes(8)),
        ([tensor(shape=[0, 2**47, 2**47], size=0)], b""),
        ([tensor(size=-1)], bytes(8)),
        ([tensor(size=4)], bytes(8)),
        ([tensor(size=2**60)], bytes(8)),
        ([tensor()], bytes(9)),
        ([tensor(), tensor()], bytes(16)),
        ([tensor(datatype="BOOL", size=2)], b"\x00\x02"),
        ([tensor(datatype="BYTES")], b"\xff\xff\xff\xff\x00\x00\x00\x00"),
        ([tensor(datatype="BYTES", shape=[2**40])], bytes(8)),
        ([tensor(datatype="BYTES", shape=[1])], bytes(8)),
        ([tensor(datatype="BYTES", size=6)], b"\x02\x00\x00\x00ab"),
    ],
)
def test_descriptions_that_do_not_fit_are_refused(described: Any, data: bytes) -> None:
    with pytest.raises(FrameError):
        frames.tensors(described, memoryview(data))


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
)
ODD = st.fixed_dictionaries(
    {
        "name": st.sampled_from(["x", "y"]) | JSON,
        "datatype": st.sampled_from(sorted(frames.NUMPY)) | JSON,
        "shape": st.lists(st.integers(-1, 5), max_size=3) | JSON,
        "size": st.integers(0, 40) | JSON,
    }
)


@settings(max_examples=300)
@given(described=st.lists(ODD, max_size=3) | JSON, data=st.binary(max_size=60))
def test_any_description_makes_arrays_or_an_error(described: Any, data: bytes) -> None:
    try:
        found = frames.tensors(described, memoryview(data))
    except FrameError:
        return
    for one in described:
        assert list(found[one["name"]].shape) == one["shape"]


@pytest.mark.parametrize("minor", ["3.8", "3.9", "3.10", "3.12", "3.13"])
def test_the_replicas_code_compiles_on_every_python(minor: str) -> None:
    pythons = sorted(Path.home().glob(f".pyenv/versions/{minor}.*/bin/python"))
    if not pythons:
        pytest.skip(f"there is no Python {minor} here")
    root = Path(nacre.__file__).parent / "modelserver"
    files = [root / "frames.py", *sorted((root / "replica").rglob("*.py"))]
    script = "import sys\nfor f in sys.argv[1:]: compile(open(f, encoding='utf-8').read(), f, 'exec')"
    subprocess.run([pythons[-1], "-c", script, *map(str, files)], check=True)
