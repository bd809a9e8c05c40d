"""The variables of the command, and the ``${{…}}`` in what the user wrote."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from importlib import import_module
from types import ModuleType
from typing import TYPE_CHECKING, Any

from nacre.launcher import overlay
from nacre.launcher.folder import Folder
from nacre.launcher.spec import Spec

if TYPE_CHECKING:
    from nacre.launcher.distributed import Member

PORT, PACKAGES_PORT = 7373, 7376
"""Of the API and of the package proxy on loopback, for work with a network of its own."""

PROGRAMS = os.path.dirname(os.path.abspath(__file__))
"""Where ``spawn.py`` is, which the work's own Python runs."""

_PLACE = re.compile(r"\$\{\{\s*([A-Za-z0-9_.-]+)\s*\}\}")
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*\Z")
_OWN = ("/work", "/output", "/data", "/checkpoints", "/home/user")


def _own(spec: Spec) -> str:
    """What stands before the sandbox's own folders: nothing, unless one of them is where this host keeps
    environments or interpreters, which must be seen at their own paths."""
    kept = [spec.environment, spec.interpreter, *(m.source for m in spec.mounts if m.source == m.target)]
    clash = any(path and path.startswith(f"{folder}/") for path in kept for folder in _OWN)
    return "/nacre" if clash else ""


class Places:
    """Where things lie, as the command sees them."""

    def __init__(self, spec: Spec, folder: Folder, inputs: dict[str, str]) -> None:
        """``inputs``: the host's path of each input, which is also the command's without a sandbox.

        ``self.inputs`` has each input's folder, ``self.named`` what variables say: that, or a file in it.
        """
        boxed = spec.boxed
        own = _own(spec)
        self.work = f"{own}/work" if boxed else folder.path("work")
        self.output = f"{own}/output" if boxed else folder.path("output")
        self.io = "/run/nacre" if boxed else folder.path("io")
        self.input_root = f"{own}/data" if boxed else folder.path("inputs")
        self.inputs = {name: f"{own}/data/{name}" if boxed else path for name, path in inputs.items()}
        files = {item.name: f"/{item.file}" for item in spec.inputs if item.file is not None}
        self.named = {name: place + files.get(name, "") for name, place in self.inputs.items()}
        self.home = f"{own}/home/user" if boxed else spec.home or folder.path("home")
        self.overlay = overlay.overlay(spec, folder, self.home)
        self.tmp = "/tmp" if boxed else folder.path("tmp")  # noqa: S108 - the sandbox's own
        self.secrets = "/run/secrets" if boxed else folder.path("secrets")
        self.etc = "/etc" if boxed else folder.path("etc")
        self.env_file = "/run/nacre-env" if boxed else folder.path("env.sh")
        self.programs = "/run/nacre-spawn" if boxed else PROGRAMS
        self.spawn_plan = f"{self.programs}/plan.json" if boxed else folder.path("spawn.json")
        self.checkpoints = None
        if spec.checkpoints is not None:
            self.checkpoints = f"{own}/checkpoints" if boxed else spec.checkpoints
        self.site = None
        if spec.nacre_site is not None:
            self.site = "/opt/nacre" if boxed else folder.path("site")
        self.url = spec.server
        if spec.api_socket_folder is not None:
            self.url = f"unix:{'/run/nacre-api' if boxed else spec.api_socket_folder}/nacre.sock"
        workdir = spec.workdir.strip("/")
        self.cwd = self.work if workdir in ("", ".") else f"{self.work}/{workdir}"

    def fill(self, text: str) -> str:
        """Replace ``${{inputs.NAME}}``, ``${{outputs}}`` and ``${{output_dir}}``; others stay."""

        def value(match: re.Match[str]) -> str:
            name = match[1]
            if name in ("outputs", "output_dir"):
                return self.output
            return self.named.get(name.removeprefix("inputs."), match[0])

        return _PLACE.sub(value, text) if "${{" in text else text


def variables(
    spec: Spec, places: Places, *, checkpoint: str | None = None, members: Sequence[Member] = ()
) -> dict[str, str]:
    """Everything that the command finds in its environment; the user's own come last and win.

    ``checkpoint``: name in the checkpoint folder of the newest; ``members``: the gang, when there is one.
    """
    found = {
        "HOME": places.home,
        "LANG": "C.UTF-8",
        "TMPDIR": places.tmp,
        "PYTHONUNBUFFERED": "1",
        "NACRE_JOB_ID": spec.subject_id,
        "NACRE_JOB_NAME": spec.subject_name,
        "NACRE_ATTEMPT_ID": spec.attempt_id,
        "NACRE_RANK": str(spec.rank),
        "NACRE_REPLICA_RANK": str(spec.rank),
        "NACRE_NUM_REPLICAS": str(spec.replicas),
        "NACRE_PROJECT": spec.project,
        "NACRE_URL": places.url,
        "NACRE_TOKEN": spec.work_token,
        "NACRE_OUTPUT_DIR": places.output,
        "NACRE_INPUT_DIR": places.input_root,
        "NACRE_SECRETS_DIR": places.secrets,
        "NACRE_TRACK_FILE": f"{places.io}/track.jsonl",
        "NACRE_CAPTURE": "on" if spec.capture and spec.rank == 0 else "off",
        "TENSORBOARD_LOG_DIR": f"{places.output}/tb",
        "AIP_TENSORBOARD_LOG_DIR": f"{places.output}/tb",
        "CUDA_VISIBLE_DEVICES": _gpus(spec),
    }
    if spec.run_id is not None:
        found["NACRE_RUN_ID"] = spec.run_id
    found.update(_mlflow(spec))
    if places.checkpoints is not None:
        found["NACRE_CHECKPOINT_DIR"] = found["AIP_CHECKPOINT_DIR"] = places.checkpoints
        if checkpoint is not None:
            found["NACRE_LATEST_CHECKPOINT"] = f"{places.checkpoints}/{checkpoint}"
    for name, place in places.named.items():
        found["NACRE_INPUT_" + re.sub(r"[^A-Z0-9]", "_", name.upper())] = place
    if spec.limits.cpu is not None:
        found["OMP_NUM_THREADS"] = str(max(1, int(spec.limits.cpu / spec.processes)))
    if members:
        found.update(_distributed().of_replica(spec, members))
        if not spec.spawns:
            found.update(_distributed().of_process(spec, members, 0))
    path = ["/usr/local/bin", "/usr/bin", "/bin"]
    if spec.environment is not None:
        found["VIRTUAL_ENV"] = spec.environment
        path.insert(0, f"{spec.environment}/bin")
    if places.overlay is not None:
        found.update(overlay.variables(spec, places.overlay))
        path.insert(0, f"{places.overlay.venv}/bin")
    found.update(_proxy(spec))
    found["PATH"] = ":".join(path)
    own = {name: places.fill(value) for name, value in spec.variables.items()}
    found.update(own)
    found.update(spec.secrets)
    if places.site is not None:
        found["PYTHONPATH"] = ":".join(filter(None, (found.get("PYTHONPATH"), places.site)))
    return found


def _distributed() -> ModuleType:
    """Imported when it is needed: a plain job starts without."""
    return import_module("nacre.launcher.distributed")


def spawn_plan(spec: Spec, members: Sequence[Member]) -> dict[str, Any]:
    """For ``spawn``: the processes of this replica, what runs beside them, and what each alone has."""
    module = _distributed()
    own = spec.variables.keys() | spec.secrets.keys()

    def without_own(found: dict[str, str]) -> dict[str, str]:
        return {name: value for name, value in found.items() if name not in own}

    processes = []
    for local in range(spec.starts):
        name = f"rank {spec.rank * spec.starts + local}"
        processes.append({"name": name, "variables": without_own(module.of_process(spec, members, local))})
    beside = [
        {**helper._asdict(), "variables": without_own(helper.variables)}
        for helper in module.helpers(spec, members, "python3" if spec.environment is None else "python")
    ]
    return {"grace_s": spec.limits.grace_s, "processes": processes, "helpers": beside}


def _proxy(spec: Spec) -> dict[str, str]:
    if not spec.proxied:
        return {}
    found = dict.fromkeys(("HTTP_PROXY", "HTTPS_PROXY"), f"http://127.0.0.1:{PACKAGES_PORT}")
    found["NO_PROXY"] = "127.0.0.1,localhost"
    return found | {name.lower(): value for name, value in found.items()}


def _mlflow(spec: Spec) -> dict[str, str]:
    """What MLflow's client looks for; its registry is where its tracking is.

    No workspace: the token has one project, and the client would first ask the server whether it knows of
    workspaces. The experiment goes by its name, and not when the user chose one: the client refuses to work
    when a name and an id contradict each other.
    """
    url = f"http://127.0.0.1:{PORT}" if spec.bridged else spec.api_url
    if url is None or not spec.work_token:
        return {}
    found = {"MLFLOW_TRACKING_URI": url, "MLFLOW_TRACKING_TOKEN": spec.work_token}
    if spec.run_id is not None:
        found["MLFLOW_RUN_ID"] = spec.run_id
        # Its own system metrics, of the whole machine, are not to be mixed into those of the samples.
        found["MLFLOW_SYSTEM_METRICS_NODE_ID"] = f"{spec.rank}/machine" if spec.replicas > 1 else "machine"
        if spec.experiment is not None and "MLFLOW_EXPERIMENT_ID" not in {**spec.variables, **spec.secrets}:
            found["MLFLOW_EXPERIMENT_NAME"] = spec.experiment
    return found


def _gpus(spec: Spec) -> str:
    # CUDA counts only the devices it can open: in the sandbox they start at 0, whichever they are.
    gpus = spec.limits.gpus
    return ",".join(str(index) for index in (range(len(gpus)) if spec.boxed else gpus))


def unusable(names: dict[str, str]) -> list[str]:
    """Names that no shell can set; they are left out, and a warning says so."""
    return sorted(name for name in names if not _NAME.match(name))


def env_file(found: dict[str, str]) -> bytes:
    """A file that a POSIX shell reads with ``.``.

    Values never stand on a command line, where every process of the host could read them, nor in the
    environment of the programs that build the sandbox, which a user's LD_PRELOAD would take over.
    """
    lines = []
    for name, value in found.items():
        if _NAME.match(name) and "\0" not in value:
            quoted = value.replace("'", "'\\''")
            lines.append(f"export {name}='{quoted}'\n")
    return "".join(lines).encode("utf-8", "surrogateescape")
