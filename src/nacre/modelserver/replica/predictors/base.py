"""What every predictor shares: its signature, names and datatypes, and a first run to learn from."""

from __future__ import annotations

import json
import math
import sys
import traceback
from typing import Any, Dict, Iterator, List, NamedTuple, Optional, Union  # noqa: UP035 - Python 3.8

import numpy as np

from nacre.modelserver.frames import NUMPY, datatype_of

Arrays = Dict[str, Any]  # noqa: UP006 - Python 3.8
Specs = List[Dict[str, Any]]  # noqa: UP006 - Python 3.8
"""Tensor specifications, ``{"name", "datatype", "shape"}``, as in ``nacre.schema.serving``."""


class LoadError(Exception):
    """The model cannot be loaded; the text is a sentence that says why and what to do."""


class BadInput(Exception):
    """The model does not take this input; the text is for its sender."""


class RawRequest(NamedTuple):
    """A request as it came. ``headers``: lower-case names."""

    method: str
    path: str
    headers: Dict[str, str]  # noqa: UP006 - Python 3.8
    body: memoryview


class RawAnswer(NamedTuple):
    """An answer as it goes out."""

    status: int
    content_type: str
    body: bytes


_SIZES = ((8, 16), (32, 48), (224, 256))
"""What open dimensions are tried with."""

Reply = Union[RawAnswer, Iterator[bytes]]  # noqa: UP007 - Python 3.8
"""An iterator gives the parts of an event stream."""


class Predictor:
    """A loaded model. All calls come from the thread that loaded it, unless there is more than one.

    ``inputs``, ``outputs``: what it takes and gives, in its own names and order; null: not known.
    ``raw``: it answers requests as they come. ``stream``: it may answer them in parts.
    """

    framework = ""
    raw = False
    stream = False
    max_batch: Optional[int] = None  # noqa: UP045 - Python 3.8
    tried = True
    """Whether it is run when it is loaded: it warms, and shows what it gives and how it takes batches.
    What is not tried is taken at its word."""
    inputs: Optional[Specs] = None  # noqa: UP045
    outputs: Optional[Specs] = None  # noqa: UP045

    def run(self, feed: Arrays) -> Arrays:
        """All outputs for these inputs, both by name and in order."""
        raise NotImplementedError

    def answer(self, request: RawRequest) -> Reply:
        """The answer to a request as it came."""
        raise BadInput(f"a {self.framework} model answers tensors only")

    def explain(self, error: BaseException) -> str:
        """A failure in one sentence."""
        return sentence(error)


class Signed:
    """A predictor behind the signature that the model was registered with, or else its own.

    Names are told apart by order where they are not the model's own. ``signature`` is null when nothing
    tells it: then only raw requests can be answered.
    """

    def __init__(self, predictor: Predictor, given: dict[str, Any] | None) -> None:
        self.predictor = predictor
        inputs = _inputs(predictor, given)
        self._own_inputs = [spec["name"] for spec in (predictor.inputs or inputs or [])]
        self._inputs = inputs
        self._outputs: Specs | None = predictor.outputs
        self._own_outputs = [spec["name"] for spec in (predictor.outputs or [])]
        if inputs is not None and predictor.tried:
            self._learn(inputs, (given or {}).get("outputs") or None)
        self._datatypes = {spec["name"]: spec["datatype"] for spec in self._outputs or []}
        self.max_batch = predictor.max_batch if not predictor.tried or self._by_row() else 1
        """Rows of a batch at most: one, where rows of one request would change those of another."""

    @property
    def signature(self) -> dict[str, Specs] | None:
        """What the model takes and gives, or null."""
        if not self._inputs or not self._outputs:
            return None
        return {"inputs": self._inputs, "outputs": self._outputs}

    def infer(self, wanted: list[str], feed: Arrays) -> Specs:
        """The wanted outputs: ``{"name", "datatype", "array"}`` of each, in that order."""
        if self._inputs is None or self._outputs is None:
            raise BadInput("nothing tells which tensors this model takes: send JSON to the path predict")
        found = self._run(feed)
        answer = []
        for name in wanted:
            if name not in self._datatypes:
                raise BadInput(f"there is no output {name!r}")
            answer.append({"name": name, "datatype": self._datatypes[name], "array": found[name]})
        return answer

    def _run(self, feed: Arrays) -> Arrays:
        assert self._inputs is not None
        missing = [spec["name"] for spec in self._inputs if spec["name"] not in feed]
        if missing:
            raise BadInput(f"input {missing[0]!r} is missing")
        names = [spec["name"] for spec in self._inputs]
        found = self.predictor.run({own: feed[name] for name, own in zip(names, self._own_inputs)})  # noqa: B905
        if self._outputs is None:
            return found
        names = [spec["name"] for spec in self._outputs]
        return {
            name: _cast(found[own], spec["datatype"])
            for name, own, spec in zip(names, self._own_outputs, self._outputs)  # noqa: B905 - Python 3.8
        }

    def _learn(self, inputs: Specs, outputs: Specs | None) -> None:
        """Run once or twice: it warms the model, and shows what it gives."""
        self._outputs = None
        try:
            seen = self._look(inputs)
        except Exception as error:
            note(f"the model was not tried: {self.predictor.explain(error)}")
            seen = None
        if seen is None:
            self._outputs = outputs or self.predictor.outputs
            self._own_outputs = [spec["name"] for spec in self.predictor.outputs or outputs or []]
            return
        self._own_outputs = [spec["name"] for spec in seen]
        self._outputs = seen
        if outputs is not None and _fit(outputs, seen):
            if {spec["name"] for spec in outputs} <= set(self._own_outputs):
                self._own_outputs = [spec["name"] for spec in outputs]
            self._outputs = outputs

    def _by_row(self) -> bool:
        """Whether each row of an answer depends on its own row alone, as far as a trial tells."""
        specs = [*(self._inputs or []), *(self._outputs or [])]
        if self._inputs is None or any(spec["shape"][:1] != [-1] for spec in specs):
            return True  # nobody puts its calls together
        rng = np.random.default_rng(6)
        try:
            feed = {spec["name"]: _random(spec, rng) for spec in self._inputs}
            whole = self._run(feed)
            alone = [self._run({name: array[n : n + 1] for name, array in feed.items()}) for n in range(3)]
            return all(_equal(np.concatenate([one[name] for one in alone]), whole[name]) for name in whole)
        except Exception as error:  # whatever it does not like, it is not batched
            note(f"it gets no batches: {self.predictor.explain(error)}")
            return False

    def _look(self, inputs: Specs) -> Specs:
        """What comes out for zeros: a dimension that changes with the open ones of the inputs is open."""
        opened = any(-1 in spec["shape"][1:] for spec in inputs)
        for small, large in _SIZES if opened else _SIZES[-1:]:
            try:
                first = self._run(zeros(inputs, 2, small))
                break
            except Exception:  # images may be too small for its layers
                if large == _SIZES[-1][1]:
                    raise
        shapes = {
            name: (-1 if array.shape[:1] == (2,) else 0, *array.shape[1:]) for name, array in first.items()
        }
        try:
            shapes = {name: array.shape for name, array in self._run(zeros(inputs, 3, large)).items()}
        except Exception as error:  # sizes that are open one by one may have to fit together
            note(f"other sizes were not tried: {self.predictor.explain(error)}")
        known = {spec["name"]: spec for spec in self.predictor.outputs or []}
        specs = []
        for name, array in first.items():
            both = zip(array.shape, shapes[name])  # noqa: B905 - Python 3.8
            shape = [int(a) if a == b else -1 for a, b in both]
            specs.append(
                {"name": name, "datatype": datatype_of(array), "shape": shape, **known.get(name, {})}
            )
        return specs


def _inputs(predictor: Predictor, given: dict[str, Any] | None) -> Specs | None:
    """The inputs as they are registered, where the model has as many; else its own."""
    registered: Specs | None = (given or {}).get("inputs") or None
    if registered is None or not predictor.tried:
        return predictor.inputs
    own: Specs | None = predictor.inputs
    if own is not None and len(own) != len(registered):
        note(f"the registered signature has {len(registered)} inputs where the model has {len(own)}")
        return own
    names = {spec["name"] for spec in registered}
    if own is not None and names == {spec["name"] for spec in own}:
        order = {spec["name"]: index for index, spec in enumerate(own)}
        return sorted(registered, key=lambda spec: order[spec["name"]])
    return registered


def _fit(given: Specs, seen: Specs) -> bool:
    """Whether registered outputs can be what the model gives."""
    if len(given) > len(seen):
        note(f"the registered signature has {len(given)} outputs where the model has {len(seen)}")
        return False
    by_name = {spec["name"]: spec for spec in seen}
    for spec, in_order in zip(given, seen):  # noqa: B905 - Python 3.8
        own = by_name.get(spec["name"], in_order)
        if (spec["datatype"] == "BYTES") != (own["datatype"] == "BYTES"):
            note(f"the registered output {spec['name']!r} is {spec['datatype']}, not {own['datatype']}")
            return False
    return True


def zeros(inputs: Specs, batch: int, size: int) -> Arrays:
    """Values for a first run: ``batch`` rows, other open dimensions of ``size``."""
    found = {}
    for spec in inputs:
        shape = [size if n < 0 else n for n in spec["shape"]]
        if spec["shape"] and spec["shape"][0] < 0:
            shape[0] = batch
        empty = np.full(shape, "", dtype=object)
        found[spec["name"]] = (
            empty if spec["datatype"] == "BYTES" else np.zeros(shape, NUMPY[spec["datatype"]])
        )
    return found


def _random(spec: dict[str, Any], rng: Any) -> Any:
    """Three rows of moderate numbers; whole ones are small, as they may stand for words or classes."""
    shape = [3, *(8 if n < 0 else n for n in spec["shape"][1:])]
    if spec["datatype"] == "BYTES":
        return np.array(["a", "b"], dtype=object)[rng.integers(0, 2, shape)]
    dtype = NUMPY[spec["datatype"]]
    return (rng.normal(size=shape) if dtype.kind == "f" else rng.integers(0, 2, shape)).astype(dtype)


def _equal(left: Any, right: Any) -> bool:
    if left.shape != right.shape or left.dtype.kind != "f":
        return bool(np.array_equal(left, right))
    # Another order of additions may change the last digits of the small ones.
    scale = float(np.max(np.abs(left), initial=0.0, where=np.isfinite(left)))
    return bool(np.allclose(left, right, rtol=1e-2, atol=1e-4 * scale, equal_nan=True))


def _cast(array: Any, datatype: str) -> Any:
    if datatype == "BYTES":
        return array
    return array.astype(NUMPY[datatype], copy=False)


def note(text: str) -> None:
    """A line of the log."""
    sys.stderr.write(f"[nacre] {text}\n")
    sys.stderr.flush()


def sentence(error: BaseException) -> str:
    """The first line of what an exception says, with its type; at most 500 characters."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return f"{type(error).__name__}: {lines[0]}"[:500] if lines else type(error).__name__


def trace(error: BaseException) -> None:
    """The whole of an exception, for the log."""
    traceback.print_exception(type(error), error, error.__traceback__, file=sys.stderr)
    sys.stderr.flush()


def dump(value: Any) -> bytes:
    """JSON of a value that may have arrays and NumPy's numbers in it.

    Raises:
        TypeError, RecursionError: it has something else, or itself, in it.
    """
    try:
        return json.dumps(value, default=_plain, ensure_ascii=False, allow_nan=False).encode()
    except ValueError:
        return json.dumps(_finite(value), ensure_ascii=False).encode()


def _finite(value: Any) -> Any:
    """The same without numbers that JSON lacks: they become ``"NaN"``, ``"Infinity"``, ``"-Infinity"``."""
    if isinstance(value, float):
        text = {"nan": "NaN", "inf": "Infinity", "-inf": "-Infinity"}
        return value if math.isfinite(value) else text[str(float(value))]
    if isinstance(value, dict):
        return {key: _finite(one) for key, one in value.items()}
    if isinstance(value, (list, tuple)):
        return [_finite(one) for one in value]
    return value if isinstance(value, (str, int, type(None))) else _finite(_plain(value))


def _plain(value: Any) -> Any:
    for way in ("tolist", "_asdict"):
        if hasattr(value, way):
            return getattr(value, way)()
    if isinstance(value, bytes):
        return value.decode()
    if isinstance(value, (set, frozenset)):
        return list(value)
    raise TypeError(f"a {type(value).__name__} has no JSON form: let encode() make one")
