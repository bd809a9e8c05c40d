"""Calls of MLflow's protocol: what a handler gets, and the tables in which handlers are registered."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, TypeVar

import orjson
from starlette.requests import Request
from starlette.types import Receive, Scope

from nacre.api.compat.mlflow.errors import invalid
from nacre.domain.identity import Caller
from nacre.schema.access import Operation
from nacre.schema.operations import OPERATIONS
from nacre.services.registry import Services

H = TypeVar("H", bound=Callable[..., Any])

_HINT = " See the API docs for more information about request parameters."


@dataclass(slots=True)
class Call:
    """A call that was authorised. ``caller`` has ``project`` set, where the operation needs one.

    ``body`` is the JSON body with what the query says (a parameter given twice is a list); it is empty for
    raw calls, whose handlers read ``request.stream()``. ``path`` holds the parameters of the path.
    """

    services: Services
    caller: Caller
    body: dict[str, Any]
    scope: Scope
    receive: Receive
    path: dict[str, str] = field(default_factory=dict)

    @property
    def request(self) -> Request:
        """The request, for headers and the stream of the body."""
        return Request(self.scope, self.receive)

    def text(self, name: str, *also: str) -> str:
        """A string that must be there and not be empty; ``also`` are older names of it."""
        value = self.maybe_text(name, *also)
        if not value:
            raise invalid(f"Missing value for required parameter '{name}'." + _HINT)
        return value

    def maybe_text(self, name: str, *also: str) -> str | None:
        """A string, or null when it is absent."""
        for key in (name, *also):
            value = self.body.get(key)
            if value is None:
                continue
            if not isinstance(value, str):
                raise wrong_type(name, value)
            return value
        return None

    def maybe_integer(self, name: str) -> int | None:
        """A whole number, also one written as a string (as JSON of protocol buffers does)."""
        value = self.body.get(name)
        if value is None or value == "":
            return None
        return whole(name, value)

    def items(self, name: str) -> list[Any]:
        """A list; a single value is a list of one (queries cannot tell), an absent one is empty."""
        value = self.body.get(name)
        if value is None:
            return []
        if isinstance(value, list):
            return value
        if self.scope["method"] == "GET":
            return [value]
        raise wrong_type(name, value)

    def texts(self, name: str) -> list[str]:
        """A list of strings."""
        found = self.items(name)
        if not all(isinstance(item, str) for item in found):
            raise wrong_type(name, found)
        return found

    def pairs(self, name: str) -> list[tuple[str, str]]:
        """A list of ``{"key", "value"}``; an absent value is the empty string."""
        pairs = []
        for at, item in enumerate(self.items(name)):
            if not isinstance(item, dict):
                raise wrong_type(f"{name}[{at}]", item)
            key, value = item.get("key"), item.get("value", "")
            if not isinstance(key, str) or key == "":
                raise invalid(f"Missing value for required parameter '{name}[{at}].key'." + _HINT)
            if not isinstance(value, str):
                raise wrong_type(f"{name}[{at}].value", value)
            pairs.append((key, value))
        return pairs


def whole(name: str, value: Any) -> int:
    """The value as a whole number, in 64 bits.

    Raises:
        MlflowError: it is none.
    """
    if isinstance(value, str | float):
        try:
            number = int(value)
        except (ValueError, OverflowError):
            raise wrong_type(name, value) from None
        if isinstance(value, float) and number != value:
            raise wrong_type(name, value)
    elif isinstance(value, int) and not isinstance(value, bool):
        number = value
    else:
        raise wrong_type(name, value)
    if not -(2**63) <= number < 2**63:
        raise wrong_type(name, value)
    return number


def wrong_type(name: str, value: Any) -> Exception:
    """The error for a parameter of another type than the protocol's, in MLflow's words."""
    hint = f" Hint: Value was of type '{type(value).__name__}'."
    return invalid(f"Invalid value {shown(value)} for parameter '{name}' supplied: {hint}{_HINT}")


def shown(value: Any) -> str:
    """A value in an error, as JSON."""
    try:
        return orjson.dumps(value).decode()[:500]
    except TypeError:
        return repr(value)[:500]


@dataclass(frozen=True, slots=True)
class Entry:
    """One call. ``operation`` governs who may make it; null: anybody, also without a token."""

    method: str
    path: str
    operation: Operation | None
    handler: Callable[[Call], Any]
    awaited: bool
    raw: bool


class Calls:
    """A module's calls.

    Example::

        calls = Calls()

        @calls.on("POST", "mlflow/runs/create", "runs.create")
        def create(call: Call) -> dict[str, Any]: ...
    """

    def __init__(self) -> None:
        self.entries: list[Entry] = []

    def on(self, method: str, path: str, operation: str | None, *, raw: bool = False) -> Callable[[H], H]:
        """Answer a call with the decorated function.

        Args:
            method: of HTTP.
            path: after ``/api/2.0/``; parts in braces are parameters, ``{name:path}`` takes the rest.
                ``/ajax-api/`` and ``3.0`` are served too.
            operation: Nacre's operation whose scope and role the caller must have; null for a public call.
            raw: leave the body to the handler, which reads it as a stream.

        The function returns what becomes the JSON answer (null: ``{}``), or a Starlette ``Response``. One
        that is not ``async`` runs in a thread.
        """

        def register(function: H) -> H:
            governing = None if operation is None else OPERATIONS[operation]
            awaited = inspect.iscoroutinefunction(function)
            self.entries.append(Entry(method, path, governing, function, awaited, raw))
            return function

        return register
