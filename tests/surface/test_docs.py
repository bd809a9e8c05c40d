"""What the documents tell people to type exists, and every link in them leads somewhere."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from pathlib import Path

import click
import pytest
import typer

from nacre.cli.main import app as cli

ROOT = Path(__file__).resolve().parents[2]
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))]
_INLINE = re.compile(r"`(nacre [^`\n]+)`")
_LINK = re.compile(r"\]\((?!https?:|#)([^)#\s]+)")


def commands(page: Path) -> list[str]:
    """Commands of code blocks and of inline code, without comments and what follows a pipe."""
    text = page.read_text()
    found = [m[1] for m in _INLINE.finditer(re.sub(r"```.*?```", "", text, flags=re.DOTALL))]
    for written in text.splitlines():
        line = re.sub(r"\s+#\s.*$", "", written.strip().removeprefix("$ "))
        if line.startswith("nacre ") and not line.startswith("nacre is "):
            found.append(line)
    return [
        part for text in found for part in re.split(r"\s*(?:&&|;|\|)\s*", text) if part.startswith("nacre ")
    ]


def check(line: str) -> str | None:
    """Why the command line could not be typed so, or null. Values are not looked at."""
    try:
        words = shlex.split(re.sub(r"[…\[\]]|\.\.\.", " ", line))[1:]
    except ValueError:
        return "cannot be split into words"
    command: click.Command = typer.main.get_command(cli)
    path: list[str] = []
    while getattr(command, "commands", None) is not None:
        takes = {name for p in command.params for name in p.opts if not getattr(p, "is_flag", False)}
        while words and words[0].startswith("-"):
            words = words[2:] if words[0] in takes else words[1:]
        if not words:
            return None
        if words[0] not in command.commands:
            placeholder = words[0].isupper() or words[0].startswith("<")
            return None if placeholder else f"there is no command {' '.join([*path, words[0]])!r}"
        command = command.commands[words[0]]
        path.append(words.pop(0))
    known = {name for p in command.params for name in (*p.opts, *p.secondary_opts)} | {"--help", "-h"}
    before = words[: words.index("--")] if "--" in words else words
    if path == ["run"]:  # what stands after the script is the script's
        scripts = [i for i, w in enumerate(before) if w.endswith((".py", ".sh"))]
        before = before[: scripts[0]] if scripts else before
    for word in before:
        name = word.partition("=")[0]
        if name.startswith("-") and name != "-" and name not in known and not name.lstrip("-").isdigit():
            return f"'nacre {' '.join(path)}' has no option {name}"
    return None


@pytest.mark.parametrize("page", PAGES, ids=lambda p: str(p.relative_to(ROOT)))
def test_every_command_in_it_exists_with_its_options(page: Path) -> None:
    wrong = {line: why for line in commands(page) if (why := check(line))}
    assert not wrong


@pytest.mark.parametrize("page", PAGES, ids=lambda p: str(p.relative_to(ROOT)))
def test_its_links_lead_to_files_that_are_there(page: Path) -> None:
    missing = [link for link in _LINK.findall(page.read_text()) if not (page.parent / link).exists()]
    assert not missing


def test_the_readme_shows_commands() -> None:
    assert len(commands(ROOT / "README.md")) > 10, "the extraction finds what is there"


def test_a_wrong_command_would_be_found() -> None:
    assert check("nacre run --nonsense train.py") == "'nacre run' has no option --nonsense"
    assert check("nacre fly") == "there is no command 'fly'"
    assert check("nacre run train.py -- --epochs 5") is None


def test_import_nacre_loads_nothing_but_itself() -> None:
    program = "import sys; before = set(sys.modules); import nacre; print(*(set(sys.modules) - before))"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    loaded = {name.split(".")[0] for name in done.stdout.split()}
    assert loaded <= {
        "nacre",
        "importlib",
        "typing",
        "collections",
        "contextlib",
        "functools",
        "re",
        "warnings",
    } | set(sys.stdlib_module_names)
    assert "nacre.sdk.client" not in done.stdout.split()
