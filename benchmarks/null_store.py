"""What the null backend is given, kept as bytes, and answers of bytes made of it.

Taking a commit costs no more than counting its writes. What was written is looked into only when
it is asked for, so that all which a run stored can be read back and compared.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator
from functools import cache
from typing import Any, Final

from google.cloud.firestore_v1 import types
from google.protobuf.timestamp_pb2 import Timestamp

_Commit: Final[Any] = types.CommitResponse.pb()
_Query: Final[Any] = types.RunQueryRequest.pb()
_Document: Final[Any] = types.Document.pb()

SECONDS: Final = 1_767_258_000
"""The one time at which everything happens here, in seconds since the epoch."""

_WRITES, _UPDATE, _DELETE, _NAME, _DOCUMENTS = 2, 1, 2, 1, 2
_FOUND, _MISSING = b"\x0a", b"\x12"


def fields(message: bytes) -> Iterator[tuple[int, bytes]]:
    """Number and content of a message's fields, all of which must be texts, bytes or messages."""
    place, end = 0, len(message)
    while place < end:
        tag, place = _varint(message, place)
        size, place = _varint(message, place)
        yield tag >> 3, message[place : place + size]
        place += size


def _varint(message: bytes, place: int) -> tuple[int, int]:
    byte = message[place]
    number, shift, place = byte & 0x7F, 7, place + 1
    while byte & 0x80:
        byte = message[place]
        number |= (byte & 0x7F) << shift
        shift, place = shift + 7, place + 1
    return number, place


def field(tag: bytes, content: bytes) -> bytes:
    """One field that has a length."""
    size, length = len(content), bytearray()
    while size > 0x7F:
        length.append(size & 0x7F | 0x80)
        size >>= 7
    length.append(size)
    return b"%b%b%b" % (tag, bytes(length), content)


_TIME: Final = field(b"", Timestamp(seconds=SECONDS).SerializeToString())


@cache
def committed(writes: int) -> bytes:
    """The answer to a commit of so many writes."""
    answer = _Commit()
    answer.commit_time.seconds = SECONDS
    for _ in range(writes):
        answer.write_results.add().update_time.seconds = SECONDS
    return bytes(answer.SerializeToString())


class NullStore:
    """Documents by collection. Commits are never refused."""

    def __init__(self) -> None:
        self._unread: list[bytes] = []
        self._shelves: dict[str, _Shelf] = {}
        self._lock = threading.Lock()

    def commit(self, request: bytes) -> bytes:
        """Keep the request as it is."""
        self._unread.append(request)
        return committed(sum(number == _WRITES for number, _ in fields(request)))

    def get(self, request: bytes) -> bytes | None:
        """The ``Document``, ``None`` if there is none."""
        name = next(content.decode() for number, content in fields(request) if number == _NAME)
        return self._document(name)

    def get_all(self, request: bytes) -> Iterator[bytes]:
        """A response for each document asked for."""
        for number, content in fields(request):
            if number == _DOCUMENTS:
                document = self._document(content.decode())
                yield (
                    field(_MISSING, content) if document is None else field(_FOUND, document)
                ) + b"\x22%b" % _TIME

    def query(self, request: bytes) -> Iterator[bytes]:
        """The documents of one session, newest first, whatever else the query says."""
        message = _Query.FromString(request)
        asked = message.structured_query
        shelf = self._shelf(f"{message.parent}/{asked.from_[0].collection_id}")
        read_time = b"\x1a%b" % _TIME
        answered = False
        for document in shelf.session(_session(asked), _after(asked), asked.limit.value or None):
            answered = True
            yield field(_FOUND, document) + read_time
        if not answered:
            yield read_time

    def forget(self, collection: bytes) -> bytes:
        """Drop a collection, named in full."""
        self._look()
        self._shelves.pop(collection.decode(), None)
        return b""

    def _document(self, name: str) -> bytes | None:
        return self._shelf(name.rpartition("/")[0]).documents.get(name)

    def _shelf(self, collection: str) -> _Shelf:
        self._look()
        return self._shelves.setdefault(collection, _Shelf())

    def _look(self) -> None:
        with self._lock:
            unread, self._unread = self._unread, []
            for request in unread:
                self._apply(content for number, content in fields(request) if number == _WRITES)

    def _apply(self, writes: Iterable[bytes]) -> None:
        for write in writes:
            number, content = next(fields(write))
            if number == _UPDATE:
                name = next(text.decode() for place, text in fields(content) if place == _NAME)
                # Fields may stand twice in a message and in any order: the times are put behind.
                document = content + b"\x1a%b\x22%b" % (_TIME, _TIME)
                self._shelf_of(name).put(name, document)
            elif number == _DELETE:
                self._shelf_of(content.decode()).put(content.decode(), None)

    def _shelf_of(self, name: str) -> _Shelf:
        return self._shelves.setdefault(name.rpartition("/")[0], _Shelf())


class _Shelf:
    """The documents of one collection, by name, and their order in their sessions."""

    def __init__(self) -> None:
        self.documents: dict[str, bytes] = {}
        self._sessions: dict[str, dict[str, int]] = {}

    def put(self, name: str, document: bytes | None) -> None:
        self._sessions.clear()
        if document is None:
            self.documents.pop(name, None)
        else:
            self.documents[name] = document

    def session(self, session: str, after: str | None, limit: int | None) -> Iterator[bytes]:
        if not self._sessions:
            self._sort()
        places = self._sessions.get(session, {})
        names = list(places)[0 if after is None else places[after] + 1 :][:limit]
        return (self.documents[name] for name in names)

    def _sort(self) -> None:
        times: dict[str, list[tuple[int, int, str]]] = {}
        for name, content in self.documents.items():
            stored = _Document.FromString(content).fields
            time = stored["timestamp"].timestamp_value
            key = (time.seconds, time.nanos, name)
            times.setdefault(stored["session_id"].string_value, []).append(key)
        for session, keys in times.items():
            keys.sort(reverse=True)
            self._sessions[session] = {name: place for place, (*_, name) in enumerate(keys)}


def _session(query: Any) -> str:
    conditions = [part.field_filter for part in query.where.composite_filter.filters]
    return next(
        str(condition.value.string_value)
        for condition in conditions
        if condition.field.field_path == "session_id"
    )


def _after(query: Any) -> str | None:
    """The document behind which the answer begins."""
    return str(query.start_at.values[-1].reference_value) if query.HasField("start_at") else None
