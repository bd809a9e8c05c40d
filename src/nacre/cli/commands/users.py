"""``nacre user``: accounts, and inviting people."""

from __future__ import annotations

from typing import Annotated

import typer

from nacre.cli.app import client, emit, group, out, table
from nacre.cli.commands.login import Password, Url, ask_name, remember, server_url
from nacre.cli.prompts import ask_hidden, seconds
from nacre.cli.render import plain, when
from nacre.sdk.client import Client
from nacre.sdk.settings import kept_connection

users = group("user", "Accounts, and inviting people.")


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.add_typer(users)


@users.command("me")
def me() -> None:
    """Who you are signed in as."""
    with client() as nacre:
        user = nacre.users.me()

    def render() -> None:
        out.print(f"{user.name}{', administrator' if user.admin else ''}, project {nacre.project}")

    emit(user, render)


@users.command("sign-up")
def sign_up(
    url: Url = None,
    name: Annotated[str | None, typer.Option("--name", "-n", help="user name")] = None,
    password: Password = None,
    email: Annotated[str | None, typer.Option(help="optional")] = None,
    invitation: Annotated[
        str | None, typer.Option(envvar="NACRE_INVITATION", help="what 'nacre user invite' printed")
    ] = None,
) -> None:
    """Make an account on a server. Signs you in, unless this machine is signed in already."""
    address = server_url(url)
    name = name or ask_name()
    with Client(address, "") as anonymous:
        issued = anonymous.users.sign_up(
            name, password or ask_hidden("Password", twice=True), email=email, invitation=invitation
        )
    signed_in = kept_connection() is None
    if signed_in:
        remember(address, issued.secret, issued.user)

    def render() -> None:
        out.print(f"made the account [bold]{issued.user.name}[/bold] on {address}")
        if signed_in:
            out.print("you are signed in: try [bold]nacre run train.py[/bold]", style="dim")
        else:
            out.print(f"sign in: [bold]nacre login {address} --name {issued.user.name}[/bold]", style="dim")

    emit(issued.user, render)


@users.command("password")
def password(
    new: Annotated[
        str | None, typer.Option(envvar="NACRE_NEW_PASSWORD", help="asked for when left out")
    ] = None,
    old: Password = None,
    first: Annotated[bool, typer.Option("--first", help="the account has none yet")] = False,
) -> None:
    """Change your password; your other sessions end. An account that has none yet needs no old one."""
    with client() as nacre:
        first = first or not nacre.users.me().has_password
        before = "" if first else (old if old is not None else ask_hidden("Old password"))
        after = new if new is not None else ask_hidden("New password", twice=True)
        nacre.users.change_password(before, after)
    out.print("the password is changed; other sessions have ended")


@users.command("ls")
def ls() -> None:
    """List users (administrators)."""
    with client() as nacre:
        found = nacre.users.list()

    def render() -> None:
        rows = (
            (
                user.name,
                "administrator" if user.admin else "",
                "disabled" if user.disabled else "",
                plain(user.email or ""),
                when(user.created_at),
                when(user.last_seen_at) if user.last_seen_at else "",
            )
            for user in found
        )
        table(("name", "role", "state", "email", "since", "seen"), rows)

    emit(found, render)


@users.command("update")
def update(
    user: Annotated[str, typer.Argument(help="user name")],
    admin: Annotated[bool | None, typer.Option("--admin/--no-admin", help="administers the server")] = None,
    disable: Annotated[bool | None, typer.Option("--disable/--enable", help="may not sign in")] = None,
) -> None:
    """Disable a user, or make one an administrator (administrators)."""
    if admin is None and disable is None:
        raise typer.BadParameter("say what to change: --admin, --no-admin, --disable or --enable")
    with client() as nacre:
        found = nacre.users.update(user, admin=admin, disabled=disable)
    state = "disabled" if found.disabled else "enabled"
    role = "an administrator" if found.admin else "no administrator"
    emit(found, lambda: out.print(f"{found.name} is {state} and {role}"))


@users.command("delete")
def delete(user: Annotated[str, typer.Argument(help="user name")]) -> None:
    """Delete a user who owns nothing (administrators)."""
    with client() as nacre:
        nacre.users.delete(user)
    out.print(f"deleted {plain(user)}")


@users.command("sessions")
def sessions(user: Annotated[str, typer.Argument(help="user name")]) -> None:
    """List a user's sign-ins and tokens (administrators)."""
    with client() as nacre:
        found = nacre.users.sessions(user)

    def render() -> None:
        rows = (
            (
                token.id,
                token.kind,
                plain(token.name),
                when(token.created_at),
                when(token.last_used_at) if token.last_used_at else "never",
                when(token.expires_at) if token.expires_at else "never",
            )
            for token in found
        )
        table(("id", "kind", "name", "since", "used", "expires"), rows, empty="none")

    emit(found, render)


@users.command("end-session")
def end_session(
    user: Annotated[str, typer.Argument(help="user name")],
    token: Annotated[str, typer.Argument(help="id, as 'nacre user sessions' shows")],
) -> None:
    """Revoke a user's sign-in or token (administrators). What runs goes on."""
    with client() as nacre:
        nacre.users.end_session(user, token)
    out.print(f"ended {plain(token)} of {plain(user)}")


@users.command("invite")
def invite(
    to: Annotated[str | None, typer.Option("--to", help="a project that you own, to join at once")] = None,
    role: Annotated[str, typer.Option(help="viewer, editor or owner in that project")] = "editor",
    lifetime: Annotated[
        str | None, typer.Option(help="how long it is good, such as 2d (default 7d)")
    ] = None,
) -> None:
    """Invite somebody to sign up (administrators). The invitation is good for one person, once."""
    with client() as nacre:
        invitation = nacre.invitations.create(
            project=to, role=role, lifetime_s=seconds(lifetime, "--lifetime")
        )

    def render() -> None:
        into = f" and join {to} as {role}" if to else ""
        out.print(f"one person may sign up{into} until {when(invitation.expires_at)}; send them this link:")
        out.print(f"{nacre.transport.url}/sign-up?invitation={invitation.secret}", markup=False)
        out.print("or this command:")
        out.print(f"nacre user sign-up {nacre.transport.url} --invitation {invitation.secret}")

    emit(invitation, render)


@users.command("invitations")
def invitations() -> None:
    """List invitations that nobody has used (administrators)."""
    with client() as nacre:
        found = nacre.invitations.list()

    def render() -> None:
        rows = ((i.id, i.project or "", i.role if i.project else "", when(i.expires_at)) for i in found)
        table(("id", "project", "role", "until"), rows, empty="none: make one with 'nacre user invite'")

    emit(found, render)


@users.command("uninvite")
def uninvite(
    invitation: Annotated[str, typer.Argument(help="id, as 'nacre user invitations' shows")],
) -> None:
    """Withdraw an invitation (administrators)."""
    with client() as nacre:
        nacre.invitations.delete(invitation)
    out.print(f"withdrew {plain(invitation)}")
