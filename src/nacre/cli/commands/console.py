"""``nacre console``: the console in a browser, signed in."""

from __future__ import annotations

from typing import Annotated
from urllib.parse import quote

import typer

from nacre.cli.app import client, emit, out
from nacre.cli.desktop import has_browser, open_browser
from nacre.sdk.client import Client


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("console")(console)


def console(
    page: Annotated[str, typer.Argument(help="a page of it, such as /p/default/runs")] = "/",
    browser: Annotated[
        bool, typer.Option("--browser/--no-browser", help="open one, if there is one")
    ] = True,
) -> None:
    """Open the console, signed in as you. Without a browser, prints a link that works once."""
    with client() as nacre:
        url = link(nacre, page)

    def render() -> None:
        if browser and has_browser() and open_browser(url):
            out.print("opened the console in your browser")
        else:
            out.print(url, markup=False)

    emit({"url": url}, render)


def link(nacre: Client, page: str = "/") -> str:
    """A URL that signs a browser in, once, within ten minutes, and leads to the page."""
    back = "" if page in ("", "/") else f"&back={quote('/' + page.lstrip('/'), safe='/')}"
    return f"{nacre.transport.url}{nacre.sessions.link().path}{back}"
