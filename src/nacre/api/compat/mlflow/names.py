"""Keys and lengths that MLflow allows, with its own words where they are refused."""

from __future__ import annotations

import posixpath
import re

import orjson

from nacre.api.compat.mlflow.errors import invalid

MAX_KEY = 250
MAX_PARAM = 6000
MAX_TAG = 8000
MAX_EXPERIMENT_TAG = 20_000

_ALLOWED = re.compile(r"[/\w.\- :]*")
_PLAIN = re.compile(r"[A-Za-z0-9_\-]+(?:/[A-Za-z0-9_\-]+)*")
_CHARACTERS = (
    "Names may only contain alphanumerics, underscores (_), dashes (-), periods (.), spaces ( ), "
    "colon(:) and slashes (/)."
)


def check_key(key: str, path: str, limit: int = MAX_KEY, what: str | None = None) -> None:
    """Raise for a key that MLflow refuses. ``path`` says where it stands, ``what`` names it for lengths."""
    if not _PLAIN.fullmatch(key):
        if not _ALLOWED.fullmatch(key):
            raise _refused(path, key, _CHARACTERS)
        norm = posixpath.normpath(key)
        if norm != key or norm == "." or norm.startswith(("..", "/")):
            raise _refused(
                path,
                key,
                "Names may be treated as files in certain cases, and must not resolve to other names when "
                f"treated as such. This name would resolve to {norm!r}",
            )
    if len(key) > limit:
        raise invalid(f"'{what or path}' exceeds the maximum length of {limit} characters")


def _refused(path: str, key: str, why: str) -> Exception:
    return invalid(f"Invalid value {orjson.dumps(key).decode()} for parameter '{path}' supplied: {why}")


def cut(text: str, limit: int) -> str:
    """The text, cut to what MLflow keeps (it cuts params and tags rather than refuse them)."""
    return text if len(text) <= limit else text[:limit]
