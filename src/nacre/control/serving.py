"""Keeps the model server running, and what it serves equal to what is stored."""

from __future__ import annotations

import threading
import time
from typing import ClassVar

from nacre.control.loop import Loop
from nacre.control.model_server import ModelServer
from nacre.errors import Unavailable
from nacre.schema.serving import Routes, ServingStatus, TokenGrant
from nacre.services.endpoint_settling import EndpointSettling
from nacre.services.endpoint_trials import EndpointTrials
from nacre.services.endpoint_usage import EndpointUsage
from nacre.services.signals import Signals
from nacre.services.tokens import Tokens

AGAIN = "serving-again"
"""Topic of the serving loop to itself: something loads, look again soon."""
_PASSES = 8
_SOON_S, _LATER_S = 0.05, 1.0
_DEMAND_S, _REST_S = 1.0, 0.25


class Grants(Loop):
    """Writes ``tokens.json`` whenever the grants changed. A loop of its own: no loading holds it up."""

    name: ClassVar[str] = "grants"
    topics: ClassVar[tuple[str, ...]] = ("access", "endpoints")
    interval_s: ClassVar[float] = 2.0

    def __init__(self, server: ModelServer, settling: EndpointSettling, tokens: Tokens) -> None:
        self._server = server
        self._settling = settling
        self._tokens = tokens
        self._lock = threading.Lock()
        self._written: dict[str, TokenGrant] | None = None

    def run_once(self) -> None:
        """Nothing while no endpoint is there: every sign-in changes the grants."""
        with self._lock:
            if not self._settling.any():
                self._written = None
                return
            grants = self._tokens.grants()
            if grants != self._written:
                self._server.grant(grants)
                self._written = grants


class ServingLoop(Loop):
    """Applies endpoints whenever they changed, or the model server was started anew, takes over what came
    of it, and takes back what answers worse."""

    name: ClassVar[str] = "serving"
    topics: ClassVar[tuple[str, ...]] = ("endpoints", AGAIN)
    interval_s: ClassVar[float] = 2.0  # how long a model server that died may be away

    def __init__(
        self,
        server: ModelServer,
        grants: Grants,
        settling: EndpointSettling,
        trials: EndpointTrials,
        signals: Signals,
    ) -> None:
        self._server = server
        self._grants = grants
        self._settling = settling
        self._trials = trials
        self._signals = signals
        self._applied: Routes | None = None
        self._generation = time.time_ns()
        self._pause = _SOON_S

    @property
    def cold(self) -> bool:
        """Whether requests may wait for replicas that are not there."""
        routes = self._applied
        return routes is not None and any(
            one.cold and any(revision.runtime == "replicas" for revision in one.revisions)
            for one in routes.endpoints.values()
        )

    def run_once(self) -> None:
        """Start the model server when an endpoint wants it; stop it when none is left."""
        if not self._settling.any():
            self._server.stop()
            self._applied = None
            return
        status = self._converge()
        if status is not None:
            self._trials.look(status)

    def _converge(self) -> ServingStatus | None:
        """Tell and listen until there is nothing new to tell; null when nothing can be heard."""
        status: ServingStatus | None = None
        for _ in range(_PASSES):
            wanted = self._settling.wanted_routes()
            if self._server.state() == "running" and self._applied == wanted:
                status = self._server.status()
            else:
                status = self._apply(wanted)
            if status is None:
                return None
            if not self._settling.settle(wanted, status) and self._settling.wanted_routes() == wanted:
                self._wait_for(wanted, status)
                break
        return status

    def _apply(self, wanted: Routes) -> ServingStatus:
        self._generation += 1
        self._server.write(wanted.model_copy(update={"generation": self._generation}))
        try:
            self._grants.run_once()
            self._server.ensure()
            status = self._server.reload()
        except Unavailable as error:
            self._settling.hold_up(error.detail)
            raise
        if status.generation != self._generation:
            raise Unavailable(f"the model server serves generation {status.generation} of its routes")
        self._applied = wanted
        return status

    def _wait_for(self, wanted: Routes, status: ServingStatus) -> None:
        """Look again soon while something loads that could be ready; less often, the longer it takes."""
        loading = {
            (key, one.revision)
            for key, told in status.endpoints.items()
            for one in told.revisions
            if one.state == "loading"
        }
        able = any(
            (key, one.revision) in loading and (one.runtime == "onnx" or one.replicas)
            for key, endpoint in wanted.endpoints.items()
            for one in endpoint.revisions
        )
        if not able:
            self._pause = _SOON_S
            return
        timer = threading.Timer(self._pause, self._signals.notify, (AGAIN,))
        timer.daemon = True
        timer.start()
        self._pause = min(self._pause * 2, _LATER_S)


class DemandLoop(Loop):
    """Waits at the model server for requests that no replica is there for, and tells the scaling."""

    name: ClassVar[str] = "demand"
    interval_s: ClassVar[float] = 0.0

    def __init__(self, server: ModelServer, serving: ServingLoop, signals: Signals) -> None:
        self._server = server
        self._serving = serving
        self._signals = signals

    def run_once(self) -> None:
        """One wait, short enough that the server can end."""
        if not self._serving.cold or self._server.state() != "running":
            time.sleep(_DEMAND_S)
        elif self._server.demand(_DEMAND_S).waiting:
            self._signals.notify("endpoints")
            time.sleep(_REST_S)


class UsageLoop(Loop):
    """Books what workers answered. The sums are complete some ten seconds later."""

    name: ClassVar[str] = "endpoint-usage"
    interval_s: ClassVar[float] = 5.0

    def __init__(self, usage: EndpointUsage) -> None:
        self._usage = usage

    def run_once(self) -> None:
        self._usage.book()
