"""Who may call what: every kind of access against every kind of caller."""

from __future__ import annotations

import pytest

from nacre.domain.identity import Caller, ProjectRef, check, check_unlimited
from nacre.errors import NacreError, NotFound, PermissionDenied, Unauthenticated
from nacre.schema.access import Access, Operation, Role

Expected = type[NacreError] | None


def operation(access: Access, scope: str | None = "jobs:write") -> Operation:
    return Operation(
        "jobs.submit", "POST", "/x", "…", access, scope if access is not Access.PUBLIC else None
    )


def caller(
    role: Role | None = None,
    *,
    admin: bool = False,
    scopes: tuple[str, ...] = ("*",),
    reach: tuple[str, ...] | None = None,
    attempt: str | None = None,
) -> Caller:
    return Caller(
        "usr_1",
        "ada",
        admin=admin,
        scopes=frozenset(scopes),
        project_ids=None if reach is None else frozenset(reach),
        attempt_id=attempt,
        project=ProjectRef("prj_1", "vision", role) if role else ProjectRef("", "vision", None),
    )


STRANGER, VIEWER, EDITOR, OWNER = caller(), caller(Role.VIEWER), caller(Role.EDITOR), caller(Role.OWNER)
ADMIN = caller(admin=True)
LAUNCHER = caller(Role.EDITOR, attempt="att_1", scopes=("jobs:write",), reach=("prj_1",))

TABLE: list[tuple[Access, Caller | None, Expected]] = [
    (Access.PUBLIC, None, None),
    (Access.PUBLIC, STRANGER, None),
    (Access.USER, None, Unauthenticated),
    (Access.USER, STRANGER, None),
    (Access.VIEWER, None, Unauthenticated),
    (Access.VIEWER, STRANGER, NotFound),
    (Access.VIEWER, ADMIN, NotFound),
    (Access.VIEWER, VIEWER, None),
    (Access.VIEWER, EDITOR, None),
    (Access.VIEWER, OWNER, None),
    (Access.EDITOR, None, Unauthenticated),
    (Access.EDITOR, STRANGER, NotFound),
    (Access.EDITOR, ADMIN, NotFound),
    (Access.EDITOR, VIEWER, PermissionDenied),
    (Access.EDITOR, EDITOR, None),
    (Access.EDITOR, OWNER, None),
    (Access.EDITOR, LAUNCHER, None),
    (Access.OWNER, None, Unauthenticated),
    (Access.OWNER, STRANGER, NotFound),
    (Access.OWNER, ADMIN, NotFound),
    (Access.OWNER, VIEWER, PermissionDenied),
    (Access.OWNER, EDITOR, PermissionDenied),
    (Access.OWNER, LAUNCHER, PermissionDenied),
    (Access.OWNER, OWNER, None),
    (Access.ADMIN, None, Unauthenticated),
    (Access.ADMIN, OWNER, PermissionDenied),
    (Access.ADMIN, LAUNCHER, PermissionDenied),
    (Access.ADMIN, ADMIN, None),
    (Access.ATTEMPT, None, Unauthenticated),
    (Access.ATTEMPT, OWNER, PermissionDenied),
    (Access.ATTEMPT, ADMIN, PermissionDenied),
    (Access.ATTEMPT, LAUNCHER, None),
]


def outcome(wanted: Operation, who: Caller | None, attempt: str | None = "att_1") -> Expected:
    try:
        check(wanted, who, attempt)
    except NacreError as error:
        return type(error)
    return None


class TestCheck:
    @pytest.mark.parametrize(("access", "who", "expected"), TABLE)
    def test_access(self, access: Access, who: Caller | None, expected: Expected) -> None:
        assert outcome(operation(access), who) is expected

    def test_the_table_has_every_access(self) -> None:
        assert {access for access, _, _ in TABLE} == set(Access)

    @pytest.mark.parametrize(
        ("scopes", "expected"),
        [
            (("*",), None),
            (("jobs:write",), None),
            (("jobs:read", "jobs:write"), None),
            (("jobs:read",), PermissionDenied),
            ((), PermissionDenied),
        ],
    )
    @pytest.mark.parametrize("access", [Access.USER, Access.EDITOR, Access.ADMIN])
    def test_scope_is_needed_besides_the_role(
        self, access: Access, scopes: tuple[str, ...], expected: Expected
    ) -> None:
        assert outcome(operation(access), caller(Role.OWNER, admin=True, scopes=scopes)) is expected

    def test_the_refusal_names_the_missing_scope(self) -> None:
        with pytest.raises(PermissionDenied, match="jobs:write") as caught:
            check(operation(Access.USER), caller(scopes=("jobs:read",)))
        assert caught.value.extra == {"scope": "jobs:write"}

    def test_a_token_limited_to_another_project_sees_none(self) -> None:
        assert outcome(operation(Access.VIEWER), caller(Role.OWNER, reach=("prj_2",))) is NotFound
        assert outcome(operation(Access.VIEWER), caller(Role.OWNER, reach=("prj_1",))) is None

    def test_a_launcher_reports_no_other_attempt(self) -> None:
        assert outcome(operation(Access.ATTEMPT), LAUNCHER, "att_2") is PermissionDenied
        assert outcome(operation(Access.ATTEMPT), LAUNCHER, None) is PermissionDenied


class TestCheckUnlimited:
    def test_tokens_of_work_do_nothing_beyond_their_project(self) -> None:
        with pytest.raises(PermissionDenied, match="cannot make tokens"):
            check_unlimited(LAUNCHER, "make tokens")
        check_unlimited(OWNER, "make tokens")
