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


def predict(session: Any, x: NDArray[Any]) -> NDArray[Any]:
    """Class of each sample, [samples]: the model's own labels where it gives one per sample, else the
    largest score (or score > 0.5 for a single one, read as a probability)."""
    name = session.get_inputs()[0].name
    outputs = [o.name for o in session.get_outputs()]
    found = []
    for start in range(0, len(x), BATCH):
        found.append(session.run(outputs, {name: x[start : start + BATCH]})[0])
    scores: NDArray[Any] = np.concatenate(found)
    if scores.ndim == 1:
        return scores
    scores = scores.reshape(len(scores), -1)
    if scores.shape[1] == 1:
        kept = scores[:, 0]
        return (kept > 0.5).astype(np.int64) if np.issubdtype(kept.dtype, np.floating) else kept
    chosen: NDArray[Any] = scores.argmax(axis=1)
    return chosen


def measure(truth: NDArray[Any], called: NDArray[Any], names: list[str] | None = None) -> dict[str, Any]:
    """Accuracy, macro precision, recall and F1, the confusion matrix and the same per class.

    ``confusion[i][j]``: samples of class i that were called j.
    """
    classes = sorted(set(truth.tolist()) | set(called.tolist()))
    index = {label: i for i, label in enumerate(classes)}
    matrix = np.zeros((len(classes), len(classes)), dtype=np.int64)
    np.add.at(matrix, ([index[v] for v in truth.tolist()], [index[v] for v in called.tolist()]), 1)
    hits = np.diag(matrix).astype(float)

    def share(total: NDArray[Any]) -> NDArray[Any]:
        return np.divide(hits, total, out=np.zeros_like(hits), where=total > 0)

    precision, recall = share(matrix.sum(axis=0)), share(matrix.sum(axis=1))
    both = precision + recall
    f1 = np.divide(2 * precision * recall, both, out=np.zeros_like(hits), where=both > 0)
    labels = [str(names[int(c)]) if names and int(c) < len(names) else str(c) for c in classes]
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
    kinds = {"tensor(float)": "FP32", "tensor(double)": "FP64", "tensor(float16)": "FP16"}
    kinds |= {"tensor(int64)": "INT64", "tensor(int32)": "INT32"}
    shape = [d if isinstance(d, int) else -1 for d in inputs[0].shape]
    x = arrays.fit(samples.x, shape, kinds.get(inputs[0].type, ""))
    called = predict(session, x)
    truth = samples.y.reshape(len(samples.y))
    if np.issubdtype(called.dtype, np.number) and np.issubdtype(truth.dtype, np.number):
        called, truth = called.astype(np.int64), truth.astype(np.int64)
    else:
        called, truth = called.astype(str), truth.astype(str)
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
        sys.exit(f"error: {error}")
    log_metrics({k: found[k] for k in ("accuracy", "precision", "recall", "f1")}, step=0)
    target = Path(os.environ["NACRE_OUTPUT_DIR"]) / "evaluation.json"
    target.write_text(json.dumps(found))
    print(f"{found['samples']} samples: accuracy {found['accuracy']:.4f}, macro F1 {found['f1']:.4f}")


if __name__ == "__main__":
    main()
