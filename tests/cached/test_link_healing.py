"""What comes after an outage, a flush or garbage: nothing old is used."""

from __future__ import annotations

import asyncio

import pytest
from redis.asyncio import Redis

from orchestra_memory import CacheUnavailable
from orchestra_memory.layers.cached.link import Link
from orchestra_memory.layers.cached.replies import Found
from orchestra_memory.layers.cached.scripts import Drop, Filling
from orchestra_memory.layers.cached.steps import Leased, RecordFill, Step
from orchestra_memory.testing import redis_server as redis_servers
from orchestra_memory.testing.probe import free_port

from .linked import (
    KEYS,
    PATIENT,
    SHORT,
    admin,
    fill,
    key_of,
    lease,
    linked,
    read,
    ref,
    stopped,
    used_again,
)

pytestmark = pytest.mark.anyio


@pytest.mark.parametrize("garbage", ["text", "list", "fields"])
async def test_garbage_in_a_key_is_a_miss_and_no_outage(server, garbage):
    async with linked(server.url) as link, admin(server) as redis:
        await fill(link)
        await fill(link, "b")
        key = await key_of(redis)
        await redis.delete(key)
        if garbage == "fields":
            await redis.hset(key, mapping={"v": "much", "f": "\xff", "lx": "?", "i": "soon"})
        else:
            await (redis.set(key, "x") if garbage == "text" else redis.rpush(key, "x"))
        broken, whole = await link.read([ref(), ref("b")])
        assert isinstance(broken, Leased)
        assert isinstance(whole, Found)
        assert not link.bypassed


async def test_garbage_for_an_epoch_begins_another(server):
    async with linked(server.url) as link, admin(server) as redis:
        await fill(link)
        await redis.delete(KEYS.epoch_key(None))
        await redis.rpush(KEYS.epoch_key(None), "x")
        assert isinstance(await read(link), Leased)


async def test_garbage_where_it_is_probed_is_no_outage(server):
    async with admin(server) as redis:
        await redis.rpush(f"{KEYS.epoch_key(None)}:probe", "x")
        async with linked(server.url) as link:
            assert isinstance(await read(link), Leased)
            assert not link.bypassed


async def test_nothing_outlives_a_flush(server):
    async with linked(server.url) as link, admin(server) as redis:
        token = await lease(link)
        await fill(link, "b")
        await redis.flushall()
        await link.fill([RecordFill(ref(), token, Filling(5, b"old", 60_000))])
        replies = await link.read([ref(), ref("b")])
        assert [type(reply) for reply in replies] == [Leased, Leased]


@pytest.mark.parametrize("first", ["idle", "another"])
async def test_nothing_comes_back_with_a_snapshot(tmp_path, first):
    """A server that was restarted from its disk may have lost the last writes."""
    port, options = free_port(), ("--dir", str(tmp_path))
    async with linked(f"redis://127.0.0.1:{port}/0") as link:
        with redis_servers.start(*options, port=port) as server:
            await used_again(link)
            await fill(link)
            async with admin(server) as redis:
                await redis.save()
        with redis_servers.start(*options, port=port) as server:
            async with admin(server) as redis:
                assert await redis.exists(await key_of(redis)), "or there is nothing to test"
            if first == "another":
                # So Redis knows the scripts, and another namespace is as it should be.
                async with linked(server.url) as other:
                    assert isinstance((await other.read([ref("a", "another")]))[0], Leased)
            await used_again(link)
            reply = None
            while reply is None:
                try:
                    reply = await read(link)
                except CacheUnavailable:
                    await used_again(link)
            assert not isinstance(reply, Found)


async def test_processes_agree_on_the_epoch_after_a_restart_that_one_did_not_notice():
    port = free_port()
    url = f"redis://127.0.0.1:{port}/0"
    async with Redis.from_url(url) as redis:
        link = Link(redis, KEYS, timeout=PATIENT)
        with redis_servers.start(port=port):
            healing = asyncio.create_task(link.heal())
            await link.connected()
            await fill(link)
        await redis.connection_pool.disconnect()  # so that they are made anew without a word
        with redis_servers.start(port=port):
            async with linked(url) as other:
                await read(other)
                for _ in range(3):
                    await read(link)
                    await read(other)
                epoch = await redis.get(KEYS.epoch_key(None))
                for _ in range(3):
                    await read(link)
                    await read(other)
                assert await redis.get(KEYS.epoch_key(None)) == epoch
        healing.cancel()


async def test_what_could_not_be_told_is_told_before_anything_is_read_again(server):
    async with (
        linked(server.url, within=SHORT) as link,
        linked(server.url) as other,
        admin(server) as redis,
    ):
        await fill(link, version=5)
        await fill(link, "untouched")
        with stopped(server):
            with pytest.raises(CacheUnavailable):
                await link.publish([Step(ref(), Drop(7))], token=link.token())
            assert link.bypassed
            assert link.status().pending == 1
        while link.bypassed:
            assert link.status().pending <= 1
            await asyncio.sleep(0)
        assert link.status().pending == 0
        assert await redis.hget(await key_of(redis), "v") == b"7"
        await other.fill([RecordFill(ref(), await lease(other), Filling(6, b"stale", 60_000))])
        assert not isinstance(await read(other), Found)
        assert isinstance(await read(other, "untouched"), Found)


async def test_after_an_outage_what_was_filled_before_is_not_used(server):
    async with linked(server.url, within=SHORT) as link, linked(server.url) as spared:
        await fill(link)
        with stopped(server), pytest.raises(CacheUnavailable):
            await read(link)
        await used_again(link)
        assert isinstance(await read(spared), Found)
        assert isinstance(await read(link), Leased)


async def test_an_invalidation_is_told_at_once_where_there_was_no_outage(server):
    async with linked(server.url) as link:
        await fill(link)
        await fill(link, "b")
        link.remember([(ref(), 9)])
        assert link.bypassed
        await used_again(link)
        replies = await link.read([ref(), ref("b")])
        assert [type(reply) for reply in replies] == [Leased, Found]


async def test_too_many_invalidations_void_the_namespace_for_all(server):
    async with linked(server.url) as link, linked(server.url) as other:
        await fill(other)
        leased = (await other.read([ref("kept", "elsewhere")]))[0]
        kept = RecordFill(ref("kept", "elsewhere"), leased.token, Filling(1, b"kept", 60_000))
        await other.fill([kept])
        link.remember((ref(f"written {number}"), 1) for number in range(10_001))
        assert link.status().pending == 1
        await used_again(link)
        assert isinstance(await read(other), Leased)
        assert isinstance((await other.read([kept.target]))[0], Found)


async def test_a_new_process_uses_what_others_filled(server):
    async with linked(server.url) as link:
        await fill(link)
    async with linked(server.url) as late:
        assert isinstance(await read(late), Found)
