"""Models and versions as they go over the wire."""

from __future__ import annotations

from sqlalchemy import select
from sqlalchemy.orm import Session

from nacre.db.tables.jobs import JobRow
from nacre.db.tables.models import AliasRow, EvaluationRow, ModelRow, ModelTagRow, ModelVersionRow
from nacre.db.tables.users import UserRow
from nacre.schema.models import BestEvaluation, EvaluationState, Model, ModelVersion
from nacre.services import evaluations as evaluating


def model_wire(session: Session, row: ModelRow) -> Model:
    """A model with its versions' numbers, its aliases and its latest version."""
    mine = ModelVersionRow.model_id == row.id
    numbers = session.scalars(
        select(ModelVersionRow.number).where(mine).order_by(ModelVersionRow.number)
    ).all()
    aliases = session.scalars(select(AliasRow).where(AliasRow.model_id == row.id).order_by(AliasRow.alias))
    latest = None
    if numbers:
        newest = session.scalars(select(ModelVersionRow).where(mine, ModelVersionRow.number == numbers[-1]))
        latest = version_wire(session, row, newest.one())
    return Model(
        id=row.id,
        created_at=row.created_at,
        name=row.name,
        description=row.description,
        tags=_tags(session, row.id, 0),
        updated_at=row.updated_at,
        versions=[*numbers],
        aliases={a.alias: a.number for a in aliases},
        latest=latest,
        best=_best(session, row.id),
    )


def _best(session: Session, model_id: str) -> BestEvaluation | None:
    accuracy = EvaluationRow.result["accuracy"].as_float()
    statement = (
        select(ModelVersionRow.number, EvaluationRow.data, accuracy)
        .join(EvaluationRow, EvaluationRow.version_id == ModelVersionRow.id)
        .where(
            ModelVersionRow.model_id == model_id,
            EvaluationRow.state == EvaluationState.SUCCEEDED,
            accuracy.is_not(None),
        )
        .order_by(accuracy.desc(), EvaluationRow.id)
    )
    found = session.execute(statement.limit(1)).one_or_none()
    return BestEvaluation(version=found[0], data=found[1], accuracy=found[2]) if found else None


def version_wire(session: Session, model: ModelRow, row: ModelVersionRow) -> ModelVersion:
    """A version with its aliases and evaluations."""
    user = session.get(UserRow, row.user_id)
    job = session.get(JobRow, row.conversion_job_id) if row.conversion_job_id else None
    aliases = session.scalars(
        select(AliasRow.alias).where(AliasRow.model_id == model.id, AliasRow.number == row.number)
    )
    return ModelVersion.model_validate(
        {
            "id": row.id,
            "created_at": row.created_at,
            "model": model.name,
            "number": row.number,
            "framework": row.framework,
            "entry": row.entry,
            "manifest": row.manifest,
            "files": row.files,
            "size": row.size,
            "user": user.name if user else None,
            "description": row.description,
            "tags": _tags(session, model.id, row.number),
            "stage": row.stage,
            "source": row.source,
            "run_link": row.run_link,
            "updated_at": row.updated_at,
            "aliases": sorted(aliases),
            "lineage": row.lineage,
            "signature": row.signature,
            "conversion": row.conversion,
            "conversion_job": job.name if job else None,
            "reason": row.reason,
            "message": row.message,
            "onnx_digest": row.onnx_digest,
            "evaluations": evaluating.of_version(session, model.name, row),
        }
    )


def _tags(session: Session, model_id: str, number: int) -> dict[str, str]:
    rows = session.execute(
        select(ModelTagRow.key, ModelTagRow.value)
        .where(ModelTagRow.model_id == model_id, ModelTagRow.number == number)
        .order_by(ModelTagRow.key)
    )
    return {row.key: row.value for row in rows}
