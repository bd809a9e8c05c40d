"""Unix sockets that users' work opened: reached without being led elsewhere.

The folder of such a socket belongs to the work. A plain connect by path would follow a symbolic link to
any socket of the host, with the server's rights; so the file itself is opened first and looked at.
"""

from __future__ import annotations

import os
import stat
from dataclasses import dataclass

from nacre.errors import Unavailable


@dataclass(frozen=True)
class Upstream:
    """A program of the work that speaks HTTP: the path of its unix socket, and its token."""

    socket: str
    token: str


class SocketFile:
    """An open reference to a socket file. ``path`` connects to that very file, however long its own is.

    Raises:
        Unavailable: there is no socket at the path (yet, or any more), or it is a link.
    """

    def __init__(self, path: str) -> None:
        try:
            self._fd = os.open(path, os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC)
        except OSError as error:
            raise Unavailable(f"nothing listens at {os.path.basename(path)} yet: try again") from error
        found = os.fstat(self._fd)
        if not stat.S_ISSOCK(found.st_mode):
            os.close(self._fd)
            raise Unavailable(f"{os.path.basename(path)} is not a socket: stop the instance and start it")
        self.identity = (found.st_dev, found.st_ino)

    @property
    def path(self) -> str:
        """A path to connect to, valid until :meth:`close`."""
        return f"/proc/self/fd/{self._fd}"

    def close(self) -> None:
        """Let go of the file."""
        if self._fd >= 0:
            os.close(self._fd)
        self._fd = -1

    def __enter__(self) -> SocketFile:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
