"""Runs of Nacre as event files: what the TensorBoard of an instance reads.

Each run has a name there, and below it whatever folders its own event files lay in. Curves come from one
place only: where a run left event files (they are artifacts once its job has ended), those; tracked metrics
are written beside them as far as no event file has a scalar of that name. While the job goes on its event
files are not there yet, and all its curves are tracked metrics.
"""

from __future__ import annotations

import os
import posixpath
import shutil
import sys
import time
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

from tensorboard.backend.event_processing.plugin_event_multiplexer import EventMultiplexer
from tensorboard.compat.proto import event_pb2, summary_pb2, tensor_pb2, tensor_shape_pb2, types_pb2
from tensorboard.plugins.hparams import summary_v2
from tensorboard.plugins.scalar import metadata as scalar_metadata
from tensorboard.plugins.text import metadata as text_metadata
from tensorboard.summary.writer.event_file_writer import EventFileWriter

from nacre.sdk.tracking.wire import Away, Refused
from nacre.workloads.tracked import Curve, Point, Source, table, tracked_names, typed

LIVE_SECONDS = 4.0
SETTLED_SECONDS = 60.0
"""How often a run that has ended is looked at again: somebody may still add to it."""
FILES_SECONDS = 20.0


class RunFeed:
    """One run: its folder of event files, kept up with what the API tells.

    The folder is made anew, and TensorBoard reads it anew, when event files come or parameters change.
    """

    def __init__(self, source: Source, run_id: str, root: Path, multiplexer: EventMultiplexer) -> None:
        self._source = source
        self._id = run_id
        self._root = root / run_id
        self._multiplexer = multiplexer
        self._generation = 0
        self._writer: EventFileWriter | None = None
        self._files: dict[str, str] = {}
        self._texts: Any = None
        self._owned: set[str] = set()
        self._curves: dict[str, Curve] = {}
        self._files_at = float("-inf")
        self._state: str | None = None
        self.due = float("-inf")

    def refresh(self, now: float, name: str, run: Mapping[str, Any]) -> bool:
        """Bring the folder up to date; whether anything was written. ``name``: TensorBoard's for it."""
        files = self._files
        ended = run["state"] != "running" and run["state"] != self._state
        if ended or now - self._files_at > FILES_SECONDS:
            files = self._source.event_files(self._id)
            self._files_at = now
        texts = (run["params"], run["tags"])
        changed = self._writer is None or files != self._files or texts != self._texts
        if changed:
            self._rebuild(name, run, files)
            self._files, self._texts = files, texts
        changed |= self._append(run["metrics"])
        self._state = run["state"]
        self.due = now + (LIVE_SECONDS if run["state"] == "running" else SETTLED_SECONDS)
        return changed

    def _rebuild(self, name: str, run: Mapping[str, Any], files: Mapping[str, str]) -> None:
        if self._writer is not None:
            self._writer.close()
        before, self._generation = self._root / str(self._generation), self._generation + 1
        folder = self._root / str(self._generation)
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        inner = self._place(files, folder)
        self._multiplexer.AddRun(str(folder), name)
        for part in sorted(inner.keys() - {"."}):
            self._multiplexer.AddRun(str(folder / part), f"{name}/{part}")
        self._owned = _scalars(self._multiplexer, name, inner)
        self._curves = {}
        self._writer = EventFileWriter(str(folder))
        self._write_texts(name, run, with_hparams=not _has_hparams(self._multiplexer, name, inner))
        shutil.rmtree(before, ignore_errors=True)

    def _place(self, files: Mapping[str, str], folder: Path) -> dict[str, str]:
        """Put the event files into folders as they lay, less what all their paths share.

        Returns those folders, each with the whole path that it had.
        """
        kept = self._root / "files"
        kept.mkdir(parents=True, exist_ok=True)
        parents = {path: posixpath.dirname(path) for path in files}
        shared = posixpath.commonpath(parents.values()) if parents else ""
        inner = {}
        for path, digest in files.items():
            part = posixpath.relpath(parents[path] or ".", shared or ".")
            if not (kept / digest).exists():
                self._source.download(self._id, path, kept / digest)
            (folder / part).mkdir(parents=True, exist_ok=True)
            os.link(kept / digest, folder / part / posixpath.basename(path))
            inner[part] = parents[path]
        return inner

    def _write_texts(self, name: str, run: Mapping[str, Any], *, with_hparams: bool) -> None:
        assert self._writer is not None
        at = datetime.fromisoformat(run["created_at"]).timestamp()
        if run["params"] and with_hparams:
            values = {key: typed(text) for key, text in run["params"].items()}
            summary = summary_v2.hparams_pb(values, trial_id=name, start_time_secs=at)
            self._writer.add_event(event_pb2.Event(wall_time=at, summary=summary))
        for title in ("params", "tags"):
            if run[title]:
                self._writer.add_event(_text_event(title, table(run[title]), at))
        self._writer.flush()

    def _append(self, metrics: Iterable[Mapping[str, Any]]) -> bool:
        assert self._writer is not None
        wrote = False
        for summary in metrics:
            key = summary["key"]
            curve = self._curves.setdefault(key, Curve())
            seen = (summary["count"], summary["step"], summary["last"])
            if key in self._owned or seen == curve.seen:
                continue
            for point in curve.fresh(self._source.points(self._id, key), summary["count"]):
                self._writer.add_event(_scalar_event(key, point))
                wrote = True
            curve.seen = seen
        self._writer.flush()
        return wrote


class Board:
    """All runs of one TensorBoard."""

    def __init__(
        self, source: Source, run_ids: Sequence[str], root: Path, multiplexer: EventMultiplexer
    ) -> None:
        """``root``: a folder of its own, emptied now."""
        shutil.rmtree(root, ignore_errors=True)
        self._source = source
        self._multiplexer = multiplexer
        self._feeds = {run_id: RunFeed(source, run_id, root, multiplexer) for run_id in run_ids}
        self._names: dict[str, str] = {}
        multiplexer.Reload()  # from now on it reads a run that is added at once

    def refresh(self) -> bool:
        """Look at every run that is due; whether TensorBoard has read something new.

        A run that cannot be read is told in the log, and looked at again later.
        """
        changed = False
        for run_id, feed in self._feeds.items():
            if feed.due > time.monotonic():
                continue
            try:
                run = self._source.run(run_id)
                changed |= feed.refresh(time.monotonic(), self._name(run_id, run["name"]), run)
            except (Away, Refused, OSError) as error:
                feed.due = time.monotonic() + (LIVE_SECONDS if isinstance(error, Away) else SETTLED_SECONDS)
                sys.stderr.write(f"run {self._names.get(run_id, run_id)}: {error}\n")
        if changed:
            self._multiplexer.Reload()
        return changed

    def _name(self, run_id: str, name: str) -> str:
        """The run's name when it was first seen; with a piece of its id when another one has it."""
        if run_id not in self._names:
            taken = name in self._names.values()
            self._names[run_id] = f"{name} {run_id[:6]}" if taken or not name else name
        return self._names[run_id]


def _scalars(multiplexer: EventMultiplexer, name: str, inner: Mapping[str, str]) -> set[str]:
    """Names that tracked metrics of the run's own scalars may have."""
    found: set[str] = set()
    tags = multiplexer.PluginRunToTagToContent(scalar_metadata.PLUGIN_NAME)
    for part, whole in inner.items():
        for tag in tags.get(_joined(name, part), {}):
            found |= tracked_names(tag, whole)
    return found


def _has_hparams(multiplexer: EventMultiplexer, name: str, inner: Iterable[str]) -> bool:
    content = multiplexer.PluginRunToTagToContent("hparams")
    return any(content.get(_joined(name, part)) for part in inner)


def _joined(name: str, part: str) -> str:
    return name if part == "." else f"{name}/{part}"


def _scalar_event(key: str, point: Point) -> event_pb2.Event:
    step, time_ms, value = point
    tensor = tensor_pb2.TensorProto(
        dtype=types_pb2.DT_DOUBLE, tensor_shape=tensor_shape_pb2.TensorShapeProto(), double_val=[value]
    )
    metadata = scalar_metadata.create_summary_metadata(display_name="", description="")
    item = summary_pb2.Summary.Value(tag=key, tensor=tensor, metadata=metadata)
    return event_pb2.Event(step=step, wall_time=time_ms / 1000, summary=summary_pb2.Summary(value=[item]))


def _text_event(title: str, text: str, at: float) -> event_pb2.Event:
    tensor = tensor_pb2.TensorProto(
        dtype=types_pb2.DT_STRING,
        tensor_shape=tensor_shape_pb2.TensorShapeProto(),
        string_val=[text.encode()],
    )
    metadata = text_metadata.create_summary_metadata(display_name="", description="")
    item = summary_pb2.Summary.Value(tag=title, tensor=tensor, metadata=metadata)
    return event_pb2.Event(wall_time=at, summary=summary_pb2.Summary(value=[item]))
