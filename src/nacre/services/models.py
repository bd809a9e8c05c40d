"""Models: versions made from a run's artifacts, their lineage, their aliases, their ONNX form."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial

from sqlalchemy import delete, or_, select
from sqlalchemy.orm import Session

from nacre.clock import Clock
from nacre.db.connect import Database
from nacre.db.queries.models import find_model, find_version
from nacre.db.queries.pages import newest_first
from nacre.db.queries.upserts import insert_into
from nacre.db.tables.endpoints import EndpointRow, RevisionRow
from nacre.db.tables.jobs import JobRow
from nacre.db.tables.models import AliasRow, EvaluationRow, ModelRow, ModelTagRow, ModelVersionRow
from nacre.domain.identity import Caller
from nacre.domain.mlmodel import Flavour
from nacre.domain.models import (
    PROGRAM,
    check_alias,
    check_model,
    detect_framework,
    select_files,
    within,
)
from nacre.errors import Conflict, InvalidSpec, NotFound, PermissionDenied
from nacre.ids import new_id
from nacre.ports.converters import Converter
from nacre.schema.base import Page
from nacre.schema.launch import FileEntry, Manifest
from nacre.schema.models import (
    AliasSet,
    ConversionState,
    Model,
    ModelFiles,
    ModelRegister,
    ModelVersion,
)
from nacre.services.artifacts import Artifacts, of_job
from nacre.services.blobs import BlobLedger
from nacre.services.conversions import Conversions
from nacre.services.environments import EnvironmentCatalogue
from nacre.services.events import Events
from nacre.services.model_catalogue import ModelCatalogue
from nacre.services.model_edits import ModelEdits
from nacre.services.model_sources import ModelSources
from nacre.services.model_wire import model_wire, version_wire
from nacre.services.pickles import check_data, from_project
from nacre.services.runs import Runs
from nacre.services.signals import Signals
from nacre.services.zips import zipped

NOT_CONVERTED = "mlflow"
"""The framework of what Nacre keeps without converting it."""
CUSTOM = "custom"
AS_IT_IS = "it has a program of its own (predict.py), which runs as it is, in replicas of its own"


@dataclass(frozen=True)
class Said:
    """What an MLflow client said of a version, in its own words."""

    source: str = ""
    run_link: str = ""
    run: str | None = None
    logged_model: str | None = None


_NOTHING_SAID = Said()


class Models:
    """The only writer of models and versions; ``edits`` changes what may change of them, ``catalogue``
    finds them."""

    def __init__(
        self,
        db: Database,
        clock: Clock,
        signals: Signals,
        ledger: BlobLedger,
        runs: Runs,
        conversions: Conversions,
        environments: EnvironmentCatalogue,
        events: Events,
        converters: Sequence[Converter],
    ) -> None:
        self._db = db
        self._clock = clock
        self._signals = signals
        self._ledger = ledger
        self._sources = ModelSources(db, ledger, runs, Artifacts(db, clock, ledger, signals))
        self.edits = ModelEdits(db, clock, signals, events)
        self.catalogue = ModelCatalogue(db, ledger)
        self._conversions = conversions
        self._environments = environments
        self._events = events
        self._converters = {c.framework: c for c in converters}

    def register(
        self, caller: Caller, model: str, request: ModelRegister, said: Said = _NOTHING_SAID
    ) -> ModelVersion:
        """Make the next version, and start its conversion to ONNX.

        Raises:
            NotFound: no such run, or no such environment.
            InvalidSpec: no such artifact, a name that is none, or the framework cannot be told.
        """
        check_model(model)
        if request.alias is not None:
            check_alias(request.alias)
        source = self._sources.find(caller, request)
        lineage = source.lineage.model_copy(
            update={
                "run": source.lineage.run or said.run,
                "logged_model": source.lineage.logged_model or said.logged_model,
            }
        )
        entry, files = select_files(source.files, source.path)
        flavour = self._flavour(request, entry, files)
        framework = flavour.framework
        if not from_project(source.lineage.model_dump()):
            check_data(self._ledger, framework, flavour.entry, files)
        manifest = self._ledger.write_manifest(caller.project_id, Manifest(files=files))
        self._ledger.take_manifest(caller.project_id, manifest)
        with self._db.write() as session:
            row = self._row_for_update(session, caller.project_id, model)
            row.last_number += 1
            row.updated_at = self._clock.now()
            version = ModelVersionRow(
                id=new_id("mdv"),
                model_id=row.id,
                number=row.last_number,
                framework=framework,
                entry=flavour.entry,
                manifest=manifest,
                files=len(files),
                size=sum(f.size for f in files),
                user_id=caller.user_id,
                description=request.description,
                inputs=[i.model_dump() for i in request.inputs or flavour.inputs] or None,
                lineage=lineage.model_dump(),
                environment_id="",
                conversion=ConversionState.NONE,
                message=flavour.why,
                source=said.source,
                run_link=said.run_link,
                created_at=self._clock.now(),
            )
            session.add(version)
            session.flush()
            self._keep(session, caller.project_id, version)
            if request.alias:
                self._point(session, row.id, request.alias, version.number)
            self.edits.tag(session, row.id, version.number, request.tags)
            if framework != NOT_CONVERTED:
                version.environment_id = self._environment(
                    session, caller, request, source.job, flavour, files
                )
            if framework in self._converters:
                self._conversions.start(session, caller, row, version)
            self._events.add(
                session, caller.project_id, caller.user_id, "models.register", version.id, model=model
            )
            answer = version_wire(session, row, version)
        self._signals.notify("jobs", "models")
        return answer

    def _flavour(self, request: ModelRegister, entry: str, files: Sequence[FileEntry]) -> Flavour:
        """What the model is: as the request says, as its file ``MLmodel`` does, or by its suffix."""
        found = self._sources.flavour(entry, files) if request.framework is None else None
        if found is not None and (found.framework in self._converters or found.why is not None):
            inner = found.entry if entry == "." else f"{entry}/{found.entry}"
            return replace(found, entry=entry if found.entry == "." else inner)
        suffixes = {c.framework: c.suffixes for c in self._converters.values()}
        framework = request.framework or detect_framework(entry, files, suffixes)
        if framework == CUSTOM:
            if PROGRAM not in within(entry, files):
                raise InvalidSpec(f"a custom model is a folder with a file {PROGRAM} in it")
            return Flavour(CUSTOM, entry, self._sources.requirements(entry, files), why=AS_IT_IS)
        if framework not in self._converters:
            raise InvalidSpec(f"no converter for {framework} is installed on this server")
        return Flavour(framework, entry, ("skops",) if entry.endswith(".skops") else ())

    def _environment(
        self,
        session: Session,
        caller: Caller,
        request: ModelRegister,
        job: JobRow | None,
        flavour: Flavour,
        files: Sequence[FileEntry],
    ) -> str:
        """The environment to convert or run in: the asked one, the run's own, or the framework's; with what
        the converter and the file need."""
        converter = self._converters.get(flavour.framework)
        if request.environment is None and job is not None and flavour.framework != "onnx":
            base = job.environment_id
        else:
            name = request.environment or (converter.environment if converter else self._home_of(files))
            base = self._environments.ensure(session, caller.project_id, name)
        needed = [*(converter.requirements if converter else ()), *flavour.requirements]
        return self._environments.derive(session, caller.project_id, base, needed)

    def _home_of(self, files: Sequence[FileEntry]) -> str:
        """The catalogue's environment for a program and the model files beside it."""
        if any(f.path.endswith("saved_model.pb") for f in files):
            return self._converters["tensorflow"].environment
        for converter in self._converters.values():
            if converter.suffixes and any(f.path.lower().endswith(converter.suffixes) for f in files):
                return converter.environment
        return "base"

    def _keep(self, session: Session, project_id: str, version: ModelVersionRow) -> None:
        """Keep the version's files, and the code that made it, for as long as the version is there."""
        code = version.lineage.get("code")
        held = self._ledger.has(session, project_id, [code]) if code else set()
        for manifest in {version.manifest, *held}:
            self._ledger.add_reference(session, project_id, "model_version", version.id, manifest)

    def _row_for_update(self, session: Session, project_id: str, name: str) -> ModelRow:
        row = {
            "id": new_id("mdl"),
            "project_id": project_id,
            "name": name,
            "last_number": 0,
            "created_at": self._clock.now(),
        }
        session.execute(insert_into(self._db, ModelRow).on_conflict_do_nothing(), [row])
        mine = (ModelRow.project_id == project_id, ModelRow.name == name)
        return session.scalars(select(ModelRow).where(*mine).with_for_update()).one()

    def convert(self, caller: Caller, model: str, version: str) -> ModelVersion:
        """Start the conversion again, after it failed.

        Raises:
            Conflict: it is under way, or done.
        """
        with self._db.write() as session:
            row, found = find_version(session, caller.project_id, model, version, lock=True)
            if found.conversion == ConversionState.NONE:
                raise Conflict(f"{model}/{found.number} cannot be converted: {found.message}")
            if found.conversion in (ConversionState.CONVERTING, ConversionState.READY):
                raise Conflict(f"{model}/{found.number} is {found.conversion}: there is nothing to convert")
            self._conversions.start(session, caller, row, found)
            answer = version_wire(session, row, found)
        self._signals.notify("jobs", "models")
        return answer

    def list(self, caller: Caller, *, cursor: str | None = None, limit: int = 100) -> Page[Model]:
        """The project's models, newest first."""
        statement = select(ModelRow).where(ModelRow.project_id == caller.project_id)
        with self._db.read() as session:
            return newest_first(
                session,
                statement,
                ModelRow.id,
                lambda row: model_wire(session, row[0]),
                cursor=cursor,
                limit=limit,
            )

    def get(self, caller: Caller, model: str) -> Model:
        """A model with its versions' numbers and its latest version."""
        with self._db.read() as session:
            return model_wire(session, find_model(session, caller.project_id, model))

    def get_version(self, caller: Caller, model: str, version: str) -> ModelVersion:
        """A version by number, alias or ``latest``."""
        with self._db.read() as session:
            return version_wire(session, *find_version(session, caller.project_id, model, version))

    def files(self, caller: Caller, model: str, version: str) -> ModelFiles:
        """The files of a version, to download with ``blobs.get``."""
        with self._db.read() as session:
            row, found = find_version(session, caller.project_id, model, version)
            wire = version_wire(session, row, found)
        files = self._ledger.read_manifest(found.manifest).files
        onnx = None
        if found.onnx_manifest:
            converted = self._ledger.read_manifest(found.onnx_manifest).files
            onnx = next((f for f in converted if f.path == "model.onnx"), None)
        return ModelFiles(version=wire, files=files, onnx=onnx)

    def archive(self, caller: Caller, model: str, version: str) -> tuple[str, Iterator[bytes]]:
        """The name and the bytes of a ZIP with the version's files in one folder, and the ONNX form in a
        folder ``onnx`` in it.

        Raises:
            NotFound: no such version, or a file of it is not there any more.
            Unavailable: a file is damaged; in the middle of the bytes that ends them.
        """
        found = self.files(caller, model, version)
        name = f"{model}-{found.version.number}"
        entries = [f.model_copy(update={"path": f"{name}/{f.path}"}) for f in found.files]
        if found.onnx is not None:
            taken = {entry.path for entry in entries}
            path = f"{name}/onnx/model.onnx"
            path = path if path not in taken else f"{name}/onnx-by-nacre/model.onnx"
            entries.append(found.onnx.model_copy(update={"path": path}))
        pieces = zipped(entries, partial(self._ledger.open, caller), found.version.created_at)
        return f"{name}.zip", pieces

    def set_alias(self, caller: Caller, model: str, alias: str, target: AliasSet) -> Model:
        """Point an alias at a version, from wherever it pointed."""
        check_alias(alias)
        with self._db.write() as session:
            row, found = find_version(session, caller.project_id, model, str(target.version))
            self._point(session, row.id, alias, found.number)
            self._events.add(
                session,
                caller.project_id,
                caller.user_id,
                "models.set_alias",
                row.id,
                alias=alias,
                version=found.number,
            )
            session.flush()
            return model_wire(session, row)

    def _point(self, session: Session, model_id: str, alias: str, number: int) -> None:
        session.merge(AliasRow(model_id=model_id, alias=alias, number=number))

    def delete_alias(self, caller: Caller, model: str, alias: str) -> None:
        """Remove an alias; the version stays."""
        with self._db.write() as session:
            row = find_model(session, caller.project_id, model)
            found = session.get(AliasRow, (row.id, alias))
            if found is None:
                raise NotFound(f"model {model} has no alias {alias!r}")
            session.delete(found)

    def delete_version(self, caller: Caller, model: str, version: str) -> None:
        """Delete a version and its evaluations; the numbers of others stay.

        Raises:
            Conflict: an endpoint serves it.
        """
        with self._db.write() as session:
            row, found = find_version(session, caller.project_id, model, version, lock=True)
            self._delete(session, caller, row, [found])

    def delete(self, caller: Caller, model: str) -> None:
        """Delete a model with all its versions.

        Raises:
            Conflict: an endpoint serves one.
        """
        with self._db.write() as session:
            row = find_model(session, caller.project_id, model)
            mine = select(ModelVersionRow).where(ModelVersionRow.model_id == row.id)
            self._delete(session, caller, row, session.scalars(mine.with_for_update()).all())
            session.delete(row)

    def _delete(
        self, session: Session, caller: Caller, model: ModelRow, versions: Sequence[ModelVersionRow]
    ) -> None:
        if of_job(caller):
            raise PermissionDenied("a job's token may register models, but delete none: use your own")
        ids = [v.id for v in versions]
        serving = session.execute(
            select(EndpointRow.name)
            .join(RevisionRow, RevisionRow.endpoint_id == EndpointRow.id)
            .where(
                RevisionRow.version_id.in_(ids),
                or_(
                    RevisionRow.number == EndpointRow.revision,
                    RevisionRow.state.in_(("starting", "ready")),
                    RevisionRow.served > 0,
                ),
            )
            .limit(1)
        ).scalar()
        if serving:
            raise Conflict(f"endpoint {serving} serves {model.name}: 'nacre undeploy {serving}' first")
        session.execute(delete(RevisionRow).where(RevisionRow.version_id.in_(ids)))
        session.execute(delete(EvaluationRow).where(EvaluationRow.version_id.in_(ids)))
        for version in versions:
            self._ledger.drop_reference(session, "model_version", version.id)
            self._ledger.drop_reference(session, "model_onnx", version.id)
            for table in (AliasRow, ModelTagRow):
                mine = (table.model_id == model.id, table.number == version.number)
                session.execute(delete(table).where(*mine))
            session.delete(version)
        session.flush()
        self._events.add(
            session,
            caller.project_id,
            caller.user_id,
            "models.delete",
            model.id,
            model=model.name,
            versions=[v.number for v in versions],
        )
