"""What the control loop asks of a JupyterLab: whether it is ready, and what runs in it."""

from __future__ import annotations

from datetime import datetime

from nacre.control.probes import ask, instant
from nacre.domain.instances import Kernel, Terminal, last_active
from nacre.errors import Unavailable
from nacre.services.upstreams import Upstream

_TITLE = "JupyterLab"


class JupyterProbe:
    """A kernel that computes, a terminal that moves and a person in the page keep it from being idle."""

    def ready(self, upstream: Upstream, base: str) -> bool:
        """Whether it answers."""
        return ready(upstream, base)

    def active_at(self, upstream: Upstream, base: str, now: datetime, noted: datetime) -> datetime:
        """See :func:`nacre.domain.instances.last_active`.

        Raises:
            Unavailable: it does not answer, or with something else.
        """
        kernels, terminals = activity(upstream, base)
        return last_active(now, noted, kernels, terminals)


def ready(upstream: Upstream, base: str) -> bool:
    """Whether it answers. ``base``: its base URL's path, with slashes around."""
    try:
        ask(upstream, f"{base}api/status", _TITLE)
    except Unavailable:
        return False
    return True


def activity(upstream: Upstream, base: str) -> tuple[list[Kernel], list[Terminal]]:
    """What runs in it.

    Raises:
        Unavailable: it does not answer, or with something else.
    """
    kernels = ask(upstream, f"{base}api/kernels", _TITLE)
    terminals = ask(upstream, f"{base}api/terminals", _TITLE)
    try:
        return (
            [Kernel(str(item["execution_state"]), instant(item["last_activity"])) for item in kernels],
            [Terminal(instant(item["last_activity"])) for item in terminals],
        )
    except (KeyError, TypeError, ValueError) as error:
        raise Unavailable("what answers is not JupyterLab") from error
