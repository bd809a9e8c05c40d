"""Predictions for every sample of a dataset: ``python -m nacre.workloads.predict``.

Reads a few samples at a time and writes what the model answers, in parts, with each sample's index (and its
file, where it has its own). A part is kept in ``$NACRE_CHECKPOINT_DIR`` as soon as it is whole, so that an
attempt that follows another goes on after it. At the end the parts go to ``$NACRE_OUTPUT_DIR/predictions``
and a report to ``$NACRE_OUTPUT_DIR/predictions.json``.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nacre.modelserver.replica import choose
from nacre.modelserver.replica.predictors.base import BadInput, LoadError, Signed
from nacre.sdk.track import log_metrics
from nacre.workloads import definitions, part_files
from nacre.workloads.arrays import DataError
from nacre.workloads.part_files import FILE, INDEX, Parts
from nacre.workloads.streams import Part, open_stream

BATCH = 256


class _Refused(Exception):
    """The model does not take these samples; the text is what it says."""


class Model:
    """A loaded model that is asked in batches of one size, the last filled up where that size is fixed."""

    def __init__(self, signed: Signed) -> None:
        if signed.signature is None:
            raise DataError(
                "nothing tells what the model takes and gives: register it with its inputs "
                "(nacre model register … --input 'x:FP32[-1,28,28]')"
            )
        self._signed = signed
        self.inputs: list[dict[str, Any]] = signed.signature["inputs"]
        self.outputs: list[dict[str, Any]] = signed.signature["outputs"]
        fixed = {spec["shape"][0] for spec in self.inputs if spec["shape"][:1] not in ([], [-1])}
        if len(fixed) > 1 or any(not spec["shape"] for spec in self.inputs):
            raise DataError("the model does not take samples along the first dimension of its inputs")
        self._fixed = next(iter(fixed), None)
        self.batch = self._fixed or min(BATCH, signed.predictor.max_batch or BATCH)

    def ask(self, part: Part) -> dict[str, NDArray[Any]]:
        """Every output for samples, ``batch`` of them at most; the first axis is theirs.

        Raises:
            DataError: the model refuses a sample, which is named, or does not answer each.
        """
        try:
            return self._answers(part.feed)
        except _Refused as error:
            at, said = self._culprit(part.feed, str(error))
            where = f"{part.place(0)}, and the {len(part) - 1} after it" if at is None else part.place(at)
            raise DataError(f"{where}: the model refused: {said}; it takes {self._takes()}") from error

    def _answers(self, feed: dict[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
        count = len(next(iter(feed.values())))
        if missing := (self._fixed - count if self._fixed else 0):
            feed = {n: np.concatenate([x, np.repeat(x[-1:], missing, axis=0)]) for n, x in feed.items()}
        try:
            found = self._signed.infer([spec["name"] for spec in self.outputs], feed)
        except MemoryError:
            raise  # with more of it the same data may pass
        except Exception as error:
            said = str(error) if isinstance(error, BadInput) else self._signed.predictor.explain(error)
            raise _Refused(" ".join(said.split())[:300]) from error
        answers = {one["name"]: np.asarray(one["array"]) for one in found}
        for name, values in answers.items():
            if values.ndim == 0 or len(values) != count + missing:
                raise DataError(
                    f"the output {name!r} is {list(values.shape)} for {count + missing} samples: not one each"
                )
        return {name: values[:count] for name, values in answers.items()}

    def _culprit(self, feed: dict[str, NDArray[Any]], said: str) -> tuple[int | None, str]:
        """The first sample that it refuses by itself, null when it is none, and what it says of it."""
        low, high = 0, len(next(iter(feed.values())))
        while high - low > 1:
            middle = (low + high) // 2
            low, high = (low, middle) if self._refuses(feed, low, middle) is not None else (middle, high)
        own = self._refuses(feed, low, high)
        return (None, said) if own is None else (low, own)

    def _refuses(self, feed: dict[str, NDArray[Any]], low: int, high: int) -> str | None:
        try:
            self._answers({name: x[low:high] for name, x in feed.items()})
        except _Refused as error:
            return str(error)
        return None

    def _takes(self) -> str:
        return "; ".join(f"{one['name']!r} {one['datatype']} {one['shape']}" for one in self.inputs)


def columns_of(part: Part, answers: dict[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
    """What is written of samples: index, file, outputs. An output of such a name gets ``output.`` before it."""
    found: dict[str, NDArray[Any]] = {INDEX: np.arange(part.start, part.start + len(part), dtype=np.int64)}
    if part.files is not None:
        found[FILE] = np.array(part.files, dtype=object)
    for name, values in answers.items():
        found[name if name not in found else f"output.{name}"] = values
    return found


def predict(model: Model, data: Path, features: list[str], parts: Parts) -> int:
    """Ask for each sample that no part has yet; how many there are in all.

    Raises:
        DataError: the data does not fit the model, or has no samples.
    """
    stream = open_stream(data, model.inputs, features)
    began, first, at = time.monotonic(), parts.done, parts.done
    if first:
        print(f"going on after {first:,} samples that are done")
    for part in stream.read(first, model.batch):
        at = part.start + len(part)
        if parts.add(columns_of(part, model.ask(part))):
            rate = (at - first) / max(time.monotonic() - began, 1e-9)
            of = f" of {stream.count:,}" if stream.count is not None else ""
            print(f"{at:,}{of} samples, {rate:,.0f} a second", flush=True)
            log_metrics({"samples": at}, step=len(parts.files))
    parts.flush()
    if not at:
        raise DataError("the data has no samples")
    return at


def main() -> None:
    """Predict and report; exit 2 with a sentence when model and data do not go together."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--model", required=True)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--framework")
    parser.add_argument("--features")
    parser.add_argument("--format", choices=sorted(part_files.FORMATS), default="parquet")
    parser.add_argument("--script")
    parser.add_argument("--module")
    given = parser.parse_args()
    output = Path(os.environ["NACRE_OUTPUT_DIR"])
    kept = Path(os.environ.get("NACRE_CHECKPOINT_DIR") or output) / ".parts"
    signature = json.loads(os.environ.get("NACRE_MODEL_SIGNATURE") or "null")
    features = [name.strip() for name in (given.features or "").split(",") if name.strip()]
    try:
        if given.script or given.module:
            definitions.define(given.script, given.module)
        model = Model(choose.load(given.model, given.framework, signature))
        parts = Parts(kept, part_files.FORMATS[given.format])
        samples = predict(model, given.data, features, parts)
    except (DataError, LoadError, ValueError) as error:
        sys.stdout.flush()
        sys.stderr.write(f"error: {' '.join(str(error).split())}\n")
        sys.exit(2)
    report = {"samples": samples, "outputs": model.outputs, "format": given.format}
    parts.hand_over(output / "predictions")
    (output / "predictions.json").write_text(json.dumps(report))
    log_metrics({"samples": samples}, step=len(parts.files) + 1)
    print(f"{samples:,} samples in {len(parts.files)} parts")


if __name__ == "__main__":
    main()
