"""Firestore's messages as stored documents."""

# Stored values are of any type; telling them apart is what this module does.
# pyright: reportUnknownVariableType=false, reportUnknownArgumentType=false

from __future__ import annotations

import struct
from datetime import timedelta
from typing import Any

from ...values import EPOCH, Vector
from ..document import Document
from ..ids import WRAPPED_LIST, unescaped_name
from .layout import ELEMENT, STRIDE, VECTOR_TYPE


def decode_micros(message: Any) -> int:
    """Microseconds since the epoch in a ``Timestamp``."""
    return int(message.seconds * 1_000_000 + message.nanos // 1000)


def _unpacked(packed: bytes) -> Vector | None:
    """The doubles of an ``ArrayValue``, ``None`` if it holds anything else."""
    count, rest = divmod(len(packed), STRIDE)
    if rest or any(
        packed[column::STRIDE] != bytes((byte,)) * count for column, byte in enumerate(ELEMENT)
    ):
        return None
    numbers = bytearray(8 * count)
    for column in range(8):
        numbers[column::8] = packed[3 + column :: STRIDE]
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
    if "__type__" in fields and fields["__type__"].string_value == VECTOR_TYPE:
        array = fields["value"].array_value
        vector = _unpacked(array.SerializeToString())
        return Vector(decode_value(item) for item in array.values) if vector is None else vector
    return decode_fields(fields)
