"""``nacre login`` and ``logout``: which server this machine's user talks to, and as whom."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from nacre.cli.app import emit, err, options, out
from nacre.cli.prompts import ask_hidden, seconds
from nacre.errors import Conflict, NacreError, Unauthenticated
from nacre.schema.users import User
from nacre.sdk.client import Client
from nacre.sdk.settings import forget_connection, keep_connection, kept_connection, nacre_home

Password = Annotated[
    str | None,
    typer.Option(envvar="NACRE_PASSWORD", show_envvar=True, help="asked for when left out: prefer that"),
]
Url = Annotated[str | None, typer.Argument(help="such as http://gpu-box:7373; default: the present one")]


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.command("login")(login)
    app.command("logout")(logout)


def login(
    url: Url = None,
    name: Annotated[str | None, typer.Option("--name", "-n", help="user name")] = None,
    password: Password = None,
    token: Annotated[str | None, typer.Option(help="a token instead of name and password")] = None,
    code: Annotated[str | None, typer.Option(help="of a link that 'nacre console' printed")] = None,
    lifetime: Annotated[
        str | None, typer.Option(help="how long it lasts, such as 12h (default 30d)")
    ] = None,
) -> None:
    """Sign in to a server; the token is kept in ~/.nacre/client.json (mode 0600)."""
    address = server_url(url)
    if code is not None:
        with Client(address, "") as anonymous:
            issued = anonymous.sessions.redeem(code.rpartition("code=")[2])
        user, token = issued.user, issued.secret
    elif token is None:
        name = name or ask_name()
        with Client(address, "") as anonymous:
            issued = anonymous.users.sign_in(
                name, password or ask_hidden("Password"), lifetime_s=seconds(lifetime, "--lifetime")
            )
        user, token = issued.user, issued.secret
    else:
        with Client(address, token) as client:
            user = client.users.me()
    project = remember(address, token, user)

    def render() -> None:
        out.print(f"signed in to {address} as [bold]{user.name}[/bold], project {project}")
        out.print("another project: [bold]nacre project use NAME[/bold]", style="dim")

    emit(user, render)


def logout() -> None:
    """Revoke the session and forget it on this machine."""
    kept = kept_connection()
    if kept is None or not (nacre_home() / "client.json").is_file():
        out.print("not signed in with 'nacre login': nothing to forget")
        return
    try:
        with Client(kept.url, kept.token) as client:
            client.users.sign_out()
    except (Conflict, Unauthenticated):
        pass  # a program's token outlives the sign-out; a session that has ended needs none
    except NacreError as error:
        err.print(
            f"[yellow]warning:[/yellow] the server was not told, the session lasts there: {error.detail}"
        )
    forget_connection()
    out.print(f"signed out of {kept.url}")


def server_url(url: str | None) -> str:
    """The URL that is meant, with its scheme.

    Raises:
        Unauthenticated: none is given and none is known.
    """
    kept = kept_connection()
    found = url or options.url or (kept.url if kept else None)
    if found is None:
        raise Unauthenticated("which server? name it, such as 'nacre login http://gpu-box:7373'")
    found = found.rstrip("/")
    return found if "://" in found or found.startswith("unix:") else f"http://{found}"


def ask_name() -> str:
    """A user name, at a terminal."""
    if not sys.stdin.isatty():
        raise typer.BadParameter("give --name when there is no terminal to ask", param_hint="--name")
    found: str = typer.prompt("Name", err=True)
    return found.strip()


def remember(url: str, token: str, user: User) -> str:
    """Keep the connection, and return the project that commands mean from now on.

    It stays the same where possible; else it is the one named like the user, ``default``, or any.
    """
    kept = kept_connection()
    with Client(url, token) as client:
        names = [project.name for project in client.projects.list()]
    before = kept.project if kept is not None and kept.url == url else None
    wanted = [options.project, before, user.name, "default", *names]
    project = next((name for name in wanted if name in names), user.name)
    keep_connection(url, token, project)
    return project
