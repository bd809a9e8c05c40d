"""Runs side by side: what differs, and which is best."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from typing import Literal

Goal = Literal["min", "max"]

_WORD = re.compile(r"[a-z0-9]+")
_SMALL = re.compile(
    "loss|losses|error|err|mse|rmse|mae|mape|msle|nll|bce|ce|perplexity|ppl|latency|wer|cer|fid|logloss|"
    "brier|crossentropy|divergence|kl|deviance"
)
_GREAT = re.compile(
    "accuracy|acc|f1|auc|auroc|auprc|ap|map|precision|recall|r2|score|iou|miou|dice|bleu|rouge|psnr|ssim|"
    "reward|return|throughput|sensitivity|specificity|ndcg|mrr|top1|top5|hits|correct"
)


def goal(key: str) -> Goal | None:
    """Whether a metric of this name is to be small or great; null where the name does not say.

    The last word that tells decides: ``val/loss`` is small, ``loss_scale_accuracy`` great.
    """
    words = _WORD.findall(key.lower())
    for word in reversed(words):
        if _SMALL.fullmatch(word):
            return "min"
        if _GREAT.fullmatch(word):
            return "max"
    return None


def best(values: Sequence[float | None], wanted: Goal | None) -> int | None:
    """Index of the best value; the first of equals. Null and NaN never win; null when nothing can."""
    known = [(value, at) for at, value in enumerate(values) if value is not None and not math.isnan(value)]
    if wanted is None or not known:
        return None
    if wanted == "min":
        return min(known)[1]
    return min(known, key=lambda entry: (-entry[0], entry[1]))[1]


def differs(values: Sequence[object]) -> bool:
    """Whether not all values are the same; NaN is the same as NaN."""
    first = values[0]
    return any(value != first and not (_nan(value) and _nan(first)) for value in values[1:])


def _nan(value: object) -> bool:
    return isinstance(value, float) and math.isnan(value)


def kind_of(low: str, high: str) -> Literal["number", "boolean", "text"]:
    """The type of texts of which the least and the greatest (as text) are known."""
    if {low.lower(), high.lower()} <= {"true", "false"}:
        return "boolean"
    return "number" if _is_number(low) and _is_number(high) else "text"


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True
