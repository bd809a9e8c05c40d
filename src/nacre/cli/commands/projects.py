"""``nacre project``: projects and their members."""

from __future__ import annotations

from typing import Annotated

import typer

from nacre.cli.app import client, emit, group, out, table
from nacre.cli.render import plain, when
from nacre.errors import Unauthenticated
from nacre.schema.launch import Network
from nacre.sdk.settings import find_connection, keep_connection

projects = group("project", "Projects and their members.")

Named = Annotated[str | None, typer.Argument(help="project; default: the present one")]
Who = Annotated[str, typer.Argument(help="user name")]


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.add_typer(projects)


@projects.command("create")
def create(
    name: Annotated[str, typer.Argument(help="lower-case letters, digits, '-', '_', '.'")],
    description: Annotated[str, typer.Option("--description", "-m", help="what it is about")] = "",
) -> None:
    """Make a project that you own."""
    with client() as nacre:
        project = nacre.projects.create(name, description=description)

    def render() -> None:
        out.print(f"made the project [bold]{project.name}[/bold]")
        out.print(f"work in it from now on: [bold]nacre project use {project.name}[/bold]", style="dim")

    emit(project, render)


@projects.command("ls")
def ls() -> None:
    """List your projects; a star marks the one that commands mean."""
    with client() as nacre:
        found = nacre.projects.list()

    def render() -> None:
        rows = (
            (
                "*" if project.name == nacre.project else "",
                project.name,
                project.role,
                project.network,
                plain(project.description),
            )
            for project in found
        )
        table(
            ("", "name", "role", "network", "description"),
            rows,
            empty="none: make one with 'nacre project create NAME'",
        )

    emit(found, render)


@projects.command("show")
def show(project: Named = None) -> None:
    """Show a project."""
    with client() as nacre:
        found = nacre.projects.get(project)

    def render() -> None:
        out.print(
            f"[bold]{found.name}[/bold] ({found.id}), you are {found.role}, since {when(found.created_at)}"
        )
        out.print(f"network: {found.network}")
        if found.description:
            out.print(plain(found.description))

    emit(found, render)


@projects.command("update")
def update(
    project: Named = None,
    description: Annotated[str | None, typer.Option("--description", "-m")] = None,
    network: Annotated[
        Network | None,
        typer.Option(help="what its work reaches: this server (none), package indexes too, or everything"),
    ] = None,
) -> None:
    """Change a project (owners)."""
    if description is None and network is None:
        raise typer.BadParameter("say what to change: --description or --network")
    with client() as nacre:
        found = nacre.projects.update(project, description=description, network=network)
    emit(found, lambda: out.print(f"{found.name}: network {found.network}, {plain(found.description)}"))


@projects.command("delete")
def delete(project: Annotated[str, typer.Argument(help="project")]) -> None:
    """Delete a project with nothing in it (owners)."""
    with client() as nacre:
        nacre.projects.delete(project)
    out.print(f"deleted the project {plain(project)}")


@projects.command("use")
def use(project: Annotated[str, typer.Argument(help="project")]) -> None:
    """Make it the project that commands mean, on this machine."""
    with client() as nacre:
        found = nacre.projects.get(project)
    connection = find_connection()
    if connection.token is None:
        raise Unauthenticated("not signed in: sign in with 'nacre login URL'")
    keep_connection(connection.url, connection.token, found.name)
    emit(found, lambda: out.print(f"commands mean the project [bold]{found.name}[/bold] from now on"))


@projects.command("members")
def members(project: Named = None) -> None:
    """List who may do what in a project."""
    with client() as nacre:
        found = nacre.members.list(project=project)

    def render() -> None:
        table(("user", "role", "since"), ((m.user, m.role, when(m.created_at)) for m in found))

    emit(found, render)


@projects.command("add-member")
def add_member(
    user: Who,
    role: Annotated[str, typer.Option("--role", "-r", help="viewer, editor or owner")] = "editor",
    project: Annotated[str | None, typer.Option("--project", help="default: the present one")] = None,
) -> None:
    """Add a member, or change a role (owners)."""
    with client() as nacre:
        found = nacre.members.set(user, role, project=project)
        name = project or nacre.project
    emit(found, lambda: out.print(f"{found.user} is {found.role} in {name}"))


@projects.command("remove-member")
def remove_member(
    user: Who,
    project: Annotated[str | None, typer.Option("--project", help="default: the present one")] = None,
) -> None:
    """Remove a member; what they made stays (owners)."""
    with client() as nacre:
        nacre.members.delete(user, project=project)
        name = project or nacre.project
    out.print(f"{plain(user)} is no member of {name} any more")
