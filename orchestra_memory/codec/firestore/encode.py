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
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cache, partial
from types import NoneType
from typing import Any, Final

from ...record import Record, spec_of
from ...values import EPOCH, INT64_MAX, INT64_MIN, Vector
from ..document import SCHEMA_VERSION, Document, encode, encoded, field_values, free_fields
from ..ids import WRAPPED_LIST, escaped_name
from .layout import ELEMENT, STRIDE, TYPE_NAME, VECTOR_TYPE
from .places import KEPT_SIZES_IN_RECORDS, Place, key_bytes
from .varints import delimited, varints

_KEPT_NAMES: Final = 1_024
"""Names in maps, and as many in documents, whose places are kept."""
_KEPT_TEXTS: Final = 256
"""Texts whose entries a place keeps: what stands there is mostly one of a few words, or again the
same user and session."""
_SHORT: Final = 32
"""Bytes below which a text may be kept."""


class _Names(dict[str, Place]):
    """The places under the first names that there were."""

    def __init__(self, entry: bytes) -> None:
        super().__init__()
        self._entry = entry

    def __missing__(self, name: str) -> Place:
        self[name] = place = Place(self._entry, key_bytes(escaped_name(name)))
        return place

    def bytes_of(self, document: Document) -> bytes:
        """The entries of a map or document."""
        if len(self) + len(document) <= _KEPT_NAMES or document.keys() <= self.keys():
            return _fields(self, document)
        # Where ids are names there is no end of them: a place for each would only cost.
        return b"".join(
            delimited(self._entry, key_bytes(escaped_name(name)) + _any(_bare, value))
            for name, value in document.items()
        )


_IN_MAP: Final = b"\x0a"
_IN_DOCUMENT: Final = b"\x12"
_in_maps: Final = _Names(_IN_MAP)
_in_documents: Final = _Names(_IN_DOCUMENT)
_item: Final = Place(b"\x0a")
_bare: Final = Place(b"")
# Users' names are escaped, so that they never are these.
_list_in_list: Final = Place(_IN_MAP, key_bytes(WRAPPED_LIST))
_vector_mark: Final = Place(_IN_MAP, key_bytes(TYPE_NAME))
_vector_numbers: Final = Place(_IN_MAP, key_bytes("value"))

_double: Final = struct.Struct("<d").pack


def _fields(places: Mapping[str, Place], document: Mapping[str, Any]) -> bytes:
    """The entries of a map, a document or a record.

    The commonest kinds are told apart here: for them, a call each is much of the work.
    """
    pieces: list[bytes] = []
    for name, value in document.items():
        place, kind = places[name], type(value)
        if kind is str:
            entry = place.texts.get(value)
            if entry is not None:
                pieces.append(entry)
                continue
            entry = value.encode()
            head = place.text[len(entry)]
            pieces += (head, entry)
            if len(entry) < _SHORT:
                _keep(place, value, head + entry)
        elif kind is float:
            pieces += (place.float, _double(value))
        elif value is None or kind is bool:
            pieces.append(place.constants[value])
        elif kind is int and 0 <= value < 1 << 14:
            data = varints[value]
            pieces += (place.integer[len(data)], data)
        elif kind is datetime:
            data = _stamp(value)
            pieces += (place.time[len(data)], data)
        elif kind is dict and place.convert is None:
            data = _in_maps.bytes_of(value)
            pieces += (place.map[len(data)], data)
        else:
            pieces.append(_entry(place, value, kind))
    return b"".join(pieces)


def _items(items: list[Any]) -> bytes:
    pieces: list[bytes] = []
    known = _item.texts
    for item in items:
        if type(item) is str:
            entry = known.get(item)
            if entry is None:
                entry = item.encode()
                entry = _item.text[len(entry)] + entry
                if len(entry) < _SHORT:
                    _keep(_item, item, entry)
            pieces.append(entry)
        else:
            pieces.append(_any(_item, item))
    return b"".join(pieces)


def _keep(place: Place, text: str, entry: bytes) -> None:
    if len(place.texts) == _KEPT_TEXTS:
        place.texts.clear()
    place.texts[text] = entry


def _entry(place: Place, value: Any, kind: type) -> bytes:
    if place.convert is not None and kind not in _COMPLETE:
        value = place.convert(value)
        kind = type(value)
    return _encoders[kind](place, value)


def _any(place: Place, value: Any) -> bytes:
    return _fields({"": place}, {"": value})


def _bytes(place: Place, value: bytes) -> bytes:
    return place.head(b"\x92\x01" + varints[len(value)], len(value)) + value


def _integer(place: Place, value: int) -> bytes:
    if not INT64_MIN <= value <= INT64_MAX:
        raise ValueError("an int beyond 64 bits")
    data = varints[value]
    return place.integer[len(data)] + data


def _time(place: Place, value: datetime) -> bytes:
    stamp = _stamp(value)
    return place.time[len(stamp)] + stamp


def _stamp(value: datetime) -> bytes:
    """The fields of a ``Timestamp``."""
    since: timedelta = value - EPOCH
    seconds, nanos = since.days * 86_400 + since.seconds, since.microseconds * 1_000
    if seconds >> 14 > 0 and nanos >> 28:
        # Most times of our days are like this.
        marked = varints.marked
        early = b"\x08" + marked[seconds & 0x3FFF] + _hours[seconds >> 14]
        return early + marked[nanos & 0x3FFF] + marked[nanos >> 14 & 0x3FFF] + varints[nanos >> 28]
    stamp = b"\x08" + varints[seconds] if seconds else b""
    return stamp + b"\x10" + varints[nanos] if nanos else stamp


class _Hours(dict[int, bytes]):
    """The later groups of seconds since the epoch, and the tag of the nanoseconds behind them.

    Times that are stored together mostly have these in common: they change every four hours.
    """

    def __missing__(self, number: int) -> bytes:
        if len(self) == _KEPT_TEXTS:
            self.clear()
        self[number] = data = varints[number] + b"\x10"
        return data


_hours: Final = _Hours()


def _map(place: Place, value: Document) -> bytes:
    data = map_bytes(value)
    return place.map[len(data)] + data


def _list(place: Place, value: list[Any]) -> bytes:
    if place is _item:
        # A list in a list, which Firestore cannot hold, goes into a map.
        data = _any(_list_in_list, value)
        return place.map[len(data)] + data
    data = _items(value)
    return place.list[len(data)] + data


def _vector(place: Place, value: Vector) -> bytes:
    numbers = _numbers(value)
    mark = _any(_vector_mark, VECTOR_TYPE)
    data = b"%b%b%b" % (mark, _vector_numbers.list[len(numbers)], numbers)
    return place.map[len(data)] + data


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


class _Encoders(dict[type, Callable[[Place, Any], bytes]]):
    """One for each type that can be stored."""

    def __missing__(self, kind: type) -> Callable[[Place, Any], bytes]:
        # Times that drivers return are of subclasses.
        if issubclass(kind, datetime):
            return _time
        raise TypeError(f"{kind.__name__} cannot be stored")


_encoders: Final = _Encoders(
    {
        str: _any,
        NoneType: _any,
        bool: _any,
        float: _any,
        int: _integer,
        dict: _map,
        list: _list,
        Vector: _vector,
        bytes: _bytes,
        datetime: _time,
    }
)
_COMPLETE: Final = frozenset(_encoders) - {dict, list}
"""Types whose values are stored as they are, in whatever field they stand."""


def map_bytes(document: Document) -> bytes:
    """The fields of a ``MapValue``."""
    return _in_maps.bytes_of(document)


def document_bytes(document: Document) -> bytes:
    """The fields of a ``Document``.

    Raises ``TypeError`` and ``ValueError`` for what no store can hold.
    """
    return _in_documents.bytes_of(document)


@dataclass(frozen=True, slots=True)
class _Plan:
    """What can be told of a record type beforehand."""

    version: bytes
    places: dict[str, Place]


@cache
def _plan(model: type[Record]) -> _Plan:
    version = document_bytes({SCHEMA_VERSION: spec_of(model).schema_version})
    return _Plan(version, {name: _place_of(model, name) for name in model.model_fields})


def _place_of(model: type[Record], name: str) -> Place:
    convert = None if name in free_fields(model) else partial(encoded, model, name)
    key = key_bytes(escaped_name(name))
    return Place(_IN_DOCUMENT, key, convert, kept_sizes=KEPT_SIZES_IN_RECORDS)


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
    values = field_values(record, plan.places)
    unknown = record.unknown_fields
    first = plan.version + document_bytes(dict(unknown)) if unknown else plan.version
    return first + _fields(plan.places, values)


def value_bytes(value: Any) -> bytes:
    """One ``Value``. Raises ``TypeError`` and ``ValueError`` for what no store can hold."""
    data = _any(_bare, value)
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
