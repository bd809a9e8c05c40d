"""What every noun of the client shares."""

from __future__ import annotations

from typing import Any, TypeVar

from nacre.schema.base import Page
from nacre.sdk.transport import Transport

T = TypeVar("T")
_PAGE = 500


class Noun:
    """The operations of one noun. Methods are named after the operations' verbs.

    ``project`` is the one that is meant when a method's ``project`` argument is left out.
    """

    def __init__(self, transport: Transport, project: str) -> None:
        self._transport = transport
        self._project = project

    def _in(self, project: str | None) -> str:
        return project or self._project

    def _all(
        self,
        operation: str,
        kind: type[T],
        *,
        limit: int | None = None,
        query: dict[str, Any] | None = None,
        **params: Any,
    ) -> list[T]:
        """The items of a list, page after page, newest first; at most ``limit`` (null: every one)."""
        items: list[T] = []
        cursor: str | None = None
        while limit is None or len(items) < limit:
            size = _PAGE if limit is None else min(_PAGE, limit - len(items))
            asked = {**(query or {}), "cursor": cursor, "limit": size}
            page = self._transport.call(operation, Page[kind], query=asked, **params)  # type: ignore[valid-type]
            items += page.items
            cursor = page.next
            if cursor is None:
                break
        return items
