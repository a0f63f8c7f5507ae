"""Answers in Firestore's bytes, read by us, by protobuf, and by Google's own library."""

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from google.api_core.datetime_helpers import DatetimeWithNanoseconds
from google.auth.credentials import AnonymousCredentials
from google.cloud.firestore import Client, GeoPoint
from google.cloud.firestore_v1 import types
from google.cloud.firestore_v1._helpers import decode_dict
from google.cloud.firestore_v1.document import DocumentReference
from google.cloud.firestore_v1.vector import Vector as TheirVector
from google.protobuf.message import DecodeError

from orchestra_memory.codec.firestore.wire import GOTTEN, Answer, Answers
from orchestra_memory.testing.contract.oracle import exact
from orchestra_memory.values import Vector

from .wire_documents import DOCUMENT

GOT = types.BatchGetDocumentsResponse.pb()
QUERY = types.RunQueryResponse.pb()
NAME = "projects/p/databases/(default)/documents/notes/a"
CLIENT = Client("p", credentials=AnonymousCredentials())


def answer(fields: bytes, *, name: str = NAME, query: bool = False) -> bytes:
    """An answer with one document, of whose fields these are the bytes."""
    document = DOCUMENT(name=name)
    document.MergeFromString(fields)
    document.create_time.seconds = 1_700_000_000
    document.update_time.seconds, document.update_time.nanos = 1_700_000_001, 123_456_000
    message = QUERY(document=document) if query else GOT(found=document)
    message.read_time.seconds = 1_700_000_002
    return message.SerializeToString()


def read(fields: bytes) -> Any:
    return GOTTEN.read(answer(fields)).document


def as_documented(value: Any) -> Any:
    """What the library makes of a value, in the form that our docs promise."""
    match value:
        case DatetimeWithNanoseconds():
            return datetime(*value.timetuple()[:6], value.microsecond, tzinfo=UTC)
        case TheirVector():
            return Vector(map(float, value))
        case GeoPoint():
            return {"latitude": value.latitude, "longitude": value.longitude}
        case DocumentReference():
            return value._document_path
        case {"~list": inner} if len(value) == 1:
            return as_documented(inner)
        case dict():
            return {name.removeprefix("~:"): as_documented(item) for name, item in value.items()}
        case list():
            return [as_documented(item) for item in value]
        case _:
            return value


def in_utc(value: Any) -> Any:
    """A value with its times as any store returns them."""
    match value:
        case datetime():
            return value.astimezone(UTC).replace(fold=0)
        case dict():
            return {name: in_utc(item) for name, item in value.items()}
        case list():
            return type(value)(map(in_utc, value))
        case _:
            return value


def by_the_library(fields: bytes) -> Any:
    return as_documented(decode_dict(DOCUMENT.FromString(fields).fields, CLIENT))


def outcome(read: Callable[[bytes], Answer], data: bytes) -> Any:
    """What comes of reading; ``None`` for what is refused."""
    try:
        found = read(data)
    except DecodeError:
        return None
    return found._replace(document=exact(found.document))


def agreed(answers: Answers, data: bytes) -> bool:
    """Whether the quick way takes the bytes; what it makes of them is what protobuf makes."""
    expected = outcome(answers.unusual, data)
    assert outcome(answers.read, data) == expected
    try:
        usual = answers.usual(data)
    except Exception:  # noqa: BLE001 -- it may raise anything; then protobuf is asked
        return False
    assert usual._replace(document=exact(usual.document)) == expected
    return True


def sized(data: bytes) -> bytes:
    """The data, with its length before it."""
    size, length = len(data), bytearray()
    while size > 0x7F:
        length.append(size & 0x7F | 0x80)
        size >>= 7
    return b"%b%c%b" % (bytes(length), size, data)


def raw_answer(fields: bytes) -> bytes:
    """An answer with these very bytes, which a message might put in another order."""
    stamp = b"\x02\x08\x01"
    return b"\x0a%b\x22%b" % (sized(b"\x0a\x03a/b%b\x1a%b\x22%b" % (fields, stamp, stamp)), stamp)
