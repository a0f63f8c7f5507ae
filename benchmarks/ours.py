"""The library's own way of every task, without an option set."""

from __future__ import annotations

from typing import Final

from orchestra_memory import MemoryItem, recent

from .gathering import AT_ONCE, gathered
from .records import Job
from .store import Store

PAGE: Final = 1_000
"""Records in the first page of a scan; a hand-written stream has no pages."""


async def put_many(store: Store, job: Job) -> Job:
    await store.memory.put_many(job)
    return ()


async def put_one_by_one(store: Store, job: Job) -> Job:
    for record in job:
        await store.memory.put(record)
    return ()


async def put_gathered(store: Store, job: Job) -> Job:
    await gathered(map(store.memory.put, job), AT_ONCE)
    return ()


async def get_many(store: Store, job: Job) -> Job:
    return present(await store.memory.get_many(MemoryItem, [record.id for record in job]))


async def get_one_by_one(store: Store, job: Job) -> Job:
    return present([await store.memory.get(MemoryItem, record.id) for record in job])


async def get_gathered(store: Store, job: Job) -> Job:
    calls = (store.memory.get(MemoryItem, record.id) for record in job)
    return present(await gathered(calls, AT_ONCE))


async def scan(store: Store, job: Job) -> Job:
    query = recent(user_id=job[0].user_id, session_id=job[0].session_id, page_size=PAGE)
    return [record async for record in store.memory.scan(query)]


def present(found: list[MemoryItem | None]) -> Job:
    return [record for record in found if record is not None]
