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
from types import NoneType
from typing import Any, Final

from ...record import Record, spec_of
from ...values import EPOCH, INT64_MAX, INT64_MIN, Vector
from ..document import SCHEMA_VERSION, Document, encode, encoded, field_values, free_fields
from ..ids import WRAPPED_LIST, escaped_name
from .layout import ELEMENT, STRIDE, VECTOR_TYPE

_NAMES: Final = 4_096
"""Names of fields and map keys whose bytes are kept."""
_SHORT: Final = 100
"""Bytes of a field's last value below which they are kept, in case the next one is the same."""
_UNCHANGING: Final = frozenset({str, NoneType, bool})
"""Types whose values are the same as long as they are the same object."""


class _Varints(dict[int, bytes]):
    """A number of up to 64 bits in groups of seven, the lowest first, all but the last marked.

    Those of up to two groups are at hand, as most lengths are; others are put together of them.
    """

    def __init__(self) -> None:
        super().__init__((number, bytes((number,))) for number in range(1 << 7))
        pairs = range(1 << 14)
        self._marked = [bytes((number & 0x7F | 0x80, number >> 7 | 0x80)) for number in pairs]
        self.update((n, bytes((n & 0x7F | 0x80, n >> 7))) for n in pairs[1 << 7 :])

    def __missing__(self, number: int) -> bytes:
        if number < 0:
            number += 1 << 64
        marked = self._marked
        if number >> 28:
            return marked[number & 0x3FFF] + marked[number >> 14 & 0x3FFF] + self[number >> 28]
        return marked[number & 0x3FFF] + self[number >> 14]


_varints: Final = _Varints()


def delimited(tag: bytes, data: bytes) -> bytes:
    """A field of bytes, of text or of a message."""
    return b"%b%b%b" % (tag, _varints[len(data)], data)


class _Heads(dict[int, bytes]):
    """What stands before so many bytes of a ``Value`` of one kind: its length, tag, and theirs."""

    def __init__(self, tag: bytes) -> None:
        super().__init__()
        self._tag = tag

    def __missing__(self, size: int) -> bytes:
        head = self._tag + _varints[size]
        head = _varints[len(head) + size] + head
        if size < _KEPT:
            self[size] = head
        return head


_KEPT: Final = 1 << 12
"""Sizes below which heads are kept."""

_text_heads: Final = _Heads(b"\x8a\x01")
_bytes_heads: Final = _Heads(b"\x92\x01")
_map_heads: Final = _Heads(b"\x32")
_list_heads: Final = _Heads(b"\x4a")
_time_heads: Final = _Heads(b"\x52")
_double = struct.Struct("<d").pack

# Each of these gives a ``Value`` with its length before it, as an entry of a map or list holds it.


def _text(value: str) -> bytes:
    data = value.encode()
    return _text_heads[len(data)] + data


def _bytes(value: bytes) -> bytes:
    return _bytes_heads[len(value)] + value


def _integer(value: int) -> bytes:
    if 0 <= value < 1 << 7:
        return b"\x02\x10" + _varints[value]
    if INT64_MIN <= value <= INT64_MAX:
        return delimited(b"", b"\x10" + _varints[value])
    raise ValueError("an int beyond 64 bits")


def _float(value: float) -> bytes:
    return b"\x09\x19" + _double(value)


def _boolean(value: bool) -> bytes:
    return b"\x02\x08\x01" if value else b"\x02\x08\x00"


def _null(_: None) -> bytes:
    return b"\x02\x58\x00"


def _time(value: datetime) -> bytes:
    since: timedelta = value - EPOCH
    seconds, nanos = since.days * 86_400 + since.seconds, since.microseconds * 1_000
    stamp = b"\x08" + _varints[seconds] if seconds else b""
    if nanos:
        stamp += b"\x10" + _varints[nanos]
    return _time_heads[len(stamp)] + stamp


def _map(value: Document) -> bytes:
    data = _fields(b"\x0a", value)
    return _map_heads[len(data)] + data


def _list(value: list[Any]) -> bytes:
    pieces: list[bytes] = []
    for item in value:
        kind = type(item)
        pieces += (b"\x0a", _wrapped(item) if kind is list else _encoders[kind](item))
    data = b"".join(pieces)
    return _list_heads[len(data)] + data


def _wrapped(value: list[Any]) -> bytes:
    """A list in a list, which Firestore cannot hold: in a map."""
    data = delimited(b"\x0a", _LIST_KEY + _list(value))
    return _map_heads[len(data)] + data


def _vector(value: Vector) -> bytes:
    numbers = _numbers(value)
    data = _VECTOR_MARK + delimited(b"\x0a", _key("value") + _list_heads[len(numbers)] + numbers)
    return _map_heads[len(data)] + data


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


class _Encoders(dict[type, Callable[[Any], bytes]]):
    """One for each type that can be stored."""

    def __missing__(self, kind: type) -> Callable[[Any], bytes]:
        # Times that drivers return are of subclasses.
        if issubclass(kind, datetime):
            return _time
        raise TypeError(f"{kind.__name__} cannot be stored")


_encoders: Final = _Encoders(
    {
        str: _text,
        NoneType: _null,
        bool: _boolean,
        int: _integer,
        float: _float,
        dict: _map,
        list: _list,
        Vector: _vector,
        bytes: _bytes,
        datetime: _time,
    }
)
_COMPLETE: Final = frozenset(_encoders) - {dict, list}
"""Types whose values are stored as they are, in whatever field they stand."""


def _reserved_key(name: bytes) -> bytes:
    return b"\x0a%b%b\x12" % (_varints[len(name)], name)


@lru_cache(_NAMES)
def _key(name: str) -> bytes:
    """What stands before the value in the entry of a map: its key, and the value's tag."""
    return _reserved_key(escaped_name(name).encode())


# Users' names are escaped, so that they never are these.
_LIST_KEY: Final = _reserved_key(WRAPPED_LIST.encode())
_VECTOR_MARK: Final = delimited(b"\x0a", _reserved_key(b"__type__") + _text(VECTOR_TYPE))


def map_bytes(document: Document) -> bytes:
    """The fields of a ``MapValue``."""
    return _fields(b"\x0a", document)


def document_bytes(document: Document) -> bytes:
    """The fields of a ``Document``.

    Raises ``TypeError`` and ``ValueError`` for what no store can hold.
    """
    return _fields(b"\x12", document)


def _fields(tag: bytes, document: Document) -> bytes:
    pieces: list[bytes] = []
    for name, value in document.items():
        key, data = _key(name), _encoders[type(value)](value)
        pieces += (tag, _varints[len(key) + len(data)], key, data)
    return b"".join(pieces)


@dataclass(frozen=True, slots=True)
class _Plan:
    """What can be told of a record type beforehand, and each field's last short value."""

    version: bytes
    keys: dict[str, bytes]
    free: frozenset[str]
    last: dict[str, tuple[Any, bytes]]


@cache
def _plan(model: type[Record]) -> _Plan:
    return _Plan(
        version=document_bytes({SCHEMA_VERSION: spec_of(model).schema_version}),
        keys={name: _key(name) for name in model.model_fields},
        free=free_fields(model),
        last=dict.fromkeys(model.model_fields, (_plan, b"")),
    )


def record_bytes(record: Record) -> bytes:
    """The fields of the ``Document`` that stores the record.

    Raises ``InvalidRecord`` for a value no store can hold.
    """
    try:
        return _record_bytes(record)
    except (TypeError, ValueError):
        # Going the slow way tells which field it is, be it free JSON that was changed in place.
        model, document = type(record), encode(record)
        for name in free_fields(model) & document.keys():
            document[name] = encoded(model, name, document[name])
        return document_bytes(document)


def _record_bytes(record: Record) -> bytes:
    plan = _plan(type(record))
    keys, free, last = plan.keys, plan.free, plan.last
    pieces = [plan.version]
    if record.unknown_fields:
        pieces.append(document_bytes(dict(record.unknown_fields)))
    for name, value in field_values(record, keys).items():
        # Records that are written together mostly have the same user, session and kind.
        before, entry = last[name]
        if value is not before:
            kind = type(value)
            if kind in _COMPLETE or name in free:
                data = _encoders[kind](value)
            else:
                data = _data(encoded(type(record), name, value))
            entry = delimited(b"\x12", keys[name] + data)
            if kind in _UNCHANGING and len(entry) < _SHORT:
                last[name] = value, entry
        pieces.append(entry)
    return b"".join(pieces)


def _data(value: Any) -> bytes:
    return _encoders[type(value)](value)


def value_bytes(value: Any) -> bytes:
    """One ``Value``. Raises ``TypeError`` and ``ValueError`` for what no store can hold."""
    data = _data(value)
    length_end = next(place for place, byte in enumerate(data) if byte < 0x80) + 1
    return data[length_end:]


def encode_value(message: Any, value: Any) -> None:
    """Fill one ``Value``. Raises ``TypeError`` for what no store can hold."""
    message.MergeFromString(value_bytes(value))


def encode_time(message: Any, micros: int) -> None:
    """Fill a ``Timestamp`` with microseconds since the epoch."""
    seconds, rest = divmod(micros, 1_000_000)
    message.seconds = seconds
    message.nanos = rest * 1000
    message.SetInParent()
