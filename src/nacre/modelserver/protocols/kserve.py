"""What KServe's protocol v1 has beyond TensorFlow Serving's REST API.

Source: kserve.github.io, "V1 Protocol". ``:predict`` is TensorFlow Serving's, and so is
``GET v1/models/{model}``, which also tells ``name`` and ``ready``.
"""

from __future__ import annotations

import orjson

from nacre.modelserver.calls import Parameters, Route, View
from nacre.modelserver.messages import Request, Response, error


def _models(_: Request, view: View, __: Parameters) -> Response:
    name = view.interface.model if view.interface is not None else view.name
    return Response(200, orjson.dumps({"models": [name]}))


def _explain(_: Request, view: View, __: Parameters) -> Response:
    return error(501, "this endpoint has no explainer: explanations are not offered yet, use :predict")


ROUTES = [
    Route("GET", "v1/models", answer=_models),
    Route("POST", "v1/models/{model}:explain", answer=_explain),
]
