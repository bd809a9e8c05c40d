"""Sends the spool to the server, from a thread of its own, until the server has it all."""

from __future__ import annotations

import threading
import time
from typing import Any

from nacre.launcher.channels import Acks, Channel, LinesChannel, LogChannel, SamplesChannel
from nacre.launcher.control import Control
from nacre.launcher.folder import Events, Folder, Note
from nacre.launcher.masks import Masks
from nacre.launcher.spec import Spec
from nacre.launcher.wire import Away, Refused, Server

HEARTBEAT_S = 5.0
_QUICK_S, _SLOW_S = 0.01, 0.2
_AWAY_MAX_S = 2.0
_SAVE_S = 0.5


class Shipper(threading.Thread):
    """Owns the channels' offsets. Other threads only set ``final`` through :meth:`finish`."""

    def __init__(self, spec: Spec, folder: Folder, events: Events, control: Control, note: Note) -> None:
        """``note``: is written when a full disk refused it before."""
        super().__init__(daemon=True, name="ship")
        masks = self.masks = Masks(
            [*spec.secrets.values(), *spec.secret_files.values(), spec.token, spec.work_token]
        )
        self._acks = Acks(folder)
        at = self._acks.offsets
        self.log = LogChannel(folder, at["log"], spec.limits.log_bytes, masks)
        self.track = LinesChannel("track", folder.path("io", "track.jsonl"), at["track"], masks)
        self.events = LinesChannel("events", folder.path("events.jsonl"), at["events"], None)
        self.samples = SamplesChannel(folder.path("samples.jsonl"), at["samples"])
        self.work: list[Channel] = [self.log, self.track, self.samples]
        self.channels: list[Channel] = [self.events, *self.work]
        self._events_file = events
        self._note = note
        self._control = control
        self._base = f"/api/v1/attempts/{spec.attempt_id}/replicas/{spec.rank}"
        self._server = Server(spec.server, spec.token)
        self._wake = threading.Event()
        self._progress = threading.Condition()
        self._closing = False
        self.beat_s = HEARTBEAT_S
        self._beat = 0.0
        self._dropped = self._warned = 0

    def run(self) -> None:
        """Send, and wait: 10 ms while there is something to send, up to 200 ms when long idle."""
        pause, away = _QUICK_S, 0.05
        busy_until = time.monotonic() + 5
        saved = 0.0
        while not self._closing and not self._control.fenced:
            try:
                moved = self._round()
            except (Away, OSError, ValueError, KeyError, TypeError):
                # Whatever it was, of the server or of this disk: it must not end the sending for good.
                away = min(_AWAY_MAX_S, away * 2)
                self._rest(away)
                continue
            away = 0.05
            now = time.monotonic()
            if now - saved > _SAVE_S or not moved:
                self._acks.save(self.channels)
                saved = now
            if moved:
                pause, busy_until = _QUICK_S, now + 2
                continue
            if now > busy_until:
                pause = min(_SLOW_S, pause * 1.2)
            self._rest(pause)

    def _rest(self, seconds: float) -> None:
        self._wake.wait(seconds)
        self._wake.clear()

    def _round(self) -> bool:
        """One send of each channel that has something; True when the server took any of it but samples:
        one each few seconds is no reason to look at all files more often.
        """
        moved = False
        self._note.write()
        self.log.trim()
        self.samples.trim()
        self._events_file.flush()
        for channel in self.channels:
            data = channel.peek()
            beat = channel is self.events and time.monotonic() - self._beat > self.beat_s
            if data or beat:
                taken = self._send(channel, data)
                moved = moved or (taken and channel is not self.samples)
                if taken:
                    with self._progress:
                        self._progress.notify_all()
        self._warn()
        return moved

    def _send(self, channel: Channel, data: bytes) -> bool:
        before = channel.offset
        try:
            answer = self._put(channel, data)
        except Refused as error:
            if error.fenced:
                self._control.fence()
                return False
            if not isinstance(channel, LinesChannel) or not data:
                raise Away(str(error)) from error
            instead = channel.refused(data)
            if instead is None:
                return True
            data = instead
            try:
                answer = self._put(channel, data)
            except Refused as again:
                raise Away(str(again)) from again
        if channel is self.events:
            self._beat = time.monotonic()
        self._obey(answer)
        channel.offset = int(answer["offset"])
        if data and channel.offset == before:
            raise Away("the server takes no bytes")
        if data and not data.strip() and channel is self.track:
            self._dropped += 1
        return channel.offset != before

    def _put(self, channel: Channel, data: bytes) -> dict[str, Any]:
        answer = self._server.call("PUT", f"{self._base}/{channel.name}?offset={channel.offset}", data)
        if not isinstance(answer, dict) or not isinstance(answer.get("offset"), int):
            raise Away("the answer is no acknowledgement")
        return answer

    def _obey(self, answer: dict[str, Any]) -> None:
        desired = answer.get("desired", "run")
        if desired == "fence":
            self._control.fence()
        elif desired == "stop":
            if isinstance(answer.get("grace_s"), int | float):
                self._control.allow(answer["grace_s"])
            if self._control.stop_reason is None:
                self._control.stop(answer.get("reason"))
        elif answer.get("rendezvous") and self._control.rendezvous is None:
            self._control.meet(answer["rendezvous"])

    def _warn(self) -> None:
        if self._dropped > self._warned:
            count = self._dropped - self._warned
            self._warned = self._dropped
            if not self._events_file.ended:
                message = f"{count} tracking record(s) could not be kept: too long, or not understood."
                self._events_file.add("warning", message=message)

    def finish(self, *channels: Channel, timeout_s: float) -> bool:
        """Whether the server has all of these channels, to which nothing is appended any more."""
        for channel in channels:
            if isinstance(channel, LogChannel):
                channel.seal()
            channel.final = True
        self._wake.set()
        deadline = time.monotonic() + timeout_s
        with self._progress:
            while not all(channel.drained() for channel in channels):
                left = deadline - time.monotonic()
                if left <= 0 or self._control.fenced:
                    return False
                self._progress.wait(min(left, 0.05))
        return True

    def nudge(self) -> None:
        """Look at the files now."""
        self._wake.set()

    def close(self) -> None:
        """End the thread and keep the offsets."""
        self._closing = True
        self._wake.set()
        self.join(timeout=5)
        self._acks.save(self.channels)
        self._server.close()
