"""A terminal of an instance over a WebSocket: bytes in, bytes out, sizes, the shell's exit code."""

from __future__ import annotations

import json
import time
from contextlib import ExitStack, suppress
from types import TracebackType
from typing import Any
from urllib.parse import urlencode

from websockets.exceptions import ConnectionClosed, InvalidHandshake, InvalidStatus
from websockets.sync.client import ClientConnection

from nacre.errors import Unavailable, from_problem
from nacre.schema.terminals import LATE_S
from nacre.sdk.sockets import dial
from nacre.sdk.transport import Transport

_READY_S = 30.0
_MAX_BYTES = 2**20
_MOST_TYPED = 2**16


class InstanceTerminal:
    """A connection to one terminal. Use it as a context manager; leaving it lets the shell go on.

    One thread may read while another one types.

    Example::

        with client.instances.terminal("lab") as terminal:
            terminal.send(b"nvidia-smi; exit 3\\r")
            for data in terminal:
                print(data.decode(errors="replace"), end="")
        print(terminal.exit_code)   # 3
    """

    def __init__(self, transport: Transport, path: str, name: str | None, rows: int, cols: int) -> None:
        """Connect; see :meth:`Instances.terminal`."""
        self.ended = False
        """Whether the shell has ended."""
        self.exit_code: int | None = None
        """The shell's exit code; null while it runs, and where it is not known."""
        self._held = ExitStack()
        query = f"?{urlencode({'terminal': name})}" if name is not None else ""
        self._socket = self._connect(transport, path + query)
        try:
            ready = self._message(_READY_S)
            assert ready is not None
            self.name: str = ready["terminal"]
            """With which it can be joined again."""
            self.resumed: bool = ready["resumed"]
            """Whether it was there already."""
            self.names: list[str] = ready["terminals"]
            """Of all terminals of the instance."""
            self.resize(rows, cols)
        except BaseException:
            self.close()
            raise

    def _connect(self, transport: Transport, path: str) -> ClientConnection:
        try:
            # the server's heartbeats tell; who reads slowly is not dead
            opening = dial(transport, path, max_size=_MAX_BYTES, ping_interval=None)
            socket = self._held.enter_context(opening)
        except InvalidStatus as error:
            status = error.response.status_code
            raise Unavailable(f"the server answered {status}: does it have terminals?") from error
        except (OSError, InvalidHandshake, TimeoutError, EOFError) as error:
            raise Unavailable(
                f"cannot reach the server at {transport.url} ({error}): is it running?"
            ) from error
        return socket

    def send(self, data: bytes) -> None:
        """Type bytes, as a keyboard would give them: ``\\r`` is the return key, ``\\x03`` Ctrl-C.

        Raises:
            Unavailable: the connection broke.
        """
        for at in range(0, len(data), _MOST_TYPED):
            self._say(data[at : at + _MOST_TYPED])

    def resize(self, rows: int, cols: int) -> None:
        """Tell the size of the window in characters."""
        self._say(json.dumps({"op": "resize", "rows": rows, "cols": cols}))

    def _say(self, data: bytes | str) -> None:
        try:
            self._socket.send(data)
        except (ConnectionClosed, OSError) as error:
            raise Unavailable(f"the connection to the terminal broke ({error})") from error

    def read(self, timeout_s: float | None = None) -> bytes:
        """The next bytes that it prints; none when the shell has ended.

        Raises:
            NacreError: the server's own words: no longer yours to see, the instance was stopped.
            TimeoutError: nothing came in time.
            Unavailable: the connection broke, and the terminal may be joined again by its name.
        """
        deadline = None if timeout_s is None else time.monotonic() + timeout_s
        while not self.ended:
            found = self._message(None if deadline is None else max(0.0, deadline - time.monotonic()))
            if isinstance(found, bytes):
                return found
            if found["op"] == "exit":
                self.ended, self.exit_code = True, found["code"]
        return b""

    def _message(self, timeout_s: float | None) -> Any:
        wait_s = LATE_S if timeout_s is None else min(timeout_s, LATE_S)
        try:
            raw = self._socket.recv(timeout=wait_s)
        except TimeoutError:
            if wait_s < LATE_S:
                raise
            raise Unavailable("nothing came for too long: the connection is dead") from None
        except (ConnectionClosed, OSError) as error:
            raise Unavailable(f"the connection to the terminal broke ({error})") from error
        if isinstance(raw, bytes):
            return raw
        found = json.loads(raw)
        if found["op"] == "error":
            raise from_problem(found["error"].get("status", 500), found["error"])
        return found

    def __iter__(self) -> InstanceTerminal:
        return self

    def __next__(self) -> bytes:
        if not (found := self.read()):
            raise StopIteration
        return found

    def close(self) -> None:
        """Leave it; the shell goes on."""
        with suppress(ConnectionClosed, OSError):
            self._held.close()

    def __enter__(self) -> InstanceTerminal:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
