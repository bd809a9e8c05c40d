"""The programs that instances serve to browsers: what each needs, and how it is started.

The rest of an instance (queue, sandbox, billing, door, proxy) is the same for all of them. What the control
loop asks of each while it runs is in ``nacre.control.probes``.
"""

from __future__ import annotations

import json
import os
import subprocess
from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar, Protocol

from nacre.db.tables.instances import InstanceRow
from nacre.ports.environments import Built
from nacre.schema.instances import InstanceApp, InstanceCreate
from nacre.schema.launch import LaunchMount

TOKEN = "nacre-jupyter-token"  # noqa: S105 - a file's name
"""The file among the secrets that has the token which the program demands of whoever connects."""
SOCKET = "jupyter.sock"
"""The unix socket in the folder of ``$NACRE_TRACK_FILE`` on which the program listens."""
_SETTINGS = "/opt/nacre-jupyter"

TERMINAL_EXIT = r"\x1b\]7373;exit=(\d{1,3})\x07"
"""How a terminal tells the exit code of its shell, which Jupyter does not: a sequence that none shows."""
_SHELL = [
    "/bin/sh",
    "-c",
    '/bin/bash; code=$?; printf "\\033]7373;exit=%d\\007" "$code"; exit "$code"',
]

# The token is read from a file, for every process of the host may read a command line. The launcher tells
# through variables where its folders are, with a sandbox or without.
_LAB_SCRIPT = f"""\
export JUPYTER_TOKEN_FILE="$NACRE_SECRETS_DIR/{TOKEN}"
if [ -n "$(ls -A "$NACRE_INPUT_DIR" 2>/dev/null)" ]; then
  if [ -L "$HOME/data" ] || [ ! -e "$HOME/data" ]; then ln -sfn "$NACRE_INPUT_DIR" "$HOME/data"; fi
fi
cd "$HOME" || exit 1
exec "$@" --ServerApp.sock="${{NACRE_TRACK_FILE%/*}}/{SOCKET}" --ServerApp.root_dir="$HOME"
"""


@dataclass(frozen=True)
class AppLaunch:
    """What a launch of an instance takes from its app.

    ``main``: the environment whose programs come first; ``scopes``: of the token inside, as far as it acts
    for the user; ``network``: whether it has the project's network, if that has one.
    """

    main: Built
    command: list[str]
    scopes: tuple[str, ...]
    variables: dict[str, str] = field(default_factory=dict)
    mounts: list[LaunchMount] = field(default_factory=list)
    network: bool = True


class App(Protocol):
    """A program that speaks HTTP and WebSocket below ``/instances/ID/`` on its unix socket."""

    name: ClassVar[InstanceApp]
    title: ClassVar[str]
    """What people call it."""
    environment: ClassVar[str]
    """The hidden environment that it runs from."""
    has_kernel: ClassVar[bool]
    """Whether it also needs the chosen environment, with ipykernel."""
    idle_timeout_s: ClassVar[float]
    landing: ClassVar[str]
    """The page that a browser is led to, below ``/instances/ID/``."""

    def stem(self, body: InstanceCreate) -> str:
        """What the name of an unnamed instance begins with."""
        ...

    def launch(
        self, row: InstanceRow, program: Built, kernel: Built | None, folder: Path, *, boxed: bool
    ) -> AppLaunch:
        """How to start it. ``folder``: the instance's own, where files for it may be written.

        ``boxed``: whether there is a sandbox, so that mounts have places of their own.
        """
        ...


class JupyterLab:
    """A kernel of the chosen environment, in a JupyterLab that runs from another one."""

    name: ClassVar = InstanceApp.JUPYTERLAB
    title: ClassVar = "JupyterLab"
    environment: ClassVar = "jupyterlab"
    has_kernel: ClassVar = True
    idle_timeout_s: ClassVar = 3600.0
    landing: ClassVar = "lab"

    def stem(self, body: InstanceCreate) -> str:
        """The environment's name."""
        return body.environment[:56]

    def launch(
        self, row: InstanceRow, program: Built, kernel: Built | None, folder: Path, *, boxed: bool
    ) -> AppLaunch:
        """Writes the kernel spec and Jupyter's settings to ``folder/jupyter``."""
        assert kernel is not None
        settings = self._write_settings(row.environment, kernel, folder / "jupyter")
        shown = _SETTINGS if boxed else str(settings)
        mounts = [LaunchMount(source=str(settings), target=_SETTINGS)]
        mounts += [LaunchMount(source=path, target=path) for path in (program.interpreter, program.folder)]
        variables = {
            "SHELL": "/bin/bash",
            "JUPYTER_PATH": shown,
            "JUPYTER_CONFIG_PATH": f"{shown}/config",
            "JUPYTER_RUNTIME_DIR": "/tmp/jupyter" if boxed else f"{folder}/runtime",  # noqa: S108
        }
        return AppLaunch(kernel, self._command(row, program), ("*",), variables, mounts)

    def _write_settings(self, environment: str, kernel: Built, root: Path) -> Path:
        """The folder that Jupyter reads and cannot write: one kernel, and what is switched off."""
        # The first on PATH: the environment's, or that of what the work installs on top of it.
        # Jupyter takes a bare "python" for its own.
        argv = ["/usr/bin/env", "python", "-m", "ipykernel_launcher", "-f", "{connection_file}"]
        files = {
            f"kernels/{environment}/kernel.json": {
                "argv": argv,
                "display_name": environment,
                "language": "python",
                "metadata": {"debugger": True},
            },
            "config/jupyter_server_config.d/nacre.json": {
                "ServerApp": {"jpserver_extensions": {"jupyter_lsp": False}}
            },
            "config/labconfig/default_setting_overrides.json": {
                "@jupyterlab/apputils-extension:notification": {"fetchNews": "false"}
            },
        }
        remove(root)
        for name, content in files.items():
            path = root / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(json.dumps(content, indent=1))
            path.chmod(0o644)
            for parent in path.parents:
                parent.chmod(0o755)
                if parent == root:
                    break
        return root

    def _command(self, row: InstanceRow, program: Built) -> list[str]:
        jupyter = [
            f"{program.folder}/bin/python",
            "-m",
            "jupyterlab",
            "--no-browser",
            "--allow-root",
            f"--ServerApp.base_url=/instances/{row.id}/",
            "--ServerApp.sock_mode=0600",
            "--ServerApp.allow_remote_access=True",
            "--ServerApp.quit_button=False",
            f"--ServerApp.terminado_settings={{'shell_command': {_SHELL!r}}}",
            f"--MultiKernelManager.default_kernel_name={row.environment}",
            "--KernelSpecManager.ensure_native_kernel=False",
            f"--KernelSpecManager.allowed_kernelspecs={{'{row.environment}'}}",
            "--LabApp.news_url=None",
            "--LabApp.check_for_updates_class=jupyterlab.NeverCheckForUpdate",
            "--LabApp.extension_manager=readonly",
        ]
        return ["/bin/sh", "-c", _LAB_SCRIPT, "nacre-instance", *jupyter]


class TensorBoard:
    """TensorBoard of a set of runs; ``nacre.workloads.tensorboard`` is the program.

    It can do nothing but read runs: what it parses was written by jobs.
    """

    name: ClassVar = InstanceApp.TENSORBOARD
    title: ClassVar = "TensorBoard"
    environment: ClassVar = "tensorboard"
    has_kernel: ClassVar = False
    idle_timeout_s: ClassVar = 600.0
    landing: ClassVar = ""

    def stem(self, body: InstanceCreate) -> str:
        """The app's name: ``tensorboard-1``."""
        return str(body.app)

    def launch(
        self, row: InstanceRow, program: Built, kernel: Built | None, folder: Path, *, boxed: bool
    ) -> AppLaunch:
        """The program gets its socket, token and API through the launcher's variables."""
        python = f"{program.folder}/bin/python"
        command = [python, "-m", "nacre.workloads.tensorboard", "--base", f"/instances/{row.id}"]
        variables = {"NACRE_APP_SOCKET": SOCKET, "NACRE_APP_TOKEN_FILE": TOKEN, "NACRE_CAPTURE": "off"}
        command += ["--runs", *row.runs]
        return AppLaunch(program, command, ("runs:read",), variables, network=False)


APPS: dict[InstanceApp, App] = {app.name: app for app in (JupyterLab(), TensorBoard())}


def app_of(row: InstanceRow) -> App:
    """The app of an instance."""
    return APPS[InstanceApp(row.app)]


def remove(folder: Path) -> None:
    """Remove a folder whatever the work left in it: any depth, any modes."""
    if not os.path.lexists(folder):
        return

    def quietly(*words: str) -> int:
        null = subprocess.DEVNULL
        return subprocess.run([*words, "--", str(folder)], check=False, stdout=null, stderr=null).returncode

    if quietly("rm", "-rf"):
        quietly("chmod", "-R", "u+rwX")
        quietly("rm", "-rf")
