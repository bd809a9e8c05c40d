"""``client.tokens``: one's own tokens."""

from __future__ import annotations

import builtins
from collections.abc import Sequence

from nacre.schema.users import IssuedToken, Token, TokenScope, TokenScopes
from nacre.sdk.resources.base import Noun


class Tokens(Noun):
    """Tokens for programs."""

    def create(
        self,
        name: str,
        *,
        scopes: Sequence[str] = ("*",),
        lifetime_s: int | None = None,
        rate_per_s: float | None = None,
        burst: int | None = None,
    ) -> IssuedToken:
        """A token that may do what ``scopes`` say (``jobs:write``, …), for ever or for a time.

        Endpoints answer it ``rate_per_s`` requests a second, in bursts of up to ``burst``. The answer's
        ``secret`` is shown this once.
        """
        body = {
            "name": name,
            "scopes": list(scopes),
            "lifetime_s": lifetime_s,
            "rate_per_s": rate_per_s,
            "burst": burst,
        }
        found: IssuedToken = self._transport.call("tokens.create", IssuedToken, json=body)
        return found

    def list(self, *, limit: int | None = None) -> builtins.list[Token]:
        """One's own tokens and sessions, newest first."""
        return self._all("tokens.list", Token, limit=limit)

    def scopes(self) -> builtins.list[TokenScope]:
        """What a token can be limited to, and what each of these opens."""
        found: TokenScopes = self._transport.call("tokens.scopes", TokenScopes)
        return found.items

    def delete(self, token: str) -> None:
        """Revoke a token by id or name; it stops at once."""
        self._transport.call("tokens.delete", None, token=token)
