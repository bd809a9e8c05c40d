"""``client.views``: saved views of the console's pages."""

from __future__ import annotations

import builtins

from nacre.schema.views import View
from nacre.sdk.resources.base import Noun


class Views(Noun):
    """What a page of the console showed, kept by name."""

    def set(
        self, name: str, query: str, *, page: str = "runs", shared: bool = False, project: str | None = None
    ) -> View:
        """Keep the page's query string (``filter=…&sort=…``) as a view, or replace it.

        Args:
            shared: everybody in the project sees it; needs the role editor.
        """
        found: View = self._transport.call(
            "views.set",
            View,
            json={"page": page, "query": query, "shared": shared},
            project=self._in(project),
            view=name,
        )
        return found

    def list(
        self, *, page: str | None = None, limit: int | None = None, project: str | None = None
    ) -> builtins.list[View]:
        """One's own views and the shared ones, the newest first; ``page`` narrows them to a page's."""
        return self._all("views.list", View, limit=limit, query={"page": page}, project=self._in(project))

    def delete(self, name: str, *, user: str | None = None, project: str | None = None) -> None:
        """Delete one's own view, or, as the project's owner, the shared one of ``user``."""
        self._transport.call(
            "views.delete", None, query={"user": user}, project=self._in(project), view=name
        )
