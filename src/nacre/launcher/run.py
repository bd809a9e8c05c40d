"""One launch from beginning to end: prepare, start, watch, ship, tidy up.

Any step may be the last of a launcher that is killed; the next one goes on from what the folder says.
"""

from __future__ import annotations

import contextlib
import json
import os
import resource
import signal
import sys
import time
from importlib import import_module
from typing import TYPE_CHECKING, Any

from nacre.launcher import cgroups, processes
from nacre.launcher.control import Control
from nacre.launcher.enforced import record
from nacre.launcher.folder import Events, Failure, Fenced, Folder, Note
from nacre.launcher.follower import Follower
from nacre.launcher.outcome import Outcome, Seen, decide, memory_message
from nacre.launcher.prepare import FOLDERS, latest_checkpoint, prepare, remove, used_bytes
from nacre.launcher.room import is_full, make_room
from nacre.launcher.sampler import Sampler
from nacre.launcher.sandbox import TOOLS
from nacre.launcher.ship import Shipper
from nacre.launcher.spec import Spec, load
from nacre.launcher.start import Setting, Workload, find_workload, rlimit_memory, start
from nacre.launcher.store import RemoteStore, Store
from nacre.launcher.variables import unusable
from nacre.launcher.watch import Watch, disk_full
from nacre.launcher.way import Way
from nacre.launcher.wire import Server

if TYPE_CHECKING:
    from nacre.launcher.barrier import Ports
    from nacre.launcher.distributed import Member
    from nacre.launcher.gangnet import SharedWay

DONE, NO_WORK, TAKEN, FENCED, INTERRUPTED = 0, 2, 3, 4, 75
"""Exit codes: all is sent; nothing to launch; another launcher has it; the server fenced it; ended
by SIGTERM with something left to do."""
_PUMP_S = 5.0
"""How long the end of the log may take on a disk that has room."""
LEFT = (
    *FOLDERS,
    "log",
    "samples.jsonl",
    "env.sh",
    "site",
    "spec.json",
    "plan.json",
    "cut.json",
    "bridge.json",
    "follow.json",
    "spawn.json",
    "ready.json",
    "rendezvous.json",
)
"""Names that a launch takes away at its end."""


def open_and_run(root: str, *, adopt: bool) -> int:
    """Lock a folder and bring its work to an end; an exit code of this module."""
    folder = Folder(root)
    try:
        if not folder.lock():
            sys.stderr.write(f"another launcher has {root}\n")
            return TAKEN
        if adopt and not folder.has("spec.json") and folder.has("events.jsonl"):
            return DONE  # it came to its end, and everything is sent
        launch = Launch(folder, load(folder.path("spec.json")))
    except (OSError, ValueError, KeyError) as error:
        sys.stderr.write(f"{root} holds no work that can be launched: {error!r}\n")
        return NO_WORK
    return launch.run()


class Interrupted(Exception):
    """SIGTERM while there is no work left to stop: leave the folder to the next launcher."""


class Launch:
    """One attempt folder, locked by this process."""

    def __init__(self, folder: Folder, spec: Spec) -> None:
        self._folder = folder
        self._spec = spec
        self._control = Control()
        self._events = Events(folder)
        me = processes.stat(os.getpid())
        self._note = Note(folder, "launcher.json", {"pid": os.getpid(), "start": me.start if me else 0})
        self._shipper = Shipper(spec, folder, self._events, self._control, self._note)
        self._way: Way | SharedWay = _way(spec, folder, self._events)
        self._follower = Follower(spec, folder, self._shipper, self._events)
        self._groups = cgroups.Groups(0, {}, [])
        self._watch: Watch | None = None
        self._late: tuple[Workload, Seen, Outcome] | None = None
        self._ports: Ports | None = None
        self._peak: int | None = None

    def run(self) -> int:
        """Bring the work to its end and its record to the server; an exit code of this module."""
        self._control.listen()
        self._note.write()  # a full disk must not keep us from ending what runs
        self._shipper.start()
        try:
            if not self._events.ended:
                self._finish(self._work())
            self._ship(*self._shipper.channels)
        except Interrupted:
            self._shipper.close()
            return INTERRUPTED
        except Fenced:
            self._groups.kill()
            self._shipper.close()
            self._tidy(list(LEFT))
            return FENCED
        self._shipper.close()
        kept = ["output"] if self._folder.has("output-kept") else []
        self._tidy([name for name in LEFT if name not in kept])
        return DONE

    def _work(self) -> Outcome:
        """Prepare and start, or find the work that an earlier launcher started; then see it end."""
        try:
            work = find_workload(self._spec, self._folder)
            if work is None:
                self._way.begin()
                work = self._begin()
            else:
                self._groups = self._known_groups()
            return self._see(work)
        except Failure as failure:
            return Outcome(failure.reason, failure.message)
        finally:
            self._way.end()

    def _write_plan(self, plan: dict[str, Any]) -> None:
        try:
            self._folder.write_json("plan.json", plan)
        except OSError as error:
            raise Failure("launch_failed", f"The attempt's folder cannot be written: {error}.") from error

    def _begin(self) -> Workload:
        plan = self._folder.read_json("plan.json")
        if plan is None:
            self._events.state("preparing")
            plan = {"inputs": prepare(self._spec, self._folder, self._store())}
            plan["checkpoint"] = latest_checkpoint(self._spec.checkpoints)
            if self._spec.distributed:
                self._write_plan(plan)  # a later launcher goes on to wait for the others
        setting = Setting(plan["inputs"], plan.get("checkpoint"))
        if self._spec.distributed:
            setting = setting._replace(members=self._meet())
        if setting.checkpoint is None and self._spec.checkpoints_from is not None:
            # Replica 0 has copied them meanwhile.
            setting = setting._replace(checkpoint=latest_checkpoint(self._spec.checkpoints))
        if "groups" not in plan:
            self._control.check()
            self._events.state("starting")
            self._warn_names()
            self._groups = self._make_groups()
            given = used_bytes([self._folder.path("inputs")], self._control.check)
            plan |= {"groups": self._groups.to_json(), "given": given}
            # From here on another launcher may find the command started: it must not prepare again.
            self._write_plan(plan)
        self._groups = self._known_groups()
        network = self._way.network()
        if self._ports is not None:
            self._ports.release()
        try:
            work = start(self._spec, self._folder, self._groups, setting._replace(network=network))
        finally:
            if network is not None:
                network.close()
        self._way.lead_to(work.pid)
        self._shipper.nudge()
        return work

    def _meet(self) -> list[Member]:
        """Who the processes of this work are; waits for the rest of a gang."""
        barrier = import_module("nacre.launcher.barrier")
        self._ports = barrier.Ports()
        found: list[Member] = barrier.meet(
            self._spec, self._folder, self._events, self._control, self._shipper, self._ports
        )
        return found

    def _store(self) -> Store:
        spec = self._spec
        if spec.blobs_root is not None:
            return Store(spec.blobs_root, self._control.check)
        cache = os.path.join(os.path.dirname(spec.trees_root.rstrip("/")), "blob-cache")
        server = Server(spec.server, spec.token)
        return RemoteStore(cache, server, spec.attempt_id, self._control.check)

    def _warn_names(self) -> None:
        names = unusable({**self._spec.variables, **self._spec.secrets})
        if names:
            message = f"These are no names of variables and were left out: {', '.join(names)}."
            self._events.add("warning", message=message)

    def _make_groups(self) -> cgroups.Groups:
        limits = self._spec.limits
        name = cgroups.name_of(self._spec.attempt_id, self._spec.rank)
        # bubblewrap's two processes are not the user's.
        most = None if limits.processes is None else limits.processes + 2 * self._spec.boxed
        return cgroups.create(name, limits.memory_bytes, most, limits.cpu)

    def _known_groups(self) -> cgroups.Groups:
        raw = (self._folder.read_json("plan.json") or {}).get("groups") or {}
        return cgroups.Groups(raw.get("version", 0), raw.get("paths", {}), raw.get("held", []))

    def _see(self, work: Workload) -> Outcome:
        watch = Watch(
            spec=self._spec,
            folder=self._folder,
            work=work,
            groups=self._groups,
            events=self._events,
            control=self._control,
            nudge=self._shipper.nudge,
            keep=lambda: self._way.keep(work.pid),
            given=int((self._folder.read_json("plan.json") or {}).get("given", 0)),
        )
        self._watch = watch
        self._follower.begin()
        sampler = Sampler(self._spec, self._folder, work, self._groups, watch.disk)
        sampler.begin()
        watch.until_end()
        sampler.finish()
        seen = self._seen(work)
        self._peak = seen.peak_bytes
        decided = decide(seen)
        if work.pumping():
            self._late = work, seen, decided
        if watch.verdict is not None:
            return watch.verdict._replace(exit_code=decided.exit_code, signal=decided.signal)
        limit = self._spec.limits.disk_bytes
        if limit is not None and watch.disk is not None:
            watch.disk.measure(time.monotonic())
            if decided.reason == "exit_nonzero" and watch.disk.used >= limit * 0.99:
                full = disk_full(limit, watch.disk.used)
                return full._replace(exit_code=decided.exit_code, signal=decided.signal)
        if decided.reason == "succeeded" and seen.oom_kills:
            message = memory_message(seen.memory_limit, seen.peak_bytes)
            self._events.add("warning", message=f"A process was killed, the rest succeeded. {message}")
        return decided

    def _seen(self, work: Workload) -> Seen:
        code = work.status
        with contextlib.suppress(OSError, ValueError), open(self._folder.path("exit")) as file:
            code = int(file.read())
        last_line, tail = self._said()
        peak = self._groups.peak_bytes()
        if peak is None:
            # Looked at now and then; of its children the kernel has noted which one had most.
            most = 1024 * resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss
            peak = max(most, self._watch.peak_bytes or 0) if self._watch is not None else most
        # an endpoint has no network whatever its project lets jobs have
        offline = self._spec.boxed and self._spec.network != "full" and self._spec.kind != "endpoint"
        return Seen(
            code=code,
            started=self._folder.has("io/started"),
            last_line=last_line,
            tail=tail,
            oom_kills=self._groups.oom_kills(),
            at_limit=self._groups.reached_memory_limit(),
            peak_bytes=peak,
            memory_limit=self._spec.limits.memory_bytes,
            memory_by_rlimit=rlimit_memory(self._spec, self._groups),
            offline=self._spec.project if offline else None,
            network=self._spec.network,
            disk_full=is_full(self._folder),
        )

    def _said(self) -> tuple[str, str]:
        log = self._shipper.log
        return log.last_line(several=self._spec.spawns), log.tail()

    def _finish(self, outcome: Outcome) -> None:
        """Everything that must be with the server before the exit event, then the exit event.

        Its time is the end of the work: nobody pays for a server that was away.
        """
        ended_ms = self._end_ms()
        self._groups.remove()
        self._follower.finish(self._patience)
        if self._spec.kind == "job" and not self._events.seen("artifacts"):
            outcome, warning = make_room(self._folder, outcome)
            if warning is not None:
                self._events.add("warning", message=warning)
        outcome = self._whole_log(outcome)
        if self._spec.kind == "job" and not self._events.seen("artifacts"):
            self._upload()
        self._ship(*self._shipper.work)
        self._events.add(
            "exit",
            time_ms=ended_ms,
            **outcome._asdict(),
            peak_memory_bytes=self._peak,
            disk_bytes=self._watch and self._watch.disk and self._watch.disk.used,
            isolation=record(self._spec, self._groups),
        )

    def _whole_log(self, outcome: Outcome) -> Outcome:
        """Wait for the end of the log, which needs room too; what it says may tell the outcome better."""
        if self._late is None:
            return outcome
        work, seen, decided = self._late
        deadline = time.monotonic() + _PUMP_S
        while work.pumping():
            self._patience()
            if is_full(self._folder):
                deadline = time.monotonic() + _PUMP_S
            elif time.monotonic() > deadline:
                processes.send(work.pump, signal.SIGKILL)
            time.sleep(0.02)
        last_line, tail = self._said()
        return decide(seen._replace(last_line=last_line, tail=tail)) if outcome is decided else outcome

    def _end_ms(self) -> int:
        try:
            return os.stat(self._folder.path("exit")).st_mtime_ns // 1_000_000
        except OSError:  # it was killed before it could write that, or never began
            return time.time_ns() // 1_000_000

    def _upload(self) -> None:
        """Send the output folder from another process, whose imports nobody had to wait for."""
        if not _any_file(self._folder.path("output")):
            return
        read_end, write_end = os.pipe()
        argv = [sys.executable, "-m", "nacre.launcher.upload", self._folder.root]
        environment = {"PATH": TOOLS, "PYTHONPATH": ":".join(filter(None, sys.path))}
        actions = [(os.POSIX_SPAWN_DUP2, write_end, 1)]
        pid = os.posix_spawn(argv[0], argv, environment, file_actions=actions)
        os.close(write_end)
        while True:  # what it prints fits into the pipe
            ended, status = os.waitpid(pid, os.WNOHANG)
            if ended:
                break
            try:
                self._patience()
            except (Interrupted, Fenced):
                os.kill(pid, 9)
                os.waitpid(pid, 0)
                raise
            time.sleep(0.01)
        with open(read_end, encoding="utf-8") as file:
            said = file.read().strip()
        if os.waitstatus_to_exitcode(status) == 0:
            sent = json.loads(said)
            for warning in sent["warnings"]:
                self._events.add("warning", message=warning)
            if sent["manifest"]:
                self._events.add("artifacts", manifest=sent["manifest"])
            return
        self._folder.write_json("output-kept", {})
        where = self._folder.path("output")
        message = f"The output could not be sent and stays in {where}: {said or 'the sender failed'}."
        self._events.add("warning", message=message)

    def _patience(self) -> None:
        """While only sending is left: SIGTERM means to leave it to another launcher."""
        if self._control.fenced:
            raise Fenced
        stopped_work = self._watch is not None and self._watch.verdict is not None
        if self._control.signals > (1 if stopped_work else 0):
            raise Interrupted

    def _ship(self, *channels: Any) -> None:
        """Wait until the server has all of it, also of what a full disk keeps from the spool for now."""
        while True:
            spooled = self._events.flush()
            if self._shipper.finish(*channels, timeout_s=0.25) and spooled:
                return
            self._patience()
            if not spooled:
                time.sleep(0.1)

    def _tidy(self, names: list[str]) -> None:
        self._groups.remove()
        if self._spec.shares_network:
            remove(self._folder, [name for name in names if name != "spec.json"])
            import_module("nacre.launcher.gangnet").leave(self._folder.root)
        else:
            remove(self._folder, names)


def _way(spec: Spec, folder: Folder, events: Events) -> Way | SharedWay:
    if not spec.shares_network:
        return Way(spec, folder, events)
    shared: SharedWay = import_module("nacre.launcher.gangnet").SharedWay(spec, folder, events)
    return shared


def _any_file(root: str) -> bool:
    return any(files for _base, _folders, files in os.walk(root))
