"""One endpoint in one worker: its revisions, and which of them answers the next request."""

from __future__ import annotations

from nacre.modelserver.backend import Refused
from nacre.modelserver.calls import NO_TENSORS, View
from nacre.modelserver.revision import Revision
from nacre.schema.serving import ServedEndpoint

_GOLDEN = 0.6180339887498949


class Endpoint:
    """``revisions``: by number. Shares of those that do not answer go to those that do, in proportion.

    ``leaving``: revisions that the routes no longer have; they answer until one that the routes have can.
    """

    def __init__(self, key: str, config: ServedEndpoint) -> None:
        self.key = key
        self.project, _, self.name = key.partition("/")
        self.config = config
        self.revisions: dict[int, Revision] = {}
        self.leaving: dict[int, Revision] = {}
        self._turn = 0.0
        self._shadow_turn = 0.0
        self._log_turn = 0.0

    def all(self) -> list[Revision]:
        """Those that the routes have, and those that are leaving."""
        return (
            [*self.revisions.values(), *self.leaving.values()]
            if self.leaving
            else [*self.revisions.values()]
        )

    def let_go(self) -> list[Revision]:
        """Those that are leaving go, when others answer now or nobody shall; which ones."""
        shares = [one for one in self.revisions.values() if one.wanted.traffic]
        if shares and not any(one.answers for one in shares):
            return []
        gone, self.leaving = list(self.leaving.values()), {}
        for revision in gone:
            revision.close()
        return gone

    def close(self) -> list[Revision]:
        """It is out of the routes: what is in flight ends. The revisions that it had."""
        for revision in self.all():
            revision.close()
        return self.all()

    def logged(self) -> bool:
        """Whether the next request is one of those that are logged."""
        if not self.config.access_log:
            return False
        self._log_turn += self.config.access_log
        if self._log_turn < 1.0:
            return False
        self._log_turn -= 1.0
        return True

    def pick(self) -> Revision | None:
        """The revision for the next request; null while none answers.

        Steps of the golden ratio spread requests evenly over the shares, however few there are.
        """
        if len(self.revisions) == 1:
            (one,) = self.revisions.values()
            if one.wanted.traffic and one.answers:
                return one
        ready = [one for one in self.revisions.values() if one.wanted.traffic and one.answers]
        if not ready and self.leaving:
            ready = [one for one in self.leaving.values() if one.wanted.traffic and one.answers]
        if len(ready) < 2:
            return ready[0] if ready else None
        self._turn = (self._turn + _GOLDEN) % 1.0
        at = self._turn * sum(one.wanted.traffic for one in ready)
        for one in ready:
            at -= one.wanted.traffic
            if at < 0:
                return one
        return ready[-1]

    def of_version(self, version: str) -> Revision | None:
        """The newest revision of a model version, whatever its share."""
        found = [one for one in self.all() if str(one.wanted.model_version) == version]
        return max(found, key=lambda one: (one.answers, one.number), default=None)

    def shadows(self, answering: Revision) -> list[Revision]:
        """The revisions that get a copy of this request."""
        if len(self.revisions) < 2:
            return []
        wanted = [one for one in self.revisions.values() if one.wanted.shadow and one is not answering]
        if not wanted:
            return []
        self._shadow_turn = (self._shadow_turn + _GOLDEN) % 1.0
        return [one for one in wanted if one.answers and self._shadow_turn * 100 < one.wanted.shadow]

    def models(self) -> set[str]:
        """The models' names behind it."""
        return {one.wanted.model for one in self.all()}

    def trouble(self) -> str:
        """Why nothing answers."""
        failed = [one.failure for one in self.all() if one.failure]
        return failed[-1] if failed else "the endpoint is loading: try again in a moment"

    def no_interface(self, revision: Revision) -> Refused:
        """Why this revision takes no tensors: it has code of its own, or is not there yet."""
        return Refused(400, NO_TENSORS) if revision.state == "ready" else Refused(503, self.trouble())

    def view(self, revision: Revision | None) -> View:
        """What dialects tell of it."""
        return View(
            project=self.project,
            name=self.name,
            interface=revision.interface if revision is not None else None,
            ready=revision is not None and revision.answers,
            message=None if revision is not None and revision.answers else self.trouble(),
            versions=[
                (str(one.wanted.model_version), one.state)
                for one in sorted(self.all(), key=lambda one: -one.number)
            ],
        )
