"""Callers that leave, an event loop that is busy, connections that run out."""

from __future__ import annotations

import asyncio
import time

import anyio
import pytest

from orchestra_memory import CacheUnavailable
from orchestra_memory.layers.cached import link as link_module
from orchestra_memory.layers.cached.connect import connect
from orchestra_memory.layers.cached.link import Link
from orchestra_memory.layers.cached.replies import Found
from orchestra_memory.layers.cached.scripts import Drop
from orchestra_memory.layers.cached.steps import Leased, Step

from .linked import (
    KEYS,
    PATIENT,
    SHORT,
    fill,
    linked,
    read,
    ref,
    stopped,
    used_again,
)

pytestmark = pytest.mark.anyio


async def test_an_exhausted_pool_is_named(server):
    async with connect(f"{server.url}?max_connections=1", patience=SHORT / 2) as redis:
        link = Link(redis, KEYS, timeout=SHORT)
        healing = asyncio.create_task(link.heal())
        await link.connected()
        await used_again(link)
        taken = await redis.connection_pool.get_connection()
        try:
            with pytest.raises(CacheUnavailable, match=r"\(pool\)"):
                await read(link)
        finally:
            await redis.connection_pool.release(taken)
        assert isinstance(await read(link), Leased)
        healing.cancel()


async def test_a_caller_that_is_cancelled_never_opens_the_breaker(server):
    async with linked(server.url, within=SHORT * 10) as link:
        with stopped(server):
            for _ in range(20):
                with anyio.move_on_after(0.005) as scope:
                    await read(link)
                assert scope.cancelled_caught
        assert not link.bypassed
        assert link.status().errors == {}


async def test_a_cancelled_call_leaves_no_answer_for_the_next(server):
    async with linked(server.url) as link:
        names = [str(number) for number in range(8)]
        for name in names:
            await fill(link, name)
        answers = 0
        for turn in range(150):
            tasks = [asyncio.create_task(read(link, name)) for name in names]
            for _ in range(turn % 7):
                await asyncio.sleep(0)
            tasks[turn % 8].cancel()
            tasks[turn // 8 % 8].cancel()
            for name, reply in zip(
                names, await asyncio.gather(*tasks, return_exceptions=True), strict=True
            ):
                if not isinstance(reply, asyncio.CancelledError):
                    assert reply.payload == name.encode()
                    answers += 1
        assert answers > 500
        assert link.status().errors == {}


async def test_a_burst_of_writes_waits_for_its_turn_and_exhausts_nothing(server, monkeypatch):
    monkeypatch.setattr(link_module, "PATIENCE", PATIENT)
    async with connect(server.url) as redis:
        link = Link(redis, KEYS, timeout=PATIENT)
        healing = asyncio.create_task(link.heal())
        await link.connected()
        steps = [Step(ref(str(number)), Drop(1)) for number in range(1000)]
        await asyncio.gather(*(link.publish([step], token=link.token()) for step in steps))
        assert link.status().errors == {}
        healing.cancel()


async def test_an_answer_that_a_blocked_event_loop_took_late_is_an_answer(server):
    async with linked(server.url, within=SHORT) as link:
        for _ in range(5):
            call = asyncio.create_task(read(link))
            await asyncio.sleep(0)
            time.sleep(SHORT * 3)  # noqa: ASYNC251 -- that is what is tested
            await call
        assert link.status().errors == {}


async def test_a_hung_server_is_seen_as_soon_as_the_event_loop_is_free(server):
    async with linked(server.url, within=SHORT) as link:
        with stopped(server):
            call = asyncio.create_task(read(link))
            await asyncio.sleep(0)
            time.sleep(SHORT * 3)  # noqa: ASYNC251
            with pytest.raises(CacheUnavailable, match="deadline"):
                await call
            assert link.bypassed


async def test_a_busy_event_loop_is_not_blamed_on_redis_for_a_second_at_most(server):
    async def keep_busy() -> None:
        while True:
            time.sleep(SHORT * 0.7)  # noqa: ASYNC251
            await asyncio.sleep(0)

    async with linked(server.url, within=SHORT) as link:
        await read(link)
        blocker = asyncio.create_task(keep_busy())
        with stopped(server):
            with pytest.raises(CacheUnavailable, match="lag"):
                await read(link)
            assert not link.bypassed
            with anyio.fail_after(60):
                while not link.bypassed:
                    with pytest.raises(CacheUnavailable, match=r"lag|deadline"):
                        await read(link)
            blocker.cancel()


async def test_what_fails_meanwhile_leaves_no_answer_for_the_next(server):
    def fail() -> None:
        raise ZeroDivisionError

    async with linked(server.url) as link:
        await fill(link)
        for _ in range(12):
            with pytest.raises(ZeroDivisionError):
                await link.intend([ref("b")], token=link.token(), seconds=5.0, meanwhile=fail)
            assert isinstance(await read(link), Found)
