"""``docs/reference/operations.md`` is what the registry says. Write it anew with
``python -m tests.surface.test_reference``."""

from __future__ import annotations

from pathlib import Path

from nacre.schema.access import Access
from nacre.schema.operations import OPERATIONS

PAGE = Path(__file__).resolve().parents[2] / "docs" / "reference" / "operations.md"
_HEAD = """# Operations

Every use case of the server: its route, who may call it and with which scope, and the command that covers
it. In Python each is `client.NOUN.VERB`. The full description of bodies and answers is OpenAPI's, at
`/api/v1/openapi.json`; every error is `application/problem+json`.

Written from `nacre.schema.operations` by `python -m tests.surface.test_reference`.
"""


def page() -> str:
    """The whole page."""
    lines = [_HEAD]
    noun = None
    for op in OPERATIONS.values():
        if op.noun != noun:
            noun = op.noun
            lines += [
                "",
                f"## {noun}",
                "",
                "| operation | route | who | scope | command |",
                "|---|---|---|---|---|",
            ]
        command = f"`nacre {op.cli}`" if op.cli else "" if op.access is not Access.ATTEMPT else "launchers"
        scope = f"`{op.scope}`" if op.scope else ""
        route = f"`{op.method} {op.path}`"
        lines.append(f"| `{op.name}`: {op.summary} | {route} | {op.access} | {scope} | {command} |")
    return "\n".join(lines) + "\n"


def test_the_page_is_what_the_registry_says() -> None:
    assert PAGE.read_text() == page(), "run: python -m tests.surface.test_reference"


if __name__ == "__main__":
    PAGE.write_text(page())
