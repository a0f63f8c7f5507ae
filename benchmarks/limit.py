"""The limit: requests encoded beforehand, on the bare channel, and answers left as they came.

The bytes are those that the library sends and is sent.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, Final

from google.cloud.firestore_v1 import types

from orchestra_memory import MemoryItem
from orchestra_memory.backends.firestore.access import call_metadata, database_path, gapic
from orchestra_memory.codec.firestore.decode import decode_fields
from orchestra_memory.codec.firestore.encode import record_bytes

from .gathering import IN_FLIGHT, chunks, gathered
from .records import Job
from .store import Store

SERVICE: Final = "/google.firestore.v1.Firestore/"

_Commit: Final[Any] = types.CommitRequest.pb()
_GetAll: Final[Any] = types.BatchGetDocumentsRequest.pb()
_Found: Final[Any] = types.BatchGetDocumentsResponse.pb()
_Query: Final[Any] = types.RunQueryRequest.pb()
_Answer: Final[Any] = types.RunQueryResponse.pb()

Requests = Sequence[bytes]
"""Serialized requests of one job, or answers to them."""


def commits(store: Store, job: Job) -> Requests:
    return [_commit(store, chunk) for chunk in chunks(job)]


def _commit(store: Store, chunk: Sequence[MemoryItem]) -> bytes:
    request = _Commit(database=database_path(store.client))
    for record in chunk:
        document = request.writes.add().update
        document.name = f"{store.path}/{record.id}"
        document.MergeFromString(record_bytes(record))
    return bytes(request.SerializeToString())


async def send_commits(store: Store, requests: Requests) -> None:
    call = _channel(store).unary_unary(SERVICE + "Commit")
    metadata = call_metadata(store.client)
    await gathered((call(request, metadata=metadata) for request in requests), IN_FLIGHT)


def gets(store: Store, job: Job) -> Requests:
    database = database_path(store.client)
    return [
        _GetAll(
            database=database, documents=[f"{store.path}/{record.id}" for record in chunk]
        ).SerializeToString()
        for chunk in chunks(job)
    ]


async def send_gets(store: Store, requests: Requests) -> Requests:
    return await _streams(store, "BatchGetDocuments", requests)


def query(store: Store, job: Job) -> Requests:
    parent, _, collection = store.path.rpartition("/")
    request = _Query(parent=parent)
    asked = request.structured_query
    asked.from_.add().collection_id = collection
    asked.where.composite_filter.op = types.StructuredQuery.CompositeFilter.Operator.AND
    for name in ("user_id", "session_id"):
        condition = asked.where.composite_filter.filters.add().field_filter
        condition.field.field_path = name
        condition.op = types.StructuredQuery.FieldFilter.Operator.EQUAL
        condition.value.string_value = getattr(job[0], name)
    order = asked.order_by.add()
    order.field.field_path = "timestamp"
    order.direction = types.StructuredQuery.Direction.DESCENDING
    return [request.SerializeToString()]


async def send_query(store: Store, requests: Requests) -> Requests:
    return await _streams(store, "RunQuery", requests)


async def _streams(store: Store, method: str, requests: Requests) -> Requests:
    call = _channel(store).unary_stream(SERVICE + method)
    metadata = call_metadata(store.client)

    async def ask(request: bytes) -> list[bytes]:
        return [answer async for answer in call(request, metadata=metadata)]

    return [answer for some in await gathered(map(ask, requests), IN_FLIGHT) for answer in some]


def _channel(store: Store) -> Any:
    return gapic(store.client).transport.grpc_channel


def _records(parse: Callable[[bytes], Any], field: str, _: Store, answers: Requests) -> Job:
    documents = (getattr(parse(answer), field) for answer in answers)
    return [_record(document) for document in documents if document.name]


def _record(document: Any) -> MemoryItem:
    stored = decode_fields(document.fields)
    del stored["schema_version"]
    return MemoryItem.model_validate(stored)


found_in_gets = partial(_records, _Found.FromString, "found")
found_in_query = partial(_records, _Answer.FromString, "document")
