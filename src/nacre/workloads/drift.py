"""How far what an endpoint is asked is from what its model was trained on: ``python -m nacre.workloads.drift``.

The measure is the population stability index of each feature. With the shares p of the training data and q of
what was captured in the same k bins::

    PSI = sum over the bins of (q - p) * ln(q / p)

(the symmetric Kullback-Leibler divergence of both; Lewis, *An Introduction to Credit Scoring*, 1994; Siddiqi,
*Credit Risk Scorecards*, 2006, whose rule is: below 0.1 stable, below 0.25 a moderate shift, else drifted).
So that an empty bin does not make it infinite, half a sample is added to each bin of both. The bins are the
tenths of the training data; a feature of ten values or fewer there, or of text, has a bin for each value and one
for all others. NaN has a bin of its own.

Without any drift the index of n captured and m training samples is about (k - 1) * (1/n + 1/m) (Yurdakul,
*Statistical Properties of Population Stability Index*, 2018); with fewer than ``ENOUGH`` of either the verdict
is therefore ``unclear``.

An input of up to ``MOST_FEATURES`` numbers is measured number by number. One of more, such as an image, is
measured by its mean, its standard deviation and ``PROJECTIONS`` projections on directions drawn at random (always
the same ones), because hundreds of pixels say little one by one and some of them differ by chance.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nacre.sdk.track import log_metrics
from nacre.workloads.arrays import DataError
from nacre.workloads.streams import Specs, Stream, open_stream

BINS = 10
MOST_FEATURES = 64
PROJECTIONS = 16
MOST_VALUES = 20
"""Bins of a feature of text: its most frequent values."""
MOST_SAMPLES = 50_000
"""So many are drawn, evenly, of larger data."""
ENOUGH = 500
MODERATE, DRIFTED = 0.1, 0.25
_READ = 1024


@dataclass(frozen=True)
class Feature:
    """What is measured of an input: one number, or one text, of each sample."""

    input: str
    name: str
    kind: str


def psi(reference: NDArray[Any], captured: NDArray[Any]) -> float:
    """The index between counts in the same bins, [bins] each."""
    share = [(counts + 0.5) / (counts.sum() + 0.5 * len(counts)) for counts in (reference, captured)]
    return float(np.sum((share[1] - share[0]) * np.log(share[1] / share[0])))


def binned(reference: NDArray[Any], captured: NDArray[Any]) -> tuple[NDArray[Any], NDArray[Any]]:
    """Counts of two samples of a feature, [samples] each, in the bins that the first one gives."""
    if reference.dtype.kind not in "fiub":
        values, counts = np.unique(reference.astype(str), return_counts=True)
        kept = values[np.argsort(-counts, kind="stable")[:MOST_VALUES]]
        return _by_value(reference.astype(str), kept), _by_value(captured.astype(str), kept)
    known = reference[~np.isnan(reference)]
    values = np.unique(known)
    if len(values) <= BINS:
        return _with_missing(reference, captured, lambda x: _by_value(x, values))
    edges = np.unique(np.quantile(known, np.arange(1, BINS) / BINS))
    return _with_missing(
        reference,
        captured,
        lambda x: np.bincount(np.searchsorted(edges, x, side="left"), minlength=len(edges) + 1),
    )


def _by_value(x: NDArray[Any], values: NDArray[Any]) -> NDArray[Any]:
    """Counts of each of the values, and of all others."""
    found = np.array([np.count_nonzero(x == value) for value in values], dtype=np.int64)
    return np.append(found, len(x) - found.sum())


def _with_missing(
    reference: NDArray[Any], captured: NDArray[Any], count: Callable[[NDArray[Any]], NDArray[Any]]
) -> tuple[NDArray[Any], NDArray[Any]]:
    found = []
    for x in (reference, captured):
        missing = np.isnan(x)
        found.append(np.append(count(x[~missing]), np.count_nonzero(missing)))
    if not found[0][-1] and not found[1][-1]:
        return found[0][:-1], found[1][:-1]
    return found[0], found[1]


class Measured:
    """What is measured of samples: ``features``, and the table of them, numbers and text apart.

    ``columns``: names of an input's numbers, where its data has them.
    """

    def __init__(self, inputs: Specs, widths: dict[str, int], columns: dict[str, list[str]]) -> None:
        self.features: list[Feature] = []
        self._widths = widths
        self._steps: list[tuple[str, Callable[[NDArray[Any]], NDArray[Any]]]] = []
        for spec in inputs:
            name, width = spec["name"], widths[spec["name"]]
            if spec["datatype"] == "BYTES" or width <= MOST_FEATURES:
                kind = "text" if spec["datatype"] == "BYTES" else "number"
                own = columns.get(name, [])
                given = own if len(own) == width > 1 else [f"{name}[{i}]" for i in range(width)]
                given = given if width > 1 else [name]
                self._take(name, kind, given, _flat)
                continue
            directions = np.random.default_rng(0).standard_normal((width, PROJECTIONS)) / np.sqrt(width)
            self._take(name, "mean", [f"{name} mean"], _mean)
            self._take(name, "std", [f"{name} std"], _std)
            named = [f"{name} projection {i}" for i in range(PROJECTIONS)]
            self._take(name, "projection", named, _projected(directions))

    def _take(self, name: str, kind: str, named: Sequence[str], step: Any) -> None:
        self.features += [Feature(name, feature, kind) for feature in named]
        self._steps.append((name, step))

    def of(self, feed: dict[str, NDArray[Any]]) -> list[NDArray[Any]]:
        """One array [samples] for each feature.

        Raises:
            DataError: they are not so many as of the samples before.
        """
        found = []
        for name, step in self._steps:
            if (width := int(np.prod(feed[name].shape[1:], dtype=np.int64))) != self._widths[name]:
                raise DataError(
                    f"input {name!r} has {self._widths[name]} values in a sample of the training data, and {width} "
                    "in others"
                )
            found += list(step(feed[name]).T)
        return found


def _flat(x: NDArray[Any]) -> NDArray[Any]:
    flat = x.reshape(len(x), -1)
    return flat if flat.dtype.kind in "OSU" else flat.astype(np.float64)


def _mean(x: NDArray[Any]) -> NDArray[Any]:
    return np.asarray(_flat(x).mean(axis=1, keepdims=True))


def _std(x: NDArray[Any]) -> NDArray[Any]:
    return np.asarray(_flat(x).std(axis=1, keepdims=True))


def _projected(directions: NDArray[Any]) -> Callable[[NDArray[Any]], NDArray[Any]]:
    return lambda x: _flat(x) @ directions


def sampled(stream: Stream, measured: Measured, seed: int) -> tuple[int, list[NDArray[Any]]]:
    """How many samples there are, and each feature of ``MOST_SAMPLES`` of them, drawn evenly.

    Each sample gets a random number, and those with the least are kept: the data is read once, and no more
    than twice so many samples are held.
    """
    rng = np.random.default_rng(seed)
    count, held = 0, 0
    keys: list[NDArray[Any]] = []
    kept: list[list[NDArray[Any]]] = []
    for part in stream.read(0, _READ):
        keys.append(rng.random(len(part)))
        kept.append(measured.of(part.feed))
        count, held = count + len(part), held + len(part)
        if held >= 2 * MOST_SAMPLES:
            keys, kept = _least(keys, kept)
            held = MOST_SAMPLES
    if not count:
        raise DataError("the data has no samples")
    _, chosen = _least(keys, kept)
    return count, chosen[0]


def _least(
    keys: list[NDArray[Any]], kept: list[list[NDArray[Any]]]
) -> tuple[list[NDArray[Any]], list[list[NDArray[Any]]]]:
    key = np.concatenate(keys)
    columns = [np.concatenate(list(parts)) for parts in zip(*kept, strict=True)]
    if len(key) <= MOST_SAMPLES:
        return [key], [columns]
    chosen = np.argpartition(key, MOST_SAMPLES)[:MOST_SAMPLES]
    return [key[chosen]], [[column[chosen] for column in columns]]


def verdict(worst: float, captured: int, reference: int) -> str:
    """What the worst index says."""
    if min(captured, reference) < ENOUGH:
        return "unclear"
    return "stable" if worst < MODERATE else "moderate" if worst < DRIFTED else "drifted"


def compare(captured: Path, reference: Path, inputs: Specs, features: Sequence[str]) -> dict[str, Any]:
    """The report: the index of each feature, the worst, the verdict.

    Raises:
        DataError: one of both cannot be read as inputs of the model.
    """
    theirs, ours = (
        _opened("training data", reference, inputs, features),
        _opened("captured", captured, inputs),
    )
    first = next(iter(theirs.read(0, 1)), None)
    if first is None:
        raise DataError("the training data has no samples")
    widths = {name: int(np.prod(x.shape[1:], dtype=np.int64)) for name, x in first.feed.items()}
    measured = Measured(inputs, widths, theirs.columns)
    many, before = sampled(theirs, measured, 1)
    few, after = sampled(ours, measured, 2)
    found = [
        {
            "input": feature.input,
            "feature": feature.name,
            "kind": feature.kind,
            "psi": round(psi(*binned(old, new)), 6),
        }
        for feature, old, new in zip(measured.features, before, after, strict=True)
    ]
    worst = max(found, key=lambda one: float(str(one["psi"])))
    return {
        "captured_samples": few,
        "reference_samples": many,
        "features": found,
        "worst": worst,
        "verdict": verdict(float(str(worst["psi"])), few, many),
    }


def _opened(what: str, folder: Path, inputs: Specs, features: Sequence[str] = ()) -> Stream:
    try:
        return open_stream(folder, inputs, features)
    except DataError as error:
        raise DataError(f"the {what} cannot be compared: {error}") from error


def main() -> None:
    """Compare, print a summary, keep the report; exit 2 with a sentence when the data does not fit."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--captured", type=Path, required=True)
    parser.add_argument("--reference", type=Path, required=True)
    parser.add_argument("--features")
    given = parser.parse_args()
    inputs = json.loads(os.environ["NACRE_MODEL_SIGNATURE"])["inputs"]
    features = [name.strip() for name in (given.features or "").split(",") if name.strip()]
    try:
        found = compare(given.captured, given.reference, inputs, features)
    except DataError as error:
        sys.stdout.flush()
        sys.stderr.write(f"error: {' '.join(str(error).split())}\n")
        sys.exit(2)
    log_metrics({"worst_psi": found["worst"]["psi"]}, step=0)
    (Path(os.environ["NACRE_OUTPUT_DIR"]) / "drift.json").write_text(json.dumps(found))
    print(f"{found['verdict']}: {found['worst']['feature']} has PSI {found['worst']['psi']:.4f}")


if __name__ == "__main__":
    main()
