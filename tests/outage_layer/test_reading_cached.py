"""Reads in an outage with a cache of our own between: what Redis holds is answered."""

from __future__ import annotations

from collections.abc import AsyncIterator
from uuid import uuid4

import pytest
from redis.asyncio import Redis

from orchestra_memory import CachedMemory, Delete, LocalMemory, Patch, Put, Query, Ref, Source
from orchestra_memory.errors import Unavailable
from orchestra_memory.layers.fallback.reading import Reader
from orchestra_memory.operations import DEFAULT, Options
from orchestra_memory.testing.contract.models import Note
from orchestra_memory.testing.redis_server import RedisServer

from .stages import Away, Stage, keys

pytestmark = pytest.mark.anyio

A, B = Ref(Note, "a"), Ref(Note, "b")
RANKED = Query(Note, where={"owner": "alice"}, order_by="rank", page_size=3)


class Cached:
    """A store that can be away, a cache over it, and what reads through that."""

    def __init__(self, store: Away, cache: CachedMemory) -> None:
        self.store = store
        self.cache = cache
        self.stage = Stage()
        self.stage.reader = Reader(cache, self.stage.queue, self.stage.standby)

    def forgetful(self) -> None:
        """Have another process read, which knows nothing but what Redis has."""
        self.stage = Stage()
        self.stage.reader = Reader(self.cache, self.stage.queue, self.stage.standby)


@pytest.fixture
async def cached(redis_server: RedisServer) -> AsyncIterator[Cached]:
    store = Away(LocalMemory())
    async with (
        Redis.from_url(redis_server.url) as redis,
        CachedMemory(store, redis, store=uuid4().hex, timeout=1.0) as cache,
    ):
        yield Cached(store, cache)


async def test_records_come_from_redis_and_what_it_lacks_is_unavailable(cached: Cached) -> None:
    await cached.store.inner.write([Put(Note(id="a", rank=1))])
    assert (await cached.stage.read_one(A)).source is Source.PRIMARY
    assert await cached.stage.read_one(B) is None
    cached.store.away()
    cached.forgetful()
    found = await cached.stage.read_one(A)
    assert (found.source, found.record.rank) == (Source.CACHE, 1)
    await cached.stage.wait(Patch(A, increment={"rank": 1}))
    found = await cached.stage.read_one(A)
    assert (found.source, found.record.rank) == (Source.JOURNAL, 2)
    with pytest.raises(Unavailable) as raised:
        await cached.stage.read(A, Ref(Note, "c"))
    assert list(raised.value.known) == [A]
    with pytest.raises(Unavailable):
        await cached.stage.read(A, max_age=0)


async def test_a_list_that_redis_has_whole_is_complete_with_what_waits(cached: Cached) -> None:
    notes = [Put(Note(id=f"n{n}", rank=n)) for n in range(4)]
    await cached.store.inner.write(notes)
    for _ in range(2):
        # First the list is kept, then what it names.
        await cached.stage.find(RANKED.with_(page_size=100))
    cached.store.away()
    cached.forgetful()
    page = await cached.stage.reader.find(RANKED, Options(cache="refresh"))
    assert (keys(page.items), page.complete, page.source) == (
        ["n0", "n1", "n2"],
        True,
        Source.CACHE,
    )
    await cached.stage.wait(Delete(Ref(Note, "n1")), Put(Note(id="x", rank=2)))
    page = await cached.stage.find(RANKED)
    assert (keys(page.items), page.complete) == (["n0", "n2", "x"], True)
    page = await cached.stage.find(RANKED.with_(after=page.cursor))
    assert (keys(page.items), page.complete, page.cursor) == (["n3"], True, None)


async def test_a_list_that_redis_has_not_is_of_what_is_kept_and_incomplete(cached: Cached) -> None:
    await cached.store.inner.write([Put(Note(id="a", rank=1)), Put(Note(id="b", owner="bob"))])
    await cached.stage.read(A, B)
    cached.store.away()
    page = await cached.stage.reader.find(RANKED, DEFAULT)
    assert (keys(page.items), page.complete, page.source) == (["a"], False, Source.MEMORY)
