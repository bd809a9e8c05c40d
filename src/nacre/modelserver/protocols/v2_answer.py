"""The body of an answer in the Open Inference Protocol v2, from what stays the same between two of them."""

from __future__ import annotations

from dataclasses import dataclass

import orjson

from nacre.modelserver.calls import BadRequest, Interface
from nacre.modelserver.tensors import Array, to_binary, to_json_strings, to_json_values

_NUMPY = orjson.OPT_SERIALIZE_NUMPY
_FLOATS = frozenset({"FP32", "FP64"})
_MOST = 256


@dataclass(frozen=True, slots=True)
class _Template:
    """``parts`` is the text before, between and after what differs; ``start`` stands before the id."""

    start: bytes
    parts: list[bytes]
    datatypes: list[str]
    binary: list[bool]


def encode(
    names: list[str], binary: frozenset[str], label: str | None, arrays: list[Array], interface: Interface
) -> tuple[bytes, int | None]:
    """The answer's body, and the length of its JSON when raw tensors follow it.

    ``arrays`` are those of ``names``; those in ``binary`` are written raw. ``label`` is the request's id.
    Floats that are not finite are written as the strings ``"NaN"``, ``"Infinity"`` and ``"-Infinity"``:
    valid JSON, nothing lost, and NumPy, Python and Triton's clients read them.

    Raises :class:`BadRequest` for FP16 as JSON.
    """
    known = interface.templates
    one = len(arrays) == 1
    key = (
        (binary, names[0], arrays[0].shape) if one else (binary, *names, *[array.shape for array in arrays])
    )
    template = known.get(key)
    if template is None:
        if len(known) >= _MOST:
            known.clear()
        template = known[key] = _template(names, binary, arrays, interface)
    text = [template.start]
    if label is not None:
        text.append(b'"id":%b,' % orjson.dumps(label))
    tail: list[bytes] = []
    at = 0
    for array in arrays:
        text.append(template.parts[at])
        if template.binary[at]:
            raw = to_binary(array, template.datatypes[at])
            tail.append(raw)
            text.append(b"%d" % len(raw))
        else:
            text.append(_values(array, template.datatypes[at]))
        at += 1
    text.append(template.parts[at])
    if not tail:
        return b"".join(text), None
    head = b"".join(text)
    return b"".join((head, *tail)), len(head)


def _values(array: Array, datatype: str) -> bytes:
    text = orjson.dumps(to_json_values(array, datatype), option=_NUMPY)
    # orjson writes null for a float that is not finite.
    if datatype in _FLOATS and b"null" in text:
        return orjson.dumps(to_json_strings(array))
    return text


def _template(
    names: list[str], binary: frozenset[str], arrays: list[Array], interface: Interface
) -> _Template:
    model = orjson.dumps({"model_name": interface.model, "model_version": interface.version})
    datatypes: list[str] = [interface.outputs[name].datatype for name in names]
    parts: list[bytes] = []
    text = b'"outputs":['
    for name, datatype, array in zip(names, datatypes, arrays, strict=True):
        if datatype == "FP16" and name not in binary:
            raise BadRequest(
                f"output '{name}' of datatype FP16 has no JSON form: ask for it with the "
                'parameter "binary_data": true'
            )
        text += orjson.dumps({"name": name, "datatype": datatype, "shape": array.shape})[:-1]
        if name in binary:
            parts.append(text + b',"parameters":{"binary_data_size":')
            text = b"}},"
        else:
            parts.append(text + b',"data":')
            text = b"},"
    parts.append(text.removesuffix(b",") + b"]}")
    return _Template(model[:-1] + b",", parts, datatypes, [name in binary for name in names])
