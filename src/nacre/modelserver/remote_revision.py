"""A revision whose model lies in replicas: processes of its own, which come and go while requests wait."""

from __future__ import annotations

from concurrent.futures import Executor

from nacre.errors import InvalidSpec
from nacre.modelserver.backend import Overloaded, Refused
from nacre.modelserver.batching import Batcher, Waiting
from nacre.modelserver.calls import Call, Interface
from nacre.modelserver.limits import Limits
from nacre.modelserver.models import check_signature
from nacre.modelserver.pool import MAX_RESPONSE, Pool
from nacre.modelserver.replica_answers import Hello
from nacre.modelserver.revision import Done, Revision
from nacre.schema.serving import ServedEndpoint, ServedRevision, Signature


class RemoteRevision(Revision):
    """Ready while a replica is up. One that was, or that is started on demand, lets requests wait."""

    def __init__(
        self, key: str, wanted: ServedRevision, config: ServedEndpoint, limits: Limits, threads: Executor
    ) -> None:
        super().__init__(key, wanted, config, limits)
        self._threads = threads
        self._batcher: Batcher | None = None
        self.raw: bool | None = None
        """Whether the model's own code answers requests as they come; null: no replica has said it yet."""
        self.pool = Pool(
            concurrency=config.concurrency or 1,
            max_response_bytes=config.max_response_bytes or MAX_RESPONSE,
            accept=self._accept,
            changed=self._changed,
        )
        if wanted.signature is not None:
            self._describe(wanted.signature)
        self.configure(wanted, config)

    def configure(self, wanted: ServedRevision, config: ServedEndpoint) -> None:
        super().configure(wanted, config)
        self.pool.concurrency = config.concurrency or 1
        self.pool.timeout_s = config.timeout_s or self._limits.timeout
        self.pool.set_replicas(wanted.replicas)
        self._changed()

    def _describe(self, signature: Signature) -> None:
        wanted = self.wanted
        self.interface = Interface(wanted.model, str(wanted.model_version), signature)
        self._batcher = Batcher(self.pool, self.interface, self._threads, **self.bounds())

    def _accept(self, hello: Hello) -> str | None:
        """Why a replica cannot be used: its model is not the one that the signature promises."""
        if self.wanted.signature is None or hello.signature is None:
            return None
        try:
            check_signature(hello.signature, self.wanted.signature)
        except InvalidSpec as error:
            return error.detail
        return None

    def _changed(self) -> None:
        """Replicas have come or gone, or work waits for them."""
        if not hasattr(self, "pool"):
            return  # it is being made
        hello = self.pool.hello
        if hello is not None:
            self.raw = hello.raw
            if self.interface is None and hello.signature is not None:
                self._describe(hello.signature)
        if self.pool.up:
            self.ready()
        elif self.state == "ready" or (self.config.cold and self.state == "loading"):
            self.state = "unloaded"
        self.failure = None if self.pool.up else _trouble(self.pool.states())
        if self._batcher is not None:
            bounds = self.bounds() | {"concurrency": self.pool.places}
            if hello is not None and hello.max_batch is not None:
                bounds["max_batch"] = min(bounds["max_batch"], hello.max_batch)
            self._batcher.configure(**bounds)

    def _start(self, call: Call, deadline: float, done: Done) -> Waiting | None:
        if self._batcher is None:
            done(Refused(503, self.failure or "the model is still starting: try again in a moment"))
            return None
        return self._batcher.submit(call, deadline, done)

    def check_room(self) -> None:
        """Raise :class:`Overloaded` when as many requests wait for the model's own code as may."""
        if self.pool.queued >= self.queue:
            raise Overloaded(f"{self.pool.queued} requests are waiting already: try again later")

    def close(self) -> None:
        # What was accepted still finds a replica, or its deadline.
        if not self.in_flight:
            self.pool.close()

    @property
    def waiting(self) -> int:
        return self.pool.queued + (self._batcher.waiting if self._batcher is not None else 0)

    @property
    def demand(self) -> int:
        """Requests that wait because no replica is up."""
        return 0 if self.pool.up else self.waiting

    @property
    def batches(self) -> int:
        return self._batcher.batches if self._batcher is not None else 0

    @property
    def replicas(self) -> dict[str, str]:
        return self.pool.states()


def _trouble(states: dict[str, str]) -> str | None:
    return next(iter(states.values()), None)
