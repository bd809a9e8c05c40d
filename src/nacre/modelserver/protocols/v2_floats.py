"""Requests of the Open Inference Protocol v2 with one list of floats, remembered by the JSON around it.

A client writes the same JSON around the numbers of one shape: what it means is looked up, and only the
numbers are read (:mod:`nacre.modelserver.json_floats`).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import orjson

from nacre.modelserver.calls import Interface
from nacre.modelserver.json_floats import BUILT, fill
from nacre.modelserver.tensors import Array

_KEY = b'"data":'
_LONGEST = 1024
_MOST = 256
_FP32 = np.dtype("<f4")


@dataclass(frozen=True, slots=True)
class Plan:
    """``rest``: the JSON behind the list; ``at``: where the list begins."""

    at: int
    rest: bytes
    name: str
    shape: tuple[int, ...]
    outputs: list[str]
    binary: frozenset[str]


def known(body: bytes, interface: Interface) -> tuple[Plan, Array] | None:
    """What a body means, and its tensor; null where it is not like one before."""
    plan: Plan | None = interface.lists.get(body[: _start(body)]) if BUILT else None
    if plan is None:
        return None
    array = np.empty(plan.shape, _FP32)
    end = fill(body, plan.at, array)
    if end < 0 or body[end:] != plan.rest:
        return None
    return plan, array


def remember(
    body: bytes, feed: dict[str, Array], outputs: list[str], binary: frozenset[str], interface: Interface
) -> None:
    """Keep what a request without an id meant, in which no key is given twice."""
    if not BUILT or len(feed) != 1:
        return
    ((name, array),) = feed.items()
    at = _start(body)
    end = body.find(b"]", at) + 1
    if array.dtype != _FP32 or not array.size or not at or not end or len(body) - end > _LONGEST:
        return
    head, rest = body[:at], body[end:]
    try:
        around = orjson.loads(head + b"[]" + rest)
    except orjson.JSONDecodeError:
        return  # lists in the list
    if around["inputs"][0].get("data") != []:
        return  # it was another list
    if len(interface.lists) >= _MOST:
        interface.lists.clear()
    interface.lists[head] = Plan(at, rest, name, array.shape, outputs, binary)


def _start(body: bytes) -> int:
    """Where the list begins; 0 where that is not at once."""
    at = body.find(_KEY, 0, _LONGEST) + len(_KEY)
    if at < len(_KEY):
        return 0
    if body[at : at + 1] == b" ":
        at += 1
    return at if body[at : at + 1] == b"[" else 0
