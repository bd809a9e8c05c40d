"""Scopes: what tokens can be limited to."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable

from nacre.errors import InvalidSpec
from nacre.schema.access import Access
from nacre.schema.operations import INVOKE_SCOPE, OPERATIONS, SCOPES
from nacre.schema.users import TokenScope, TokenScopes


def every_scope() -> TokenScopes:
    """Every scope that a person's token may carry, and what it opens."""
    opens: defaultdict[str, list[str]] = defaultdict(list, {INVOKE_SCOPE: ["Call endpoints"]})
    for operation in OPERATIONS.values():
        if operation.scope and operation.access is not Access.ATTEMPT:
            opens[operation.scope].append(operation.summary)
    return TokenScopes(items=[TokenScope(name=name, operations=opens[name]) for name in sorted(opens)])


def clean(scopes: Iterable[str]) -> list[str]:
    """The scopes, sorted, each once; ``*`` stands for all.

    Raises:
        InvalidSpec: one that does not exist.
    """
    wanted = set(scopes)
    unknown = sorted(wanted - SCOPES - {"*"})
    if unknown:
        raise InvalidSpec(
            f"there is no scope {unknown[0]}: use '*' or some of {', '.join(sorted(SCOPES))}",
            fields=[{"field": "scopes", "message": f"unknown: {', '.join(unknown)}"}],
        )
    return ["*"] if "*" in wanted else sorted(wanted)
