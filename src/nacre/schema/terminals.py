"""The terminal of an instance: one WebSocket per terminal that somebody looks at.

Binary messages are the terminal's bytes: what is typed to the server, what is printed from it; UTF-8, cut
anywhere. Text messages are JSON about it. Client → server: :class:`TerminalResize`. Server → client::

    {"op": "ready", "terminal": "1", "resumed": false, "terminals": ["1", "2"], "heartbeat_s": 10}
    {"op": "heartbeat"}
    {"op": "exit", "code": 0}              the shell has ended; null where its code is not known
    {"op": "error", "error": {problem}}    the connection ends; of a status of 500 and more: come back

``ready`` comes first. ``resumed``: the terminal was there already, and the next bytes are the end of what
it has printed so far. ``terminals`` are all that there are, those of JupyterLab's page too.
"""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from nacre.schema.base import Wire

TERMINAL_NAME = r"^[A-Za-z0-9_]{1,32}$"
HEARTBEAT_S = 10.0
LATE_S = 35.0
"""A client that has heard nothing for so long may take the connection for dead."""


class TerminalResize(Wire):
    """The size of the client's window in characters. A terminal that several see takes the smallest."""

    op: Literal["resize"]
    rows: int = Field(ge=1, le=1000)
    cols: int = Field(ge=1, le=1000)
