"""Identifiers: a noun's prefix, then 20 characters that sort by time of creation.

``job_01m3x…``: 48 bits of milliseconds since 1970, then 52 random bits, in Crockford's base 32
(lower case). Runs use 32 hexadecimal digits instead, because MLflow's clients expect that form.
"""

from __future__ import annotations

import secrets
import time
import uuid

_ALPHABET = "0123456789abcdefghjkmnpqrstvwxyz"


def new_id(prefix: str) -> str:
    """A new identifier, such as ``new_id("job")``."""
    number = (time.time_ns() // 1_000_000) << 52 | secrets.randbits(52)
    return f"{prefix}_" + "".join(_ALPHABET[number >> 5 * i & 31] for i in range(19, -1, -1))


def new_run_id() -> str:
    """A new run identifier: 32 hexadecimal digits."""
    return uuid.uuid4().hex


def id_at(prefix: str, ms: int) -> str:
    """What every identifier of that prefix made before ``ms`` (since 1970) is smaller than."""
    number = ms << 52
    return f"{prefix}_" + "".join(_ALPHABET[number >> 5 * i & 31] for i in range(19, -1, -1))
