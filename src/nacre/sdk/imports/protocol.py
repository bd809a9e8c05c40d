"""MLflow's REST protocol, as a client: spoken with the server that is read, and with Nacre."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any
from urllib.parse import quote

import httpx

from nacre.errors import NacreError, from_problem

API = "/api/2.0/mlflow/"
FILES = "/api/2.0/mlflow-artifacts/artifacts"
_PATIENCE_S = 60.0
_BUSY = frozenset({429, 502, 503, 504})


class Refusal(Exception):
    """The server answered an error. ``code`` is MLflow's word for it (``RESOURCE_ALREADY_EXISTS``)."""

    def __init__(self, code: str, message: str, status: int) -> None:
        super().__init__(message)
        self.code = code
        self.status = status


class Protocol:
    """Calls over a given HTTP client, whose base URL is the server's.

    What can be repeated is tried again for a minute while the server is away or busy.
    """

    def __init__(
        self, http: httpx.Client, headers: Mapping[str, str] | None = None, patience_s: float = _PATIENCE_S
    ) -> None:
        self._http = http
        self._headers = dict(headers or {})
        self._patience_s = patience_s

    def get(self, path: str, /, **query: Any) -> dict[str, Any]:
        """A call that reads."""
        asked = {key: value for key, value in query.items() if value is not None}
        return _json(self._send(lambda: self._request("GET", API + path, params=asked), repeat=True))

    def post(self, path: str, body: Any, *, repeat: bool = True, method: str = "POST") -> dict[str, Any]:
        """A call that writes. ``repeat``: it may arrive twice and changes nothing the second time."""
        data = json.dumps(body, allow_nan=False).encode()
        headers = {"Content-Type": "application/json"}
        return _json(
            self._send(
                lambda: self._request(method, API + path, content=data, headers=headers), repeat=repeat
            )
        )

    def pages(self, ask: Callable[[str | None], dict[str, Any]], field: str) -> Iterator[dict[str, Any]]:
        """Items of a list, page after page; ``ask(token)`` fetches one."""
        token: str | None = None
        while True:
            page = ask(token)
            yield from page.get(field) or []
            token = page.get("next_page_token") or None
            if token is None:
                return

    def list_files(self, folder: str) -> Iterator[tuple[str, bool, int | None]]:
        """(path from ``folder``, whether it is a folder, size) of what lies in a folder of the proxy."""
        found = _json(self._send(lambda: self._request("GET", FILES, params={"path": folder}), repeat=True))
        for entry in found.get("files") or []:
            size = entry.get("file_size")
            yield str(entry["path"]), bool(entry.get("is_dir")), None if size is None else int(size)

    def put_file(self, path: str, open_pieces: Callable[[], Iterator[bytes]]) -> int:
        """Send a file to the proxy, as it is read; ``open_pieces`` begins it anew. Returns its size."""
        sent = 0

        def pieces() -> Iterator[bytes]:
            nonlocal sent
            sent = 0
            for piece in open_pieces():
                sent += len(piece)
                yield piece

        headers = {"Content-Type": "application/octet-stream"}
        done = self._send(
            lambda: self._request("PUT", f"{FILES}/{quote(path)}", content=pieces(), headers=headers),
            repeat=True,
        )
        if done.status_code >= 400:
            raise _refusal(done)
        return sent

    def _request(self, method: str, path: str, **options: Any) -> httpx.Response:
        headers = {**self._headers, **options.pop("headers", {})}
        return self._http.request(method, path, headers=headers, **options)

    def _send(self, send: Callable[[], httpx.Response], *, repeat: bool) -> httpx.Response:
        deadline = time.monotonic() + self._patience_s
        pause = 0.2
        while True:
            response = None
            try:
                response = send()
            except httpx.ConnectError as error:
                failed: Exception = error
            except httpx.TransportError as error:
                if not repeat:
                    raise
                failed = error
            if response is not None:
                if response.status_code not in _BUSY or (not repeat and response.status_code != 503):
                    return response
                failed = _refusal(response)
            if time.monotonic() + pause > deadline:
                raise failed
            time.sleep(pause)
            pause = min(2 * pause, 5.0)


def _json(response: httpx.Response) -> dict[str, Any]:
    if response.status_code >= 400:
        raise _refusal(response)
    try:
        found = response.json()
    except ValueError:
        raise Refusal("", "this is no MLflow server: its answer is no JSON", response.status_code) from None
    return found if isinstance(found, dict) else {}


def _refusal(response: httpx.Response) -> Exception:
    try:
        body = response.json()
    except ValueError:
        body = {}
    if not isinstance(body, dict):
        body = {}
    if "detail" in body and "error_code" not in body:
        problem: NacreError = from_problem(response.status_code, body)
        return problem
    message = str(body.get("message") or f"{response.status_code} {response.reason_phrase}")[:500]
    return Refusal(str(body.get("error_code") or ""), message, response.status_code)


def wire_number(value: float) -> float | str:
    """NaN and infinities travel as words."""
    if math.isfinite(value):
        return value
    return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"


def pairs(found: Mapping[str, str]) -> list[dict[str, str]]:
    """A dict as the protocol's list of key and value."""
    return [{"key": key, "value": value} for key, value in found.items()]


def unpaired(found: Any) -> dict[str, str]:
    """The protocol's list of key and value as a dict."""
    return {str(item["key"]): str(item.get("value", "")) for item in found or []}
