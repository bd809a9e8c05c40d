"""HTTP beneath the SDK: one place that knows URLs, tokens, retries and errors."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any
from urllib.parse import quote

import httpx
from pydantic import TypeAdapter

from nacre.errors import InvalidSpec, NacreError, Unavailable, from_problem
from nacre.schema.nouns import find_operation

_PATIENCE_S = 8.0
_RETRIED = (httpx.ConnectError, httpx.ReadError, httpx.RemoteProtocolError, httpx.WriteError)


class Transport:
    """Calls operations by name.

    ``url``: ``http(s)://host:port`` or ``unix:/path/to/socket``. Reads, and writes that may be repeated
    safely, are tried again for a few seconds while the server restarts.
    """

    def __init__(self, url: str, token: str | None, timeout_s: float = 60.0) -> None:
        self.url = url.rstrip("/")
        self.token = token
        # Reading the certificates takes longer than a call, and only https has a use for them.
        verify = self.url.startswith("https:")
        path = url.removeprefix("unix:")
        transport = httpx.HTTPTransport(uds=path, verify=verify) if url.startswith("unix:") else None
        base = "http://nacre" if transport else self.url
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        self.http = httpx.Client(
            base_url=base,
            transport=transport,
            verify=verify,
            headers=headers,
            timeout=httpx.Timeout(timeout_s, connect=5.0),
        )

    def path(self, operation: str, params: Mapping[str, Any]) -> str:
        """The operation's path with its placeholders filled in, each quoted.

        Raises:
            InvalidSpec: a value would make it the path of something else, such as ``..``.
        """
        text = find_operation(operation).path
        for key, value in params.items():
            word = str(value)
            if f"{{{key}:path}}" in text:
                if any(part in (".", "..") for part in word.split("/")):
                    raise InvalidSpec(f"{word!r} is not a {key}: '.' and '..' cannot be in it")
                text = text.replace(f"{{{key}:path}}", quote(word))
            elif f"{{{key}}}" in text:
                if word in ("", ".", "..") or "/" in word:
                    raise InvalidSpec(f"{word!r} is not a name: it is empty, '.' or '..', or has '/' in it")
                text = text.replace(f"{{{key}}}", quote(word, safe=""))
        assert "{" not in text, f"{operation}: missing path parameter in {text}"
        return text

    def call(
        self,
        operation: str,
        answer: Any,
        /,
        *,
        query: Mapping[str, Any] | None = None,
        json: Any = None,
        content: bytes | Iterable[bytes] | None = None,
        headers: Mapping[str, str] | None = None,
        repeatable: bool | None = None,
        timeout_s: float | None = None,
        **params: Any,
    ) -> Any:
        """Call and validate the answer as ``answer`` (a type; null for no body).

        Raises:
            NacreError: the server's own error, as its class; ``Unavailable`` when it cannot be reached.
        """
        op = find_operation(operation)
        if repeatable is None:
            repeatable = op.method in ("GET", "PUT", "DELETE") and not isinstance(content, Iterator)
        request = self.http.build_request(
            op.method,
            self.path(operation, params),
            params={k: v for k, v in (query or {}).items() if v is not None},
            json=json,
            content=content,
            headers=headers,
            timeout=timeout_s if timeout_s is not None else httpx.USE_CLIENT_DEFAULT,
        )
        response = self._send(request, repeatable)
        raise_for_problem(response)
        if answer is None:
            return None
        return TypeAdapter(answer).validate_json(response.content)

    def _send(self, request: httpx.Request, repeatable: bool) -> httpx.Response:
        deadline: float | None = None
        pause = 0.1
        while True:
            try:
                return self.http.send(request)
            except _RETRIED as error:
                now = time.monotonic()  # the time counts from the first failure: a request may wait long
                deadline = now + (_PATIENCE_S if repeatable else 0.0) if deadline is None else deadline
                if now + pause > deadline:
                    raise self._unreachable(error) from error
            except httpx.HTTPError as error:
                raise self._unreachable(error) from error
            time.sleep(pause)
            pause = min(pause * 2, 1.0)

    def _unreachable(self, error: Exception) -> NacreError:
        return Unavailable(
            f"cannot reach the server at {self.url} ({error}): is it running? start one with 'nacre up'"
        )

    @contextmanager
    def stream(
        self, operation: str, /, *, query: Mapping[str, Any] | None = None, **params: Any
    ) -> Iterator[httpx.Response]:
        """The raw answer, read as it comes."""
        headers = params.pop("headers", None)
        json = params.pop("json", None)
        clean = {k: v for k, v in (query or {}).items() if v is not None}
        try:
            with self.http.stream(
                find_operation(operation).method,
                self.path(operation, params),
                params=clean,
                headers=headers,
                json=json,
                timeout=httpx.Timeout(60.0, read=None, connect=5.0),
            ) as response:
                if response.status_code >= 400:
                    response.read()
                    raise_for_problem(response)
                yield response
        except httpx.ConnectError as error:
            raise self._unreachable(error) from error

    def close(self) -> None:
        """Close the connections."""
        self.http.close()


def raise_for_problem(response: httpx.Response) -> None:
    """Raise the error that the answer stands for, if it is one."""
    if response.status_code < 400:
        return
    try:
        body = response.json()
    except ValueError:
        body = {"detail": f"{response.status_code} {response.reason_phrase}: {response.text[:200]}"}
    raise from_problem(response.status_code, body if isinstance(body, dict) else {})
