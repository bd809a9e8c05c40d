"""``routes.json``: read whole, and asked for each request who may call what."""

from __future__ import annotations

import hashlib
import logging
import os
import time
from dataclasses import dataclass
from pathlib import Path

from pydantic import ValidationError

from nacre.errors import InvalidSpec, PermissionDenied, RequestError, Unauthenticated
from nacre.schema.serving import Routes, TokenGrant

log = logging.getLogger(__name__)

Mark = tuple[int, int, int]


def read_routes(path: Path) -> tuple[Routes, Mark | None]:
    """The routes and a mark of the file's version; empty routes when there is no file.

    Raises ``InvalidSpec`` when the file is not what ``nacre.schema.serving.Routes`` says.
    """
    try:
        with path.open("rb") as file:
            mark = _mark(os.fstat(file.fileno()))
            text = file.read()
    except FileNotFoundError:
        return Routes(generation=0, endpoints={}, tokens={}), None
    try:
        return Routes.model_validate_json(text), mark
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        where = ".".join(str(part) for part in first["loc"])
        raise InvalidSpec(f"{path} is not valid: {where or 'the file'}: {first['msg']}") from error


def _mark(stat: os.stat_result) -> Mark:
    return stat.st_ino, stat.st_mtime_ns, stat.st_size


@dataclass(frozen=True, slots=True)
class _Grant:
    projects: frozenset[str]
    every: bool
    expires_ms: int | None


class Access:
    """Who may call which project's endpoints."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._mark: Mark | None = None
        self._grants: dict[str, _Grant] = {}

    def replace(self, tokens: dict[str, TokenGrant], mark: Mark | None) -> None:
        """Take over the tokens of a file whose version is ``mark``."""
        self._mark = mark
        self._grants = {
            key.lower(): _Grant(frozenset(grant.projects), "*" in grant.projects, grant.expires_ms)
            for key, grant in tokens.items()
        }

    def check(self, header: bytes | None, project: str) -> RequestError | None:
        """Why the holder of this ``Authorization`` header may not call ``project``, or None.

        A refusal is given only after a look whether ``routes.json`` has changed: a token made a
        moment ago is valid before the server's reload has arrived.
        """
        refused = self._judge(header, project)
        if refused is not None and header is not None and self._refresh():
            refused = self._judge(header, project)
        return refused

    def _judge(self, header: bytes | None, project: str) -> RequestError | None:
        if header is None:
            return Unauthenticated("this needs a token: send the header Authorization: Bearer TOKEN")
        scheme, _, token = header.partition(b" ")
        if scheme.lower() != b"bearer":
            return Unauthenticated("the Authorization header has to be: Bearer TOKEN")
        grant = self._grants.get(hashlib.sha256(token.strip()).hexdigest())
        if grant is None:
            return Unauthenticated("the token is not known here: make one with nacre token create")
        if grant.expires_ms is not None and grant.expires_ms <= time.time() * 1000:
            return Unauthenticated("the token has expired: make one with nacre token create")
        if not grant.every and project not in grant.projects:
            return PermissionDenied(f"the token may not call endpoints of project {project!r}")
        return None

    def _refresh(self) -> bool:
        """Read the tokens again if the file is not the one they came from."""
        try:
            if _mark(self._path.stat()) == self._mark:
                return False
            routes, mark = read_routes(self._path)
        except (OSError, InvalidSpec) as error:
            log.warning("tokens were not read again: %s", error)
            return False
        self.replace(routes.tokens, mark)
        return True
