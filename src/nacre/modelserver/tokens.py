"""``tokens.json``: who may call what, how often; read again whenever it has changed."""

from __future__ import annotations

import hashlib
import logging
import os
import time
from pathlib import Path

from pydantic import ValidationError

from nacre.modelserver.backend import Refused
from nacre.modelserver.rates import Rates
from nacre.schema.serving import TokenGrant, Tokens

log = logging.getLogger(__name__)

_MOST_HEADERS = 4096
_Mark = tuple[int, int, int]


class Grant:
    """What one token may do. Its rate is a bucket that fills by ``rate_per_s`` up to ``burst`` requests."""

    __slots__ = ("_bucket", "every", "expires_s", "projects")

    def __init__(self, key: str, grant: TokenGrant, rates: Rates) -> None:
        self.projects = frozenset(grant.projects)
        self.every = "*" in self.projects
        self.expires_s = None if grant.expires_ms is None else grant.expires_ms / 1000
        rate = grant.rate_per_s
        self._bucket = rates.bucket(key, rate, max(1.0, grant.burst or rate)) if rate else None

    def check(self, now: float) -> None:
        """Take a request's place. Raises :class:`Refused` with 429 when there is none."""
        if self._bucket is not None and (wait := self._bucket.take(now)) > 0:
            wrong = Refused(429, f"the token's rate is used up: try again in {max(wait, 0.1):.1f} s")
            wrong.retry_after = max(1, round(wait))
            raise wrong


class Access:
    """Who may call which project's endpoints. ``epoch`` counts changes: judgements of another are stale."""

    def __init__(self, path: Path, rates: Rates) -> None:
        self._path = path
        self._rates = rates
        self._mark: _Mark | None = None
        self._grants: dict[str, tuple[TokenGrant, Grant]] = {}
        self._headers: dict[bytes, Grant] = {}
        """Grants by the headers that named them."""
        self.epoch = 0

    def refresh(self) -> bool:
        """Read the file again if it is not the one that was read; whether it was. A file that is not valid
        is logged, and what was known stays."""
        try:
            with self._path.open("rb") as file:
                mark = _mark(os.fstat(file.fileno()))
                if mark == self._mark:
                    return False
                tokens = Tokens.model_validate_json(file.read()).tokens
        except FileNotFoundError:
            if self._mark is None:
                return False
            mark, tokens = None, {}
        except (OSError, ValidationError) as error:
            log.warning("tokens were not read again: %s", error)
            return False
        before, self._grants = self._grants, {}
        for digest, wire in tokens.items():
            key = digest.lower()
            known = before.get(key)
            kept = known[1] if known is not None and known[0] == wire else Grant(key, wire, self._rates)
            self._grants[key] = (wire, kept)
        self._headers.clear()
        self._mark = mark
        self.epoch += 1
        return True

    def grant(self, header: bytes | None, project: str) -> Grant:
        """The grant of the holder of this ``Authorization`` header for a project.

        Raises :class:`Refused` with 401 or 403, after a look whether the file has changed: a token made a
        moment ago is valid before anything was told.
        """
        try:
            return self._judge(header, project)
        except Refused:
            if header is None or not self.refresh():
                raise
            return self._judge(header, project)

    def known(self, header: bytes | None) -> Grant:
        """The grant of the holder of this header, whatever it is for. Raises :class:`Refused` with 401."""
        try:
            return self._known(header)
        except Refused:
            if header is None or not self.refresh():
                raise
            return self._known(header)

    def _judge(self, header: bytes | None, project: str) -> Grant:
        grant = self._known(header)
        if not grant.every and project not in grant.projects:
            raise Refused(403, f"the token may not call endpoints of project {project!r}")
        return grant

    def _known(self, header: bytes | None) -> Grant:
        if header is None:
            raise Refused(401, "this needs a token: send the header Authorization: Bearer TOKEN")
        grant = self._headers.get(header)
        if grant is None:
            grant = self._find(header)
            if len(self._headers) >= _MOST_HEADERS:
                self._headers.clear()
            self._headers[header] = grant
        if grant.expires_s is not None and grant.expires_s <= time.time():
            raise Refused(401, "the token has expired: make one with nacre token create")
        return grant

    def _find(self, header: bytes) -> Grant:
        scheme, _, token = header.partition(b" ")
        if scheme.lower() != b"bearer":
            raise Refused(401, "the Authorization header has to be: Bearer TOKEN")
        found = self._grants.get(hashlib.sha256(token.strip()).hexdigest())
        if found is None:
            raise Refused(401, "the token is not known here: make one with nacre token create")
        return found[1]


def _mark(stat: os.stat_result) -> _Mark:
    return stat.st_ino, stat.st_mtime_ns, stat.st_size
