"""Stored documents as Firestore's wire messages, and back.

Messages are built as plain protobuf, without the proto-plus wrappers around them, which cost ten
times as much. A list in a list, which Firestore cannot hold, is a map with the one key ``~list``.
"""

# Stored values are of any type; telling them apart is what this module does.
# pyright: reportUnknownVariableType=false, reportUnknownArgumentType=false

from __future__ import annotations

import struct
from datetime import datetime, timedelta
from typing import Any

from ..values import EPOCH, Vector, to_micros
from .document import Document
from .ids import WRAPPED_LIST, escaped_name, unescaped_name

_VECTOR_TYPE = "__vector__"
_ELEMENT = b"\x0a\x09\x19"
"""One double of an array on the wire: entry, length 9, field 3 of 64 bits."""
_STRIDE = 11


def encode_fields(fields: Any, document: Document) -> None:
    """Fill a protobuf map of fields."""
    for name, value in document.items():
        encode_value(fields[escaped_name(name)], value)


def encode_value(message: Any, value: Any) -> None:  # noqa: C901, PLR0912 -- one case a type
    """Fill one ``Value``. Raises ``TypeError`` for what no store can hold."""
    kind = type(value)
    if kind is str:
        message.string_value = value
    elif value is None:
        message.null_value = 0
    elif kind is bool:
        message.boolean_value = value
    elif kind is int:
        message.integer_value = value
    elif kind is float:
        message.double_value = value
    elif kind is dict:
        message.map_value.SetInParent()
        encode_fields(message.map_value.fields, value)
    elif kind is list:
        _encode_list(message, value)
    elif kind is Vector:
        _encode_vector(message, value)
    elif kind is bytes:
        message.bytes_value = value
    elif isinstance(value, datetime):
        encode_time(message.timestamp_value, to_micros(value))
    else:
        raise TypeError(f"{kind.__name__} cannot be stored")


def encode_time(message: Any, micros: int) -> None:
    """Fill a ``Timestamp`` with microseconds since the epoch."""
    seconds, rest = divmod(micros, 1_000_000)
    message.seconds = seconds
    message.nanos = rest * 1000
    message.SetInParent()


def decode_micros(message: Any) -> int:
    """Microseconds since the epoch in a ``Timestamp``."""
    return int(message.seconds * 1_000_000 + message.nanos // 1000)


def _encode_list(message: Any, items: list[Any]) -> None:
    array = message.array_value
    array.SetInParent()
    for item in items:
        element = array.values.add()
        if type(item) is list:
            element = element.map_value.fields[WRAPPED_LIST]
        encode_value(element, item)


def _encode_vector(message: Any, vector: Vector) -> None:
    fields = message.map_value.fields
    fields["__type__"].string_value = _VECTOR_TYPE
    fields["value"].array_value.MergeFromString(_packed(vector))


def _packed(vector: Vector) -> bytes:
    """The doubles of an ``ArrayValue``, laid out column by column, as a loop would be slow."""
    count = len(vector)
    numbers = struct.pack(f"<{count}d", *vector)
    packed = bytearray(_STRIDE * count)
    for column, byte in enumerate(_ELEMENT):
        packed[column::_STRIDE] = bytes((byte,)) * count
    for column in range(8):
        packed[3 + column :: _STRIDE] = numbers[column::8]
    return bytes(packed)


def _unpacked(packed: bytes) -> Vector | None:
    """The reverse of :func:`_packed`, ``None`` if the array holds anything but doubles."""
    count, rest = divmod(len(packed), _STRIDE)
    if rest or any(
        packed[column::_STRIDE] != bytes((byte,)) * count for column, byte in enumerate(_ELEMENT)
    ):
        return None
    numbers = bytearray(8 * count)
    for column in range(8):
        numbers[column::8] = packed[3 + column :: _STRIDE]
    return Vector(struct.unpack(f"<{count}d", numbers))


def decode_fields(fields: Any) -> Document:
    """A protobuf map of fields as a stored document."""
    return {unescaped_name(name): decode_value(fields[name]) for name in fields}


def decode_value(message: Any) -> Any:  # noqa: C901, PLR0911, PLR0912 -- one case a type
    """The value in one ``Value``.

    What we never write but others may, references and places, comes back as text and as a map.
    """
    match message.WhichOneof("value_type"):
        case "string_value":
            return message.string_value
        case "timestamp_value":
            stamp = message.timestamp_value
            return EPOCH + timedelta(seconds=stamp.seconds, microseconds=stamp.nanos // 1000)
        case "map_value":
            return _decode_map(message.map_value.fields)
        case "array_value":
            return [decode_value(item) for item in message.array_value.values]
        case "integer_value":
            return message.integer_value
        case "double_value":
            return message.double_value
        case "boolean_value":
            return message.boolean_value
        case "bytes_value":
            return message.bytes_value
        case "reference_value":
            return message.reference_value
        case "geo_point_value":
            place = message.geo_point_value
            return {"latitude": place.latitude, "longitude": place.longitude}
        case _:
            return None


def _decode_map(fields: Any) -> Any:
    if WRAPPED_LIST in fields and len(fields) == 1:
        return decode_value(fields[WRAPPED_LIST])
    if "__type__" in fields and fields["__type__"].string_value == _VECTOR_TYPE:
        array = fields["value"].array_value
        vector = _unpacked(array.SerializeToString())
        return Vector(decode_value(item) for item in array.values) if vector is None else vector
    return decode_fields(fields)
