"""``client.projects``, ``client.members``, ``client.events``."""

from __future__ import annotations

import builtins
from datetime import datetime
from typing import Any

from nacre.schema.launch import Network
from nacre.schema.projects import Event, Member, Project
from nacre.sdk.resources.base import Noun


class Projects(Noun):
    """Projects that one is a member of."""

    def create(self, name: str, *, description: str = "") -> Project:
        """A new project; one is its owner."""
        body = {"name": name, "description": description}
        found: Project = self._transport.call("projects.create", Project, json=body)
        return found

    def list(self, *, limit: int | None = None) -> builtins.list[Project]:
        """One's projects, newest first."""
        return self._all("projects.list", Project, limit=limit)

    def get(self, project: str | None = None) -> Project:
        """A project, with one's role in it."""
        found: Project = self._transport.call("projects.get", Project, project=self._in(project))
        return found

    def update(
        self, project: str | None = None, *, description: str | None = None, network: Network | None = None
    ) -> Project:
        """Change what is not null (owners). ``network``: whether its work may use the network."""
        body = {"description": description, "network": network}
        found: Project = self._transport.call(
            "projects.update", Project, json=body, project=self._in(project)
        )
        return found

    def delete(self, project: str) -> None:
        """Delete a project with nothing in it (owners)."""
        self._transport.call("projects.delete", None, project=project)


class Members(Noun):
    """Who may do what in a project."""

    def list(self, *, limit: int | None = None, project: str | None = None) -> builtins.list[Member]:
        """Members by name."""
        return self._all("members.list", Member, limit=limit, project=self._in(project))

    def set(self, user: str, role: str, *, project: str | None = None) -> Member:
        """Add a member, or change a role: viewer, editor or owner (owners)."""
        found: Member = self._transport.call(
            "members.set", Member, json={"role": role}, project=self._in(project), user=user
        )
        return found

    def delete(self, user: str, *, project: str | None = None) -> None:
        """Remove a member; the last owner stays (owners)."""
        self._transport.call("members.delete", None, project=self._in(project), user=user)


class Events(Noun):
    """What happened in a project."""

    def list(
        self,
        *,
        verb: str | None = None,
        user: str | None = None,
        subject: str | None = None,
        before: datetime | None = None,
        limit: int | None = 100,
        project: str | None = None,
    ) -> builtins.list[Event]:
        """The latest events, newest first.

        Args:
            verb: ``jobs.submit``, or ``jobs`` for every verb of jobs.
            user: only what this user did.
            subject: only of the thing with this id or name.
            before: only what happened earlier.
            limit: how many; null for every one.
        """
        query = _query(verb, user, subject, before)
        return self._all("events.list", Event, limit=limit, query=query, project=self._in(project))

    def list_all(
        self,
        *,
        verb: str | None = None,
        user: str | None = None,
        subject: str | None = None,
        before: datetime | None = None,
        limit: int | None = 100,
        project: str | None = None,
    ) -> builtins.list[Event]:
        """The latest events of the whole server (administrators); ``project``: only of this one. Else as
        :meth:`list`."""
        query = _query(verb, user, subject, before) | {"project": project}
        return self._all("events.list_all", Event, limit=limit, query=query)


def _query(
    verb: str | None, user: str | None, subject: str | None, before: datetime | None
) -> dict[str, Any]:
    when = before.astimezone().isoformat() if before else None
    return {"verb": verb, "user": user, "subject": subject, "before": when}
