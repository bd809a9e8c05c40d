"""Who is asking, and what they may do."""

from __future__ import annotations

from dataclasses import dataclass

from nacre.errors import NotFound, PermissionDenied, Unauthenticated
from nacre.schema.access import Access, Operation, Role

_RANK = {Role.VIEWER: 0, Role.EDITOR: 1, Role.OWNER: 2}


@dataclass(frozen=True)
class ProjectRef:
    """A project, and the caller's role in it (null: not a member)."""

    id: str
    name: str
    role: Role | None


@dataclass(frozen=True)
class Caller:
    """The user behind a token, and how far the token reaches.

    ``project_ids`` limits a token to projects (null: all of the user's); ``attempt_id`` is set for the
    tokens of work: the launcher's, which may do nothing but report that attempt, and the work's own.
    """

    user_id: str
    user_name: str
    admin: bool = False
    token_id: str = ""
    scopes: frozenset[str] = frozenset({"*"})
    project_ids: frozenset[str] | None = None
    attempt_id: str | None = None
    project: ProjectRef | None = None

    @property
    def limited(self) -> bool:
        """Whether the token reaches only some projects, as those of jobs and instances do."""
        return self.project_ids is not None

    @property
    def project_id(self) -> str:
        """The project of the path; only for operations that have one."""
        assert self.project is not None
        return self.project.id


def check(operation: Operation, caller: Caller | None, attempt_id: str | None = None) -> None:
    """Raise unless the caller may call the operation.

    ``caller.project`` is the project of the path, where there is one; ``attempt_id`` the attempt of the
    path. A project that the caller is no member of looks as if it did not exist. Administrators
    administer the server; they see no project that they are not a member of.

    Raises:
        Unauthenticated: no valid token.
        NotFound: not a member of the project.
        PermissionDenied: scope or role is not enough.
    """
    if operation.access is Access.PUBLIC:
        return
    if caller is None:
        raise Unauthenticated(
            "this needs a token: sign in with 'nacre login', or send 'Authorization: Bearer …'"
        )
    reports = operation.access is Access.ATTEMPT  # '*' does not: a notebook must not report its own end
    if operation.scope and not ({operation.scope} if reports else {"*", operation.scope}) & caller.scopes:
        raise PermissionDenied(
            f"the token lacks the scope {operation.scope}: make one that has it with 'nacre token create'",
            scope=operation.scope,
        )
    if operation.access is Access.ATTEMPT:
        if caller.attempt_id is None or caller.attempt_id != attempt_id:
            raise PermissionDenied("only the launcher of this attempt may report it")
        return
    if operation.access is Access.ADMIN and not caller.admin:
        raise PermissionDenied("only an administrator of the server may do this")
    if operation.access in (Access.VIEWER, Access.EDITOR, Access.OWNER):
        _check_role(Role(operation.access.value), caller)


def check_unlimited(caller: Caller, what: str) -> None:
    """Raise for a token that is limited to projects: what it may do must not reach beyond them.

    Raises:
        PermissionDenied: the token is limited.
    """
    if caller.limited:
        raise PermissionDenied(
            f"a token of a job or an instance cannot {what}: sign in with 'nacre login' and do it there"
        )


def _check_role(needed: Role, caller: Caller) -> None:
    project = caller.project
    hidden = project is not None and (
        caller.project_ids is not None and project.id not in caller.project_ids
    )
    if project is None or project.role is None or hidden:
        raise NotFound("there is no such project, or you are not a member of it: see 'nacre project ls'")
    if _RANK[project.role] < _RANK[needed]:
        raise PermissionDenied(
            f"this needs the role {needed} in project {project.name}; yours is {project.role}",
            role=needed,
        )
