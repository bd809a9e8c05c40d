"""SageMaker's container protocol, ``/ping`` and ``/invocations``; the latter is MLflow's path too.

Source: AWS, "Common data formats for inference", and sagemaker-inference-toolkit. ``Content-Type`` decides
how the body is read:

- ``text/csv``: a table. The parameter ``header=present`` or ``header=absent`` says whether its first line
  names the columns; without it, it does when it has the names of all inputs, or a cell that is no number
  where the inputs are numbers (MLflow's clients send a header, SageMaker's none).
- ``application/x-npy``, ``application/x-npz``: NumPy's files.
- anything else: JSON. An object is MLflow's, of which SageMaker's ``instances`` and ``inputs`` are a part;
  a bare list is SageMaker's, one entry per row.

``Accept`` decides how the answer is written: JSON ``{"predictions": …}``, or one of the other three.
"""

from __future__ import annotations

import csv
import io

import numpy as np

from nacre.modelserver.calls import BadRequest, Interface, Parameters, Route, expected
from nacre.modelserver.messages import Request, Response
from nacre.modelserver.protocols.answers import dump, named
from nacre.modelserver.protocols.dataframes import from_csv
from nacre.modelserver.protocols.mlflow import decode_object, error
from nacre.modelserver.protocols.npy import from_npy, from_npz, to_npy, to_npz
from nacre.modelserver.protocols.rows import from_rows, parse, quick
from nacre.modelserver.protocols.tfserving import PredictCall
from nacre.modelserver.tensors import Array

JSON = b"application/json"
CSV = b"text/csv"
NPY = b"application/x-npy"
NPZ = b"application/x-npz"
_ANSWERS = (JSON, CSV, NPY, NPZ)


class InvocationCall(PredictCall):
    """``accept``: the form of the answer. ``rows``: several outputs go row by row where they can."""

    __slots__ = ("accept",)

    def __init__(self, feed: dict[str, Array], outputs: list[str], rows: bool, accept: bytes) -> None:
        super().__init__(feed, outputs, rows)
        self.accept = accept

    def encode(self, arrays: list[Array], interface: Interface) -> Response:
        if self.accept == JSON:
            return Response(200, dump({"predictions": named(self.outputs, arrays, interface, self.rows)}))
        if self.accept == CSV:
            return Response(200, _csv(self.outputs, arrays), CSV.decode())
        if self.accept == NPZ:
            return Response(200, to_npz(dict(zip(self.outputs, arrays, strict=True))), NPZ.decode())
        if len(arrays) != 1:
            raise BadRequest(f"this model has {len(arrays)} outputs: accept {NPZ.decode()} or JSON")
        return Response(200, to_npy(arrays[0]), NPY.decode())


def _csv(names: list[str], arrays: list[Array]) -> bytes:
    """A line for each row, with the values of all outputs side by side."""
    if len({len(array) if array.ndim else -1 for array in arrays}) != 1 or not arrays[0].ndim:
        raise BadRequest(f"the outputs {', '.join(map(repr, names))} have no rows in common: accept JSON")
    file = io.StringIO()
    # By way of the shortest text of each type, so that an FP32 0.1 stays 0.1.
    parts = [
        array.reshape(len(array), -1).astype(np.str_ if array.dtype.kind != "O" else object)
        for array in arrays
    ]
    writer = csv.writer(file, lineterminator="\n")
    for row in zip(*parts, strict=True):
        writer.writerow([value for part in row for value in part.tolist()])
    return file.getvalue().encode()


def decode(request: Request, interface: Interface, _: Parameters) -> InvocationCall:
    """An invocation of either kind. Raises :class:`BadRequest`."""
    accept = _accept(request.headers.get(b"accept", b""))
    kind, parameters = _kind(request.headers.get(b"content-type", b""))
    columnwise = False
    if kind == CSV:
        feed = from_csv(request.body, interface, _header(parameters))
    elif kind == NPY:
        feed = from_npy(request.body, interface)
    elif kind == NPZ:
        feed = from_npz(request.body, interface)
    else:
        feed, columnwise = _json(request.body, interface)
    return InvocationCall(feed, interface.output_names, not columnwise, accept)


def _json(body: bytes, interface: Interface) -> tuple[dict[str, Array], bool]:
    found = quick(body, interface, "instances", "inputs")
    if found is not None:
        return found[1], found[0] == "inputs"
    value = parse(body)
    if isinstance(value, list):
        return from_rows(value, interface, "body"), False
    if isinstance(value, dict):
        return decode_object(value, interface)
    raise BadRequest(f"the body has to be a JSON object or a list of rows; {expected(interface)}")


def _kind(header: bytes) -> tuple[bytes, bytes]:
    kind, _, parameters = header.partition(b";")
    return kind.strip().lower(), parameters.lower()


def _header(parameters: bytes) -> bool | None:
    for parameter in parameters.split(b";"):
        name, _, value = parameter.strip().partition(b"=")
        if name == b"header" and value in (b"present", b"absent"):
            return value == b"present"
    return None


def _accept(header: bytes) -> bytes:
    """The first form of the list that is offered; JSON where any will do."""
    asked = [_kind(part)[0] for part in header.split(b",")]
    for kind in asked:
        if kind in _ANSWERS:
            return kind
    if not header.strip() or any(kind in (b"*/*", b"application/*") for kind in asked):
        return JSON
    offered = ", ".join(kind.decode() for kind in _ANSWERS)
    raise BadRequest(f"Accept {header[:100].decode('latin-1')!r} is not offered: {offered} are")


ROUTES = [Route("POST", "invocations", decode=decode, error=error, raw=True)]
