"""What the model server shall serve: endpoints and revisions as it is told them."""

from __future__ import annotations

from pathlib import Path

from sqlalchemy import String, cast, or_, select
from sqlalchemy.orm import Session

from nacre.db.tables.endpoints import EndpointReplicaRow, EndpointRow, RevisionRow
from nacre.db.tables.models import ModelRow, ModelVersionRow
from nacre.db.tables.projects import ProjectRow
from nacre.ports.blobs import blob_path
from nacre.schema.endpoints import EndpointSettings, Scaling
from nacre.schema.serving import (
    Routes,
    ServedCapture,
    ServedEndpoint,
    ServedRevision,
    Signature,
)
from nacre.services.endpoint_samples import sample_path
from nacre.services.endpoint_traffic import READY, copied
from nacre.services.endpoint_wire import Replicas

_TOLD = or_(
    RevisionRow.traffic > 0, RevisionRow.shadow > 0, RevisionRow.served > 0, RevisionRow.state == READY
)
"""The revisions of which the model server is told."""


class EndpointRoutes:
    """``serving`` is the model server's folder, ``blobs_root`` the one where it reads ONNX files."""

    def __init__(self, blobs_root: Path, serving: Path, replicas: Replicas) -> None:
        self._blobs_root = blobs_root
        self._serving = serving
        self._replicas = replicas

    def wanted(self, session: Session, only: str | None = None) -> Routes:
        """Every endpoint, or one by its id, with the revisions that answer, start, or end what they began.
        Generation 0."""
        revisions: dict[str, list[ServedRevision]] = {}
        rows = session.execute(
            select(RevisionRow, ModelVersionRow, ModelRow.name)
            .join(ModelVersionRow, ModelVersionRow.id == RevisionRow.version_id)
            .join(ModelRow, ModelRow.id == ModelVersionRow.model_id)
            .where(_TOLD, *(() if only is None else (RevisionRow.endpoint_id == only,)))
            .order_by(RevisionRow.number)
        )
        for revision, version, model in rows:
            found = self._revision(session, revision, version, model)
            revisions.setdefault(revision.endpoint_id, []).append(found)
        endpoints = session.execute(
            select(EndpointRow, ProjectRow.name)
            .join(ProjectRow, ProjectRow.id == EndpointRow.project_id)
            .where(*(() if only is None else (EndpointRow.id == only,)))
        )
        served = {
            f"{project}/{row.name}": self._endpoint(row, project, revisions.get(row.id, []))
            for row, project in endpoints
        }
        return Routes(generation=0, endpoints=dict(sorted(served.items())))

    def mark(self, session: Session) -> object:
        """Equal for as long as :meth:`wanted` is; made without looking into what is stored as JSON."""
        endpoints = select(
            EndpointRow.id,
            EndpointRow.name,
            ProjectRow.name,
            cast(EndpointRow.scaling, String),
            cast(EndpointRow.settings, String),
        ).join(ProjectRow, ProjectRow.id == EndpointRow.project_id)
        shares = (RevisionRow.traffic, RevisionRow.shadow, RevisionRow.served, RevisionRow.state)
        revisions = (
            select(
                RevisionRow.endpoint_id,
                RevisionRow.number,
                *shares,
                ModelRow.name,
                ModelVersionRow.onnx_digest,
            )
            .join(ModelVersionRow, ModelVersionRow.id == RevisionRow.version_id)
            .join(ModelRow, ModelRow.id == ModelVersionRow.model_id)
            .where(_TOLD)
        )
        replicas = select(
            EndpointReplicaRow.id, EndpointReplicaRow.state, EndpointReplicaRow.attempt_id
        ).where(EndpointReplicaRow.ended_at.is_(None))
        asked = (endpoints, revisions, replicas)
        return [frozenset(tuple(row) for row in session.execute(one)) for one in asked]

    def _endpoint(self, row: EndpointRow, project: str, revisions: list[ServedRevision]) -> ServedEndpoint:
        scaling = Scaling.model_validate(row.scaling)
        settings = EndpointSettings.model_validate(row.settings)
        to_zero = 0 in (scaling.min_replicas, *(one.min_replicas for one in scaling.schedules))
        capture = settings.capture and ServedCapture(
            share=settings.capture.share,
            folder=str(self._serving / "capture" / project / row.name),
            budget_bytes=max(0, settings.capture.budget_bytes - row.captured),
        )
        return ServedEndpoint(
            revisions=revisions,
            max_batch=settings.max_batch,
            concurrency=settings.concurrency,
            queue=settings.queue,
            timeout_s=settings.timeout_s,
            memory_bytes=settings.memory_bytes,
            max_request_bytes=settings.max_request_bytes,
            max_response_bytes=settings.max_response_bytes,
            cors_origins=settings.cors_origins,
            access_log=settings.access_log,
            capture=capture,
            idle_s=scaling.idle_s if to_zero else None,
            cold=to_zero,
        )

    def _revision(
        self, session: Session, row: RevisionRow, version: ModelVersionRow, model: str
    ) -> ServedRevision:
        sample = sample_path(self._serving, version.id)
        served = ServedRevision(
            revision=row.number,
            model=model,
            model_version=version.number,
            signature=Signature.model_validate(version.signature) if version.signature else None,
            traffic=row.served,
            shadow=copied(row),
            sample=str(sample) if sample.exists() else None,
        )
        if row.runtime == "replicas":
            replicas = self._replicas.ready_sockets(session, row.endpoint_id, row.number)
            return served.model_copy(update={"runtime": "replicas", "replicas": replicas})
        assert version.onnx_digest is not None  # only converted versions are deployed so
        path = str(blob_path(self._blobs_root, version.onnx_digest))
        return served.model_copy(update={"path": path, "digest": version.onnx_digest})
