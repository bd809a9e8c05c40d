"""``client.server``: what the server says of itself."""

from __future__ import annotations

from nacre.schema.server import Diagnosis, ServerInfo, ServerStatus
from nacre.sdk.resources.base import Noun


class Server(Noun):
    """The server behind the client."""

    def info(self) -> ServerInfo:
        """Version, sign-up policy and the other listeners' URLs; needs no token."""
        found: ServerInfo = self._transport.call("server.info", ServerInfo)
        return found

    def status(self) -> ServerStatus:
        """How much runs and waits."""
        found: ServerStatus = self._transport.call("server.status", ServerStatus)
        return found

    def doctor(self) -> Diagnosis:
        """Try out what the server and its machine give (administrators); takes about a second."""
        found: Diagnosis = self._transport.call("server.doctor", Diagnosis)
        return found
