"""Positions and logs of live updates."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest

from nacre.services.live_logs import LogTopic, whole_text
from nacre.services.live_topics import Position, Reading


class Log:
    """A log that grows, as ``AttemptLogs`` tells it."""

    def __init__(self) -> None:
        self.data = b""
        self.final = False

    def read(self, offset: int, limit: int) -> tuple[bytes, bool]:
        found = self.data[offset : offset + limit]
        return found, self.final and not found

    def topic(self, lines: int | None = None, encoding: str = "text") -> LogTopic:
        return LogTopic(
            "job_1",
            ("log:job_1",),
            self.read,
            tail=lambda n: len(self.data) - n,
            lines=lines,
            encoding=encoding,
        )


def told(found: Reading) -> dict[str, Any]:
    return json.loads(found.payload)["data"] if found.payload else {}


def test_equal_cursors_have_equal_keys_and_null_removes_a_member() -> None:
    position = Position.of({"b": 1, "a": "x", "gone": None})
    assert position.key == Position.of({"a": "x", "b": 1}).key
    assert position.moved({"b": 2, "a": None}).members == {"b": 2}
    assert position.moved({}) is position
    assert Position.of({"offset": "soon"}).number("offset") == 0
    assert Position.of({"offset": -5}).number("offset") == 0


def test_a_character_that_is_cut_waits_for_its_rest() -> None:
    log = Log()
    topic = log.topic()
    log.data = "aü".encode()[:-1]
    first = topic.read(topic.start(None))
    assert told(first) == {"offset": 0, "text": "a"}
    assert topic.read(first.position).payload is None
    log.data = "aü\n".encode()
    second = topic.read(first.position)
    assert told(second) == {"offset": 1, "text": "ü\n"}


def test_what_never_becomes_a_character_is_told_at_the_end() -> None:
    log = Log()
    topic = log.topic()
    log.data, log.final = b"a\xc3", True
    first = topic.read(topic.start(None))
    second = topic.read(first.position)
    third = topic.read(second.position)
    assert [told(first), told(second), told(third)] == [
        {"offset": 0, "text": "a"},
        {"offset": 1, "text": "\ufffd"},
        {"ended": True},
    ]
    assert topic.read(third.position).payload is None


def test_bytes_come_as_they_are_in_base64() -> None:
    log = Log()
    log.data = bytes(range(256))
    topic = log.topic(encoding="base64")
    assert base64.b64decode(told(topic.read(topic.start({})))["base64"]) == log.data


def test_a_log_that_begins_anew_is_told_from_its_beginning() -> None:
    log, name = Log(), "first"
    topic = LogTopic("ins_1", ("log:ins_1",), log.read, which=lambda: name)
    log.data, log.final = b"old", True
    first = topic.read(topic.start({}))
    assert told(first) == {"offset": 0, "text": "old"}
    ended = topic.read(first.position)
    assert told(ended) == {"ended": True}
    name, log.data, log.final = "second", b"new log", False
    second = topic.read(ended.position)
    assert told(second) == {"reset": True, "offset": 0, "text": "new log"}
    assert second.position.members == {"log": "second", "offset": 7}
    log.data += b"!"
    assert told(topic.read(second.position)) == {"offset": 7, "text": "!"}
    name, log.data = "third", b""
    assert told(topic.read(second.position)) == {"reset": True}


def test_a_tail_is_where_a_log_starts_only_without_a_cursor() -> None:
    log = Log()
    log.data = b"one two"
    topic = log.topic(lines=3)
    assert told(topic.read(topic.start(None))) == {"offset": 4, "text": "two"}
    assert told(topic.read(topic.start({"offset": 0})))["text"] == "one two"


@pytest.mark.parametrize(
    ("data", "whole"),
    [(b"ab", 2), (b"a\xc3", 1), (b"\xf0\x9f\x98", 0), ("😀".encode(), 4), (b"\x80\x80\x80\x80\x80", 5)],
)
def test_how_much_of_bytes_is_whole_text(data: bytes, whole: int) -> None:
    assert whole_text(data) == whole
