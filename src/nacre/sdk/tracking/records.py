"""Records of the track channel as lines of JSON, and the checks of what the user gave."""

from __future__ import annotations

import json
import operator
import threading
import time
from typing import Any

_INFINITY = float("inf")
_ODD = {"nan": '"NaN"', "inf": '"Infinity"', "-inf": '"-Infinity"'}
_MAX_KEY = 250
_MAX_TEXT = 8192


def number(key: str, value: Any) -> float:
    """The value as a float.

    Raises:
        TypeError: it is no single number.
    """
    kind = type(value)
    if kind is float or kind is int or kind is bool:
        return float(value)
    if value is None or isinstance(value, (str, bytes, bytearray)):
        raise TypeError(f"metric {key!r}: {value!r:.100} is not a number")
    item = getattr(value, "item", None)  # of NumPy, PyTorch, JAX and TensorFlow scalars
    try:
        return float(item() if callable(item) else value)
    except (TypeError, ValueError, RuntimeError) as error:
        what = f"{kind.__name__} of shape {tuple(value.shape)}" if hasattr(value, "shape") else repr(value)
        raise TypeError(f"metric {key!r}: {what:.200} is not a single number ({error})") from None


def _quoted(words: str) -> str:
    if not words.isascii():
        # Halves of surrogate pairs (from file names) are no text for anybody else.
        words = words.encode("utf-8", "replace").decode("utf-8")
    return json.dumps(words)


class Lines:
    """Makes lines; knows each key's JSON and the step that comes next. Used from many threads."""

    def __init__(self) -> None:
        self._keys: dict[str, str] = {}
        self._next: dict[str, int] = {}
        self._claimed: set[tuple[str, str]] = set()
        self._lock = threading.Lock()

    def after_fork(self) -> None:
        """In a child: another thread may have held the lock."""
        self._lock = threading.Lock()

    def knows(self, kind: str, key: str) -> bool:
        """Whether a metric (``m``), param (``p``) or tag (``t``) of this name was made here, or claimed."""
        return (kind == "m" and key in self._next) or (kind, key) in self._claimed

    def claim(self, kind: str, key: str) -> None:
        """Somebody else makes this key's lines."""
        self._claimed.add((kind, key))

    def metric(self, key: str, value: Any, step: int | None) -> str:
        """A point; without a step it is one after the greatest of this key so far, from 0."""
        name = self._keys.get(key) if type(key) is str else None
        if name is None:
            name = self._key("metric", key)
        amount = value if type(value) is float else number(key, value)
        text = repr(amount) if -_INFINITY < amount < _INFINITY else _ODD[repr(amount)]
        if step is not None:
            step = self._checked(key, step)
        with self._lock:
            following = self._next.get(key, 0)
            if step is None:
                step = following
            if step >= following:
                self._next[key] = step + 1
        now = time.time_ns() // 1_000_000
        return f'{{"type":"m","key":{name},"value":{text},"step":{step},"time_ms":{now}}}'

    def text(self, kind: str, key: str, value: Any) -> str:
        """A param (``p``) or a tag (``t``)."""
        what = "param" if kind == "p" else "tag"
        words = value if isinstance(value, str) else str(value)
        if len(words) > _MAX_TEXT:
            raise ValueError(
                f"{what} {key!r}: {len(words)} characters are too many ({_MAX_TEXT} at most): "
                "write it to a file and use nacre.log_artifact"
            )
        if len(self._claimed) < 100_000:
            self._claimed.add((kind, str(key)))
        now = time.time_ns() // 1_000_000
        return f'{{"type":"{kind}","key":{self._key(what, key)},"text":{_quoted(words)},"time_ms":{now}}}'

    def _key(self, what: str, key: Any) -> str:
        if not isinstance(key, str):
            raise TypeError(f"the name of a {what} must be text, not {key!r:.100}")
        if not 1 <= len(key) <= _MAX_KEY:
            raise ValueError(
                f"the name of a {what} has 1 to {_MAX_KEY} characters; {key[:40]!r} has {len(key)}"
            )
        quoted = _quoted(key)
        if what == "metric" and len(self._keys) < 100_000:
            self._keys[str(key)] = quoted
        return quoted

    @staticmethod
    def _checked(key: str, step: Any) -> int:
        found: Any
        if isinstance(step, float) and step.is_integer():
            step = int(step)
        try:
            found = operator.index(step)
        except TypeError:
            item = getattr(step, "item", None)
            found = item() if callable(item) else None
            if type(found) is not int:
                raise TypeError(f"metric {key!r}: step {step!r:.100} is not a whole number") from None
        if not -(2**63) <= found < 2**63:
            raise ValueError(f"metric {key!r}: step {found} does not fit into 64 bits")
        return int(found)


OWN = Lines()
"""Of what the program of this process logs itself; capture leaves its keys alone."""
