"""What MLflow's client asks of the server itself: its health and abilities, and the workspaces."""

from __future__ import annotations

from typing import Any

from starlette.responses import PlainTextResponse, Response

from nacre.api.compat.mlflow.calls import Call, Calls
from nacre.schema.projects import Project

calls = Calls()

SPOKEN = "3.17.2"
"""The version of MLflow whose protocol this is."""


@calls.on("GET", "health", None)
async def health(call: Call) -> Response:
    """The server answers."""
    return PlainTextResponse("OK")


@calls.on("GET", "version", None)
async def version(call: Call) -> Response:
    """The version of MLflow that the server stands for."""
    return PlainTextResponse(SPOKEN)


@calls.on("GET", "mlflow/server-info", None)
async def server_info(call: Call) -> dict[str, Any]:
    """Abilities, told without a token as MLflow's server does."""
    return {
        "store_type": "SqlStore",
        "workspaces_enabled": True,
        "trace_archival_enabled": False,
        "multipart_uploads_enabled": False,
        "multipart_downloads_enabled": False,
        "presigned_upload_run_id_supported": False,
        "presigned_upload_model_id_supported": False,
        "features_enabled": {"gateway": False},
    }


@calls.on("GET", "mlflow/workspaces", "projects.list")
def workspaces(call: Call) -> dict[str, Any]:
    """The projects that the caller is a member of."""
    found: list[Project] = []
    cursor = None
    while True:
        page = call.services.projects.list(call.caller, cursor=cursor, limit=1000)
        found += page.items
        cursor = page.next
        if cursor is None:
            return {"workspaces": [_workspace(project) for project in reversed(found)]}


@calls.on("GET", "mlflow/workspaces/{workspace}", "projects.get")
def workspace(call: Call) -> dict[str, Any]:
    """One project."""
    return {"workspace": _workspace(call.services.projects.get(call.caller))}


def _workspace(project: Project) -> dict[str, Any]:
    return {"name": project.name, "description": project.description}
