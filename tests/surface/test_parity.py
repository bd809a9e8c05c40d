"""Every operation is a route, an SDK method and a command; nothing else is."""

from __future__ import annotations

import inspect
from typing import cast

import click
import pytest
import typer
from fastapi.routing import APIRoute

from nacre import __version__
from nacre.api.app import make_app
from nacre.api.routers import ALL
from nacre.cli.main import app as cli
from nacre.schema.access import Access
from nacre.schema.operations import OPERATIONS
from nacre.sdk.client import Client
from nacre.services.registry import Services

LAUNCHERS = {name for name, op in OPERATIONS.items() if op.access is Access.ATTEMPT}
"""Operations that launchers call with the standard library; the SDK has no use for them."""

LOCAL_COMMANDS = {
    "check",
    "doctor",
    "down",
    "import mlflow",
    "import tensorboard",
    "instance exec",
    "project use",
    "server",
    "tensorboard",
    "up",
}
"""Commands that act on this machine, straight on an endpoint or instance, or put operations together."""


@pytest.fixture(scope="module")
def routes() -> dict[str, APIRoute]:
    found = {}
    for route in (route for router in ALL for route in router.routes):
        if isinstance(route, APIRoute):
            assert route.operation_id is not None, f"{route.path} was added without the registry"
            found[route.operation_id] = route
    return found


@pytest.fixture(scope="module")
def commands() -> set[str]:
    found: set[str] = set()

    def walk(command: click.Command, path: str) -> None:
        subcommands = getattr(command, "commands", None)
        if subcommands is None:
            found.add(path)
            return
        for name, child in subcommands.items():
            walk(child, f"{path} {name}".strip())

    walk(typer.main.get_command(cli), "")
    return found


@pytest.mark.parametrize("name", OPERATIONS)
def test_every_operation_is_a_route(name: str, routes: dict[str, APIRoute]) -> None:
    operation = OPERATIONS[name]
    assert name in routes
    route = routes[name]
    assert route.path_format == operation.path.replace(":path}", "}")
    assert route.methods == {operation.method}
    assert route.summary == operation.summary
    assert {401, 403} <= set(route.responses) or operation.access is Access.PUBLIC


def test_every_route_is_an_operation(routes: dict[str, APIRoute]) -> None:
    assert set(routes) == set(OPERATIONS)


@pytest.mark.parametrize("name", [n for n in OPERATIONS if n not in LAUNCHERS])
def test_every_operation_is_a_method_of_the_client(name: str) -> None:
    operation = OPERATIONS[name]
    with Client("http://127.0.0.1:1", "token") as client:
        noun = getattr(client, operation.noun, None)
        assert noun is not None, f"the client has no attribute {operation.noun}"
        method = getattr(noun, operation.verb, None)
        assert callable(method), f"client.{operation.noun} has no method {operation.verb}"
        assert inspect.getdoc(method), f"client.{name} has no docstring"


@pytest.mark.parametrize("name", [n for n, op in OPERATIONS.items() if op.cli])
def test_every_operation_is_covered_by_its_command(name: str, commands: set[str]) -> None:
    assert OPERATIONS[name].cli in commands


def test_every_command_covers_an_operation_or_is_known_to_be_local(commands: set[str]) -> None:
    covering = {op.cli for op in OPERATIONS.values()}
    assert {c for c in commands if c not in covering} <= LOCAL_COMMANDS


def test_openapi_names_every_operation_its_summary_and_its_errors() -> None:
    document = make_app(cast(Services, None), __version__).openapi()
    assert "Problem" in document["components"]["schemas"]  # errors refer to it by its name
    seen = {}
    for path in document["paths"].values():
        for operation in path.values():
            seen[operation["operationId"]] = operation
    assert set(seen) == set(OPERATIONS)
    for name, operation in seen.items():
        assert operation["summary"] == OPERATIONS[name].summary
        problems = [code for code in operation["responses"] if code.startswith(("4", "5"))]
        assert problems, f"{name} documents no error"
        for code in problems:
            schema = operation["responses"][code]["content"]["application/problem+json"]["schema"]
            assert schema == {"$ref": "#/components/schemas/Problem"}
