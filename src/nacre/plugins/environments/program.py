"""uv, run as a program."""

from __future__ import annotations

import subprocess
import threading
from collections.abc import Mapping
from pathlib import Path

from uv import find_uv_bin

from nacre.errors import PluginError
from nacre.ports.environments import Log

_LIMIT_S = 3600.0


class Uv:
    """The uv of this installation, at ``path``. ``minor``: its version, such as ``0.13``."""

    def __init__(self, variables: Mapping[str, str]) -> None:
        self._variables = dict(variables)
        try:
            self.path = find_uv_bin()
        except FileNotFoundError as error:
            raise PluginError(
                "uv is not installed: install Nacre again with 'pip install nacre'"
            ) from error
        said = subprocess.run([self.path, "--version"], capture_output=True, text=True, check=True)
        self.minor = ".".join(said.stdout.split()[1].split(".")[:2])

    def run(
        self, arguments: list[str], log: Log, *, cwd: Path | None = None, keep: int | None = None
    ) -> tuple[int, list[str]]:
        """Run it, log each line as it comes, and return the exit code and the lines.

        ``keep``: a file descriptor that it inherits. It is ended after an hour.
        """
        lines: list[str] = []
        process = subprocess.Popen(
            [self.path, *arguments],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            env=self._variables,
            cwd=cwd,
            pass_fds=() if keep is None else (keep,),
            umask=0o022,
            text=True,
            errors="replace",
        )
        assert process.stdout is not None
        timer = threading.Timer(_LIMIT_S, process.kill)
        timer.daemon = True
        timer.start()
        try:
            for line in process.stdout:
                lines.append(line.rstrip())
                log(lines[-1])
            code = process.wait()
        except BaseException:
            process.kill()
            process.wait()
            raise
        finally:
            timer.cancel()
            process.stdout.close()
        return code, lines
