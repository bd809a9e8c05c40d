"""The registry of operations: authorisation, OpenAPI ids, SDK and CLI all read it."""

from __future__ import annotations

from nacre.schema import (
    data,
    endpoints,
    environments,
    instances,
    jobs,
    models,
    projects,
    resources,
    runs,
    server,
    usage,
    users,
)
from nacre.schema.access import Operation

_NOUNS = (
    server,
    users,
    projects,
    resources,
    data,
    environments,
    jobs,
    runs,
    instances,
    models,
    endpoints,
    usage,
)

OPERATIONS: dict[str, Operation] = {op.name: op for noun in _NOUNS for op in noun.OPERATIONS}
"""Every operation by name."""

SCOPES: frozenset[str] = frozenset(op.scope for op in OPERATIONS.values() if op.scope)
"""Every scope that a token may carry, besides ``*``."""
