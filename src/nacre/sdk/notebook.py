"""Runs code in a kernel of an instance, through the user-content listener, without a browser."""

from __future__ import annotations

import base64
import contextlib
import json
import struct
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import httpx
from websockets.exceptions import WebSocketException
from websockets.sync.client import ClientConnection, connect

from nacre.errors import RequestError, Unavailable
from nacre.sdk.client import Client
from nacre.sdk.transport import raise_for_problem

_MAX_MESSAGE = 64 * 2**20


@dataclass
class Cell:
    """What a cell gave: ``text`` as a terminal would show it, ``images`` (PNG bytes), and the error's
    traceback where it raised."""

    text: str = ""
    images: list[bytes] = field(default_factory=list)
    error: str | None = None


def run_cell(
    client: Client, instance: str, code: str, *, project: str | None = None, timeout_s: float = 300.0
) -> str:
    """The output of ``code``, run in a fresh kernel of the instance, which ends with it.

    Raises:
        RequestError: the code raised; the sentence is its traceback's last line, ``extra["traceback"]``
            all of it, ``extra["text"]`` what it printed before.
        Unavailable: the instance does not answer, or the time is up.
    """
    with Notebook(client, instance, project=project, timeout_s=timeout_s) as notebook:
        cell = notebook.run(code, timeout_s=timeout_s)
    if cell.error is not None:
        last = cell.error.strip().splitlines()[-1]
        raise RequestError(f"the cell raised {last}", traceback=cell.error, text=cell.text)
    return cell.text


class Notebook:
    """A kernel of an instance. Use it as a context manager: the kernel ends with it.

    Example::

        with Notebook(client, "lab") as notebook:
            notebook.run("x = 20")
            print(notebook.run("x + 1").text)
    """

    def __init__(
        self, client: Client, instance: str, *, project: str | None = None, timeout_s: float = 60.0
    ) -> None:
        """Start a kernel.

        Raises:
            Conflict: the instance is not running.
            Unavailable: it does not answer.
        """
        found = client.instances.get(instance, project=project)
        origin = client.server.info().content_url
        self._base = f"{origin}/instances/{found.id}/"
        self._headers = {"Authorization": f"Bearer {client.transport.token}"}
        self._http = httpx.Client(base_url=self._base, headers=self._headers, timeout=timeout_s)
        self._session = uuid.uuid4().hex
        self._open = contextlib.ExitStack()
        self._open.enter_context(self._http)
        try:
            self.kernel_id = str(self._call("POST", "api/kernels")["id"])
            self._socket = self._connect(timeout_s)
        except BaseException:
            self._open.close()
            raise

    def _call(self, method: str, path: str) -> Any:
        try:
            response = self._http.request(method, path)
        except httpx.HTTPError as error:
            raise Unavailable(f"cannot reach the instance at {self._base} ({error}): try again") from error
        raise_for_problem(response)
        return response.json() if response.content else None

    def _connect(self, timeout_s: float) -> ClientConnection:
        url = f"ws{self._base.removeprefix('http')}api/kernels/{self.kernel_id}/channels"
        try:
            return self._open.enter_context(
                connect(
                    f"{url}?session_id={self._session}",
                    additional_headers=self._headers,
                    max_size=_MAX_MESSAGE,
                    open_timeout=timeout_s,
                    proxy=None,
                )
            )
        except (OSError, WebSocketException) as error:
            raise Unavailable(f"the kernel cannot be reached ({error}): try again") from error

    def run(
        self, code: str, *, timeout_s: float = 300.0, on_text: Callable[[str], None] | None = None
    ) -> Cell:
        """Run code and wait for its end.

        Args:
            on_text: gets each piece of text as it comes.

        Raises:
            Unavailable: the connection broke, or the time is up (the code is interrupted then).
        """
        message = self._message("execute_request", code)
        deadline = time.monotonic() + timeout_s
        collected = _Collected(Cell(), message["header"]["msg_id"], on_text or (lambda _: None))
        try:
            self._socket.send(json.dumps(message))
            while not collected.done:
                data = self._socket.recv(timeout=max(0.0, deadline - time.monotonic()))
                collected.take(_decode(data))
        except TimeoutError as error:
            self._call("POST", f"api/kernels/{self.kernel_id}/interrupt")
            raise Unavailable(f"the cell did not end within {timeout_s:.0f} seconds") from error
        except (OSError, WebSocketException) as error:
            raise Unavailable(f"the connection to the kernel broke ({error})") from error
        return collected.cell

    def _message(self, kind: str, code: str) -> dict[str, Any]:
        header = {
            "msg_id": uuid.uuid4().hex,
            "session": self._session,
            "username": "nacre",
            "date": datetime.now(UTC).isoformat(),
            "msg_type": kind,
            "version": "5.3",
        }
        content = {
            "code": code,
            "silent": False,
            "store_history": True,
            "user_expressions": {},
            "allow_stdin": False,
            "stop_on_error": False,
        }
        return {
            "channel": "shell",
            "header": header,
            "parent_header": {},
            "metadata": {},
            "content": content,
            "buffers": [],
        }

    def close(self) -> None:
        """End the kernel and the connections."""
        with contextlib.suppress(httpx.HTTPError):  # it stops with its instance anyway
            self._http.request("DELETE", f"api/kernels/{self.kernel_id}")
        self._open.close()

    def __enter__(self) -> Notebook:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


@dataclass
class _Collected:
    """Messages of one execution. It has ended when the kernel is idle and has replied."""

    cell: Cell
    parent: str
    on_text: Callable[[str], None]
    idle: bool = False
    replied: bool = False

    @property
    def done(self) -> bool:
        return self.idle and self.replied

    def take(self, message: dict[str, Any]) -> None:
        if (message.get("parent_header") or {}).get("msg_id") != self.parent:
            return
        kind, content = message.get("msg_type") or message["header"]["msg_type"], message["content"]
        if kind == "stream":
            self._text(content["text"])
        elif kind in ("execute_result", "display_data"):
            self._show(content["data"])
        elif kind == "error":
            self.cell.error = _plain("\n".join(content["traceback"])) or content["ename"]
        elif kind == "status":
            self.idle = content["execution_state"] == "idle"
        elif kind == "execute_reply":
            self.replied = True
            if content.get("status") == "aborted":
                self.cell.error = self.cell.error or "aborted"

    def _text(self, text: str) -> None:
        self.cell.text += text
        self.on_text(text)

    def _show(self, data: dict[str, Any]) -> None:
        if "image/png" in data:
            self.cell.images.append(base64.b64decode(data["image/png"]))
        if "text/plain" in data:
            text = data["text/plain"]
            self._text(("".join(text) if isinstance(text, list) else text) + "\n")


def _decode(data: str | bytes) -> dict[str, Any]:
    """A message of Jupyter's first protocol: JSON, or JSON before binary buffers, which are left out."""
    if isinstance(data, bytes):
        count = struct.unpack_from("!I", data)[0]
        offsets = struct.unpack_from(f"!{count}I", data, 4)
        end = offsets[1] if count > 1 else len(data)
        data = data[offsets[0] : end].decode()
    message: dict[str, Any] = json.loads(data)
    return message


def _plain(text: str) -> str:
    """Text without the escape sequences that colour it."""
    parts = text.split("\x1b[")
    return parts[0] + "".join(part.partition("m")[2] for part in parts[1:])
