"""Stored values and records in the bytes of Firestore's messages.

The bytes are those that ``google.firestore.v1.Value`` and ``Document`` serialize to
(https://protobuf.dev/programming-guides/encoding); a message takes them by ``MergeFromString``.
Going there through message objects, one for each value, takes as long, and leaves them to the
garbage collector.
"""

# Stored values are of any type; telling them apart is what this module does.
# pyright: reportUnknownVariableType=false, reportUnknownArgumentType=false

from __future__ import annotations

import struct
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cache, lru_cache
from typing import Any, Final

from ...record import Record, spec_of
from ...values import EPOCH, INT64_MAX, INT64_MIN, Vector, is_list
from ..document import SCHEMA_VERSION, Document, encode, encoded, free_fields
from ..ids import WRAPPED_LIST, escaped_name
from .layout import ELEMENT, STRIDE, VECTOR_TYPE

_IN_MAP: Final = b"\x0a"
"""The tag of ``MapValue.fields``, and of the key in an entry."""
_IN_DOCUMENT: Final = b"\x12"
"""The tag of ``Document.fields``, and of the value in an entry."""
_LENGTHS: Final = 1 << 14
"""Lengths of up to two bytes are looked up."""
_NAMES: Final = 4_096
"""Names of fields and map keys whose bytes are kept."""

_double = struct.Struct("<d").pack
_INTEGER: Final = b"\x10"
_TRUE, _FALSE, _NULL = b"\x08\x01", b"\x08\x00", b"\x58\x00"


def varint(number: int) -> bytes:
    """A number of 64 bits in groups of seven, the lowest first; negative ones take ten bytes."""
    if number < 0:
        number += 1 << 64
    groups = bytearray()
    while number > 0x7F:
        groups.append(number & 0x7F | 0x80)
        number >>= 7
    groups.append(number)
    return bytes(groups)


_VARINTS: Final = [varint(number) for number in range(_LENGTHS)]


def _length(size: int) -> bytes:
    return _VARINTS[size] if size < _LENGTHS else varint(size)


def _text(value: str) -> bytes:
    data = value.encode()
    return b"\x8a\x01%b%b" % (_length(len(data)), data)


def _integer(value: int) -> bytes:
    if 0 <= value < _LENGTHS:
        return _INTEGER + _VARINTS[value]
    if INT64_MIN <= value <= INT64_MAX:
        return _INTEGER + varint(value)
    raise ValueError("an int beyond 64 bits")


def _float(value: float) -> bytes:
    return b"\x19" + _double(value)


def _boolean(value: bool) -> bytes:
    return _TRUE if value else _FALSE


def _null(_: None) -> bytes:
    return _NULL


def _time(value: datetime) -> bytes:
    since: timedelta = value - EPOCH
    stamp = b""
    if seconds := since.days * 86_400 + since.seconds:
        stamp = b"\x08" + varint(seconds)
    if micros := since.microseconds:
        stamp += b"\x10" + varint(micros * 1_000)
    return b"\x52%b%b" % (_VARINTS[len(stamp)], stamp)


def _bytes(value: bytes) -> bytes:
    return b"\x92\x01%b%b" % (_length(len(value)), value)


def _map(value: Document) -> bytes:
    data = map_bytes(value)
    return b"\x32%b%b" % (_length(len(data)), data)


def _list(value: list[Any]) -> bytes:
    pieces: list[bytes] = []
    for item in value:
        data = _wrapped(item) if is_list(item) else value_bytes(item)
        pieces += (b"\x0a", _length(len(data)), data)
    array = b"".join(pieces)
    return b"\x4a%b%b" % (_length(len(array)), array)


def _wrapped(value: list[Any]) -> bytes:
    data = _entry(_LIST_HEAD, _list(value))
    return b"\x32%b%b" % (_length(len(data)), data)


def _vector(value: Vector) -> bytes:
    numbers = _numbers(value)
    array = b"\x4a%b%b" % (_length(len(numbers)), numbers)
    data = _VECTOR_MARK + _entry(_head("value"), array)
    return b"\x32%b%b" % (_length(len(data)), data)


def _numbers(vector: Vector) -> bytes:
    """The doubles of an ``ArrayValue``, laid out column by column, as a loop would be slow."""
    count = len(vector)
    numbers = struct.pack(f"<{count}d", *vector)
    packed = bytearray(STRIDE * count)
    for column, byte in enumerate(ELEMENT):
        packed[column::STRIDE] = bytes((byte,)) * count
    for column in range(8):
        packed[3 + column :: STRIDE] = numbers[column::8]
    return bytes(packed)


_ENCODERS: Final[dict[type, Callable[[Any], bytes]]] = {
    str: _text,
    type(None): _null,
    bool: _boolean,
    int: _integer,
    float: _float,
    dict: _map,
    list: _list,
    Vector: _vector,
    bytes: _bytes,
    datetime: _time,
}
_COMPLETE: Final = frozenset(_ENCODERS) - {dict, list}
"""Types whose values are stored as they are, in whatever field they stand."""


def value_bytes(value: Any) -> bytes:
    """One ``Value``.

    Raises ``TypeError`` and ``ValueError`` for what no store can hold.
    """
    encoder = _ENCODERS.get(type(value))
    if encoder is not None:
        return encoder(value)
    if isinstance(value, datetime):
        return _time(value)
    raise TypeError(f"{type(value).__name__} cannot be stored")


@lru_cache(_NAMES)
def _head(name: str) -> bytes:
    """What stands before the value in the entry of a map: its key, and the value's tag."""
    return _reserved_head(escaped_name(name).encode())


def _reserved_head(name: bytes) -> bytes:
    """The same for a name of the store's or of ours, which users' names are kept apart from."""
    return b"\x0a%b%b\x12" % (_length(len(name)), name)


def _entry(head: bytes, value: bytes) -> bytes:
    """An entry of a map."""
    size = _length(len(value))
    return b"\x0a%b%b%b%b" % (_length(len(head) + len(size) + len(value)), head, size, value)


_LIST_HEAD: Final = _reserved_head(WRAPPED_LIST.encode())
_VECTOR_MARK: Final = _entry(_reserved_head(b"__type__"), _text(VECTOR_TYPE))


def map_bytes(document: Document) -> bytes:
    """The fields of a ``MapValue``."""
    return _fields(_IN_MAP, document)


def document_bytes(document: Document) -> bytes:
    """The fields of a ``Document``."""
    return _fields(_IN_DOCUMENT, document)


def _fields(tag: bytes, document: Document) -> bytes:
    pieces: list[bytes] = []
    for name, value in document.items():
        data = value_bytes(value)
        head, size = _head(name), _length(len(data))
        pieces += (tag, _length(len(head) + len(size) + len(data)), head, size, data)
    return b"".join(pieces)


@dataclass(frozen=True, slots=True)
class _Plan:
    """What can be told of a record type beforehand."""

    version: bytes
    heads: dict[str, bytes]
    free: frozenset[str]


@cache
def _plan(model: type[Record]) -> _Plan:
    return _Plan(
        version=document_bytes({SCHEMA_VERSION: spec_of(model).schema_version}),
        heads={name: _head(name) for name in model.model_fields},
        free=free_fields(model),
    )


def record_bytes(record: Record) -> bytes:
    """The fields of the ``Document`` that stores the record.

    Raises ``InvalidRecord`` for a value no store can hold.
    """
    try:
        return _record_bytes(record)
    except (TypeError, ValueError):
        # Going the slow way tells which field it is.
        return document_bytes(encode(record))


def _record_bytes(record: Record) -> bytes:
    model = type(record)
    plan = _plan(model)
    heads, free = plan.heads, plan.free
    pieces = [plan.version]
    if record.unknown_fields:
        pieces.append(document_bytes(dict(record.unknown_fields)))
    for name, value in record.__dict__.items():
        kind = type(value)
        if kind in _COMPLETE:
            data = _ENCODERS[kind](value)
        else:
            data = value_bytes(value if name in free else encoded(model, name, value))
        head, size = heads[name], _length(len(data))
        pieces += (_IN_DOCUMENT, _length(len(head) + len(size) + len(data)), head, size, data)
    return b"".join(pieces)


def encode_value(message: Any, value: Any) -> None:
    """Fill one ``Value``. Raises ``TypeError`` for what no store can hold."""
    message.MergeFromString(value_bytes(value))


def encode_time(message: Any, micros: int) -> None:
    """Fill a ``Timestamp`` with microseconds since the epoch."""
    seconds, rest = divmod(micros, 1_000_000)
    message.seconds = seconds
    message.nanos = rest * 1000
    message.SetInParent()
