"""What the control loop asks of a TensorBoard that ``nacre.workloads.tensorboard`` serves."""

from __future__ import annotations

from datetime import datetime

from nacre.control.probes import ask, instant
from nacre.errors import Unavailable
from nacre.services.upstreams import Upstream

_TITLE = "TensorBoard"
# The proxy passes nothing below /_nacre/ on: nobody else can ask this.
_STATUS = "_nacre/status"


class TensorBoardProbe:
    """It is ready once it has read its runs, and at work while somebody's page asks it for something."""

    def ready(self, upstream: Upstream, base: str) -> bool:
        """Whether it answers and has read every run once."""
        try:
            return self._status(upstream, base)[0]
        except Unavailable:
            return False

    def active_at(self, upstream: Upstream, base: str, now: datetime, noted: datetime) -> datetime:
        """The time of the last request of a page.

        Raises:
            Unavailable: it does not answer, or with something else.
        """
        return min(now, max(noted, self._status(upstream, base)[1]))

    def _status(self, upstream: Upstream, base: str) -> tuple[bool, datetime]:
        found = ask(upstream, f"{base}{_STATUS}", _TITLE)
        try:
            return found["ready"] is True, instant(found["asked_at"])
        except (KeyError, TypeError, ValueError) as error:
            raise Unavailable("what answers is not Nacre's TensorBoard") from error
