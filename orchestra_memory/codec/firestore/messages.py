"""Firestore's protobuf messages, bare of the proto-plus wrappers around them.

The wrappers have no types; what is built from them is ``Any`` from here on, and only here.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final, cast

from google.cloud.firestore_v1 import types

from .varints import delimited, varint

wrappers: Final = cast("Any", types)
"""The public proto-plus types: ``.pb()`` is the message class, ``.wrap`` and ``.pb(x)`` convert."""

Value: Final[Any] = wrappers.Value.pb()
MapValue: Final[Any] = wrappers.MapValue.pb()
Timestamp: Final = cast("Any", type(Value().timestamp_value))
Write: Final[Any] = wrappers.Write.pb()
SERVER_TIME: Final = int(wrappers.DocumentTransform.FieldTransform.ServerValue.REQUEST_TIME)
"""The time at which the server takes the request, on its own clock."""
Precondition: Final[Any] = wrappers.Precondition.pb()
CommitRequest: Final[Any] = wrappers.CommitRequest.pb()
GetRequest: Final[Any] = wrappers.GetDocumentRequest.pb()
BatchGetRequest: Final[Any] = wrappers.BatchGetDocumentsRequest.pb()
BatchGetResponse: Final[Any] = wrappers.BatchGetDocumentsResponse.pb()
QueryRequest: Final[Any] = wrappers.RunQueryRequest.pb()
QueryResponse: Final[Any] = wrappers.RunQueryResponse.pb()
AggregationRequest: Final[Any] = wrappers.RunAggregationQueryRequest.pb()
StructuredQuery: Final[Any] = wrappers.StructuredQuery.pb()
AggregationQuery: Final[Any] = wrappers.StructuredAggregationQuery.pb()


class _EncodedCommit:
    """A ``CommitRequest`` in its bytes, parsed only if something asks for its writes.

    What sends it wants its bytes, and what routes it wants the name of the database. Interceptors
    and logging see the whole message; what they change of it is sent.
    """

    def __init__(self, database: str, data: bytes) -> None:
        self._message = CommitRequest(database=database)
        self._data: bytes | None = data

    def __getattr__(self, name: str) -> Any:
        # None of its fields but the writes has a presence, so one without them tells of the others.
        told_by_name = name in {"database", "HasField"}
        return getattr(self._message if told_by_name else self._parsed(), name)

    def __eq__(self, other: object) -> bool:
        parsed = other._parsed() if isinstance(other, _EncodedCommit) else other
        return bool(self._parsed() == parsed)

    __hash__ = None  # type: ignore[assignment]  # as of every message

    def __repr__(self) -> str:
        return repr(self._parsed())

    def _parsed(self) -> Any:
        if self._data is not None:
            self._message, self._data = CommitRequest.FromString(self._data), None
        return self._message

    def SerializeToString(self) -> bytes:  # noqa: N802 -- the name protobuf gives it
        return bytes(self._message.SerializeToString()) if self._data is None else self._data


def commit_request(database: str, writes: Sequence[bytes]) -> Any:
    """A ``CommitRequest`` as Google's client takes it, of ``Write`` messages in their bytes."""
    pieces = [delimited(b"\x0a", database.encode())]
    for write in writes:
        pieces += (b"\x12", varint(len(write)), write)
    return wrappers.CommitRequest.wrap(_EncodedCommit(database, b"".join(pieces)))
