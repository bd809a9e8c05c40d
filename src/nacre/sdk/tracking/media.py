"""Figures, tables, confusion matrices and texts as files; where media lie in a run.

The path tells what a file is: ``images/KEY/00000003.png``, ``figures/…``, ``tables/KEY.json``,
``confusion/KEY.json``; with a step there is a folder for the key, and names sort by step.
"""

from __future__ import annotations

import json
import math
import os
from collections.abc import Mapping, Sequence
from typing import Any, Callable  # noqa: UP035 - Python 3.8

Writer = Callable[[str], None]
"""Writes the file at a path."""

_MAX_CLASSES = 1000


def where(
    folder: str,
    extension: str,
    artifact_file: str | None,
    key: str | None,
    step: Any,
    following: Callable[[str], int],
) -> str:
    """The artifact path of something that is logged.

    Args:
        folder: of its kind, for what has a key and no path.
        extension: with the dot, for the same.
        artifact_file: a path, when it ends in an extension; otherwise another word for ``key``.
        step: ``a/b.png`` at step 3 is ``a/b/00000003.png``.
        following: gives the step of a key that comes without one; -1 for none.

    Raises:
        TypeError, ValueError: no name, two names, a path that leads out of the run, no step.
    """
    if (artifact_file is None) == (key is None):
        raise ValueError("give one name: a path such as 'plots/a.png', or a key such as 'samples'")
    name = artifact_file if artifact_file is not None else key
    if not isinstance(name, str):
        raise TypeError(f"the name must be text, not {name!r:.100}")
    stem, found = os.path.splitext(name)
    is_path = artifact_file is not None and bool(found)
    if not is_path:
        stem, found = f"{folder}/{name}", extension
    parts = stem.replace(os.sep, "/").split("/")
    if (
        any(part in ("", ".", "..") or len(part.encode("utf-8", "replace")) > 200 for part in parts)
        or "\0" in stem
    ):
        raise ValueError(f"{name!r:.200} must be a path inside the run, such as 'plots/a.png'")
    number = _whole(step) if step is not None else -1 if is_path else following(stem)
    return f"{stem}/{number:08d}{found}" if number >= 0 else stem + found


def no_step(stem: str) -> int:
    """What has a key and no step has none."""
    return -1


def _whole(step: Any) -> int:
    item = getattr(step, "item", None)
    found = item() if callable(item) else step
    if isinstance(found, float) and found.is_integer():
        found = int(found)
    if not isinstance(found, int):
        raise TypeError(f"step {step!r:.100} is not a whole number")
    if found < 0:
        raise ValueError(f"step {found}: files have steps from 0")
    return found


def figure_extension(figure: Any) -> str:
    """``.png``, or ``.html`` for a figure that only a browser can draw."""
    return ".html" if not hasattr(_drawn(figure), "savefig") and hasattr(figure, "to_html") else ".png"


def _drawn(figure: Any) -> Any:
    """The figure of axes."""
    if hasattr(figure, "savefig"):
        return figure
    around = getattr(figure, "figure", None)
    return around if hasattr(around, "savefig") else figure


def figure_writer(figure: Any, options: Mapping[str, Any] | None = None) -> Writer:
    """Writes a Matplotlib figure (or axes), or one of Plotly.

    Raises:
        TypeError: it is neither.
    """
    drawn = _drawn(figure)
    given = dict(options or {})
    if not hasattr(drawn, "savefig") and not hasattr(figure, "to_html"):
        raise TypeError(
            f"log_figure takes a Matplotlib or Plotly figure, not {type(figure).__module__}."
            f"{type(figure).__qualname__}: save it yourself and use nacre.log_artifact"
        )

    def write(path: str) -> None:
        if hasattr(drawn, "savefig"):
            drawn.savefig(path, **given)
        elif path.endswith((".html", ".htm")):
            with open(path, "w", encoding="utf-8") as stream:
                stream.write(str(figure.to_html(**given)))
        elif hasattr(figure, "write_image"):
            figure.write_image(path, **given)
        else:
            raise ValueError(
                f"this figure can be written as .html only, not as {os.path.splitext(path)[1]}"
            )

    return write


def text_writer(text: Any) -> Writer:
    """Writes text as UTF-8."""
    if not isinstance(text, str):
        raise TypeError(f"log_text takes text, not {type(text).__name__}")

    def write(path: str) -> None:
        with open(path, "w", encoding="utf-8", errors="replace", newline="") as stream:
            stream.write(text)

    return write


def json_writer(value: Any) -> Writer:
    """Writes JSON; the value is turned into text now, so that it may change afterwards."""
    return text_writer(json.dumps(value, ensure_ascii=False, allow_nan=False))


# Tables


def table(data: Any, columns: Sequence[Any] | None = None) -> dict[str, Any]:
    """``{"columns": […], "data": [row, …]}`` of a data frame, a dict of columns, a list of dicts (rows),
    a list of rows, or a two-dimensional array.

    NaN and infinities become null, as JSON has none.

    Raises:
        TypeError, ValueError: it is none of them, or its columns are not equally long.
    """
    names, rows = _split(data)
    if columns is not None:
        if rows and len(columns) != len(rows[0]):
            raise ValueError(f"{len(columns)} names for {len(rows[0])} columns")
        names = list(columns)
    for number, row in enumerate(rows):
        if len(row) != len(names):
            raise ValueError(f"row {number} has {len(row)} cells, and there are {len(names)} columns")
    return {"columns": [str(name) for name in names], "data": [[_cell(c) for c in row] for row in rows]}


def _split(data: Any) -> tuple[list[Any], list[Any]]:
    if hasattr(data, "to_pandas") and not hasattr(data, "rows"):
        data = data.to_pandas()  # Arrow, and others
    if hasattr(data, "columns") and hasattr(data, "to_dict"):
        if callable(getattr(data, "rows", None)):  # Polars
            return list(data.columns), list(data.rows())
        found = data.to_dict(orient="split")
        return list(found["columns"]), list(found["data"])
    if isinstance(data, Mapping):
        return _of_columns(data)
    data = _listed(data)
    if not isinstance(data, (list, tuple)):
        raise TypeError(
            f"a table is a data frame, a dict of columns, or a list of rows, not {type(data).__name__}"
        )
    if any(isinstance(row, Mapping) for row in data):
        if not all(isinstance(row, Mapping) for row in data):
            raise TypeError("the rows of a table are all dicts, or all lists")
        names = list(dict.fromkeys(name for row in data for name in row))
        return names, [[row.get(name) for name in names] for row in data]
    rows = [_listed(row) for row in data]
    if not all(isinstance(row, (list, tuple)) for row in rows):
        raise TypeError("a table has rows of several cells: give a list of lists, or {name: values}")
    return list(range(len(rows[0]) if rows else 0)), rows


def _of_columns(data: Mapping[Any, Any]) -> tuple[list[Any], list[Any]]:
    values = {name: _listed(column) for name, column in data.items()}
    if not any(isinstance(column, (list, tuple)) for column in values.values()):
        return list(values), [list(values.values())] if values else []
    columns = [c if isinstance(c, (list, tuple)) else [c] for c in values.values()]
    lengths = {str(name): len(column) for name, column in zip(values, columns)}  # noqa: B905 - Python 3.8
    if len(set(lengths.values())) > 1:
        raise ValueError(f"the columns of a table are equally long; these have {lengths} cells")
    return list(values), [list(row) for row in zip(*columns)]  # noqa: B905 - Python 3.8


def _listed(value: Any) -> Any:
    """Arrays, tensors and series as lists."""
    if hasattr(value, "detach"):
        value = value.detach().cpu()
    elif hasattr(value, "numpy") and callable(value.numpy):
        value = value.numpy()
    if hasattr(value, "tolist") and not isinstance(value, (str, bytes)):
        return value.tolist()
    if isinstance(value, (range, set, frozenset)) or type(value).__name__ in ("dict_values", "dict_keys"):
        return list(value)
    return value


def _cell(value: Any) -> Any:
    value = _listed(value)
    if value is None or isinstance(value, (str, bool, int)):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, (list, tuple)):
        return [_cell(item) for item in value]
    if isinstance(value, Mapping):
        return {str(name): _cell(item) for name, item in value.items()}
    if hasattr(value, "isoformat"):
        found = value.isoformat()
        return None if found == "NaT" else found
    return None if type(value).__name__ in ("NAType", "NaTType") else str(value)


# Confusion matrices


def confusion(truth: Any, predicted: Any = None, labels: Sequence[Any] | None = None) -> dict[str, Any]:
    """``{"type": "confusion_matrix", "labels": […], "confusion": [[…]]}``; a row is what is true.

    Args:
        truth: the true classes, or a finished square matrix when ``predicted`` is null.
        predicted: the classes that were predicted, or a row of scores for each sample.
        labels: the classes in order, or names of the classes 0, 1, …

    Raises:
        TypeError, ValueError: lengths differ, a class has no label, a matrix is not square.
    """
    if predicted is None:
        return _finished(_listed(truth), labels)
    true, called = _classes(truth, "y_true"), _classes(predicted, "y_pred")
    if len(true) != len(called):
        raise ValueError(f"{len(true)} true classes and {len(called)} predicted ones: they must be as many")
    there = set(true) | set(called)
    order = list(_listed(labels)) if labels is not None else sorted(there, key=_order)
    names = order
    if not there <= set(order) and all(isinstance(c, int) and 0 <= c < len(order) for c in there):
        order = list(range(len(order)))
    if not there <= set(order):
        raise ValueError(f"{sorted(there - set(order), key=str)[0]!r} is none of the labels {order[:20]}")
    if len(set(order)) != len(order) or not 1 <= len(order) <= _MAX_CLASSES:
        raise ValueError(f"a confusion matrix has 1 to {_MAX_CLASSES} different classes, not {len(order)}")
    at = {name: number for number, name in enumerate(order)}
    matrix = [[0] * len(order) for _ in order]
    for row, column in zip(true, called):  # noqa: B905 - Python 3.8
        matrix[at[row]][at[column]] += 1
    return _described(names, matrix)


def _order(value: Any) -> tuple[bool, Any]:
    return (isinstance(value, str), value)


def _described(labels: Sequence[Any], matrix: list[list[Any]]) -> dict[str, Any]:
    return {"type": "confusion_matrix", "labels": [str(label) for label in labels], "confusion": matrix}


def _finished(matrix: Any, labels: Sequence[Any] | None) -> dict[str, Any]:
    rows = [_listed(row) for row in matrix] if isinstance(matrix, (list, tuple)) else []
    if not 1 <= len(rows) <= _MAX_CLASSES or any(
        not isinstance(row, (list, tuple)) or len(row) != len(rows) for row in rows
    ):
        raise ValueError(
            "give the true and the predicted classes, or a square matrix of at most "
            f"{_MAX_CLASSES} classes whose rows are what is true"
        )
    names = list(range(len(rows))) if labels is None else list(_listed(labels))
    if len(names) != len(rows):
        raise ValueError(f"{len(names)} labels for a matrix of {len(rows)} classes")
    cells = [[_cell(value) for value in row] for row in rows]
    if any(not isinstance(value, (int, float)) for row in cells for value in row):
        raise TypeError("a confusion matrix holds numbers")
    return _described(names, cells)


def _classes(values: Any, name: str) -> list[Any]:
    found = _listed(values)
    if not isinstance(found, (list, tuple)):
        raise TypeError(f"{name} must be a list or an array of classes, not {type(values).__name__}")
    plain = [_listed(value) for value in found]
    if plain and all(isinstance(value, (list, tuple)) for value in plain):
        # Scores, or one column of classes.
        plain = [v[0] if len(v) == 1 else max(range(len(v)), key=v.__getitem__) for v in plain]
    if any(isinstance(value, (list, tuple, Mapping)) for value in plain):
        raise TypeError(f"{name} must be a list of classes, or of scores for each class")
    return [int(v) if isinstance(v, float) and v.is_integer() else v for v in plain]
