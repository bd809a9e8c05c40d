"""The REST dialects once more, slow and plain: ``json.loads``, recursion and NumPy scalars.

What it gives is what the server has to give; :class:`Refuse` is its only refusal.
"""

from __future__ import annotations

import base64
import binascii
import csv
import io
import json
import math
from typing import Any

import numpy as np

from nacre.modelserver.calls import Interface
from nacre.modelserver.tensors import NUMPY
from nacre.schema.serving import TensorSpec

SPECIAL = {"NaN": math.nan, "Infinity": math.inf, "-Infinity": -math.inf}
Feed = dict[str, Any]


class Refuse(Exception):
    pass


def need(condition: object, why: str = "") -> None:
    if not condition:
        raise Refuse(why)


def load(body: bytes) -> Any:
    def number(text: str) -> float:
        need(math.isfinite(float(text)), "a number beyond doubles")
        return float(text)

    def integer(text: str) -> int | float:
        return number(text) if len(text) > 300 else int(text)

    try:
        value = json.loads(body.decode(), parse_float=number, parse_int=integer)
        json.dumps(value, ensure_ascii=False).encode()
    except (ValueError, RecursionError) as error:
        raise Refuse("no JSON") from error
    return value


def is_b64(value: Any) -> bool:
    return isinstance(value, dict) and list(value) == ["b64"] and isinstance(value["b64"], str)


def is_object(value: Any) -> bool:
    return isinstance(value, dict) and not is_b64(value)


def leaf(value: Any, datatype: str) -> Any:
    kind = NUMPY[datatype].kind
    if datatype == "BYTES":
        if is_b64(value):
            text = "".join(value["b64"].split(" "))
            for space in "\t\r\n":
                text = text.replace(space, "")
            try:
                return base64.b64decode(text + "=" * (-len(text) % 4), validate=True).decode()
            except (binascii.Error, ValueError) as error:
                raise Refuse("b64") from error
        need(isinstance(value, str))
        return value
    if kind == "b":
        need(isinstance(value, bool))
        return value
    need(not isinstance(value, bool))
    if kind == "f":
        if isinstance(value, str):
            need(value in SPECIAL)
            value = SPECIAL[value]
        need(isinstance(value, int | float))
        with np.errstate(over="ignore"):
            # FP16 comes by way of FP32, as in TensorFlow.
            found = np.float64(float(value))
            if datatype != "FP64":
                found = found.astype("f4")
            found = found.astype(NUMPY[datatype])
        need(not np.isinf(found) or math.isinf(value), "overflow")
        return found
    need(isinstance(value, int))
    bounds = np.iinfo(NUMPY[datatype])
    need(bounds.min <= value <= bounds.max)
    return value


def shape_of(value: Any, depth: int = 0) -> tuple[int, ...]:
    """The shape of evenly nested lists."""
    if not isinstance(value, list):
        return ()
    need(depth < 32)
    shapes = {shape_of(one, depth + 1) for one in value}
    need(len(shapes) < 2, "ragged")
    return (len(value), *(shapes.pop() if shapes else ()))


def leaves(value: Any) -> list[Any]:
    return [leaf for one in value for leaf in leaves(one)] if isinstance(value, list) else [value]


def array(value: Any, shape: tuple[int, ...], spec: TensorSpec) -> Any:
    allowed = spec.shape
    if allowed:
        need(len(shape) == len(allowed))
        need(all(want in (-1, size) for size, want in zip(shape, allowed, strict=True)))
    flat = [leaf(one, spec.datatype) for one in leaves(value)]
    made = np.empty(len(flat), NUMPY[spec.datatype])
    for at, one in enumerate(flat):
        made[at] = one
    return made.reshape(shape)


def tensor(value: Any, spec: TensorSpec) -> Any:
    return array(value, shape_of(value), spec)


def rows(value: Any, to: Interface) -> Feed:
    need(isinstance(value, list) and value)
    if not is_object(value[0]):
        need(len(to.inputs) == 1)
        return {name: tensor(value, spec) for name, spec in to.inputs.items()}
    need(all(is_object(row) and set(row) == set(to.inputs) for row in value))
    return {name: tensor([row[name] for row in value], spec) for name, spec in to.inputs.items()}


def columns(value: Any, to: Interface) -> Feed:
    if not is_object(value):
        need(len(to.inputs) == 1)
        return {name: tensor(value, spec) for name, spec in to.inputs.items()}
    need(set(value) == set(to.inputs))
    return {name: tensor(value[name], spec) for name, spec in to.inputs.items()}


def predict(body: bytes, to: Interface) -> Feed:
    """TensorFlow Serving's ``:predict``."""
    value = load(body)
    need(isinstance(value, dict))
    need(value.get("signature_name", "") in ("", "serving_default", "predict"))
    need(("instances" in value) != ("inputs" in value))
    return rows(value["instances"], to) if "instances" in value else columns(value["inputs"], to)


def classify(body: bytes, to: Interface) -> Feed:
    """TensorFlow Serving's ``:classify``."""
    value = load(body)
    need(isinstance(value, dict))
    need(value.get("signature_name", "") in ("", "serving_default", "classification"))
    examples, context = value.get("examples"), value.get("context", {})
    need(isinstance(examples, list) and examples)
    need(is_object(context) and set(context) <= set(to.inputs))
    feed = {}
    for name, spec in to.inputs.items():
        flat = []
        for example in examples:
            need(is_object(example) and not set(example) & set(context))
            merged = {**context, **example}
            need(set(merged) == set(to.inputs))
            feature = merged[name] if isinstance(merged[name], list) else [merged[name]]
            need(not any(isinstance(one, list) for one in feature))
            flat.append(feature)
        width = len(flat[0])
        need(all(len(one) == width for one in flat))
        inner = spec.shape[1:]
        need(inner.count(-1) <= 1)
        fixed = math.prod(size for size in inner if size != -1)
        need(width % fixed == 0)
        shape = [width // fixed if size == -1 else size for size in inner]
        need(math.prod(shape) == width)
        feed[name] = array(flat, (len(flat), *shape), spec)
    return feed


def vertex(body: bytes, to: Interface) -> Feed:
    """Vertex AI's predict."""
    value = load(body)
    need(isinstance(value, dict) and "instances" in value)
    need(isinstance(value.get("parameters"), dict | None))
    return rows(value["instances"], to)


def table(names: list[Any] | None, lines: list[Any], to: Interface) -> Feed:
    need(lines)
    width = len(names) if names is not None else len(lines[0]) if isinstance(lines[0], list) else 0
    need(all(isinstance(line, list) and len(line) == width for line in lines))

    def filled(value: Any, spec: TensorSpec) -> Any:
        return math.nan if value is None and NUMPY[spec.datatype].kind == "f" else value

    if len(to.inputs) == 1:
        ((name, spec),) = to.inputs.items()
        single = len(spec.shape) == 1 or (len(spec.shape) == 2 and spec.shape[1] == 1)
        if not (names is not None and name in names and (width == 1 or single)):
            if len(spec.shape) == 1 and width == 1:
                names = [name]
            else:
                cells = [[filled(cell, spec) for cell in line] for line in lines]
                need(not any(isinstance(cell, list) for line in cells for cell in line))
                return {name: array(cells, (len(lines), width), spec)}
    feed = {}
    for name, spec in to.inputs.items():
        need(names is not None and [type(one) is str and one == name for one in names].count(True) == 1)
        assert names is not None
        values = [filled(line[names.index(name)], spec) for line in lines]
        shape = shape_of(values)
        if len(shape) == 1 and len(spec.shape) == 2:
            shape = (*shape, 1)
        feed[name] = array(values, shape, spec)
    return feed


def records(value: Any, to: Interface) -> Feed:
    need(isinstance(value, list) and all(is_object(record) for record in value))
    names = list(dict.fromkeys(name for record in value for name in record))
    return table(names, [[record.get(name) for name in names] for record in value], to)


def invocations(body: bytes, to: Interface) -> Feed:
    """MLflow's and SageMaker's JSON."""
    value = load(body)
    if isinstance(value, list):
        return rows(value, to)
    need(isinstance(value, dict))
    given = [key for key in ("dataframe_split", "dataframe_records", "instances", "inputs") if key in value]
    need(len(given) == 1)
    need(isinstance(value.get("params"), dict | None))
    key, data = given[0], value[given[0]]
    if key == "dataframe_split":
        need(isinstance(data, dict) and "data" in data and set(data) <= {"columns", "index", "data"})
        need(isinstance(data.get("columns"), list | None) and isinstance(data["data"], list))
        return table(data.get("columns"), data["data"], to)
    if key == "dataframe_records" or (isinstance(data, list) and data and is_object(data[0])):
        return records(data, to)
    if key == "instances":
        return rows(data, to)
    if is_object(data) and set(data) != set(to.inputs):
        lists = list(data.values())
        if all(isinstance(one, list) for one in lists) and len({len(one) for one in lists}) == 1:
            return table(list(data), [list(line) for line in zip(*lists, strict=True)], to)
    return columns(data, to)


def lines_of_csv(body: bytes, to: Interface) -> Feed:
    """CSV without ``header``."""
    try:
        text = body.decode("utf-8-sig")
        lines = [line for line in csv.reader(io.StringIO(text, newline="")) if line]
    except (ValueError, csv.Error) as error:
        raise Refuse("no CSV") from error
    need(lines)

    def number(cell: str) -> bool:
        try:
            float(cell)
        except ValueError:
            return cell.strip().lower() in ("", "true", "false")
        return True

    names = [name.strip() for name in lines[0]]
    numeric = all(spec.datatype != "BYTES" for spec in to.inputs.values())
    if set(to.inputs) <= set(names) or (numeric and not all(number(cell) for cell in lines[0])):
        lines = lines[1:]
    else:
        names = []

    def value(cell: str, datatype: str) -> Any:
        kind = NUMPY[datatype].kind
        try:
            if datatype == "BYTES":
                return cell
            need("_" not in cell)
            if kind == "f":
                return float(cell) if cell.strip() else math.nan
            if kind == "b":
                return {"true": True, "1": True, "false": False, "0": False}[cell.strip().lower()]
            return int(cell)
        except (ValueError, KeyError) as error:
            raise Refuse("cell") from error

    (spec,) = to.inputs.values()
    need(lines)
    width = len(names) or len(lines[0])
    need(all(len(line) == width for line in lines))
    single = len(spec.shape) == 1 or (len(spec.shape) == 2 and spec.shape[1] == 1)
    if spec.name in names and (width == 1 or single):
        need(names.count(spec.name) == 1)
        lines, width = [[line[names.index(spec.name)]] for line in lines], 1
    cells = [[value(cell, spec.datatype) for cell in line] for line in lines]
    shape = (len(cells),) if len(spec.shape) == 1 and width == 1 else (len(cells), width)
    return {spec.name: array(cells, shape, spec)}
