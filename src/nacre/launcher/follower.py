"""Starts to follow what the command leaves behind when it has run for a moment: imports delay nothing."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from importlib import import_module
from typing import Any

from nacre.launcher.folder import Events, Folder
from nacre.launcher.ship import Shipper
from nacre.launcher.spec import Spec
from nacre.launcher.variables import Places

_SOON_S = 1.0


class Follower:
    """Follows one attempt when capture is on; in a job of many processes only the first one's."""

    def __init__(self, spec: Spec, folder: Folder, shipper: Shipper, events: Events) -> None:
        self._spec = spec
        self._folder = folder
        self._shipper = shipper
        self._events = events
        self._follow: Any = None
        self._timer: threading.Timer | None = None

    def begin(self) -> None:
        """The command runs."""
        if self._wanted():
            self._timer = threading.Timer(_SOON_S, lambda: self._made().start())
            self._timer.daemon = True
            self._timer.start()

    def finish(self, check: Callable[[], None]) -> None:
        """The command has ended: read what is left. ``check`` may raise to leave it to another launcher."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer.join()
        if self._wanted() and self._folder.has("workload.json"):
            self._made().finish(check)

    def _wanted(self) -> bool:
        spec = self._spec
        return spec.capture and spec.kind == "job" and spec.rank == 0 and spec.run_id is not None

    def _made(self) -> Any:
        if self._follow is None:
            kind = import_module("nacre.launcher.follow").Follow
            masks, log = self._shipper.masks, self._shipper.log
            self._follow = kind(self._spec, self._folder, self._roots(), log, masks, self._events)
        return self._follow

    def _roots(self) -> list[str]:
        """Where to look for event files; the home or the checkpoints too when the command was told to
        write them there."""
        spec, folder = self._spec, self._folder
        places = Places(spec, folder, {item.name: "" for item in spec.inputs})
        told = os.path.normpath(places.fill(spec.variables.get("TENSORBOARD_LOG_DIR", "")))
        roots = [folder.path("work"), folder.path("output")]
        others = [(places.home, spec.home or folder.path("home")), (places.checkpoints, spec.checkpoints)]
        for seen, real in others:
            if seen is not None and real is not None and (told + "/").startswith(seen + "/"):
                roots.append(real)
        return roots
