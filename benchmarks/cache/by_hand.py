"""What one would write with redis-py and `AsyncClient`: from and to the same records."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import Any, Final

from google.cloud.firestore import Query
from google.cloud.firestore_v1.base_query import FieldFilter
from redis.asyncio import BlockingConnectionPool, Redis

from orchestra_memory import MemoryItem

from ..by_hand import set_one, to_record
from ..peers.item import Item
from ..records import Job
from ..store import Store

CONNECTIONS: Final = 16
"""Of a bounded pool, which a hundred requests at once share."""


@dataclass(frozen=True, slots=True)
class ByRedis:
    """Records as pydantic's JSON under their ids, read with one client of redis-py."""

    redis: Any

    async def put_all(self, records: Iterable[MemoryItem]) -> None:
        await self.redis.mset({key_of(record): record.model_dump_json() for record in records})

    async def get(self, record: MemoryItem) -> MemoryItem:
        return MemoryItem.model_validate_json(await self.redis.get(key_of(record)))

    async def get_plain(self, record: MemoryItem) -> Item:
        """As a model without validators of its own."""
        return Item.model_validate_json(await self.redis.get(key_of(record)))

    async def get_gathered(self, records: Job) -> list[MemoryItem]:
        return await asyncio.gather(*map(self.get, records))

    async def get_at_once(self, records: Job) -> list[MemoryItem]:
        found = await self.redis.mget([key_of(record) for record in records])
        return [MemoryItem.model_validate_json(text) for text in found]


def key_of(record: MemoryItem) -> str:
    return f"by-hand:{record.id}"


def to_item(found: Item) -> MemoryItem:
    return MemoryItem.model_validate(found.model_dump())


@dataclass(frozen=True, slots=True)
class Clients:
    """redis-py as it comes, which bounds every command by a timeout; without timeouts, which is
    quicker; and without them on a few connections, for whose turn requests wait."""

    default: ByRedis
    untimed: ByRedis
    pooled: ByRedis


@asynccontextmanager
async def clients(url: str) -> AsyncIterator[Clients]:
    async with AsyncExitStack() as opened:
        pool = BlockingConnectionPool.from_url(
            url, max_connections=CONNECTIONS, socket_timeout=None
        )
        found = [
            Redis.from_url(url),
            Redis.from_url(url, socket_timeout=None),
            Redis.from_pool(pool),
        ]
        for client in found:
            opened.push_async_callback(client.aclose)
        yield Clients(*map(ByRedis, found))


async def history(store: Store, user: str, session: str, count: int) -> list[MemoryItem]:
    """The newest records of a session, newest first."""
    query = (
        store.by_hand.where(filter=FieldFilter("user_id", "==", user))
        .where(filter=FieldFilter("session_id", "==", session))
        .order_by("timestamp", direction=Query.DESCENDING)
        .limit(count)
    )
    return [to_record(snapshot) async for snapshot in query.stream()]


async def append_and_read(store: Store, record: MemoryItem, count: int) -> Sequence[MemoryItem]:
    await set_one(store, record)
    return await history(store, record.user_id, record.session_id or "", count)
