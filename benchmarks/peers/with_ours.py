"""This library, doing what each of the peers does."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from google.cloud.firestore import AsyncClient

from orchestra_memory import FirestoreMemory, MemoryItem, recent
from orchestra_memory.domain.conversations import Conversations

from ..gathering import AT_ONCE, gathered
from .item import dumped
from .way import RECENT, Jobs, Way, flat

PACKAGES: Final = ("orchestra-memory",)
PAGE: Final = 1_000
"""Records in one page, where all of a session are read."""


async def prepare(client: AsyncClient, place: str, jobs: Jobs, *, new: bool) -> FirestoreMemory:
    del jobs, new  # nothing must be there before the first record
    return FirestoreMemory(client, collections={"memory_items": place})


async def put_many(memory: FirestoreMemory, jobs: Jobs) -> Jobs:
    await memory.put_many(flat(jobs))
    return ()


async def get_many(memory: FirestoreMemory, jobs: Jobs) -> Jobs:
    found = await memory.get_many(MemoryItem, [record.id for record in flat(jobs)])
    return [[record for record in found if record is not None]]


async def put(memory: FirestoreMemory, jobs: Jobs) -> Jobs:
    for record in flat(jobs):
        await memory.put(record)
    return ()


async def get(memory: FirestoreMemory, jobs: Jobs) -> Jobs:
    return [[await memory.get(MemoryItem, record.id) for record in flat(jobs)]]


async def find(memory: FirestoreMemory, jobs: Jobs) -> Jobs:
    return [await _session(memory, job[0]) for job in jobs]


async def add(memory: FirestoreMemory, jobs: Jobs) -> Jobs:
    conversations = Conversations(memory)

    async def append(job: Sequence[MemoryItem]) -> None:
        for record in job:
            await conversations.add(record)

    await gathered(map(append, jobs), AT_ONCE)
    return ()


async def add_many(memory: FirestoreMemory, jobs: Jobs) -> Jobs:
    await Conversations(memory).add_many(flat(jobs))
    return ()


async def history(memory: FirestoreMemory, jobs: Jobs) -> Jobs:
    conversations = Conversations(memory)

    async def newest(job: Sequence[MemoryItem]) -> list[MemoryItem]:
        user, session = job[0].user_id, job[0].session_id
        page = await conversations.history(user, session_id=session, page_size=RECENT)
        return [item.record for item in page.items]

    return await gathered(map(newest, jobs), AT_ONCE)


async def sessions(memory: FirestoreMemory, jobs: Jobs) -> Jobs:
    return await gathered((_session(memory, job[0]) for job in jobs), AT_ONCE)


async def _session(memory: FirestoreMemory, item: MemoryItem) -> list[MemoryItem]:
    query = recent(user_id=item.user_id, session_id=item.session_id, page_size=PAGE)
    return [record async for record in memory.scan(query)]


native: Final = MemoryItem.model_validate
plain: Final = dumped
read_back: Final = get_many
WAYS: Final = (
    Way("write", "put_many", put_many, writes=True),
    Way("read", "get_many", get_many),
    Way("put", "put", put, writes=True),
    Way("get", "get", get),
    Way("find", "scan", find),
    Way("append", "conversations.add", add, writes=True),
    Way("append", "conversations.add_many", add_many, writes=True),
    Way("newest", "conversations.history", history),
    Way("session", "scan", sessions),
)
