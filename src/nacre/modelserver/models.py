"""Loaded models: an ONNX Runtime session, checked and warmed."""

from __future__ import annotations

import logging
import resource
import time
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime as ort
from blake3 import blake3

from nacre.errors import InvalidSpec
from nacre.modelserver.calls import BadRequest, Interface
from nacre.modelserver.protocols.v2 import decode
from nacre.modelserver.signature import open_session, sentence, signature_of
from nacre.modelserver.tensors import NUMPY, Array
from nacre.schema.serving import ServedRevision, Signature, TensorSpec

log = logging.getLogger(__name__)

INLINE_SECONDS = 0.001
"""A batch expected to take longer runs on the inference thread, not on the event loop."""
_INLINE_LEAST, _INLINE_MOST = 16 * 1024, 256 * 1024
_DEMOTE_SECONDS = 0.002
_WEIGHT = 0.02
_WARM_RUNS = 5
_LONG_SECONDS = 0.1
_PAGE = resource.getpagesize()


class Model:
    """A session and what was measured of it. ``run`` may be called from any thread."""

    def __init__(self, session: ort.InferenceSession, path: str, digest: str) -> None:
        self.session = session
        self.path = path
        self.digest = digest
        self.signature = signature_of(session)
        self.memory_bytes = 0
        """What it took to load and to run once, about."""
        self.rowwise = False
        """Whether rows of several requests may be put together."""
        self.inline = False
        self.inline_bytes = 0
        """The largest input, in bytes, that is run on the event loop."""
        self._mean = 0.0
        self._warm()

    def run(self, outputs: list[str], feed: dict[str, Array]) -> list[Any]:
        """The named outputs, in that order. Raises what ONNX Runtime raises."""
        answer: list[Any] = self.session.run(outputs, feed)
        return answer

    def took(self, seconds: float) -> None:
        """Learn how long a request took inline: one that keeps being long leaves the event loop."""
        self._mean += (seconds - self._mean) * _WEIGHT
        if self._mean > _DEMOTE_SECONDS:
            self.inline = False

    def warm(self, sample: Path) -> None:
        """Run a stored request of the Open Inference Protocol.

        Raises ``InvalidSpec`` when the model does not answer it.
        """
        interface = Interface("", "", self.signature)
        try:
            call = decode(sample.read_bytes(), None, interface)
            self.run(call.outputs, call.feed)
        except (OSError, BadRequest) as error:
            log.warning("the sample %s is of no use: %s", sample, error)
        except Exception as error:
            raise InvalidSpec(f"the model does not answer its own sample: {sentence(error)}") from error

    def _warm(self) -> None:
        """Run once where the shapes allow it, then time it to tell a small model from a large."""
        feed = {spec.name: _sample(spec) for spec in self.signature.inputs}
        names = [spec.name for spec in self.signature.outputs]
        try:
            best = self._timed(names, feed)
            if best < _LONG_SECONDS:
                best = min(self._timed(names, feed) for _ in range(_WARM_RUNS))
        except Exception as error:  # a model may well refuse zeros, or a batch of one
            log.info("%s was not warmed: %s", self.path, sentence(error))
            return
        self.inline = best <= INLINE_SECONDS
        size = sum(array.nbytes for array in feed.values())
        fitting = int(size * INLINE_SECONDS / max(best, 1e-6))
        self.inline_bytes = min(max(fitting, _INLINE_LEAST), _INLINE_MOST)

    def _timed(self, names: list[str], feed: dict[str, Array]) -> float:
        start = time.perf_counter()
        self.run(names, feed)
        return time.perf_counter() - start


def _sample(spec: TensorSpec) -> Array:
    shape = [1 if size < 0 else size for size in spec.shape]
    if spec.datatype == "BYTES":
        return np.full(shape, "", dtype=object)
    return np.zeros(shape, NUMPY[spec.datatype])


def load(revision: ServedRevision, shared: Model | None, memory: int | None) -> Model:
    """The model of a revision: ``shared`` when that is the same file already open, else opened and warmed.

    Slow: runs off the event loop. Raises ``InvalidSpec`` with a sentence when the file is absent, is not
    the one that was registered, cannot be loaded, does not match its signature or its sample, or takes more
    than ``memory`` bytes.
    """
    if shared is None:
        path = Path(revision.path)
        if revision.digest is not None:
            _check_digest(path, revision.digest)
        size = path.stat().st_size
        if memory is not None and size > memory:
            raise _over(size, memory)
        before = _resident()
        shared = Model(open_session(path, gpu=True), revision.path, revision.digest or "")
        shared.memory_bytes = max(_resident() - before, size)
    if memory is not None and shared.memory_bytes > memory:
        raise _over(shared.memory_bytes, memory)
    if revision.signature is not None:
        check_signature(shared.signature, revision.signature)
    if revision.sample is not None:
        shared.warm(Path(revision.sample))
    return shared


def _over(size: int, memory: int) -> InvalidSpec:
    return InvalidSpec(
        f"the model takes {size / 2**20:.0f} MiB, over the endpoint's limit of {memory / 2**20:.0f} MiB: "
        "raise memory_bytes in its settings"
    )


def _resident() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * _PAGE


def _check_digest(path: Path, digest: str) -> None:
    try:
        found = blake3(max_threads=1).update_mmap(path).hexdigest()
    except FileNotFoundError as error:
        raise InvalidSpec(f"the model's file {path} is not there") from error
    except OSError as error:
        raise InvalidSpec(f"the model's file {path} cannot be read: {error.strerror}") from error
    if found != digest:
        raise InvalidSpec(
            f"the model's file {path} is not the one that was registered: its BLAKE3 digest is "
            f"{found[:12]}… where {digest[:12]}… is expected"
        )


def check_signature(actual: Signature, promised: Signature) -> None:
    """Raise ``InvalidSpec`` unless a model takes and gives all that a signature promises.

    An input may promise less than the model takes (a fixed size where the model leaves it open). A
    dimension of an output may be open on either side, and its rank where the model tells none.
    """
    _check_names("input", actual.inputs, promised.inputs)
    _check_names("output", actual.outputs, promised.outputs)
    ours = {spec.name: spec for spec in actual.inputs}
    for spec in promised.inputs:
        own = ours[spec.name]
        if not _same_kind(own, spec) or any(
            have not in (-1, want) for have, want in zip(own.shape, spec.shape, strict=True)
        ):
            raise _differs("input", own, spec)
    ours = {spec.name: spec for spec in actual.outputs}
    for spec in promised.outputs:
        own = ours[spec.name]
        if own.datatype == spec.datatype and not own.shape:
            continue
        if not _same_kind(own, spec) or any(
            have != want and -1 not in (have, want)
            for have, want in zip(own.shape, spec.shape, strict=True)
        ):
            raise _differs("output", own, spec)


def _check_names(role: str, actual: list[TensorSpec], promised: list[TensorSpec]) -> None:
    have, want = [spec.name for spec in actual], [spec.name for spec in promised]
    if sorted(have) != sorted(want):
        raise InvalidSpec(f"the model's {role}s are {have} where its signature says {want}")


def _same_kind(own: TensorSpec, spec: TensorSpec) -> bool:
    return own.datatype == spec.datatype and len(own.shape) == len(spec.shape)


def _differs(role: str, own: TensorSpec, spec: TensorSpec) -> InvalidSpec:
    return InvalidSpec(
        f"{role} {spec.name!r} of the model is {own.datatype} {own.shape} where its signature says "
        f"{spec.datatype} {spec.shape}"
    )
