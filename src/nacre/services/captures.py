"""Requests that the model server captured become versions of the dataset that the endpoint names.

In ``serving/capture/PROJECT/ENDPOINT/`` lie the parts that workers have finished (``*.jsonl``, see
``nacre.modelserver.capture``), and ``target.json``, which says for whom they are, for the time when the
endpoint captures no more or is gone. What is taken is first moved to ``taken-…/``, whose name becomes that
of the file in the dataset: so a server that is killed in between takes nothing twice and loses nothing.
"""

from __future__ import annotations

import json
import logging
import shutil
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from datetime import datetime
from importlib import import_module
from pathlib import Path

from blake3 import blake3
from sqlalchemy import select

from nacre.clock import Clock
from nacre.db.connect import Database
from nacre.db.tables.endpoints import EndpointRow
from nacre.db.tables.projects import ProjectRow
from nacre.db.tables.users import UserRow
from nacre.domain.identity import Caller, ProjectRef
from nacre.errors import NacreError, NotFound
from nacre.schema.data import VersionCreate
from nacre.schema.endpoints import EndpointSettings
from nacre.schema.launch import FileEntry, Manifest
from nacre.services.blobs import BlobLedger
from nacre.services.datasets import Datasets
from nacre.services.signals import Signals

_log = logging.getLogger("nacre.endpoints")
FOLDER = "captured/"
"""Of the files in the dataset; what else is in it stays."""
SOON_S, LATEST_S = 60.0, 3600.0
ABANDONED_S = 300.0
"""A part that nobody has written to for so long is that of a worker which was killed."""
FULL_BYTES = 16 * 2**20
MOST_BYTES = 64 * 2**20
"""Of parts that become one file."""


@dataclass(frozen=True)
class Target:
    """Whose a folder is. ``endpoint_id`` is empty when the endpoint captures no more."""

    project_id: str
    user_id: str
    dataset: str
    endpoint: str
    endpoint_id: str = ""


class Captures:
    """The only reader of ``folder`` (``serving/capture``)."""

    def __init__(
        self,
        db: Database,
        clock: Clock,
        signals: Signals,
        ledger: BlobLedger,
        datasets: Datasets,
        folder: Path,
    ) -> None:
        self._db = db
        self._clock = clock
        self._signals = signals
        self._ledger = ledger
        self._datasets = datasets
        self._folder = folder
        self._counted: dict[str, tuple[str, str]] = {}

    def take(self) -> None:
        """Take what is due, of every endpoint."""
        wanted = self._wanted()
        for folder in sorted(self._folder.glob("*/*")) if self._folder.is_dir() else []:
            target = wanted.get(f"{folder.parent.name}/{folder.name}")
            try:
                self._take(folder, target or _remembered(folder), live=target is not None)
            except (NacreError, OSError) as error:  # one that cannot be taken now holds up no other
                _log.warning("what was captured in %s is taken later: %s", folder, error)

    def _wanted(self) -> dict[str, Target]:
        """The endpoints that capture, by ``project/name``."""
        with self._db.read() as session:
            rows = session.execute(
                select(EndpointRow, ProjectRow.name).join(
                    ProjectRow, ProjectRow.id == EndpointRow.project_id
                )
            ).all()
        found = {}
        for row, project in rows:
            settings = EndpointSettings.model_validate(row.settings).capture
            if settings is not None:
                found[f"{project}/{row.name}"] = Target(
                    row.project_id, row.user_id, settings.dataset, row.name, row.id
                )
        return found

    def _take(self, folder: Path, target: Target | None, *, live: bool) -> None:
        now = self._clock.now()
        if target is None:  # a worker has just made it, or its endpoint is gone for good
            if now.timestamp() - folder.stat().st_mtime >= LATEST_S:
                shutil.rmtree(folder)
            return
        if live:
            _remember(folder, target)
        waiting = list(_waiting(folder, now))
        groups = sorted(folder.glob("taken-*"))
        if waiting and (not live or self._due(target, waiting, now)):
            groups += _moved(folder, waiting, now)
        caller = self._owner(target)
        if groups:
            if caller is not None:
                self._keep(caller, target, groups)
            for group in groups:
                shutil.rmtree(group)
        if live and caller is not None:
            self._count(caller, target)
        if not live and not any(folder.glob("part-*")):
            shutil.rmtree(folder)

    def _due(self, target: Target, waiting: list[Path], now: datetime) -> bool:
        """At once when a part is full; else soon, but seldom when the dataset is large already: each time
        it gets a version more."""
        size = sum(file.stat().st_size for file in waiting)
        age = max(now.timestamp() - file.stat().st_mtime for file in waiting)
        with self._db.read() as session:
            row = session.get(EndpointRow, target.endpoint_id)
            had = row.captured if row else 0
        return size >= FULL_BYTES or age >= LATEST_S or (age >= SOON_S and 10 * size >= had)

    def _keep(self, caller: Caller, target: Target, groups: list[Path]) -> None:
        """Make the next version."""
        try:
            before = self._datasets.files(caller, target.dataset, "latest").files
        except NotFound:
            before = []
        there = {entry.path for entry in before}
        added: list[FileEntry] = []
        for group in groups:
            for number, data in enumerate(_parquet(_lines(group))):
                path = f"{FOLDER}{group.name.removeprefix('taken-')}-{number}.parquet"
                if path not in there:
                    digest = self._ledger.keep(target.project_id, data)
                    added.append(FileEntry(path=path, size=len(data), digest=digest))
        if added:
            manifest = self._ledger.write_manifest(target.project_id, Manifest(files=[*before, *added]))
            note = f"Captured from the endpoint {target.endpoint}"
            self._datasets.create(caller, target.dataset, VersionCreate(manifest=manifest, note=note))

    def _count(self, caller: Caller, target: Target) -> None:
        """What of the budget is used: all files of captured requests that the dataset has now."""
        try:
            manifest = self._datasets.get_version(caller, target.dataset, "latest").manifest
        except NotFound:
            manifest = ""
        if self._counted.get(target.endpoint_id) == (target.dataset, manifest):
            return
        files = self._ledger.read_manifest(manifest).files if manifest else []
        size = sum(entry.size for entry in files if entry.path.startswith(FOLDER))
        with self._db.write() as session:
            row = session.get(EndpointRow, target.endpoint_id, with_for_update=True)
            if row is not None:
                row.captured = size
        self._counted[target.endpoint_id] = (target.dataset, manifest)
        self._signals.notify("endpoints")  # the model server is told what is left

    def _owner(self, target: Target) -> Caller | None:
        with self._db.read() as session:
            project = session.get(ProjectRow, target.project_id)
            user = session.get(UserRow, target.user_id)
        if project is None:
            return None
        name = user.name if user else ""
        return Caller(target.user_id, name, project=ProjectRef(project.id, project.name, None))


def _remembered(folder: Path) -> Target | None:
    try:
        return Target(**json.loads((folder / "target.json").read_text()))
    except (OSError, ValueError, TypeError):
        return None


def _remember(folder: Path, target: Target) -> None:
    if _remembered(folder) != target:
        temporary = folder / "target.tmp"
        temporary.write_text(json.dumps(asdict(target)))
        temporary.replace(folder / "target.json")


def _waiting(folder: Path, now: datetime) -> Iterator[Path]:
    """The parts that are finished, and those that nobody will finish."""
    yield from sorted(folder.glob("part-*.jsonl"))
    for left in sorted(folder.glob("part-*.open")):
        if now.timestamp() - left.stat().st_mtime >= ABANDONED_S:
            yield left


def _moved(folder: Path, waiting: list[Path], now: datetime) -> list[Path]:
    """The parts in folders of their own, ``MOST_BYTES`` in each and one part more at most."""
    groups: list[Path] = []
    size = MOST_BYTES
    for part in waiting:
        if size >= MOST_BYTES:
            mark = str(blake3(part.name.encode()).hexdigest())[:8]
            groups.append(folder / f"taken-{now:%Y%m%dT%H%M%S}-{mark}")
            groups[-1].mkdir()
            size = 0
        size += part.stat().st_size
        part.rename(groups[-1] / part.name)
    return groups


def _lines(group: Path) -> Iterator[bytes]:
    for part in sorted(group.iterdir()):
        with part.open("rb") as stream:
            yield from stream


def _parquet(lines: Iterator[bytes]) -> list[bytes]:
    """As ``captured_rows`` makes it. pyarrow takes half a second and tens of megabytes: only servers that
    capture pay for it."""
    found: list[bytes] = import_module("nacre.services.captured_rows").to_parquet(lines)
    return found
