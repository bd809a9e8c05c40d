"""Lineage: what a thing was made from, and what was made from it."""

from __future__ import annotations

from nacre.schema.lineage import LineageGraph
from nacre.sdk.resources.base import Noun


class Lineage(Noun):
    """From data and environments over jobs and runs to models, evaluations and endpoints."""

    def get(self, subject: str, *, project: str | None = None) -> LineageGraph:
        """The graph around a thing, both ways.

        Args:
            subject: ``data:digits/3`` (``data:digits``: all versions), ``job:NAME``, ``run:ID``,
                ``model:NAME/2``, ``endpoint:NAME`` or ``environment:NAME``.

        Raises:
            NotFound: there is no such thing.
        """
        answer: LineageGraph = self._transport.call(
            "lineage.get", LineageGraph, project=self._in(project), query={"subject": subject}
        )
        return answer
