"""``client.usage``: what was used, and what it cost."""

from __future__ import annotations

import builtins
from collections.abc import Iterable
from datetime import datetime

from nacre.schema.usage import Cost, UsageRecord
from nacre.sdk.resources.base import Noun


class Usage(Noun):
    """Usage records and sums. Money is in millionths of the currency unit."""

    def list(
        self, *, limit: int | None = 100, since: datetime | None = None, project: str | None = None
    ) -> builtins.list[UsageRecord]:
        """The project's latest allocations, newest first, without those that ended before ``since``."""
        query = {"since": since.isoformat() if since else None}
        return self._all("usage.list", UsageRecord, limit=limit, query=query, project=self._in(project))

    def cost(
        self,
        by: Iterable[str] = (),
        *,
        since: datetime | None = None,
        until: datetime | None = None,
        project: str | None = None,
    ) -> Cost:
        """Costs summed by any of project, user, kind, day; over all projects unless one is named."""
        found: Cost = self._transport.call(
            "usage.cost",
            Cost,
            query={
                "by": ",".join(by) or None,
                "since": since.isoformat() if since else None,
                "until": until.isoformat() if until else None,
                "project": project,
            },
        )
        return found
