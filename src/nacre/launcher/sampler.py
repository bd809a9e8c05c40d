"""Starts to sample what the work uses when it has run for a moment: imports delay nothing.

In a thread of its own: a driver of a GPU that hangs must not keep the launcher from its other duties.
"""

from __future__ import annotations

import threading
from importlib import import_module

from nacre.launcher.cgroups import Groups
from nacre.launcher.folder import Folder
from nacre.launcher.room import Disk
from nacre.launcher.spec import Spec
from nacre.launcher.start import Workload

_SOON_S = 1.0
_PATIENCE_S = 2.0


class Sampler:
    """Samples work that has a run; nobody would look at those of other work."""

    def __init__(
        self, spec: Spec, folder: Folder, work: Workload, groups: Groups, disk: Disk | None
    ) -> None:
        """``disk``: what measures the work's folders, when anybody does."""
        self._spec = spec
        self._folder = folder
        self._work = work
        self._groups = groups
        self._disk = disk
        self._ended = threading.Event()
        self._thread: threading.Thread | None = None

    def begin(self) -> None:
        """The command runs."""
        if self._spec.run_id is not None and self._thread is None:
            self._thread = threading.Thread(target=self._run, daemon=True, name="samples")
            self._thread.start()

    def finish(self) -> None:
        """The command and everything of it have ended, and its control groups are still there."""
        self._ended.set()
        if self._thread is not None:
            self._thread.join(_PATIENCE_S)

    def _run(self) -> None:
        if self._ended.wait(_SOON_S):
            return
        spec, disk = self._spec, self._disk
        usage, samples = (import_module(f"nacre.launcher.{name}") for name in ("usage", "samples"))
        try:
            found = samples.Samples(
                self._folder,
                usage.Usage(
                    self._work.pid, self._groups.paths, own_network=spec.boxed and spec.network != "full"
                ),
                usage.Gpus(spec.limits.gpus),
                start=self._work.start,
                extra_processes=2 if spec.boxed else 0,
                disk=lambda: disk.used if disk is not None else None,
            )
            found.run(self._ended)
        except OSError:  # of this disk: the work goes on without
            return
