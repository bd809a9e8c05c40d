"""Probes over gRPC: ``grpc.health.v1.Health``, as Kubernetes and load balancers ask.

Protocol: https://github.com/grpc/grpc/blob/master/doc/health-checking.md
"""

from __future__ import annotations

from nacre.modelserver.backend import Refused
from nacre.modelserver.grpc import inference, prediction
from nacre.modelserver.grpc.caller import Caller
from nacre.modelserver.grpc.messages import build
from nacre.modelserver.grpc.methods import Method
from nacre.modelserver.grpc.parse import parse

_MESSAGES = build(
    "grpc.health.v1",
    """
    HealthCheckRequest
      1 string service
    HealthCheckResponse
      1 int32 status
    """,
)
_SERVING = 1
_NAMES = frozenset({"", *inference.SERVICES, *prediction.SERVICES})


def check(_: Caller, message: bytes) -> bytes:
    """``Check``: it answers, so all of its services do. Models are asked by their own protocols."""
    service = parse(_MESSAGES["HealthCheckRequest"], message).service
    if service not in _NAMES:
        raise Refused(404, f"there is no service {service[:60]!r}")
    return bytes(_MESSAGES["HealthCheckResponse"](status=_SERVING).SerializeToString())


SERVICES = {"grpc.health.v1.Health": {"Check": Method(tell=check, open=True)}}
