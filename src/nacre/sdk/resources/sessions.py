"""``client.sessions``: links that sign a browser in."""

from __future__ import annotations

from nacre.schema.users import IssuedToken, SessionLink
from nacre.sdk.resources.base import Noun


class Sessions(Noun):
    """Sign-ins without a password, made by who is signed in already."""

    def link(self) -> SessionLink:
        """A link for a browser of one's own: it works once, for ten minutes.

        Open its ``path`` on the address under which the browser reaches the server.
        """
        found: SessionLink = self._transport.call("sessions.link", SessionLink)
        return found

    def redeem(self, code: str) -> IssuedToken:
        """Exchange a link's code for a session's token, as a browser does for a cookie."""
        body = {"code": code, "cookie": False}
        found: IssuedToken = self._transport.call("sessions.redeem", IssuedToken, json=body)
        return found
