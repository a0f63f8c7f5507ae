"""Redis may be away, or hold anything: the store answers, and nothing old comes back."""

from uuid import uuid4

import anyio
import pytest
from redis.asyncio import Redis

from orchestra_memory import (
    CachedMemory,
    CacheUnavailable,
    CorruptRecord,
    Count,
    Options,
    Status,
    Unavailable,
    recent,
)
from orchestra_memory.testing.contract.models import LooseNote, Note

from .beneath import A, Leaving, entries, said

pytestmark = pytest.mark.anyio


@pytest.mark.parametrize("payload", [b"", b"garbage", b"2[]" + b"0" * 4, b"3" * 100])
async def test_a_damaged_entry_is_replaced(opened, redis, store, payload):
    memory = await opened(store=(name := uuid4().hex))
    await memory.put(Note(id="a", rank=1))
    (key,) = await entries(redis, name)
    kept = await redis.get(key)
    await redis.set(key, b":".join([*kept.split(b":", 4)[:4], payload]), keepttl=True)
    for _ in range(3):
        assert (await memory.get(Note, "a")).rank == 1
    assert store.reads == [["a"]]
    await redis.delete(key)


async def test_a_key_of_another_kind_is_passed_over(opened, redis, store):
    memory = await opened(store=(name := uuid4().hex))
    await memory.put(Note(id="a", rank=1))
    (key,) = await entries(redis, name)
    await redis.delete(key)
    await redis.set(key, "text")
    assert (await memory.get(Note, "a")).rank == 1
    await redis.delete(key)


async def test_another_types_record_under_the_same_id_is_not_taken_for_it(memory, store):
    await memory.put(LooseNote(id="a", rank="text"))
    assert await memory.get(LooseNote, "a") == LooseNote(id="a", rank="text")
    with pytest.raises(CorruptRecord):
        await memory.get(Note, "a")
    await memory.put(Note(id="a", rank=2))
    assert (await memory.get(LooseNote, "a")).rank == 2


async def until_ok(memory: CachedMemory) -> None:
    with anyio.fail_after(30):
        while (await memory.health()).status is not Status.OK:  # noqa: ASYNC110 -- it tells nobody
            await anyio.sleep(0.02)


async def test_without_redis_the_store_answers_and_says_so(opened, redis, store):
    memory = await opened()
    redis.away = True
    receipt = await memory.put(Note(id="a", rank=1))
    assert receipt.cache_invalidation == "pending"
    assert await memory.get(Note, "a") == Note(id="a", rank=1)
    await memory.put(said(1))
    query = recent(user_id="u", session_id="s")
    assert (await memory.find(query)).records == [said(1)]
    assert (await memory.aggregate(query, [Count()]))["count"] == 1
    assert (await memory.delete(Note, "a")).cache_invalidation == "pending"
    assert await memory.get(Note, "a") is None
    with pytest.raises(Unavailable):
        await memory.read([A], options=Options(cache="only"))
    health = await memory.health()
    assert health.status is Status.DEGRADED
    assert health.component == "cache"
    assert [part.component for part in health.parts] == ["local"]


async def test_a_redis_that_never_was_there_is_gone_without(store):
    nowhere = Redis(port=1, socket_connect_timeout=0.1)
    async with nowhere, CachedMemory(store, nowhere, store="x") as memory:
        assert (await memory.put(Note(id="a"))).cache_invalidation == "pending"
        assert await memory.get(Note, "a") == Note(id="a")
        assert (await memory.health()).status is Status.DEGRADED


async def test_what_redis_was_not_told_it_is_told_before_it_is_used_again(
    memory, opened, redis, redis_server
):
    query = recent(user_id="u", session_id="s")
    async with Leaving.at(redis_server.url) as client:
        other = await opened(client=client)
        await memory.put(Note(id="a", rank=1))
        await memory.find(query)
        redis.away = True
        receipts = [await memory.put(Note(id="a", rank=2)), await memory.put(said(1))]
        assert [receipt.cache_invalidation for receipt in receipts] == ["pending", "pending"]
        redis.away = False
        await until_ok(memory)
        for each in (memory, other):
            assert (await each.get(Note, "a")).rank == 2
            assert (await each.find(query)).records == [said(1)]
    assert (await memory.put(Note(id="a", rank=3))).cache_invalidation == "done"


async def test_strict_refuses_what_redis_cannot_be_told_of(opened, redis, store):
    memory = await opened(mode="strict")
    await memory.put(Note(id="a", rank=1))
    redis.away = True
    with pytest.raises(CacheUnavailable):
        await memory.put(Note(id="a", rank=2))
    assert store.writes == 1
    assert (await memory.get(Note, "a")).rank == 1
    redis.away = False
    await until_ok(memory)
    assert (await memory.put(Note(id="a", rank=3))).cache_invalidation == "done"


async def test_a_write_that_redis_was_told_of_only_before_is_pending(opened, redis, store):
    memory = await opened(mode="strict")
    await memory.put(Note(id="a", rank=1))

    async def leave() -> None:
        redis.away = True

    store.after_write = leave
    receipt = await memory.put(Note(id="a", rank=2))
    assert receipt.cache_invalidation == "pending"
    store.after_write = None
    redis.away = False
    assert (await memory.get(Note, "a")).rank == 2
    await until_ok(memory)
    assert (await memory.get(Note, "a")).rank == 2


async def test_few_ask_the_store_at_once_while_redis_is_away(opened, redis, store):
    memory = await opened()
    redis.away = True
    with anyio.fail_after(10):
        while memory.status().state == "closed":
            await memory.get(Note, "a")
    now = most = 0

    async def enter() -> None:
        nonlocal now, most
        now += 1
        most = max(most, now)
        await anyio.sleep(0.001)
        now -= 1

    store.before_read = enter
    async with anyio.create_task_group() as herd:
        for number in range(500):
            herd.start_soon(memory.get, Note, f"n{number}")
    assert most <= 64
    assert len(store.reads) > 500


async def test_what_redis_was_not_told_it_is_told_when_the_cache_is_left(redis, store):
    name = uuid4().hex
    async with CachedMemory(store, redis, store=name) as other:
        await other.put(Note(id="a", rank=1))
        async with CachedMemory(store, redis, store=name) as memory:
            redis.away = True
            receipt = await memory.put(Note(id="a", rank=2))
            assert receipt.cache_invalidation == "pending"
            redis.away = False
        assert (await other.get(Note, "a")).rank == 2


async def test_a_cache_is_left_though_redis_is_gone_and_says_what_it_was_not_told(
    redis, store, caplog
):
    async with CachedMemory(store, redis, store=uuid4().hex) as memory:
        redis.away = True
        await memory.put(Note(id="a", rank=2))
    assert "2 invalidations were not told" in caplog.text
