"""Secrets of projects: kept under the server's key, given to jobs and instances, never shown again."""

from __future__ import annotations

import base64
import binascii
import os
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Literal

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from sqlalchemy import Row, select
from sqlalchemy.exc import IntegrityError

from nacre.clock import Clock
from nacre.db.connect import Database
from nacre.db.queries.pages import newest_first
from nacre.db.tables.projects import SecretRow
from nacre.domain.identity import Caller
from nacre.errors import InternalError, InvalidSpec, NotFound, Unavailable
from nacre.ids import new_id
from nacre.schema.base import Page
from nacre.schema.projects import Secret, SecretSet
from nacre.services.events import Events

KEY_BYTES = 32
_NONCE_BYTES = 12
_FORMAT = b"\x01"
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,63}")
_FILE = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,63}")


class Secrets:
    """Values are sealed with AES-256-GCM, bound to their project and name: a row that somebody moved or
    changed in the database does not open."""

    def __init__(self, db: Database, clock: Clock, events: Events, key: bytes) -> None:
        if len(key) != KEY_BYTES:
            raise InternalError(f"the key of the secrets has {len(key)} bytes instead of {KEY_BYTES}")
        self._db = db
        self._clock = clock
        self._events = events
        self._cipher = AESGCM(key)

    def __repr__(self) -> str:
        return "Secrets(…)"

    def set(self, caller: Caller, name: str, body: SecretSet) -> Secret:
        """Keep a secret, or replace it; what runs already keeps the old value.

        Raises:
            InvalidSpec: the name cannot be a variable's or a file's, or the value cannot be a variable's.
        """
        value = body.value.get_secret_value()
        _check(name, body.kind, value)
        sealed = self._seal(caller.project_id, name, value)
        try:
            return self._put(caller, name, body.kind, sealed)
        except IntegrityError:  # another server set it for the first time just now: ours replaces that
            return self._put(caller, name, body.kind, sealed)

    def _put(self, caller: Caller, name: str, kind: str, sealed: bytes) -> Secret:
        now = self._clock.now()
        with self._db.write() as session:
            row = session.get(SecretRow, (caller.project_id, name))
            if row is None:
                row = SecretRow(project_id=caller.project_id, name=name, created_at=now)
                session.add(row)
            row.kind, row.sealed, row.updated_at = kind, sealed, now
            session.flush()
            self._events.add(session, caller.project_id, caller.user_id, "secrets.set", name, kind=kind)
        return _secret(row)

    def list(self, caller: Caller, *, cursor: str | None = None, limit: int = 100) -> Page[Secret]:
        """The project's secrets without their values, names falling."""
        statement = select(SecretRow).where(SecretRow.project_id == caller.project_id)
        with self._db.read() as session:
            return newest_first(session, statement, SecretRow.name, _listed, cursor=cursor, limit=limit)

    def delete(self, caller: Caller, name: str) -> None:
        """Delete a secret; what runs already keeps its value.

        Raises:
            NotFound: there is none of that name.
        """
        with self._db.write() as session:
            row = session.get(SecretRow, (caller.project_id, name))
            if row is None:
                raise NotFound(f"there is no secret {name}: see 'nacre secret ls'")
            session.delete(row)
            self._events.add(session, caller.project_id, caller.user_id, "secrets.delete", name)

    def reveal(self, project_id: str, names: Iterable[str]) -> tuple[dict[str, str], dict[str, str]]:
        """The values for a job or an instance: variables, and files, each by name.

        Raises:
            NotFound: one does not exist; the sentence names it.
            Unavailable: it was sealed with another key, or its row was changed.
        """
        wanted = list(dict.fromkeys(names))
        statement = select(SecretRow).where(SecretRow.project_id == project_id, SecretRow.name.in_(wanted))
        with self._db.read() as session:
            rows = {row.name: row for row in session.execute(statement).scalars()}
        variables: dict[str, str] = {}
        files: dict[str, str] = {}
        for name in wanted:
            row = rows.get(name)
            if row is None:
                raise NotFound(f"there is no secret {name}: set it with 'nacre secret set {name}'")
            (files if row.kind == "file" else variables)[name] = self._open(row)
        return variables, files

    def _seal(self, project_id: str, name: str, value: str) -> bytes:
        nonce = os.urandom(_NONCE_BYTES)
        return _FORMAT + nonce + self._cipher.encrypt(nonce, value.encode(), _bound(project_id, name))

    def _open(self, row: SecretRow) -> str:
        start = len(_FORMAT) + _NONCE_BYTES
        nonce = row.sealed[len(_FORMAT) : start]
        try:
            plain = self._cipher.decrypt(nonce, row.sealed[start:], _bound(row.project_id, row.name))
        except (InvalidTag, ValueError) as error:  # ValueError: cut short
            raise Unavailable(
                f"the secret {row.name} does not open with this server's key: restore the key file, "
                f"or set it again with 'nacre secret set {row.name}'"
            ) from error
        return plain.decode()


def read_key(path: Path) -> bytes:
    """The key in the file; a new one, in a file of mode 0600, when there is none.

    Raises:
        Unavailable: the file holds something else.
    """
    if not path.exists():
        temporary = path.with_name(f".{path.name}.{new_id('key')}")
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "wb") as stream:
            stream.write(base64.b64encode(os.urandom(KEY_BYTES)) + b"\n")
            stream.flush()
            os.fsync(stream.fileno())
        try:
            path.hardlink_to(temporary)
        except FileExistsError:
            pass  # another server made it at the same moment: that one counts
        finally:
            temporary.unlink()
    try:
        key = base64.b64decode(path.read_bytes().strip(), validate=True)
    except binascii.Error:
        key = b""
    if len(key) != KEY_BYTES:
        raise Unavailable(
            f"{path} does not hold a key of {KEY_BYTES} bytes in base 64: restore it from a backup, "
            "or remove it to start with a new one and set every secret again"
        )
    return key


def _bound(project_id: str, name: str) -> bytes:
    return f"{project_id}/{name}".encode()


def _check(name: str, kind: Literal["variable", "file"], value: str) -> None:
    wrong = None
    if kind == "file":
        if not _FILE.fullmatch(name):
            wrong = "use 1 to 64 letters, digits, '_', '-' and '.', not starting with '.' or '-'"
    elif not _VARIABLE.fullmatch(name):
        wrong = "a variable has 1 to 64 letters, digits and '_', and starts with no digit"
    elif name.upper().startswith("NACRE_"):
        wrong = "variables that start with NACRE_ are Nacre's own"
    if wrong:
        raise InvalidSpec(
            f"{name!r} cannot name this secret: {wrong}", fields=[{"field": "secret", "message": wrong}]
        )
    if kind == "variable" and "\0" in value:
        raise InvalidSpec(
            "a variable cannot hold a zero byte: set the secret as a file, with --file",
            fields=[{"field": "value", "message": "has a zero byte"}],
        )


def _listed(row: Row[*tuple[Any, ...]]) -> Secret:
    return _secret(row[0])


def _secret(row: SecretRow) -> Secret:
    return Secret.model_validate(
        {"name": row.name, "kind": row.kind, "created_at": row.created_at, "updated_at": row.updated_at}
    )
