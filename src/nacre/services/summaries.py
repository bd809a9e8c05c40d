"""Statistics of dataset versions: computed once for each manifest, in bounded time and memory.

Files are what strangers wrote: nothing in them is executed or unpickled; images are known by their headers.
"""

from __future__ import annotations

import builtins
import time
from collections import Counter, OrderedDict
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from threading import Lock
from typing import Any, TypeVar

from nacre.domain.identity import Caller
from nacre.errors import NacreError
from nacre.schema.launch import FileEntry
from nacre.schema.previews import PreviewKind
from nacre.schema.summaries import (
    ArraySummary,
    DataSummary,
    EndingCount,
    ImagesSummary,
    TableSummary,
    ValueCount,
)
from nacre.services import preview_media, summary_classes, summary_tables
from nacre.services.blobs import BlobLedger
from nacre.services.dataset_files import DatasetFiles
from nacre.services.preview_text import HEAD
from nacre.services.previews import look

_SECONDS = 20.0
_KEPT = 64
_AT_ONCE = 2
_MAX_ENDINGS = 50
_MAX_TABLES = 12
_MAX_ARRAY_FILES = 20
_MAX_ARRAYS = 50
_MAX_IMAGES = 400
_TOP = 20
_IMAGES = (".png", ".jpg", ".jpeg", ".gif", ".webp", ".bmp", ".tif", ".tiff")
_ARRAYS = (".npy", ".npz")
T = TypeVar("T")


Found = dict[str, Any]
"""The fields of a summary, without the version."""


class Summaries:
    """Operation ``data.summary``. Answers are kept in memory by the manifest, which never changes."""

    def __init__(self, files: DatasetFiles, ledger: BlobLedger, *, seconds: float = _SECONDS) -> None:
        self._files = files
        self._ledger = ledger
        self._seconds = seconds
        self._lock = Lock()
        self._known: OrderedDict[str, Future[Found]] = OrderedDict()
        self._pool = ThreadPoolExecutor(_AT_ONCE, "summary")

    def begin(self, caller: Caller, name: str, version: str) -> Future[DataSummary]:
        """Start, or join, the work on a version; the answer comes from a thread of its own.

        Raises:
            NotFound: no such dataset or version.
        """
        found, files = self._files.listed(caller, name, version)
        with self._lock:
            work = self._known.get(found.manifest)
            if work is None or (work.done() and work.exception()):
                work = self._pool.submit(self._look, builtins.list(files.values()))
                self._known[found.manifest] = work
            self._known.move_to_end(found.manifest)
            while len(self._known) > _KEPT:
                self._known.popitem(last=False)
        answer: Future[DataSummary] = Future()

        def done(work: Future[Found]) -> None:
            if error := work.exception():
                answer.set_exception(error)
            else:
                answer.set_result(DataSummary(version=found, **work.result()))

        work.add_done_callback(done)
        return answer

    def get(self, caller: Caller, name: str, version: str) -> DataSummary:
        """The same, waiting for it."""
        return self.begin(caller, name, version).result()

    # Within, in a thread

    def _look(self, files: list[FileEntry]) -> Found:
        deadline = time.monotonic() + self._seconds
        images = self._images(files, deadline - self._seconds / 2)
        labels, arrays = self._arrays(files, deadline - self._seconds / 4)
        tables, left_out = self._tables(files, deadline)
        classes = (
            summary_classes.by_arrays(labels)
            or summary_classes.by_folders(entry.path for entry in files)
            or summary_classes.by_column(tables)
        )
        shown: list[TableSummary] = [table.summary() for table in tables]
        sampled = any(table.sampled for table in shown) or bool(images and images.sampled) or left_out > 0
        message = f"{left_out} more tables or files of arrays were not looked at" if left_out else ""
        return {
            "endings": _endings(files),
            "classes": classes,
            "tables": shown,
            "images": images,
            "arrays": arrays,
            "sampled": sampled,
            "rows": sum(table.rows for table in shown) + (images.looked if images else 0),
            "message": message,
        }

    def _images(self, files: list[FileEntry], deadline: float) -> ImagesSummary | None:
        mine = [entry for entry in files if entry.path.lower().endswith(_IMAGES)]
        if not mine:
            return None
        sizes: Counter[str] = Counter()
        modes: Counter[str] = Counter()
        formats: Counter[str] = Counter()
        sides: list[tuple[int, int]] = []
        for entry in _spread(mine, _MAX_IMAGES):
            if time.monotonic() > deadline:
                break
            try:
                stream = self._ledger.store.open(entry.digest)
            except NacreError:  # a damaged one is no reason to show nothing
                continue
            with stream:
                head = stream.read(HEAD)
                form = preview_media.image_format(head)
                image = preview_media.image(stream, entry.size, head, form)[0] if form else None
                mode = preview_media.image_mode(stream, head, form) if form and image else None
            if image is None:
                formats["?"] += 1
                continue
            formats[image.format] += 1
            sizes[f"{image.width} × {image.height}"] += 1
            sides.append((image.width, image.height))
            if mode:
                modes[mode] += 1
        looked = sum(formats.values())
        return ImagesSummary(
            files=len(mine),
            looked=looked,
            sampled=looked < len(mine),
            sizes=_top(sizes),
            modes=_top(modes),
            formats=_top(formats),
            width=_range([width for width, _ in sides]),
            height=_range([height for _, height in sides]),
        )

    def _arrays(
        self, files: list[FileEntry], deadline: float
    ) -> tuple[dict[tuple[str, str], Counter[str]], list[ArraySummary]]:
        mine = [entry for entry in files if entry.path.lower().endswith(_ARRAYS)][:_MAX_ARRAY_FILES]
        labels: dict[tuple[str, str], Counter[str]] = {}
        found: list[ArraySummary] = []
        for entry in mine:
            if time.monotonic() > deadline or len(found) >= _MAX_ARRAYS:
                break
            try:
                stream = self._ledger.store.open(entry.digest)
            except NacreError:
                continue
            with stream:
                seen = look(entry.path, entry.size, stream)
                if seen.kind is not PreviewKind.ARRAYS:
                    continue
                found += [ArraySummary(path=entry.path, array=array) for array in seen.arrays or []]
                labels |= summary_classes.label_arrays(entry.path, stream)
        return labels, found[:_MAX_ARRAYS]

    def _tables(self, files: list[FileEntry], deadline: float) -> tuple[list[summary_tables.Table], int]:
        """The tables that were looked at, and how many were not."""
        mine = [entry for entry in files if entry.path.lower().endswith(summary_tables.ENDINGS)]
        found = []
        looked = 0
        for entry in mine[:_MAX_TABLES]:
            now = time.monotonic()
            if now > deadline:
                break
            looked += 1
            share = (deadline - now) / max(1, min(len(mine), _MAX_TABLES) - looked + 1)
            try:
                stream = self._ledger.store.open(entry.digest)
            except NacreError:
                continue
            with stream:
                if table := summary_tables.scan(entry.path, entry.size, stream, now + share):
                    found.append(table)
        return found, len(mine) - looked


def _endings(files: list[FileEntry]) -> list[EndingCount]:
    counts: Counter[str] = Counter()
    sizes: Counter[str] = Counter()
    for entry in files:
        name = entry.path.rpartition("/")[2]
        stem, dot, ending = name.rpartition(".")
        ending = f".{ending.lower()}" if dot and stem and len(ending) <= 12 else ""
        counts[ending] += 1
        sizes[ending] += entry.size
    return [
        EndingCount(ending=ending, files=count, size=sizes[ending])
        for ending, count in sorted(counts.items(), key=lambda item: (-item[1], item[0]))[:_MAX_ENDINGS]
    ]


def _spread(items: list[T], most: int) -> Iterator[T]:
    """At most so many of the items, from everywhere among them."""
    step = max(1.0, len(items) / most)
    return (items[int(step * number)] for number in range(min(len(items), most)))


def _top(counts: Counter[str]) -> list[ValueCount]:
    ordered = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    return [ValueCount(value=value, count=count) for value, count in ordered[:_TOP]]


def _range(values: list[int]) -> tuple[int, int] | None:
    return (min(values), max(values)) if values else None
