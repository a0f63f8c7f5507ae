"""Firestore's messages as stored documents."""

# Stored values are of any type; telling them apart is what this module does.
# pyright: reportUnknownVariableType=false, reportUnknownArgumentType=false

from __future__ import annotations

import struct
from collections.abc import Callable
from datetime import timedelta
from functools import lru_cache
from typing import Any, Final

from ...values import EPOCH, Vector
from ..document import Document
from ..ids import WRAPPED_LIST, unescaped_name
from .layout import ELEMENT, STRIDE, TYPE_NAME, VECTOR_TYPE

_COUNTS: Final = 64
"""Numbers of dimensions for which the way to unpack a vector is kept."""


def decode_micros(message: Any) -> int:
    """Microseconds since the epoch in a ``Timestamp``."""
    return int(message.seconds * 1_000_000 + message.nanos // 1000)


@lru_cache(_COUNTS)
def _unpacker(count: int) -> Callable[[bytes], tuple[float, ...]]:
    return struct.Struct("<" + f"{len(ELEMENT)}xd" * count).unpack


def unpacked(packed: bytes) -> Vector | None:
    """The doubles of an ``ArrayValue``, ``None`` if it holds anything else."""
    count, rest = divmod(len(packed), STRIDE)
    if rest or any(
        packed[column::STRIDE] != bytes((byte,)) * count for column, byte in enumerate(ELEMENT)
    ):
        return None
    return Vector(_unpacker(count)(packed))


def decode_document(message: Any) -> tuple[Document, tuple[str, ...]]:
    """The fields of a ``Document``, and the names of those of which no value can be made."""
    document: Document = {}
    damaged: list[str] = []
    for name in message.fields:
        try:
            document[unescaped_name(name)] = decode_value(message.fields[name])
        except OverflowError:
            damaged.append(name)
    return document, tuple(damaged)


def decode_fields(fields: Any) -> Document:
    """A protobuf map of fields as a stored document.

    Raises ``OverflowError`` for a time outside the years 1 to 9999.
    """
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
            return EPOCH + timedelta(0, stamp.seconds, stamp.nanos // 1000)
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
    if TYPE_NAME in fields and (vector := _decode_vector(fields)) is not None:
        return vector
    return decode_fields(fields)


def _decode_vector(fields: Any) -> Vector | None:
    """``None`` if it is a map like others that has the name of the mark."""
    if fields[TYPE_NAME].string_value != VECTOR_TYPE or fields.keys() != {TYPE_NAME, "value"}:
        return None
    if fields["value"].WhichOneof("value_type") != "array_value":
        return None
    array = fields["value"].array_value
    if (vector := unpacked(array.SerializeToString())) is not None:
        return vector
    numbers = [decode_value(item) for item in array.values]
    return Vector(map(float, numbers)) if all(type(n) in (int, float) for n in numbers) else None
