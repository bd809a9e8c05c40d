"""What all protocols do with an inference: find who answers, keep it within limits, count it."""

from __future__ import annotations

import asyncio
import time

from nacre.modelserver.backend import Refused
from nacre.modelserver.calls import BadRequest, Call, Interface, Outcome, rows
from nacre.modelserver.endpoint import Endpoint
from nacre.modelserver.host import Host
from nacre.modelserver.limits import Limits
from nacre.modelserver.messages import Response
from nacre.modelserver.resolve import Resolver
from nacre.modelserver.revision import Revision


class Answering:
    """The ground of :class:`~nacre.modelserver.dispatch.Dispatcher` and of
    :class:`~nacre.modelserver.asking.Asking`."""

    def __init__(self, host: Host, limits: Limits) -> None:
        self._host = host
        self._limits = limits
        self._resolver = Resolver(host)
        self._loop = asyncio.get_running_loop()

    def _choose(self, endpoint: Endpoint, version: str | None) -> Revision:
        revision = endpoint.of_version(version) if version else endpoint.pick()
        if revision is None or not revision.answers:
            raise Refused(503, endpoint.trouble())
        return revision

    def _check_size(self, endpoint: Endpoint, size: int) -> None:
        most = endpoint.config.max_request_bytes
        if most is not None and size > most:
            raise Refused(413, f"the body is over the limit of {most} bytes")

    def _deadline(self, endpoint: Endpoint) -> float:
        return self._loop.time() + (endpoint.config.timeout_s or self._limits.timeout)

    def _count(
        self, endpoint: Endpoint, revision: Revision, start: float, size: int, response: Response
    ) -> None:
        seconds = time.perf_counter() - start
        revision.stats.add(seconds, response.status, response.samples)
        if endpoint.logged():
            self._host.records.add(
                {
                    "time_ms": time.time_ns() // 10**6,
                    "endpoint": endpoint.key,
                    "revision": revision.number,
                    "status": response.status,
                    "ms": round(seconds * 1000, 3),
                    "request_bytes": size,
                    "response_bytes": len(response.body),
                    "samples": response.samples,
                }
            )

    def _capture(self, endpoint: Endpoint, revision: Revision, call: Call, outcome: Outcome) -> None:
        """Keep it in the dataset of the endpoint's requests, if it is its turn."""
        config, interface = endpoint.config.capture, revision.interface
        if config is None or interface is None or isinstance(outcome, Exception):
            return
        self._host.capture.offer(endpoint.key, config, revision.number, call, outcome, interface)


def check_rows(endpoint: Endpoint, call: Call, interface: Interface) -> None:
    most = endpoint.config.max_batch
    if most is not None and (count := rows(call, interface)) > most:
        raise BadRequest(f"the request has {count} rows, over the endpoint's limit of {most} in a batch")
