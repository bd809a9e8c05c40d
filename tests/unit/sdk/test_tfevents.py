"""Event files of TensorBoard, read without TensorBoard."""

from __future__ import annotations

import math
import struct
from pathlib import Path

import pytest

from event_files import BEGINNING, event, field, record, scalar, single, tensor, varint, write
from nacre.sdk.tfevents import Damaged, Scalar, is_event_file, parse, read

F32, F64, I64 = 1, 2, 9


def test_scalars_come_in_the_order_they_were_written(tmp_path: Path) -> None:
    path = write(
        tmp_path / "events.out.tfevents.1", scalar("loss", 0, 0.5, 7.25), scalar("acc/Ünit", 2**40, 1)
    )
    assert list(read(path)) == [Scalar("loss", 0, 7.25, 0.5), Scalar("acc/Ünit", 2**40, 1000.5, 1.0)]


def test_steps_below_zero_and_odd_values_are_kept() -> None:
    found, _, _ = parse(scalar("a", -5, math.nan) + scalar("a", 1, math.inf))
    assert [s.step for s in found] == [-5, 1]
    assert math.isnan(found[0].value)
    assert found[1].value == math.inf


@pytest.mark.parametrize(
    ("content", "value"),
    [
        (field(1, F32) + field(4, struct.pack("<f", 0.25)), 0.25),
        (field(1, F64) + field(4, struct.pack("<d", 0.1)), 0.1),
        (field(1, F32) + field(5, struct.pack("<f", 0.5)), 0.5),
        (field(1, F32) + single(5, 0.5), 0.5),
        (field(1, F64) + field(6, struct.pack("<d", 0.1)), 0.1),
        (field(1, 3) + field(7, varint(-3)), -3.0),
        (field(1, I64) + field(10, varint(9)), 9.0),
        (field(1, I64) + field(10, 9), 9.0),
        (field(1, 19) + field(4, struct.pack("<e", 1.5)), 1.5),
        (field(1, 19) + field(13, int.from_bytes(struct.pack("<e", 1.5), "little")), 1.5),
        (field(1, 14) + field(4, struct.pack("<f", -2.0)[2:]), -2.0),
        (field(1, F32) + field(2, field(2, field(1, 1))) + field(4, struct.pack("<f", 4)), 4.0),
        (field(1, F32) + field(2, b""), 0.0),
    ],
)
def test_a_tensor_of_one_number_is_a_scalar(content: bytes, value: float) -> None:
    assert [s.value for s in parse(tensor("t", 1, content))[0]] == [value]


@pytest.mark.parametrize(
    "other",
    [
        tensor("many", 1, field(1, F32) + field(2, field(2, field(1, 3))) + field(4, bytes(12))),
        tensor("text", 1, field(1, 7) + field(8, b"hello"), plugin="text"),
        tensor("hparams", 1, field(1, F32) + field(4, bytes(4)), plugin="hparams"),
        tensor("empty", 1, field(1, F32), plugin=""),
        event("image", 1, field(4, b"\x08\x01")),
        event("", 1, single(2, 1.0)),
        record(b"\xff\xff\xff"),
        record(field(4, b"a graph")),
    ],
)
def test_what_is_no_scalar_is_passed_over(other: bytes) -> None:
    found, used, damaged = parse(other + scalar("after", 2, 1))
    assert [s.tag for s in found] == ["after"]
    assert used == len(other) + len(scalar("after", 2, 1))
    assert not damaged


def test_half_a_record_waits_for_its_rest() -> None:
    whole = BEGINNING + scalar("loss", 0, 1) + scalar("loss", 1, 2)
    for cut in range(len(whole)):
        found, used, damaged = parse(whole[:cut])
        rest, more, _ = parse(whole[used:])
        assert not damaged
        assert used + more == len(whole)
        assert [s.step for s in found + rest] == [0, 1]


def test_damage_is_told_after_all_that_came_before(tmp_path: Path) -> None:
    path = write(tmp_path / "events.out.tfevents.1", scalar("loss", 0, 1))
    path.write_bytes(path.read_bytes() + b"\0" * 40)
    scalars = read(path)
    assert next(scalars).step == 0
    with pytest.raises(Damaged, match=f"byte {path.stat().st_size - 40}"):
        next(scalars)


def test_the_names_of_event_files() -> None:
    assert is_event_file("events.out.tfevents.1700000000.host.1.0")
    assert is_event_file("events.out.tfevents.1700000000.host.1.0.v2")
    assert not is_event_file("events.out.tfevents.1700000000.host.profile-empty")
    assert not is_event_file("events.log")
