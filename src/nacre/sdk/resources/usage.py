"""``client.usage``: what was used, and what it cost."""

from __future__ import annotations

import builtins
from collections.abc import Iterable
from datetime import datetime

from nacre.schema.usage import Cost, Forecast, RequestUsage, UsageRecord
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
        top: int | None = None,
    ) -> Cost:
        """Costs summed by any of project, user, kind, day, subject; over all projects unless one is named.

        With ``top``, only so many lines, the dearest first; the total stays that of everything.
        """
        found: Cost = self._transport.call(
            "usage.cost",
            Cost,
            query={
                "by": ",".join(by) or None,
                "since": since.isoformat() if since else None,
                "until": until.isoformat() if until else None,
                "project": project,
                "top": top,
            },
        )
        return found

    def requests(
        self,
        *,
        since: datetime | None = None,
        until: datetime | None = None,
        project: str | None = None,
    ) -> RequestUsage:
        """What the project's endpoints answered, by endpoint and day, newest day first."""
        found: RequestUsage = self._transport.call(
            "usage.requests",
            RequestUsage,
            query={
                "since": since.isoformat() if since else None,
                "until": until.isoformat() if until else None,
            },
            project=self._in(project),
        )
        return found

    def forecast(self, *, project: str | None = None) -> Forecast:
        """What this month will have cost at its end, by two assumptions that it states."""
        found: Forecast = self._transport.call("usage.forecast", Forecast, query={"project": project})
        return found
