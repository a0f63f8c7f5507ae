"""The ways that are compared: the library's own, and what one would write with `AsyncClient`.

All take and give the same pydantic records. A job is the records of one session: to be written, to
be read by their ids, or to be found by a query for the session, newest first.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Final, Literal, TypeAlias, TypeVar

from google.cloud.firestore import AsyncClient, Query
from google.cloud.firestore_v1.async_collection import AsyncCollectionReference
from google.cloud.firestore_v1.base_query import FieldFilter
from google.cloud.firestore_v1.vector import Vector

from orchestra_memory import FirestoreMemory, MemoryItem, recent

from .records import Job

T = TypeVar("T")
Task: TypeAlias = Literal["write", "read", "scan"]

CONCURRENCY: Final = 64
"""Requests under way at once, where they are gathered."""
BATCH: Final = 400
"""Records in one hand-written batch."""
IN_FLIGHT: Final = 4
"""Batches under way at once."""
PAGE: Final = 1_000
"""Records in one page of a scan; a hand-written stream has no pages."""


@dataclass(frozen=True, slots=True)
class Store:
    """One collection, seen by the library and by hand."""

    client: AsyncClient
    collection: str

    @property
    def memory(self) -> FirestoreMemory:
        return FirestoreMemory(self.client, collections={"memory_items": self.collection})

    @property
    def by_hand(self) -> AsyncCollectionReference:
        return self.client.collection(self.collection)


Run: TypeAlias = Callable[[Store, Job], Awaitable[Sequence[MemoryItem]]]


@dataclass(frozen=True, slots=True)
class Way:
    """One way to do a task. ``at_most`` is the largest size it is tried with."""

    task: Task
    name: str
    run: Run
    ours: bool = False
    at_most: int | None = None

    def takes(self, size: int) -> bool:
        return self.at_most is None or size <= self.at_most


async def put_many(store: Store, job: Job) -> Job:
    await store.memory.put_many(job)
    return ()


async def set_one_by_one(store: Store, job: Job) -> Job:
    collection = store.by_hand
    for record in job:
        await collection.document(record.id).set(to_document(record))
    return ()


async def set_gathered(store: Store, job: Job) -> Job:
    collection = store.by_hand

    async def put(record: MemoryItem) -> None:
        await collection.document(record.id).set(to_document(record))

    await gathered(map(put, job), CONCURRENCY)
    return ()


async def batches(store: Store, job: Job) -> Job:
    for chunk in chunks(job):
        await write_batch(store, chunk)
    return ()


async def batches_in_flight(store: Store, job: Job) -> Job:
    await gathered(map(partial(write_batch, store), chunks(job)), IN_FLIGHT)
    return ()


async def write_batch(store: Store, chunk: Job) -> None:
    batch, collection = store.client.batch(), store.by_hand
    for record in chunk:
        batch.set(collection.document(record.id), to_document(record))
    await batch.commit()


async def get_many(store: Store, job: Job) -> Job:
    found = await store.memory.get_many(MemoryItem, [record.id for record in job])
    return [record for record in found if record is not None]


async def get_one_by_one(store: Store, job: Job) -> Job:
    collection = store.by_hand
    return [to_record(await collection.document(record.id).get()) for record in job]


async def get_gathered(store: Store, job: Job) -> Job:
    collection = store.by_hand

    async def get(record: MemoryItem) -> MemoryItem:
        return to_record(await collection.document(record.id).get())

    return await gathered(map(get, job), CONCURRENCY)


async def get_all(store: Store, job: Job) -> Job:
    collection = store.by_hand
    references = [collection.document(record.id) for record in job]
    return [to_record(snapshot) async for snapshot in store.client.get_all(references)]


async def get_all_in_flight(store: Store, job: Job) -> Job:
    found = await gathered(map(partial(get_all, store), chunks(job)), IN_FLIGHT)
    return [record for part in found for record in part]


async def scan(store: Store, job: Job) -> Job:
    query = recent(user_id=job[0].user_id, session_id=job[0].session_id, page_size=PAGE)
    return [record async for record in store.memory.scan(query)]


async def stream(store: Store, job: Job) -> Job:
    query = (
        store.by_hand.where(filter=FieldFilter("user_id", "==", job[0].user_id))
        .where(filter=FieldFilter("session_id", "==", job[0].session_id))
        .order_by("timestamp", direction=Query.DESCENDING)
    )
    return [to_record(snapshot) async for snapshot in query.stream()]


def to_document(record: MemoryItem) -> dict[str, Any]:
    document = record.model_dump()
    if record.embedding is not None:
        document["embedding"] = Vector(record.embedding)
    return document


def to_record(snapshot: Any) -> MemoryItem:
    document = snapshot.to_dict()
    # The field that the library adds; absent from what is written by hand.
    document.pop("schema_version", None)
    if document["embedding"] is not None:
        document["embedding"] = list(document["embedding"])
    return MemoryItem.model_validate(document)


async def gathered(awaitables: Iterable[Awaitable[T]], at_once: int) -> list[T]:
    limit = asyncio.Semaphore(at_once)

    async def limited(awaitable: Awaitable[T]) -> T:
        async with limit:
            return await awaitable

    return await asyncio.gather(*map(limited, awaitables))


def chunks(job: Job) -> Iterable[Job]:
    return (job[start : start + BATCH] for start in range(0, len(job), BATCH))


WAYS: Final = (
    Way("write", "put_many", put_many, ours=True),
    Way("write", "set, one by one", set_one_by_one, at_most=1_000),
    Way("write", "set, 64 gathered", set_gathered, at_most=4_000),
    Way("write", "batches of 400", batches),
    Way("write", "batches of 400, 4 in flight", batches_in_flight),
    Way("read", "get_many", get_many, ours=True),
    Way("read", "get, one by one", get_one_by_one, at_most=1_000),
    Way("read", "get, 64 gathered", get_gathered, at_most=4_000),
    Way("read", "get_all", get_all),
    Way("read", "get_all of 400, 4 in flight", get_all_in_flight),
    Way("scan", "scan", scan, ours=True),
    Way("scan", "stream of a query", stream),
)
TASKS: Final[tuple[Task, ...]] = ("write", "read", "scan")
