"""Models with a ``predict.py``: its functions, called with what they take.

``setup(folder)`` runs once; what it returns is given to the others as a second argument where they take
one. ``decode(request)`` makes of a request what ``predict(inputs)`` takes (else the parsed JSON),
``encode(output)`` of what that returns an answer (else JSON, text or bytes). ``SIGNATURE`` lets the tensor
protocols ask, too: then ``predict`` takes a dict of arrays and returns one, or an array for each output.
Up to ``MAX_BATCH`` rows of several requests are given to it together.
"""

from __future__ import annotations

import asyncio
import importlib.util
import inspect
import json
import os
import sys
import traceback
from collections.abc import Mapping
from typing import Any, Callable, Dict, Iterator, Optional  # noqa: UP035 - Python 3.8

import numpy as np

from nacre.modelserver.replica.predictors.base import (
    Arrays,
    BadInput,
    LoadError,
    Predictor,
    RawAnswer,
    RawRequest,
    Reply,
    dump,
    sentence,
    trace,
)

FILE = "predict.py"
_JSON = "application/json"
_STREAM = "text/event-stream"
# What is wrong with a request shows as one of these when it is taken apart.
_SENDERS = (ValueError, TypeError, LookupError)
_PLACES = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)


class Request:
    """What ``decode`` gets. ``headers``: lower-case names; ``body``: bytes."""

    def __init__(self, raw: RawRequest) -> None:
        self.method = raw.method
        self.path = raw.path
        self.headers: Dict[str, str] = raw.headers  # noqa: UP006 - Python 3.8
        self.body = bytes(raw.body)

    def json(self) -> Any:
        """The body as JSON. Raises ``ValueError`` when it is none."""
        try:
            return json.loads(self.body)
        except RecursionError as error:
            raise ValueError("the JSON is nested too deeply") from error

    def text(self) -> str:
        """The body as UTF-8. Raises ``ValueError`` when it is none."""
        return self.body.decode()


class Custom(Predictor):
    """The module ``predict.py`` of a folder, after its ``setup``."""

    framework = "custom"
    tried = False

    def __init__(self, folder: str) -> None:
        self._loop: Optional[asyncio.AbstractEventLoop] = None  # noqa: UP045 - Python 3.8
        self._file = os.path.join(folder, FILE)
        self._module = self._imported(folder)
        predict = getattr(self._module, "predict", None)
        if not callable(predict):
            raise LoadError(f"{FILE} has no function predict(inputs)")
        try:
            setup = getattr(self._module, "setup", None)
            self._state = self._settled(setup(folder)) if setup is not None else None
        except Exception as error:
            trace(error)
            raise LoadError(f"setup() failed: {self.explain(error)}") from error
        self._predict = self._function("predict")
        self._decode = self._function("decode")
        self._encode = self._function("encode")
        signature = getattr(self._module, "SIGNATURE", None) or {}
        self.inputs = _specs(signature, "inputs")
        self.outputs = _specs(signature, "outputs")
        if (self.inputs is None) != (self.outputs is None):
            raise LoadError(f"SIGNATURE of {FILE} has only one of inputs and outputs")
        self.raw = self.stream = self._decode is not None or self.inputs is None
        # Whether rows of strangers may be put together, only its author knows.
        self.max_batch = getattr(self._module, "MAX_BATCH", 1)

    def _imported(self, folder: str) -> Any:
        spec = importlib.util.spec_from_file_location("predict", self._file)
        assert spec is not None
        assert spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        sys.modules["predict"] = module
        try:
            spec.loader.exec_module(module)
        except BaseException as error:
            trace(error)
            raise LoadError(f"{FILE} cannot be imported: {self.explain(error)}") from error
        return module

    def _function(self, name: str) -> Callable[[Any], Any] | None:
        """A function of the module, as one of a single argument."""
        found = getattr(self._module, name, None)
        if found is None:
            return None
        places = [p for p in inspect.signature(found).parameters.values() if p.kind in _PLACES]
        if len(places) < 2 or places[1].default is not inspect.Parameter.empty:
            taken: Callable[[Any], Any] = found
            return taken
        return lambda value: found(value, self._state)

    # ---- tensors

    def run(self, feed: Arrays) -> Arrays:
        """``predict`` with a dict of arrays."""
        assert self._predict is not None
        answer = self._settled(self._predict(feed))
        if inspect.isgenerator(answer) or inspect.isasyncgen(answer):
            raise TypeError("predict() yields: a stream is asked for at the path predict")
        names = [spec["name"] for spec in self.outputs or []]
        if isinstance(answer, Mapping):
            return {str(name): np.asarray(value) for name, value in answer.items()}
        parts = list(answer) if isinstance(answer, (list, tuple)) and len(names) > 1 else [answer]
        if names and len(parts) != len(names):
            raise TypeError(
                f"predict() returns {len(parts)} arrays where SIGNATURE has {len(names)} outputs"
            )
        names = names or ["y" if i == 0 else f"y{i}" for i in range(len(parts))]
        return {name: np.asarray(part) for name, part in zip(names, parts)}  # noqa: B905 - Python 3.8

    # ---- requests as they come

    def answer(self, request: RawRequest) -> Reply:
        """What ``predict`` returns; an iterator of events when it yields, or events are asked for."""
        assert self._predict is not None
        given = Request(request)
        try:
            inputs = self._settled(self._decode(given)) if self._decode is not None else given.json()
        except _SENDERS as error:
            trace(error)
            raise BadInput(f"the request cannot be decoded: {self.explain(error)}") from error
        answer = self._settled(self._predict(inputs))
        if inspect.isasyncgen(answer):
            answer = self._stepped(answer)
        if inspect.isgenerator(answer):
            return self._events(answer)
        if _STREAM in request.headers.get("accept", ""):
            return self._events(iter([answer]))
        return RawAnswer(200, *self._encoded(answer))

    def _encoded(self, output: Any) -> tuple[str, bytes]:
        """Content type and bytes."""
        if self._encode is not None:
            output = self._settled(self._encode(output))
        kind = None
        if isinstance(output, tuple) and len(output) == 2 and isinstance(output[0], (bytes, str)):
            output, kind = output
            if not isinstance(kind, str) or "\n" in kind or "\r" in kind:
                raise TypeError("encode() returns a pair whose second part is no content type")
        if isinstance(output, str):
            return kind or "text/plain; charset=utf-8", output.encode()
        if isinstance(output, (bytes, bytearray, memoryview)):
            return kind or "application/octet-stream", bytes(output)
        return _JSON, dump(output)

    def _events(self, outputs: Iterator[Any]) -> Iterator[bytes]:
        """Each output as a server-sent event."""
        try:
            for output in outputs:
                yield event(self._encoded(output)[1])
        finally:
            close = getattr(outputs, "close", None)
            if close is not None:
                close()

    # ---- coroutines

    def _settled(self, value: Any) -> Any:
        """What a coroutine returns."""
        if not inspect.isawaitable(value):
            return value
        return self._own_loop().run_until_complete(value)

    def _stepped(self, outputs: Any) -> Iterator[Any]:
        """An asynchronous generator as a plain one."""
        loop = self._own_loop()
        try:
            while True:
                try:
                    yield loop.run_until_complete(outputs.__anext__())
                except StopAsyncIteration:
                    return
        finally:
            loop.run_until_complete(outputs.aclose())

    def _own_loop(self) -> asyncio.AbstractEventLoop:
        if self._loop is None:
            self._loop = asyncio.new_event_loop()
        return self._loop

    def explain(self, error: BaseException) -> str:
        """With the line of ``predict.py`` where it happened."""
        if isinstance(error, SyntaxError) and error.filename == self._file:
            return f"{FILE}, line {error.lineno}: {sentence(error)}"
        frames = traceback.extract_tb(error.__traceback__)
        lines = [frame.lineno for frame in frames if frame.filename == self._file]
        return f"{FILE}, line {lines[-1]}: {sentence(error)}" if lines else sentence(error)


def event(data: bytes, kind: str = "") -> bytes:
    """A server-sent event: each line of the data after ``data:``."""
    lines = data.decode("utf-8", "replace").replace("\r\n", "\n").replace("\r", "\n").split("\n")
    name = f"event: {kind}\n" if kind else ""
    return (name + "".join(f"data: {line}\n" for line in lines) + "\n").encode()


def _specs(signature: Any, side: str) -> Any:
    """The tensors of one side of ``SIGNATURE``, or null."""
    given = signature.get(side) if isinstance(signature, Mapping) else None
    if not given:
        return None
    try:
        return [
            {
                "name": str(one["name"]),
                "datatype": str(one["datatype"]),
                "shape": [int(n) for n in one["shape"]],
            }
            for one in given
        ]
    except (KeyError, TypeError, ValueError) as error:
        raise LoadError(
            f'SIGNATURE of {FILE} has to be {{"inputs": [{{"name", "datatype", "shape"}}], "outputs": […]}}'
        ) from error


def load(path: str) -> Custom:
    """The model of a folder with a ``predict.py``.

    Raises:
        LoadError: it cannot be imported, has no ``predict``, or its ``setup`` fails.
    """
    return Custom(path)
