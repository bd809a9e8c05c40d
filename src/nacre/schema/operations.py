"""The registry of operations: authorisation, OpenAPI ids, SDK and CLI all read it."""

from __future__ import annotations

from nacre.schema import (
    charts,
    data,
    endpoints,
    environments,
    experiments,
    instances,
    jobs,
    lineage,
    live,
    models,
    predictions,
    previews,
    projects,
    queue,
    resources,
    runs,
    server,
    summaries,
    usage,
    users,
    views,
)
from nacre.schema.access import Operation

_NOUNS = (
    server,
    users,
    projects,
    resources,
    data,
    summaries,
    environments,
    jobs,
    queue,
    experiments,
    runs,
    previews,
    charts,
    lineage,
    live,
    instances,
    models,
    endpoints,
    predictions,
    usage,
    views,
)

OPERATIONS: dict[str, Operation] = {op.name: op for noun in _NOUNS for op in noun.OPERATIONS}
"""Every operation by name."""

INVOKE_SCOPE = "endpoints:invoke"
"""What a token needs to call endpoints on the inference listener, which has no operations."""

SCOPES: frozenset[str] = frozenset(op.scope for op in OPERATIONS.values() if op.scope) | {INVOKE_SCOPE}
"""Every scope that a token may carry, besides ``*``."""
