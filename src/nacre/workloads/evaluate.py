"""Evaluate an ONNX classifier: ``python -m nacre.workloads.evaluate``.

Writes ``evaluation.json`` into ``$NACRE_OUTPUT_DIR`` and logs the metrics to the job's run. Averages are
macro, over the classes that occur in labels or predictions, as scikit-learn's
``precision_recall_fscore_support(average="macro", zero_division=0)``.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from nacre.sdk.track import log_metrics
from nacre.workloads import arrays

BATCH = 256
MAX_CLASSES = 1500
"""So that the confusion matrix stays a few megabytes."""


def predict(session: Any, x: NDArray[Any]) -> NDArray[Any]:
    """Class of each sample, [samples]: the model's own labels where it gives one per sample, else the
    largest score. A single score is a probability (over a half), or a logit (over zero) where any lies
    outside of 0 to 1.

    Raises:
        arrays.DataError: the model refuses the samples, or answers something else.
    """
    scores = _answers(session, x)
    if scores.ndim > 2 and scores.size != len(scores) * max(scores.shape[1:]):
        raise arrays.DataError(
            f"the model answers {list(scores.shape[1:])} for each sample: evaluation knows classes only"
        )
    scores = scores.reshape(len(scores), -1)
    if scores.shape[1] > 1:
        chosen: NDArray[Any] = scores.argmax(axis=1)
        return chosen
    single = scores[:, 0]
    if not np.issubdtype(single.dtype, np.floating):
        return single
    if np.array_equal(single, np.round(single)) and not np.isin(single, (0, 1)).all():
        return single.astype(np.int64)
    is_logit = bool(((single < 0) | (single > 1)).any())
    called: NDArray[Any] = (single > (0.0 if is_logit else 0.5)).astype(np.int64)
    return called


def _answers(session: Any, x: NDArray[Any]) -> NDArray[Any]:
    """The first output for all samples; a model of a fixed batch gets its last one filled up."""
    taken, output = session.get_inputs()[0], session.get_outputs()[0].name
    fixed = taken.shape[0] if taken.shape and isinstance(taken.shape[0], int) else None
    batch, found = fixed or BATCH, []
    try:
        for start in range(0, len(x), batch):
            part = x[start : start + batch]
            missing = fixed - len(part) if fixed else 0
            fed = np.concatenate([part, np.repeat(part[-1:], missing, axis=0)]) if missing else part
            found.append(np.asarray(session.run([output], {taken.name: fed})[0])[: len(part)])
    except Exception as error:  # ONNX Runtime's exceptions share no base class
        said = " ".join(str(error).split())[:300]
        raise arrays.DataError(f"the model refused the samples: {said}") from error
    scores: NDArray[Any] = np.concatenate(found)
    if len(scores) != len(x):
        raise arrays.DataError(f"the model gives {len(scores)} answers for {len(x)} samples")
    return scores


def truth_of(y: NDArray[Any]) -> NDArray[Any]:
    """Labels as classes, [samples]: whole numbers or text; rows of zeros with a one become its column.

    Raises:
        arrays.DataError: they are neither.
    """
    if y.ndim > 1 and y.size == len(y):
        y = y.reshape(len(y))
    if (
        y.ndim == 2
        and y.dtype.kind in "fiub"
        and ((y == 0) | (y == 1)).all()
        and (y.sum(axis=1) == 1).all()
    ):
        y = y.argmax(axis=1)
    if y.ndim != 1:
        raise arrays.DataError(
            f"labels have shape {list(y.shape[1:])} each: give one class for each sample"
        )
    if y.dtype.kind == "f" and not np.array_equal(y, np.round(y)):
        raise arrays.DataError("the labels are not classes but measures: evaluation measures classifiers")
    return y.astype(np.int64) if y.dtype.kind in "fiub" else y.astype(str)


def align(
    truth: NDArray[Any], called: NDArray[Any], classes: list[str] | None
) -> tuple[NDArray[Any], NDArray[Any]]:
    """Truth and calls in the same words.

    Names in the data stand for a model's numbers in their sorted order, as scikit-learn's LabelEncoder
    gives them, when there are as many as the numbers need.

    Raises:
        arrays.DataError: they share no class.
    """
    called = called.astype(np.int64) if called.dtype.kind in "fiub" else called.astype(str)
    if truth.dtype.kind == called.dtype.kind:
        pass
    elif called.dtype.kind == "U":
        named = classes is not None and truth.max() < len(classes)
        truth = np.asarray(classes)[truth] if named else truth.astype(str)
    elif all(name.lstrip("-").isdecimal() for name in truth.tolist()):
        truth = truth.astype(np.int64)
    else:
        names = np.unique(truth)
        if called.max() >= len(names):
            raise arrays.DataError(
                f"the data names {len(names)} classes ({', '.join(names[:8])}), but the model calls class "
                f"{called.max()}: evaluate on data with every class, or with numbers as labels"
            )
        called = names[called]
    if not set(truth.tolist()) & set(called.tolist()) and truth.dtype.kind == "U":
        ours, theirs = (", ".join(map(str, np.unique(v)[:5])) for v in (called, truth))
        raise arrays.DataError(f"the model calls classes {ours}, and the data's labels are {theirs}")
    return truth, called


def measure(truth: NDArray[Any], called: NDArray[Any], names: list[str] | None = None) -> dict[str, Any]:
    """Accuracy, macro precision, recall and F1, the confusion matrix and the same per class.

    ``confusion[i][j]``: samples of class i that were called j. ``names``: of the classes 0, 1, …

    Raises:
        arrays.DataError: there are too many classes for a matrix.
    """
    classes = sorted(set(truth.tolist()) | set(called.tolist()))
    if len(classes) > MAX_CLASSES:
        raise arrays.DataError(f"there are {len(classes)} classes: evaluation takes {MAX_CLASSES} at most")
    index = {label: i for i, label in enumerate(classes)}
    matrix = np.zeros((len(classes), len(classes)), dtype=np.int64)
    np.add.at(matrix, ([index[v] for v in truth.tolist()], [index[v] for v in called.tolist()]), 1)
    hits = np.diag(matrix).astype(float)

    def share(total: NDArray[Any]) -> NDArray[Any]:
        found: NDArray[Any] = np.divide(hits, total, out=np.zeros_like(hits), where=total > 0)
        return found

    precision, recall = share(matrix.sum(axis=0)), share(matrix.sum(axis=1))
    both = precision + recall
    f1 = np.divide(2 * precision * recall, both, out=np.zeros_like(hits), where=both > 0)
    labels = [names[c] if names and isinstance(c, int) and 0 <= c < len(names) else str(c) for c in classes]
    return {
        "samples": len(truth),
        "accuracy": float(hits.sum() / len(truth)),
        "precision": float(precision.mean()),
        "recall": float(recall.mean()),
        "f1": float(f1.mean()),
        "labels": labels,
        "confusion": matrix.tolist(),
        "per_class": {
            label: {
                "precision": float(precision[i]),
                "recall": float(recall[i]),
                "f1": float(f1[i]),
                "support": int(matrix[i].sum()),
            }
            for i, label in enumerate(labels)
        },
    }


def evaluate(model: Path, data: Path, features: str | None, label: str | None) -> dict[str, Any]:
    """The measures of an ONNX file on a dataset folder.

    Raises:
        arrays.DataError: the data has no labels, or does not fit the model.
    """
    samples = arrays.read(data, features, label)
    if samples.y is None:
        raise arrays.DataError("the data has no labels: name them with --label")
    session = onnxruntime.InferenceSession(str(model), providers=["CPUExecutionProvider"])
    inputs = session.get_inputs()
    if len(inputs) != 1:
        raise arrays.DataError(f"the model takes {len(inputs)} inputs; evaluation feeds one")
    shape = [d if isinstance(d, int) else -1 for d in inputs[0].shape]
    x = arrays.fit(samples.x, shape, arrays.DATATYPES.get(inputs[0].type, ""))
    truth, called = align(truth_of(samples.y), predict(session, x), samples.classes)
    return measure(truth, called, samples.classes)


def main() -> None:
    """Evaluate, print a summary, keep the result; exit 2 with a sentence when the data does not fit."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--model", type=Path, required=True)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--features")
    parser.add_argument("--label")
    given = parser.parse_args()
    try:
        found = evaluate(given.model, given.data, given.features, given.label)
    except arrays.DataError as error:
        sys.stderr.write(f"error: {' '.join(str(error).split())}\n")
        sys.exit(2)
    log_metrics({k: found[k] for k in ("accuracy", "precision", "recall", "f1")}, step=0)
    target = Path(os.environ["NACRE_OUTPUT_DIR"]) / "evaluation.json"
    target.write_text(json.dumps(found))
    print(f"{found['samples']} samples: accuracy {found['accuracy']:.4f}, macro F1 {found['f1']:.4f}")


if __name__ == "__main__":
    main()
