"""What one would write with `AsyncClient`, from and to the same pydantic records."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

from google.cloud.firestore import Query
from google.cloud.firestore_v1.base_query import FieldFilter
from google.cloud.firestore_v1.vector import Vector

from orchestra_memory import MemoryItem

from .gathering import AT_ONCE, IN_FLIGHT, chunks, gathered
from .records import Job
from .store import Store


async def set_one_by_one(store: Store, job: Job) -> Job:
    for record in job:
        await set_one(store, record)
    return ()


async def set_gathered(store: Store, job: Job) -> Job:
    await gathered(map(partial(set_one, store), job), AT_ONCE)
    return ()


async def set_one(store: Store, record: MemoryItem) -> None:
    await store.by_hand.document(record.id).set(to_document(record))


async def batches(store: Store, job: Job) -> Job:
    for chunk in chunks(job):
        await write_batch(store, chunk)
    return ()


async def batches_in_flight(store: Store, job: Job) -> Job:
    await gathered(map(partial(write_batch, store), chunks(job)), IN_FLIGHT)
    return ()


async def write_batch(store: Store, chunk: Sequence[MemoryItem]) -> None:
    batch, collection = store.client.batch(), store.by_hand
    for record in chunk:
        batch.set(collection.document(record.id), to_document(record))
    await batch.commit()


async def get_one_by_one(store: Store, job: Job) -> Job:
    return [await get_one(store, record) for record in job]


async def get_gathered(store: Store, job: Job) -> Job:
    return await gathered(map(partial(get_one, store), job), AT_ONCE)


async def get_one(store: Store, record: MemoryItem) -> MemoryItem:
    return to_record(await store.by_hand.document(record.id).get())


async def get_all(store: Store, job: Job) -> Job:
    collection = store.by_hand
    references = [collection.document(record.id) for record in job]
    return [to_record(snapshot) async for snapshot in store.client.get_all(references)]


async def get_all_in_flight(store: Store, job: Job) -> Job:
    found = await gathered(map(partial(get_all, store), chunks(job)), IN_FLIGHT)
    return [record for part in found for record in part]


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
