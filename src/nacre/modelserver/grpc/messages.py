"""Protobuf messages from short tables, in a descriptor pool of our own.

Client libraries bring descriptors of the same names: in the pool that all share, the second would be an
error. On the wire only numbers and types count, so the tables have the fields that are read or written
here; others are skipped, as protobuf does with fields that a program does not know.
"""

from __future__ import annotations

from typing import Any

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

_POOL = descriptor_pool.DescriptorPool()
_FIELD = descriptor_pb2.FieldDescriptorProto
_SCALARS = {
    "bool": _FIELD.TYPE_BOOL,
    "bytes": _FIELD.TYPE_BYTES,
    "double": _FIELD.TYPE_DOUBLE,
    "float": _FIELD.TYPE_FLOAT,
    "int32": _FIELD.TYPE_INT32,
    "int64": _FIELD.TYPE_INT64,
    "string": _FIELD.TYPE_STRING,
    "uint32": _FIELD.TYPE_UINT32,
    "uint64": _FIELD.TYPE_UINT64,
}


def build(package: str, table: str) -> dict[str, Any]:
    """The classes of a table's messages, by name.

    A message is a line with its name; its fields follow, each a line ``NUMBER [repeated | map] TYPE NAME``.
    The type is a scalar of protobuf or a message of the same table; ``map`` has strings as keys.
    Enumerations are ``int32``: the same on the wire. A choice (``oneof``) is left out: its members are
    just fields there.
    """
    file = descriptor_pb2.FileDescriptorProto(
        name=f"nacre/{package}.proto", package=package, syntax="proto3"
    )
    message = None
    for line in filter(None, map(str.strip, table.splitlines())):
        words = line.split()
        if len(words) == 1:
            message = file.message_type.add(name=line)
        else:
            assert message is not None
            _add(package, message, words)
    _POOL.Add(file)
    return {
        one.name: message_factory.GetMessageClass(_POOL.FindMessageTypeByName(f"{package}.{one.name}"))
        for one in file.message_type
    }


def _add(package: str, message: Any, words: list[str]) -> None:
    number, *how, kind, name = words
    field = message.field.add(name=name, number=int(number), label=_FIELD.LABEL_OPTIONAL)
    if how:
        field.label = _FIELD.LABEL_REPEATED
    if how == ["map"]:
        entry = message.nested_type.add(name=f"{name.title().replace('_', '')}Entry")
        entry.options.map_entry = True
        _add(package, entry, ["1", "string", "key"])
        _add(package, entry, ["2", kind, "value"])
        field.type, field.type_name = _FIELD.TYPE_MESSAGE, f".{package}.{message.name}.{entry.name}"
    elif kind in _SCALARS:
        field.type = _SCALARS[kind]
    else:
        field.type, field.type_name = _FIELD.TYPE_MESSAGE, f".{package}.{kind}"
