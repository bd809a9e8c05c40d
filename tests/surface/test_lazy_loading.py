"""Names are loaded when they are used; the tables that say where they are hold."""

from __future__ import annotations

import subprocess
import sys
from importlib import import_module
from pathlib import Path
from types import ModuleType

import pytest
import typer
from typer.testing import CliRunner

import nacre.cli.commands
import nacre.schema
from nacre.cli import lazy
from nacre.cli.main import app
from nacre.schema import nouns
from nacre.schema.operations import OPERATIONS
from nacre.sdk.client import Client


def _modules(package: ModuleType) -> set[str]:
    return {path.stem for path in Path(package.__path__[0]).glob("*.py") if path.stem != "__init__"}


def _loaded(code: str) -> set[str]:
    """The modules that a new interpreter has after this."""
    text = f"import sys\n{code}\nprint(*sys.modules)"
    ran = subprocess.run([sys.executable, "-c", text], capture_output=True, text=True, check=True)
    return set(ran.stdout.splitlines()[-1].split())


@pytest.mark.parametrize("name", OPERATIONS)
def test_every_operation_is_found_by_its_noun(name: str) -> None:
    assert nouns.find_operation(name) is OPERATIONS[name]


def test_every_module_with_operations_has_a_noun() -> None:
    having = {
        name
        for name in _modules(nacre.schema) - {"operations"}
        if hasattr(import_module(f"nacre.schema.{name}"), "OPERATIONS")
    }
    assert having == {module for modules in nouns.MODULES.values() for module in modules}


@pytest.mark.parametrize("name", lazy.MODULES)
def test_a_command_is_in_the_modules_that_are_loaded_for_it(name: str) -> None:
    listed = set(lazy.MODULES[name])
    for one in list(listed):  # a module may make the commands of others its own
        home = import_module(f"nacre.cli.commands.{one}")
        listed |= {key for key, value in vars(home).items() if isinstance(value, ModuleType)}
    command = typer.main.get_group(app).commands[name]
    leaves = command.commands.values() if hasattr(command, "commands") else [command]
    assert {leaf.callback.__module__.rpartition(".")[2] for leaf in leaves} <= listed


def test_every_module_of_commands_is_loaded_for_one() -> None:
    for name in lazy.MODULES:
        assert typer.main.get_group(app).commands[name].name == name
    absent = {
        name for name in _modules(nacre.cli.commands) if f"nacre.cli.commands.{name}" not in sys.modules
    }
    assert not absent


def test_a_command_with_a_slip_gets_the_one_that_was_meant() -> None:
    ran = CliRunner().invoke(app, ["deplpy"])
    assert ran.exit_code == 2
    assert "'deploy'" in ran.output


def test_one_command_loads_neither_the_others_nor_their_wire_types() -> None:
    loaded = _loaded("from nacre.cli.main import app; app(['ps', '--help'], standalone_mode=False)")
    assert "nacre.cli.commands.jobs" in loaded
    assert not {one for one in loaded if one.startswith(("nacre.services", "nacre.api", "sqlalchemy"))}
    assert not {"nacre.cli.commands.endpoints", "nacre.schema.endpoints", "websockets", "numpy"} & loaded


def test_a_noun_of_the_client_is_made_once_when_it_is_used() -> None:
    loaded = _loaded("import nacre; nacre.Client('http://127.0.0.1:1', 'token').secrets")
    assert "nacre.schema.projects" in loaded
    assert "nacre.schema.jobs" not in loaded
    with Client("http://127.0.0.1:1", "token") as client:
        assert client.jobs is client.jobs
        assert type(client.jobs).__name__ == "Jobs"
