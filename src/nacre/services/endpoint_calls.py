"""What endpoints answer: one question through this server, and what they answered lately."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Protocol

from pydantic import ValidationError

from nacre.domain.identity import Caller
from nacre.errors import (
    Conflict,
    InvalidSpec,
    NacreError,
    NotFound,
    PluginError,
    RateLimited,
    TooLarge,
    Unavailable,
)
from nacre.schema.endpoints import Endpoint, EndpointState, EndpointStats, Prediction, Question
from nacre.schema.serving import HISTORY_SECONDS, HISTORY_SLOTS, ServedHistory, ServedSlice
from nacre.services.endpoints import Endpoints

TIMEOUT_S = 30.0
AT_ONCE = 8
"""Questions under way in this process: each has a thread, of which the API has few."""
_WAIT_S = 2.0
_KINDS = {
    "400": "invalid",
    "413": "too_large",
    "429": "limited",
    "500": "failed",
    "503": "overloaded",
    "504": "too_late",
}
_ERRORS: dict[int, type[NacreError]] = {
    400: InvalidSpec,
    413: TooLarge,
    429: RateLimited,
    500: PluginError,
    503: Unavailable,
    504: Unavailable,
}


@dataclass(frozen=True)
class Inferred:
    """What the model server answered, and after how long."""

    status: int
    content: bytes
    took_ms: float


class Serving(Protocol):
    """What is asked of the model server."""

    def infer(self, project: str, name: str, body: bytes, timeout_s: float) -> Inferred:
        """Its answer; ``Unavailable`` when there is none in time."""
        ...

    def history(self, project: str, name: str, revision: int | None = None) -> ServedHistory | None:
        """What an endpoint, or one revision of it, answered lately; null when nobody can tell."""
        ...


class EndpointCalls:
    """Part of endpoints; writes nothing."""

    def __init__(self, endpoints: Endpoints, serving: Serving) -> None:
        self._endpoints = endpoints
        self._serving = serving
        self._places = threading.BoundedSemaphore(AT_ONCE)

    def predict(self, caller: Caller, name: str, question: Question) -> Prediction:
        """The revision that serves now, asked once.

        Raises:
            NotFound: there is no such endpoint.
            InvalidSpec: the question does not fit the model; the sentence is the model server's.
            Conflict: the endpoint serves nothing, and why.
            Unavailable: it is still starting, has too much to do, or did not answer in 30 s.
            PluginError: the model failed on this input.
            RateLimited: too many questions go through this server already.
        """
        found = self._endpoints.get(caller, name)
        body = question.model_dump_json(exclude_none=True).encode()
        if not self._places.acquire(timeout=_WAIT_S):
            raise RateLimited(
                f"{AT_ONCE} questions go through this server at once: send traffic to {found.url}",
                retry_after_s=1,
            )
        try:
            answer = self._serving.infer(found.project, found.name, body, TIMEOUT_S)
        except Unavailable as error:
            raise _not_ready(found) or error from error
        finally:
            self._places.release()
        if answer.status != 200:
            raise _refusal(found, answer)
        try:
            said = Prediction.model_validate_json(answer.content)
        except ValidationError as error:
            raise InvalidSpec(
                f"the answer is not JSON: ask for binary tensors at {found.url}, not here"
            ) from error
        took = {"took_ms": round(answer.took_ms, 3)}
        return said.model_copy(update={"parameters": said.parameters | took})

    def stats(self, caller: Caller, name: str, revision: int | None = None) -> EndpointStats:
        """The last half hour, and totals, of all revisions together or of one.

        Raises:
            NotFound: there is no such endpoint, or revision.
        """
        found = self._endpoints.get(caller, name)
        if revision is not None and revision not in {one.number for one in found.revisions}:
            raise NotFound(f"endpoint {name} has no revision {revision}: see 'nacre endpoint show {name}'")
        history = self._serving.history(found.project, found.name, revision)
        return series(found.name, history, time.time(), revision)


def _refusal(found: Endpoint, answer: Inferred) -> NacreError:
    if answer.status in (401, 403, 404):  # the model server has not read what this server wrote of it
        return _not_ready(found) or Unavailable(f"endpoint {found.name} is not served yet: try again soon")
    try:
        said = str(json.loads(answer.content)["error"])
    except (ValueError, KeyError, TypeError):
        said = answer.content[:200].decode(errors="replace")
    if answer.status == 503 and (waiting := _not_ready(found)):
        return waiting
    return _ERRORS.get(answer.status, PluginError)(said)


def _not_ready(found: Endpoint) -> NacreError | None:
    why = f": {found.message}" if found.message else ""
    if found.state == EndpointState.STARTING:
        return Unavailable(f"endpoint {found.name} is still starting{why}")
    if found.state == EndpointState.FAILED:
        return Conflict(f"endpoint {found.name} serves nothing{why}")
    return None


def series(
    name: str, history: ServedHistory | None, now: float, revision: int | None = None
) -> EndpointStats:
    """Half an hour of intervals up to the last one that is over."""
    last = int(now // HISTORY_SECONDS) - 1
    slots = range(last - HISTORY_SLOTS + 1, last + 1)
    slices = {one.slot: one for one in history.slices} if history else {}
    seen: list[ServedSlice | None] = []
    for slot in slots:
        watched = history is not None and history.first <= slot <= history.last
        seen.append(slices.get(slot) or (ServedSlice(slot=slot, requests=0) if watched else None))
    statuses = {status for one in slices.values() for status in one.errors}
    kinds = sorted({_kind(status) for status in statuses})
    return EndpointStats(
        endpoint=name,
        revision=revision,
        interval_s=HISTORY_SECONDS,
        since=datetime.fromtimestamp(history.since_ms / 1000, UTC) if history else None,
        requests=history.requests if history else None,
        errors=sum(history.errors.values()) if history else None,
        errors_by_kind=_by_kind(history.errors) if history else {},
        time=[datetime.fromtimestamp(slot * HISTORY_SECONDS, UTC) for slot in slots],
        requests_per_s=[None if one is None else one.requests / HISTORY_SECONDS for one in seen],
        errors_per_s={kind: _rates(seen, kind) for kind in kinds},
        latency_p50_ms=[one.latency_p50_ms if one else None for one in seen],
        latency_p99_ms=[one.latency_p99_ms if one else None for one in seen],
        batch=[_batch(one) if one else None for one in seen],
    )


def _kind(status: str) -> str:
    return _KINDS.get(status, "other")


def _by_kind(errors: dict[str, int]) -> dict[str, int]:
    found: dict[str, int] = {}
    for status, count in errors.items():
        found[_kind(status)] = found.get(_kind(status), 0) + count
    return found


def _rates(seen: Sequence[ServedSlice | None], kind: str) -> list[float | None]:
    return [None if one is None else _by_kind(one.errors).get(kind, 0) / HISTORY_SECONDS for one in seen]


def _batch(one: ServedSlice) -> float | None:
    answered = one.requests - sum(one.errors.values())
    return one.samples / answered if answered else None
