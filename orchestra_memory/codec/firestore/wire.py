"""Documents out of the bytes of Firestore's answers.

Bytes as serializers write them are read here, in one pass; going there through message objects,
one for each value, takes longer. Whatever else the format allows
(https://protobuf.dev/programming-guides/encoding) is left to protobuf: fields in another order or
said twice, names beyond 127 bytes, and types that this library does not write.
"""

# Stored values are of any type; telling them apart is what this module does.
# pyright: reportUnknownVariableType=false, reportUnknownArgumentType=false

from __future__ import annotations

import struct
from collections.abc import Callable
from datetime import datetime, timedelta
from functools import lru_cache
from typing import Any, Final, NamedTuple

from google.protobuf.message import DecodeError  # type: ignore[import-untyped]  # has no types

from ...operations import Revision
from ...values import EPOCH, Vector
from ..document import Document
from ..ids import WRAPPED_LIST, unescaped_name
from .decode import decode_document, decode_micros, unpacked
from .layout import ELEMENT, TYPE_NAME, VECTOR_TYPE
from .messages import BatchGetResponse, MapValue, QueryResponse, Timestamp, Value

_KEPT: Final = 4_096
"""Names, short texts and times of writes that are kept with their bytes."""
_SHORT: Final = 24
"""Bytes of a text that is likely to stand in many documents, which then share it."""

_ONE_BYTE: Final = 0x7F
"""The largest number that takes one byte."""
_LAST_SHIFT: Final = 63
"""Of the tenth group of seven bits, the last one that a number may have."""

_IN_MAP: Final = 0x0A
_IN_DOCUMENT: Final = 0x12
_CREATED: Final = 0x1A
_UPDATED: Final = 0x22
_ARRAY: Final = 0x4A
_LIST_HEAD: Final = b"\x0a\x05~list\x12"
_NUMBERS_HEAD: Final = b"\x0a\x05value\x12"
_VECTOR_MARK: Final[bytes] = MapValue(
    fields={TYPE_NAME: Value(string_value=VECTOR_TYPE)}
).SerializeToString()


class _UnusualError(Exception):
    """Not as serializers write it."""


class _MarkedError(Exception):
    """A map that stands for something else."""


_REFUSED: Final = (
    _UnusualError,
    _MarkedError,
    DecodeError,
    IndexError,
    KeyError,
    OverflowError,
    RecursionError,
    UnicodeDecodeError,
    struct.error,
)
"""What bytes raise that are not as serializers write them, or cut short."""

_stamp: Final[Any] = Timestamp.FromString
_double: Final = struct.Struct("<d").unpack_from


class Answer(NamedTuple):
    """One message of an answer: the server's time, and what was found or missed, if anything.

    ``damaged`` names fields of which no value can be made.
    """

    as_of: Revision | None
    name: str = ""
    document: Document | None = None
    revision: Revision = 0
    damaged: tuple[str, ...] = ()


class Answers:
    """The answers to one kind of request."""

    def __init__(self, message: Any, found: str, time: int) -> None:
        self._message = message
        self._found = found
        self._time = time

    def read(self, data: bytes) -> Answer:
        """Raises ``DecodeError`` for what is no such message."""
        try:
            return self.usual(data)
        except _REFUSED:
            return self.unusual(data)

    def usual(self, data: bytes) -> Answer:
        """A document found, as serializers write it; raises one of several errors for others."""
        _expect(data, 0, _IN_MAP)
        size, at = _varint(data, 1)
        end = at + size
        _expect(data, end, self._time)
        as_of = _micros(data[_content(data, end + 1, len(data)) :])
        _expect(data, at, _IN_MAP)
        size, at = _varint(data, at + 1)
        name = data[at : at + size].decode()
        document: Document = {}
        at = _entries(data, at + size, end, _IN_DOCUMENT, document)
        _expect(data, at, _CREATED)
        size, at = _varint(data, at + 1)
        # It is not asked for, but must be one.
        _micros(data[at : at + size])
        at += size
        _expect(data, at, _UPDATED)
        return Answer(as_of, name, document, _micros(data[_content(data, at + 1, end) : end]))

    def unusual(self, data: bytes) -> Answer:
        message = self._message.FromString(data)
        as_of = decode_micros(message.read_time)
        if not message.HasField(self._found):
            return Answer(as_of, getattr(message, "missing", ""))
        return found(getattr(message, self._found), as_of)


def found(message: Any, as_of: Revision | None = None) -> Answer:
    """What a ``Document`` tells."""
    document, damaged = decode_document(message)
    return Answer(as_of, message.name, document, decode_micros(message.update_time), damaged)


GOTTEN: Final = Answers(BatchGetResponse, "found", time=0x22)
"""Answers to a request for documents by name."""
QUERIED: Final = Answers(QueryResponse, "document", time=0x1A)
"""Answers to a query."""


def _expect(data: bytes, at: int, tag: int) -> None:
    if data[at] != tag:
        raise _UnusualError


def _varint(data: bytes, at: int) -> tuple[int, int]:
    """The number that stands there, and where it ends."""
    number = shift = 0
    while True:
        byte = data[at]
        at += 1
        number |= (byte & 0x7F) << shift
        if byte <= _ONE_BYTE:
            return number, at
        shift += 7
        if shift > _LAST_SHIFT:
            raise _UnusualError


def _content(data: bytes, at: int, end: int) -> int:
    """Where that begins whose length stands there, and which must reach to the end."""
    size = data[at]
    at += 1
    if size > _ONE_BYTE:
        size, at = _varint(data, at - 1)
    if at + size != end:
        raise _UnusualError
    return at


@lru_cache(_KEPT)
def _micros(stamp: bytes) -> int:
    return decode_micros(_stamp(stamp))


_names: dict[bytes, str] = {}
_texts: dict[bytes, str] = {}


def _name(head: bytes) -> str:
    """The name in the head of an entry: a tag, its length, the name, and the tag of the value."""
    if head[0] != _IN_MAP or head[1] > _ONE_BYTE or head[-1] != _IN_DOCUMENT:
        raise _UnusualError
    name = head[2:-1].decode()
    if name in (WRAPPED_LIST, TYPE_NAME):
        raise _MarkedError
    if len(_names) >= _KEPT:
        _names.clear()
    _names[head] = name = unescaped_name(name)
    return name


def _entries(data: bytes, at: int, end: int, tag: int, document: Document) -> int:
    """Add the entries with this tag, one after the other; returns where they end."""
    while at < end and data[at] == tag:
        size = data[at + 1]
        at += 2
        if size > _ONE_BYTE:
            size, at = _varint(data, at - 1)
        after = at + size
        value = at + 3 + data[at + 1]
        head = data[at:value]
        try:
            name = _names[head]
        except KeyError:
            name = _name(head)
        size = data[value]
        value += 1
        if size > _ONE_BYTE:
            size, value = _varint(data, value - 1)
        if value + size != after:
            raise _UnusualError
        document[name] = _decoders[data[value]](data, value + 1, after)
        at = after
    return at


# Each of these takes the content behind the first byte of a value's tag, which reaches to the end.


def _text(data: bytes, at: int, end: int) -> str:
    if data[at] != 1:
        raise _UnusualError
    size = data[at + 1]
    at += 2
    if size > _ONE_BYTE or at + size != end:
        at = _content(data, at - 1, end)
    text = data[at:end]
    if size > _SHORT:
        return text.decode()
    return _texts.get(text) or _kept(text)


def _kept(text: bytes) -> str:
    if len(_texts) >= _KEPT:
        _texts.clear()
    _texts[text] = value = text.decode()
    return value


def _bytes(data: bytes, at: int, end: int) -> bytes:
    _expect(data, at, 1)
    return data[_content(data, at + 1, end) : end]


def _integer(data: bytes, at: int, end: int) -> int:
    number = data[at]
    if number <= _ONE_BYTE and at + 1 == end:
        return number
    number, at = _varint(data, at)
    if at != end or number >> 64:
        raise _UnusualError
    return number - (1 << 64) if number >> 63 else number


def _boolean(data: bytes, at: int, end: int) -> bool:
    if at + 1 != end or data[at] > 1:
        raise _UnusualError
    return data[at] == 1


def _null(data: bytes, at: int, end: int) -> None:
    if at + 1 != end or data[at]:
        raise _UnusualError


def _float(data: bytes, at: int, end: int) -> float:
    if at + 8 != end:
        raise _UnusualError
    number: float = _double(data, at)[0]
    return number


def _time(data: bytes, at: int, end: int) -> datetime:
    if data[at] != end - at - 1:
        raise _UnusualError
    stamp = _stamp(data[at + 1 : end])
    return EPOCH + timedelta(0, stamp.seconds, stamp.nanos // 1000)


def _list(data: bytes, at: int, end: int) -> list[Any]:
    at = _content(data, at, end)
    if data.startswith(ELEMENT, at) and data.startswith(_VECTOR_MARK, end):
        # The mark behind it, as maps have no order, says that these numbers are a vector.
        raise _MarkedError
    items: list[Any] = []
    while at < end:
        if data[at] != _IN_MAP:
            raise _UnusualError
        size = data[at + 1]
        at += 2
        if size > _ONE_BYTE:
            size, at = _varint(data, at - 1)
        items.append(_decoders[data[at]](data, at + 1, at + size))
        at += size
    if at != end:
        raise _UnusualError
    return items


def _map(data: bytes, at: int, end: int) -> Any:
    at = _content(data, at, end)
    document: Document = {}
    try:
        if _entries(data, at, end, _IN_MAP, document) != end:
            raise _UnusualError
    except _MarkedError:
        return _marked(data, at, end)
    return document


def _marked(data: bytes, at: int, end: int) -> Any:
    """What such a map stands for: a vector, or a list in a list."""
    if data.startswith(_VECTOR_MARK, at, end):
        return _vector(data, at + len(_VECTOR_MARK), end)
    _, key = _varint(data, at + 1)
    if data.startswith(_LIST_HEAD, key):
        at = _last_value(data, at, end, _LIST_HEAD)
        return _decoders[data[at]](data, at + 1, end)
    if data.endswith(_VECTOR_MARK, at, end):
        return _vector(data, at, end - len(_VECTOR_MARK))
    raise _UnusualError


def _vector(data: bytes, at: int, end: int) -> Vector:
    """The one in an entry that reaches to the end."""
    at = _last_value(data, at, end, _NUMBERS_HEAD)
    _expect(data, at, _ARRAY)
    vector = unpacked(data[_content(data, at + 1, end) : end])
    if vector is None:
        raise _UnusualError
    return vector


def _last_value(data: bytes, at: int, end: int, head: bytes) -> int:
    """Where the value of the entry begins that has this head and reaches to the end."""
    _expect(data, at, _IN_MAP)
    at = _content(data, at + 1, end)
    if not data.startswith(head, at):
        raise _UnusualError
    return _content(data, at + len(head), end)


_decoders: Final[dict[int, Callable[[bytes, int, int], Any]]] = {
    0x08: _boolean,
    0x10: _integer,
    0x19: _float,
    0x32: _map,
    _ARRAY: _list,
    0x52: _time,
    0x58: _null,
    0x8A: _text,
    0x92: _bytes,
}
"""By the first byte of a value's tag."""
