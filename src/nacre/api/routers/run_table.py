"""The table of runs: search, columns, charts, comparison, export."""

from __future__ import annotations

from typing import Annotated, Any

import orjson
from fastapi import Depends, Query
from starlette.responses import Response, StreamingResponse

from nacre.api.routes import Allowed, Routes, Wired
from nacre.schema.charts import (
    Chart,
    ChartSpec,
    CompareSpec,
    RunColumns,
    RunComparison,
    RunExport,
    RunSearch,
    RunTablePage,
)
from nacre.services.run_export import export_runs
from nacre.services.run_table import RunTable

routes = Routes()
_JSON = orjson.OPT_SERIALIZE_NUMPY | orjson.OPT_UTC_Z


def _table(wired: Wired) -> RunTable:
    return wired.run_table


Found = Annotated[RunTable, Depends(_table)]


def _json(found: dict[str, Any]) -> Response:
    """Straight to JSON: a model for each number would cost more than everything else."""
    return Response(orjson.dumps(found, option=_JSON), media_type="application/json")


@routes.operation("runs.search", response_model=RunTablePage)
def search(project: str, body: RunSearch, caller: Allowed, table: Found) -> Response:
    return _json(table.search(caller, body))


@routes.operation("runs.columns", response_model=RunColumns)
def columns(
    project: str,
    caller: Allowed,
    table: Found,
    experiment: Annotated[list[str] | None, Query(description="names; all without")] = None,
) -> Response:
    return _json(table.columns(caller, experiment))


@routes.operation("runs.chart", response_model=Chart)
def chart(project: str, body: ChartSpec, caller: Allowed, table: Found) -> Response:
    return _json(table.chart(caller, body))


@routes.operation("runs.compare", response_model=RunComparison)
def compare(project: str, body: CompareSpec, caller: Allowed, table: Found) -> Response:
    return _json(table.compare(caller, body))


@routes.operation("runs.export", response_class=Response)
def export(project: str, spec: Annotated[RunExport, Query()], caller: Allowed, table: Found) -> Response:
    """The file, as it is made: a download that no browser takes for a page."""
    pieces = export_runs(table, caller, spec)
    kind = "text/csv; charset=utf-8" if spec.format == "csv" else "application/vnd.apache.parquet"
    headers = {
        "Content-Disposition": f'attachment; filename="{spec.what}.{spec.format}"',
        "X-Content-Type-Options": "nosniff",
        "Cache-Control": "no-store",
    }
    return StreamingResponse(pieces, media_type=kind, headers=headers)
