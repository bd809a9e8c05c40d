"""Models of which nothing tells what they take: JSON in, JSON out, at the path ``predict``."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import numpy as np

from nacre.modelserver.frames import NUMPY
from nacre.modelserver.replica.predictors.base import (
    Arrays,
    BadInput,
    Predictor,
    RawAnswer,
    RawRequest,
    Reply,
    dump,
)


class Untyped(Predictor):
    """Takes ``{"inputs": values}``, or an object of values by name; gives ``{"outputs": {name: values}}``.

    Whole numbers become INT64, others FP32. An input ``{"datatype": "INT32", "data": values}`` says itself.
    """

    raw = True

    def __init__(self, inner: Predictor, names: list[str] | None = None) -> None:
        self.framework = inner.framework
        self._inner = inner
        self._names = names

    def run(self, feed: Arrays) -> Arrays:
        """As the model itself."""
        return self._inner.run(feed)

    def explain(self, error: BaseException) -> str:
        """As the model itself."""
        return self._inner.explain(error)

    def answer(self, request: RawRequest) -> Reply:
        """Run it with what the JSON holds."""
        try:
            body = json.loads(bytes(request.body))
        except (ValueError, RecursionError) as error:
            raise BadInput(f"the body is not JSON: {error}") from error
        given = body.get("inputs") if isinstance(body, dict) else None
        if given is None:
            raise BadInput('the body has to be {"inputs": values}, or {"inputs": {name: values}}')
        if not isinstance(given, Mapping) or "data" in given:
            given = {(self._names or ["x"])[0]: given}
        feed = {str(name): _array(str(name), values) for name, values in given.items()}
        if self._names and set(feed) <= set(self._names):
            feed = {name: feed[name] for name in self._names if name in feed}
        found = self._inner.run(feed)
        return RawAnswer(200, "application/json", dump({"outputs": found}))


def _array(name: str, values: Any) -> Any:
    datatype = None
    if isinstance(values, Mapping):
        values, datatype = values.get("data"), values.get("datatype")
        if datatype not in NUMPY:
            raise BadInput(f"input {name!r}: datatype is one of {', '.join(NUMPY)}")
    try:
        array = np.array(values, None if datatype is None else NUMPY[datatype])
    except (ValueError, TypeError, OverflowError) as error:
        raise BadInput(f"input {name!r}: {error}") from error
    if datatype is not None:
        return array
    if array.dtype.kind not in "fiub":
        raise BadInput(f"input {name!r} has to hold numbers, in rows of one length")
    return array.astype(np.float32) if array.dtype.kind == "f" else array
