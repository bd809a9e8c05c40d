"""Every route of the server, as everybody: nobody, strangers, each role, administrators, launchers."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

import pytest
from fastapi import FastAPI
from tests.api.conftest import Http
from tests.identity_kit import Identity

from nacre.schema.access import Access, Operation, Role
from nacre.schema.operations import OPERATIONS, SCOPES
from nacre.schema.projects import MemberSet
from nacre.schema.users import TokenCreate, UserUpdate
from nacre.services.tokens import REPORT_SCOPES, WORK_SCOPES

ATTEMPT = "att_mine"

PASSES = "passes"
NOBODY = ("nobody", "forged", "expired", "revoked", "disabled")
"""Callers without a valid token."""

SIGNED_IN = ("stranger", "viewer", "editor", "owner", "admin")

TABLE: dict[Access, dict[str, str]] = {
    Access.PUBLIC: dict.fromkeys(SIGNED_IN, PASSES),
    Access.USER: dict.fromkeys(SIGNED_IN, PASSES),
    Access.VIEWER: {"stranger": "404", "viewer": PASSES, "editor": PASSES, "owner": PASSES, "admin": "404"},
    Access.EDITOR: {"stranger": "404", "viewer": "403", "editor": PASSES, "owner": PASSES, "admin": "404"},
    Access.OWNER: {"stranger": "404", "viewer": "403", "editor": "403", "owner": PASSES, "admin": "404"},
    Access.ADMIN: {"stranger": "403", "viewer": "403", "editor": "403", "owner": "403", "admin": PASSES},
    Access.ATTEMPT: dict.fromkeys(SIGNED_IN, "403"),
}
"""What a token for everything gets. The owner is the project's; the admin is no member of it."""


@dataclass
class World:
    """A project ``vision``, and a token (or none) for each kind of caller."""

    http: Http
    identity: Identity
    tokens: dict[str, str | None]

    def answer(self, operation: Operation, token: str | None, **path: str) -> str:
        """``passes``, or the status with which authorisation refused."""
        url = url_of(operation, **path)
        response = self.http.request(operation.method, url, token=token)
        if response.status_code in (401, 403, 404):
            assert response.headers["content-type"] == "application/problem+json"
            body = response.json()
            assert "no route" not in body["detail"], f"{operation.name} is not served: {body['detail']}"
            assert body["status"] == response.status_code
            return str(response.status_code)
        assert response.status_code < 500, f"{operation.name} failed: {response.text}"
        assert response.status_code != 405, f"{operation.name} is not served with {operation.method}"
        return PASSES

    def token(self, name: str, *scopes: str) -> str:
        """A token of a caller, limited to scopes."""
        full = self.tokens[name]
        assert full is not None
        caller = self.identity.caller(full)
        body = TokenCreate(name=f"t{len(self.tokens)}", scopes=list(scopes) or ["*"])
        self.tokens[body.name] = self.identity.tokens.create(caller, body).secret
        return str(self.tokens[body.name])


def url_of(operation: Operation, **path: str) -> str:
    """The operation's path with something of the right form in each placeholder."""
    values = {
        "project": "vision",
        "attempt": ATTEMPT,
        "digest": "0" * 64,
        "version": "1",
        "rank": "0",
        "offset": "0",
        "channel": "log",
    }
    values |= path
    return re.sub(r"\{(\w+)(:path)?\}", lambda m: values.get(m[1], "x"), operation.path)


@pytest.fixture(scope="module")
def world(full_app: FastAPI, walker: Identity) -> Iterator[World]:
    tokens: dict[str, str | None] = {"nobody": None, "forged": "nacre_" + "A" * 43}
    for name in ("vision", *SIGNED_IN, "expired", "revoked", "disabled"):
        tokens[name] = walker.sign_up(name if name != "admin" else "boss").secret
    admin = walker.caller(str(tokens["admin"]))
    chief = walker.caller(str(tokens["vision"]), "vision")
    for name in ("viewer", "editor", "owner"):
        walker.projects.set_member(chief, name, MemberSet(role=Role(name)))
    for name in ("expired", "revoked", "disabled"):  # valid in everything else
        walker.projects.set_member(chief, name, MemberSet(role=Role.OWNER))
        walker.users.update(admin, name, UserUpdate(admin=True))
    walker.users.update(admin, "boss", UserUpdate(admin=True))
    revoked, expired = (walker.caller(str(tokens[name])) for name in ("revoked", "expired"))
    walker.tokens.delete(revoked, revoked.token_id)
    tokens["expired"] = walker.tokens.create(expired, TokenCreate(name="short", lifetime_s=60)).secret
    walker.clock.advance(61)
    walker.users.update(admin, "disabled", UserUpdate(disabled=True))
    with walker.db.write() as session:
        for name, kind, scopes in (
            ("launcher", "attempt", list(REPORT_SCOPES)),
            ("job", "attempt", list(WORK_SCOPES)),
            ("notebook", "instance", ["*"]),
        ):
            tokens[name], _ = walker.tokens.issue(
                session,
                user_id=chief.user_id,
                kind=kind,
                name=name,
                scopes=scopes,
                project_id=chief.project_id,
                attempt_id=ATTEMPT,
            )
    http = Http(full_app)
    yield World(http, walker, tokens)
    http.close()


def test_the_routes_are_the_operations(full_app: FastAPI) -> None:
    served = {
        (str(details["operationId"]), method.upper(), path)
        for path, methods in full_app.openapi()["paths"].items()
        for method, details in methods.items()
    }
    expected = {(op.name, op.method, re.sub(r":path\}", "}", op.path)) for op in OPERATIONS.values()}
    assert served == expected


def test_the_table_has_every_access_and_caller() -> None:
    assert set(TABLE) == set(Access)
    assert all(set(row) == set(SIGNED_IN) for row in TABLE.values())


@pytest.mark.parametrize("name", OPERATIONS)
class TestWalk:
    def test_without_a_valid_token(self, world: World, name: str) -> None:
        operation = OPERATIONS[name]
        expected = PASSES if operation.access is Access.PUBLIC else "401"
        answers = {who: world.answer(operation, world.tokens[who]) for who in NOBODY}
        assert answers == dict.fromkeys(NOBODY, expected)

    def test_in_each_role(self, world: World, name: str) -> None:
        operation = OPERATIONS[name]
        answers = {who: world.answer(operation, world.tokens[who]) for who in SIGNED_IN}
        assert answers == TABLE[operation.access]

    def test_a_project_that_does_not_exist_looks_like_a_foreign_one(self, world: World, name: str) -> None:
        operation = OPERATIONS[name]
        if "{project}" not in operation.path:
            assert operation.access not in (Access.VIEWER, Access.EDITOR, Access.OWNER)
            return
        here, nowhere = (
            world.http.request(
                operation.method,
                url_of(operation, project=project),
                token=world.tokens["stranger"],
            )
            for project in ("vision", "nothing")
        )
        assert (here.status_code, here.json()) == (nowhere.status_code, nowhere.json())

    def test_as_the_launcher_of_an_attempt(self, world: World, name: str) -> None:
        operation = OPERATIONS[name]
        passes = operation.access in (Access.PUBLIC, Access.ATTEMPT)
        assert world.answer(operation, world.tokens["launcher"]) == (PASSES if passes else "403")
        if operation.access is Access.ATTEMPT:
            assert world.answer(operation, world.tokens["launcher"], attempt="att_other") == "403"

    def test_as_the_work_of_an_attempt(self, world: World, name: str) -> None:
        operation = OPERATIONS[name]
        within = operation.access in (Access.VIEWER, Access.EDITOR) and operation.scope in WORK_SCOPES
        expected = PASSES if operation.access is Access.PUBLIC or within else "403"
        assert world.answer(operation, world.tokens["job"]) == expected
        if "{project}" in operation.path and expected is PASSES:
            assert world.answer(operation, world.tokens["job"], project="owner") == "404"

    def test_as_a_notebook_of_an_owner(self, world: World, name: str) -> None:
        operation = OPERATIONS[name]
        expected = "403" if operation.access in (Access.ADMIN, Access.ATTEMPT) else PASSES
        assert world.answer(operation, world.tokens["notebook"]) == expected
        if "{project}" in operation.path:
            assert world.answer(operation, world.tokens["notebook"], project="owner") == "404"


@pytest.mark.parametrize("scope", sorted(SCOPES))
def test_a_scope_opens_its_operations_and_no_others(world: World, scope: str) -> None:
    token = world.token("owner", scope)
    wrong = []
    for operation in OPERATIONS.values():
        if operation.access in (Access.ADMIN, Access.ATTEMPT):
            continue
        expected = PASSES if operation.scope in (scope, None) else "403"
        if world.answer(operation, token) != expected:
            wrong.append(operation.name)
    assert wrong == []
