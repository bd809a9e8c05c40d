"""The part of ``client.runs`` that looks at many runs at once."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Literal

from nacre.schema.charts import (
    Chart,
    ChartSpec,
    CompareSpec,
    RunColumns,
    RunComparison,
    RunExport,
    RunRecord,
    RunSearch,
    RunTablePage,
    View,
)
from nacre.sdk.resources.base import Noun

_PAGE = 500


class RunTable(Noun):
    """Search, charts, comparison and export."""

    def search(
        self,
        filter: str = "",  # noqa: A002 - as everybody calls it
        *,
        order_by: Sequence[str] = (),
        experiments: Sequence[str] | None = None,
        columns: Sequence[str] | None = None,
        view: View = "active",
        limit: int | None = 100,
        project: str | None = None,
    ) -> list[RunRecord]:
        """The runs that fit, sorted; null for every one.

        Example::

            client.runs.search("metrics.loss < 0.3 and params.opt = 'adam'",
                               order_by=["metrics.accuracy DESC"], columns=["params.*", "metrics.loss"])

        Raises:
            InvalidSpec: the filter does not parse; the sentence says where.
        """
        found: list[RunRecord] = []
        cursor: str | None = None
        while limit is None or len(found) < limit:
            page = self.search_page(
                filter,
                order_by=order_by,
                experiments=experiments,
                columns=columns,
                view=view,
                limit=_PAGE if limit is None else min(_PAGE, limit - len(found)),
                cursor=cursor,
                project=project,
            )
            found += page.items
            cursor = page.next
            if cursor is None:
                break
        return found

    def search_page(
        self,
        filter: str = "",  # noqa: A002
        *,
        order_by: Sequence[str] = (),
        experiments: Sequence[str] | None = None,
        columns: Sequence[str] | None = None,
        view: View = "active",
        limit: int = 100,
        cursor: str | None = None,
        count: bool = False,
        project: str | None = None,
    ) -> RunTablePage:
        """One page, with the cursor of the next and, if asked for, the count of all that fit."""
        asked = RunSearch(
            filter=filter,
            order_by=[*order_by],
            experiments=None if experiments is None else [*experiments],
            columns=None if columns is None else [*columns],
            view=view,
            limit=limit,
            cursor=cursor,
            count=count,
        )
        page: RunTablePage = self._transport.call(
            "runs.search",
            RunTablePage,
            json=asked.model_dump(mode="json"),
            project=self._in(project),
            repeatable=True,
        )
        return page

    def columns(
        self, *, experiments: Sequence[str] | None = None, project: str | None = None
    ) -> RunColumns:
        """The keys of params, metrics and tags that the latest runs have, with their types."""
        query = {"experiment": None if experiments is None else [*experiments]}
        found: RunColumns = self._transport.call(
            "runs.columns", RunColumns, query=query, project=self._in(project)
        )
        return found

    def chart(
        self,
        runs: Sequence[str],
        keys: Sequence[str] | None = None,
        *,
        width: int = 320,
        axis: Literal["step", "time", "relative"] = "step",
        low: float | None = None,
        high: float | None = None,
        project: str | None = None,
    ) -> Chart:
        """Curves of many runs at a width; ``keys`` are names or patterns such as ``val/*``."""
        asked = ChartSpec(
            runs=[*runs],
            keys=None if keys is None else [*keys],
            width=width,
            axis=axis,
            low=low,
            high=high,
        )
        found: Chart = self._transport.call(
            "runs.chart",
            Chart,
            json=asked.model_dump(mode="json"),
            project=self._in(project),
            repeatable=True,
        )
        return found

    def compare(
        self, runs: Sequence[str], *, metrics: Sequence[str] | None = None, project: str | None = None
    ) -> RunComparison:
        """2 to 100 runs side by side: params, metrics with the best marked, code, environment, data."""
        asked = CompareSpec(runs=[*runs], metrics=None if metrics is None else [*metrics])
        found: RunComparison = self._transport.call(
            "runs.compare",
            RunComparison,
            json=asked.model_dump(mode="json"),
            project=self._in(project),
            repeatable=True,
        )
        return found

    @contextmanager
    def export(
        self, spec: RunExport | None = None, *, project: str | None = None
    ) -> Iterator[Iterator[bytes]]:
        """The bytes of a CSV or Parquet file of runs or points, in pieces, as a context manager."""
        query = (spec or RunExport()).model_dump(mode="json", exclude_defaults=True)
        with self._transport.stream("runs.export", query=query, project=self._in(project)) as response:
            yield response.iter_bytes(2**18)
