"""What every noun of the client shares."""

from __future__ import annotations

from nacre.sdk.transport import Transport


class Noun:
    """The operations of one noun. Methods are named after the operations' verbs.

    ``project`` is the one that is meant when a method's ``project`` argument is left out.
    """

    def __init__(self, transport: Transport, project: str) -> None:
        self._transport = transport
        self._project = project

    def _in(self, project: str | None) -> str:
        return project or self._project
