"""Who was made from whom: one step back or forth, for many things at once."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import islice
from typing import TypeVar

from sqlalchemy import ColumnElement, Select, String, cast, or_, select
from sqlalchemy.orm import Session

from nacre.db.queries import lineage_batches as batches
from nacre.db.queries.models import find_version
from nacre.db.queries.runs import find_run
from nacre.db.tables.data import DatasetRow, DatasetVersionRow
from nacre.db.tables.endpoints import EndpointRow, RevisionRow
from nacre.db.tables.environments import EnvironmentRow
from nacre.db.tables.jobs import JobRow
from nacre.db.tables.models import EvaluationRow, ModelRow, ModelVersionRow
from nacre.db.tables.predictions import BatchRow
from nacre.db.tables.runs import RunRow
from nacre.schema.lineage import LineageKind

DATA, ENVIRONMENT, JOB, RUN, MODEL, EVALUATION, ENDPOINT = LineageKind
R = TypeVar("R", RunRow, JobRow)
T = TypeVar("T")
_CHUNK = 200
_PATTERNS = 40
_WORK = "task"
"""The kind of jobs that people submit; those of conversions and evaluations are shown as what they make."""


@dataclass(frozen=True)
class Node:
    """A thing. ``row``: its id in its table, empty for data that may be deleted."""

    id: str
    kind: LineageKind
    name: str = field(compare=False)
    version: int | None = field(default=None, compare=False)
    row: str = field(default="", compare=False)
    label: str = field(default="", compare=False)
    state: str | None = field(default=None, compare=False)


Edge = tuple[Node, Node]


def data_node(ref: str) -> Node:
    """The node of ``digits@3``."""
    name, _, number = ref.partition("@")
    version = int(number) if number.isdecimal() else None
    return Node(f"data:{name}/{number}", DATA, name, version, label=ref)


def _job(row: JobRow) -> Node:
    return Node(f"job:{row.name}", JOB, row.name, row=row.id, label=row.name, state=row.state)


def _run(row: RunRow) -> Node:
    state = "deleted" if row.deleted_at else row.state
    return Node(f"run:{row.uuid}", RUN, row.uuid, row=row.uuid, label=row.name or row.uuid[:8], state=state)


def _model(model: str, row: ModelVersionRow) -> Node:
    label = f"{model}/{row.number}"
    return Node(f"model:{label}", MODEL, model, row.number, row=row.id, label=label)


def _evaluation(model: str, number: int, row: EvaluationRow) -> Node:
    label = f"{model}/{number} on {row.data}"
    return Node(f"evaluation:{row.id}", EVALUATION, model, number, row=row.id, label=label, state=row.state)


def _endpoint(row: EndpointRow) -> Node:
    return Node(f"endpoint:{row.name}", ENDPOINT, row.name, row=row.id, label=row.name, state=row.state)


def _environment(row: EnvironmentRow) -> Node:
    state = "deleted" if row.deleted_at else row.state
    return Node(f"environment:{row.name}", ENVIRONMENT, row.name, row=row.id, label=row.name, state=state)


# The subject


def find(session: Session, project_id: str, kind: LineageKind, name: str, limit: int) -> list[Node]:
    """The things of that kind and name; none when there is none.

    Raises:
        NotFound: no such model, or no such version of it.
    """
    return list(_FINDERS[kind](session, project_id, name, limit))


def _find_data(session: Session, project_id: str, name: str, limit: int) -> Iterator[Node]:
    dataset, slash, version = name.replace("@", "/").partition("/")
    statement = (
        select(DatasetRow.name, DatasetVersionRow.number)
        .join(DatasetVersionRow, DatasetVersionRow.dataset_id == DatasetRow.id)
        .where(DatasetRow.project_id == project_id, DatasetRow.name == dataset)
        .order_by(DatasetVersionRow.number.desc())
        .limit(limit)
    )
    if slash and version == "latest":
        statement = statement.limit(1)
    elif slash:
        fits = version.isascii() and version.isdecimal() and len(version) < 10
        statement = statement.where(DatasetVersionRow.number == (int(version) if fits else -1))
    for found, number in session.execute(statement):
        yield data_node(f"{found}@{number}")


def _find_job(session: Session, project_id: str, name: str, limit: int) -> Iterator[Node]:
    mine = select(JobRow).where(JobRow.project_id == project_id)
    row = session.scalars(mine.where(or_(JobRow.name == name, JobRow.id == name)).limit(1)).first()
    if row is not None:
        yield _job(row)


def _find_run(session: Session, project_id: str, name: str, limit: int) -> Iterator[Node]:
    row = find_run(session, project_id, name)
    if row is not None:
        yield _run(row)


def _find_model(session: Session, project_id: str, name: str, limit: int) -> Iterator[Node]:
    model, slash, version = name.replace("@", "/").rpartition("/")
    if slash:
        row, found = find_version(session, project_id, model, version)
        yield _model(row.name, found)
        return
    statement = _versions(project_id).where(ModelRow.name == name)
    for row_name, found in session.execute(statement.order_by(ModelVersionRow.number.desc()).limit(limit)):
        yield _model(row_name, found)


def _find_evaluation(session: Session, project_id: str, name: str, limit: int) -> Iterator[Node]:
    for model, number, row in session.execute(_evaluations(project_id).where(EvaluationRow.id == name)):
        yield _evaluation(model, number, row)


def _find_endpoint(session: Session, project_id: str, name: str, limit: int) -> Iterator[Node]:
    mine = select(EndpointRow).where(EndpointRow.project_id == project_id)
    yield from map(_endpoint, session.scalars(mine.where(EndpointRow.name == name)))


def _find_environment(session: Session, project_id: str, name: str, limit: int) -> Iterator[Node]:
    mine = select(EnvironmentRow).where(
        or_(EnvironmentRow.project_id == project_id, EnvironmentRow.project_id.is_(None)),
        or_(EnvironmentRow.name == name, EnvironmentRow.id == name),
        EnvironmentRow.deleted_at.is_(None),
    )
    rows = sorted(session.scalars(mine), key=lambda row: row.project_id is None)  # its own one first
    yield from map(_environment, rows[:1])


_FINDERS: dict[LineageKind, Callable[[Session, str, str, int], Iterator[Node]]] = {
    DATA: _find_data,
    ENVIRONMENT: _find_environment,
    JOB: _find_job,
    RUN: _find_run,
    MODEL: _find_model,
    EVALUATION: _find_evaluation,
    ENDPOINT: _find_endpoint,
}


def _versions(project_id: str) -> Select[str, ModelVersionRow]:
    return (
        select(ModelRow.name, ModelVersionRow)
        .join(ModelVersionRow, ModelVersionRow.model_id == ModelRow.id)
        .where(ModelRow.project_id == project_id)
    )


def _evaluations(project_id: str) -> Select[str, int, EvaluationRow]:
    return (
        select(ModelRow.name, ModelVersionRow.number, EvaluationRow)
        .join(ModelVersionRow, ModelVersionRow.id == EvaluationRow.version_id)
        .join(ModelRow, ModelRow.id == ModelVersionRow.model_id)
        .where(EvaluationRow.project_id == project_id)
    )


# One step


def sources(session: Session, project_id: str, nodes: Sequence[Node], limit: int) -> list[Edge]:
    """What these were made from, as (source, made) pairs."""
    found: list[Edge] = []
    for kind, mine in _by_kind(nodes):
        for part in _batched(mine.values(), _CHUNK):
            here = {node.row: node for node in part}
            if kind is DATA:
                found += _sources_of_data(session, project_id, part)
            elif kind is JOB:
                found += _sources_of_jobs(session, here)
            elif kind is RUN:
                found += _jobs_of_runs(session, project_id, here)
            elif kind is MODEL:
                found += _sources_of_models(session, project_id, here)
            elif kind is EVALUATION:
                found += _sources_of_evaluations(session, project_id, here)
            elif kind is ENDPOINT:
                found += _models_of_endpoints(session, project_id, here, limit)
    return found


def results(session: Session, project_id: str, nodes: Sequence[Node], limit: int) -> list[Edge]:
    """What was made from these, the newest first, as (source, made) pairs."""
    found: list[Edge] = []
    for kind, mine in _by_kind(nodes):
        for part in _batched(mine.values(), _PATTERNS if kind is DATA else _CHUNK):
            here = {node.row or node.id: node for node in part}
            if kind is DATA:
                found += _results_of_data(session, project_id, here, limit)
            elif kind is ENVIRONMENT:
                statement = _jobs(project_id).where(JobRow.environment_id.in_(here))
                found += [
                    (here[row.environment_id], _job(row)) for row in session.scalars(statement.limit(limit))
                ]
            elif kind is JOB:
                found += _results_of_jobs(session, project_id, here, limit)
            elif kind is RUN:
                found += _models_by(session, project_id, "run", here, limit)
            elif kind is MODEL:
                found += _results_of_models(session, project_id, here, limit)
    return found


def _batched(items: Iterable[T], size: int) -> Iterator[list[T]]:
    rest = iter(items)
    while part := list(islice(rest, size)):
        yield part


def _by_kind(nodes: Sequence[Node]) -> list[tuple[LineageKind, dict[str, Node]]]:
    kinds: dict[LineageKind, dict[str, Node]] = {}
    for node in nodes:
        kinds.setdefault(node.kind, {})[node.id] = node
    return list(kinds.items())


def _jobs(project_id: str) -> Select[JobRow]:
    mine = select(JobRow).where(JobRow.project_id == project_id, JobRow.kind == _WORK)
    return mine.order_by(JobRow.id.desc())


def _sources_of_data(session: Session, project_id: str, data: Sequence[Node]) -> Iterator[Edge]:
    by_ref = {node.label: node for node in data}
    for row, model, version in batches.that_made(session, project_id, list(by_ref)):
        made = by_ref[f"{row.out}@{row.out_number}"]
        yield _model(model, version), made
        yield data_node(row.data), made


def _answers(row: BatchRow) -> Node:
    return data_node(f"{row.out}@{row.out_number}")


def _sources_of_jobs(session: Session, jobs: dict[str, Node]) -> Iterator[Edge]:
    statement = (
        select(JobRow, EnvironmentRow)
        .outerjoin(EnvironmentRow, EnvironmentRow.id == JobRow.environment_id)
        .where(JobRow.id.in_(jobs))
    )
    for job, environment in session.execute(statement):
        if environment is not None:
            yield _environment(environment), jobs[job.id]
        for ref in _inputs(job):
            yield data_node(ref), jobs[job.id]


def _inputs(job: JobRow) -> list[str]:
    found = (job.record or {}).get("inputs") or {}
    return sorted({str(ref) for ref in found.values() if "@" in str(ref)})


def _jobs_of_runs(session: Session, project_id: str, runs: dict[str, Node]) -> Iterator[Edge]:
    statement = (
        select(RunRow.uuid, JobRow)
        .join(JobRow, JobRow.id == RunRow.job_id)
        .where(RunRow.uuid.in_(runs), JobRow.project_id == project_id)
    )
    for run, job in session.execute(statement):
        yield _job(job), runs[run]


def _sources_of_models(session: Session, project_id: str, models: dict[str, Node]) -> Iterator[Edge]:
    rows = {
        row.id: row.lineage or {}
        for row in session.scalars(select(ModelVersionRow).where(ModelVersionRow.id.in_(models)))
    }
    wanted = {str(lineage["run"]) for lineage in rows.values() if lineage.get("run")}
    runs = _mine(session, RunRow, RunRow.project_id == project_id, RunRow.uuid.in_(wanted))
    by_id = {row.uuid: _run(row) for row in runs}
    names = {str(lineage["job"]) for lineage in rows.values() if lineage.get("job")}
    jobs = {
        row.name: _job(row)
        for row in _mine(session, JobRow, JobRow.project_id == project_id, JobRow.name.in_(names))
    }
    for version, lineage in rows.items():
        if run := by_id.get(str(lineage.get("run"))):
            yield run, models[version]
        elif job := jobs.get(str(lineage.get("job"))):
            yield job, models[version]
        else:  # what it said itself
            for ref in sorted(set((lineage.get("data") or {}).values())):
                yield data_node(str(ref)), models[version]


def _mine(session: Session, table: type[R], *where: ColumnElement[bool]) -> Sequence[R]:
    return session.scalars(select(table).where(*where)).all()


def _sources_of_evaluations(session: Session, project_id: str, mine: dict[str, Node]) -> Iterator[Edge]:
    statement = (
        select(EvaluationRow, ModelRow.name, ModelVersionRow)
        .join(ModelVersionRow, ModelVersionRow.id == EvaluationRow.version_id)
        .join(ModelRow, ModelRow.id == ModelVersionRow.model_id)
        .where(EvaluationRow.id.in_(mine), EvaluationRow.project_id == project_id)
    )
    for row, model, version in session.execute(statement):
        yield _model(model, version), mine[row.id]
        yield data_node(row.data), mine[row.id]


def _models_of_endpoints(
    session: Session, project_id: str, endpoints: dict[str, Node], limit: int
) -> Iterator[Edge]:
    statement = (
        select(RevisionRow.endpoint_id, ModelRow.name, ModelVersionRow)
        .join(ModelVersionRow, ModelVersionRow.id == RevisionRow.version_id)
        .join(ModelRow, ModelRow.id == ModelVersionRow.model_id)
        .where(RevisionRow.endpoint_id.in_(endpoints), ModelRow.project_id == project_id)
        .order_by(RevisionRow.number.desc())
        .limit(limit)
    )
    for endpoint, model, version in session.execute(statement):
        yield _model(model, version), endpoints[endpoint]


def _results_of_data(
    session: Session, project_id: str, data: dict[str, Node], limit: int
) -> Iterator[Edge]:
    by_ref = {node.label: node for node in data.values()}
    text = cast(JobRow.record, String)
    named = or_(*(text.contains(f'"{ref}"', autoescape=True) for ref in by_ref))
    for job in session.scalars(_jobs(project_id).where(named).limit(limit)):
        for ref in _inputs(job):  # the text may stand elsewhere in the record
            if ref in by_ref:
                yield by_ref[ref], _job(job)
    evaluations = _evaluations(project_id).where(EvaluationRow.data.in_(by_ref))
    newest = evaluations.order_by(EvaluationRow.id.desc()).limit(limit)
    for model, number, row in session.execute(newest):
        yield by_ref[row.data], _evaluation(model, number, row)
    for made, _, _ in batches.made_of(session, project_id, by_ref, limit):
        yield by_ref[made.data], _answers(made)


def _results_of_jobs(
    session: Session, project_id: str, jobs: dict[str, Node], limit: int
) -> Iterator[Edge]:
    mine = select(RunRow).where(RunRow.project_id == project_id, RunRow.job_id.in_(jobs))
    for run in session.scalars(mine.order_by(RunRow.id.desc()).limit(limit)):
        if run.job_id is not None:
            yield jobs[run.job_id], _run(run)
    by_name = {node.name: node for node in jobs.values()}
    yield from _models_by(session, project_id, "job", by_name, limit)


def _models_by(
    session: Session, project_id: str, key: str, sources: dict[str, Node], limit: int
) -> Iterator[Edge]:
    """The versions whose lineage names one of these under ``key``; a job counts where there is no run."""
    for part in _batched(sources, _PATTERNS):
        text = cast(ModelVersionRow.lineage, String)
        named = or_(*(text.contains(f'"{name}"', autoescape=True) for name in part))
        statement = _versions(project_id).where(named).order_by(ModelVersionRow.id.desc()).limit(limit)
        for model, version in session.execute(statement):
            lineage = version.lineage or {}
            source = sources.get(str(lineage.get(key)))
            if source is not None and not (key == "job" and lineage.get("run")):
                yield source, _model(model, version)


def _results_of_models(
    session: Session, project_id: str, models: dict[str, Node], limit: int
) -> Iterator[Edge]:
    statement = _evaluations(project_id).where(EvaluationRow.version_id.in_(models))
    for model, number, row in session.execute(statement.order_by(EvaluationRow.id.desc()).limit(limit)):
        yield models[row.version_id], _evaluation(model, number, row)
    for made, _, _ in batches.made_by(session, project_id, models, limit):
        yield models[made.version_id], _answers(made)
    serving = (
        select(RevisionRow.version_id, EndpointRow)
        .join(EndpointRow, EndpointRow.id == RevisionRow.endpoint_id)
        .where(RevisionRow.version_id.in_(models), EndpointRow.project_id == project_id)
        .order_by(RevisionRow.created_at.desc())
        .limit(limit)
    )
    for version, endpoint in session.execute(serving):
        yield models[version], _endpoint(endpoint)


# What is said of them


def describe(session: Session, project_id: str, nodes: Iterable[Node]) -> dict[str, Node]:
    """The nodes by id; data that is not there any more is ``deleted``."""
    found = {node.id: node for node in nodes}
    data = [node for node in found.values() if node.kind is DATA]
    there: set[str] = set()
    for part in _batched({node.name for node in data}, _CHUNK):
        statement = (
            select(DatasetRow.name, DatasetVersionRow.number)
            .join(DatasetVersionRow, DatasetVersionRow.dataset_id == DatasetRow.id)
            .where(DatasetRow.project_id == project_id, DatasetRow.name.in_(part))
        )
        there |= {f"{name}@{number}" for name, number in session.execute(statement)}
    for node in data:
        if node.label not in there:
            found[node.id] = replace(node, state="deleted")
    return found
