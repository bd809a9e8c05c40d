"""The API in process: with the identity services alone, and whole but with handlers that nobody reaches."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from dataclasses import fields
from pathlib import Path
from typing import Any, cast

import httpx
import pytest
from fastapi import FastAPI
from tests.database_kit import sqlite_in
from tests.identity_kit import Identity, wire

from nacre.api.app import make_app
from nacre.clock import FixedClock
from nacre.errors import NacreError
from nacre.services.registry import Services


class Http:
    """A synchronous client of an application in this process; a defect in it shows as a 500."""

    def __init__(self, app: FastAPI, address: str = "192.0.2.7") -> None:
        self._runner = asyncio.Runner()
        transport = httpx.ASGITransport(app, raise_app_exceptions=False, client=(address, 1234))
        self._client = httpx.AsyncClient(transport=transport, base_url="http://nacre")

    def request(self, method: str, url: str, *, token: str | None = None, **options: Any) -> httpx.Response:
        """Send a request, with a token if one is given."""
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        headers |= options.pop("headers", {})
        return self._runner.run(self._client.request(method, url, headers=headers, **options))

    def close(self) -> None:
        self._runner.run(self._client.aclose())
        self._runner.close()


class Reached(NacreError):
    """A handler ran: authorisation let the request pass."""

    code = "reached"
    status = 418


class Behind:
    """Stands for a service that a handler would use; only the ``allowed`` methods are the real ones'."""

    def __init__(self, service: object = None, *allowed: str) -> None:
        self._service = service
        self._allowed = allowed

    def __getattr__(self, name: str) -> Any:
        if name in self._allowed:
            return getattr(self._service, name)
        raise Reached(f"a handler asked for {name}")


def services_of(identity: Identity) -> Services:
    """The identity services; every other one is null."""
    known = {f.name: getattr(identity, f.name, None) for f in fields(Services)}
    return Services(**cast("dict[str, Any]", known))


@pytest.fixture
def identity(tmp_path: Path, clock: FixedClock) -> Iterator[Identity]:
    """The identity services on SQLite; their own tests run them on PostgreSQL too."""
    database = sqlite_in(tmp_path)
    yield wire(database, clock)
    database.close()


@pytest.fixture
def api(identity: Identity) -> Iterator[Http]:
    """A client of the API with the identity services behind it."""
    http = Http(make_app(services_of(identity), "0"))
    yield http
    http.close()


@pytest.fixture(scope="module")
def walker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Identity]:
    """The identity services behind ``full_app``, for a whole module."""
    database = sqlite_in(tmp_path_factory.mktemp("walk"))
    yield wire(database, FixedClock())
    database.close()


@pytest.fixture(scope="module")
def full_app(walker: Identity) -> FastAPI:
    """Every route of the server with real authorisation, and nothing behind it.

    A handler that is reached asks for a service, which answers 418: so the walk needs neither bodies that
    make sense nor things that exist, and changes nothing.
    """
    behind: dict[str, Any] = {f.name: Behind() for f in fields(Services)}
    behind["tokens"] = Behind(walker.tokens, "resolve")
    behind["projects"] = Behind(walker.projects, "enter")
    return make_app(Services(**behind), "0")
