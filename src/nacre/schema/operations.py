"""The registry of operations: authorisation, OpenAPI ids, SDK and CLI all read it."""

from __future__ import annotations

from nacre.schema.access import Operation
from nacre.schema.nouns import MODULES, operations

_MODULES = dict.fromkeys(module for modules in MODULES.values() for module in modules)

OPERATIONS: dict[str, Operation] = {op.name: op for module in _MODULES for op in operations(module)}
"""Every operation by name."""

INVOKE_SCOPE = "endpoints:invoke"
"""What a token needs to call endpoints on the inference listener, which has no operations."""

SCOPES: frozenset[str] = frozenset(op.scope for op in OPERATIONS.values() if op.scope) | {INVOKE_SCOPE}
"""Every scope that a token may carry, besides ``*``."""
