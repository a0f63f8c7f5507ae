"""Scripts on a Redis that has forgotten them, allows little, or is full."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from redis import Redis
from redis.asyncio import Redis as AsyncRedis
from redis.exceptions import NoPermissionError, OutOfMemoryError

from orchestra_memory.layers.cached import replies, scripts
from orchestra_memory.layers.cached.model import Reading
from orchestra_memory.layers.cached.replies import (
    Published,
)
from orchestra_memory.layers.cached.scripts import (
    Drop,
    Filling,
    KeepLive,
    WindowFilling,
)
from orchestra_memory.testing import redis_server as servers
from orchestra_memory.testing.redis_server import RedisServer
from tests.cached.scripted import (
    FAR,
    KNOWN,
    Cache,
    filled,
    reading,
)


@pytest.mark.anyio
async def test_a_script_redis_has_forgotten_is_sent_again(own_server: RedisServer) -> None:
    async with AsyncRedis.from_url(own_server.url) as client:
        keys, arguments = (
            ["epoch", "entry"],
            scripts.read_arguments(KNOWN, **reading(Reading("one"))),
        )
        for _ in range(2):
            await client.script_flush()
            await client.set("epoch", KNOWN.epoch)
            reply = await scripts.run(client, scripts.READ, keys, arguments)
            assert isinstance(replies.read_replies(reply), list)
        assert await client.script_exists(scripts.READ.sha) == [True]


@pytest.mark.anyio
async def test_a_user_who_may_not_manage_scripts_may_run_them(own_server: RedisServer) -> None:
    async with AsyncRedis.from_url(own_server.url) as admin:
        await admin.script_flush()
        await admin.acl_setuser(
            "app", enabled=True, passwords=["+secret"], keys=["app:*"], commands=COMMANDS
        )
    async with AsyncRedis.from_url(own_server.url, username="app", password="secret") as client:
        with pytest.raises(NoPermissionError):
            await client.script_load("return 1")
        arguments = scripts.read_arguments(KNOWN, **reading(Reading("one")))
        keys = ["app:epoch", "app:entry"]
        assert replies.read_replies(await scripts.run(client, scripts.READ, keys, arguments))
        for script, given in every_step():
            await scripts.run(client, script, keys, given)


COMMANDS = [
    "-@all",
    *(f"+{name}" for name in ("eval", "evalsha", "get", "set", "time", "hmget", "hset", "hdel")),
    *("+getrange", "+del", "+pttl", "+pexpire"),
]
"""All that the scripts need."""


def every_step() -> Iterator[tuple[scripts.Script, list[Any]]]:
    """Each script, so that it gets to all of its commands."""
    asked = scripts.read_arguments(KNOWN, **reading(Reading("one")))
    yield scripts.READ, asked
    yield scripts.READ, asked
    yield scripts.FILL, scripts.fill_arguments(KNOWN, "one", [Filling(1, b"x", FAR)])
    yield scripts.INTEND, scripts.intend_arguments(KNOWN, "writer", life=FAR, keep=FAR)
    yield scripts.PUBLISH, scripts.publish_arguments(KNOWN, "writer", FAR, [Drop(1)])
    yield scripts.READ_WINDOW, asked
    window = WindowFilling(2, True, b"", FAR, [("a", b"1")])
    yield scripts.FILL_WINDOW, scripts.fill_window_arguments(KNOWN, "one", window)


def test_a_publish_invalidates_where_the_memory_limit_is_reached() -> None:
    limit = ("--maxmemory", "20mb", "--maxmemory-policy", "noeviction")
    with servers.start(*limit) as running, Redis.from_url(running.url) as client:
        cache = Cache(client)
        filled(cache, b"old")
        assert cache.intend("writer", keep=FAR)[0].ready
        fill_memory(client)
        assert cache.publish("writer", KeepLive(2, b"new", FAR)) == [Published(True, 1)]
        assert cache.read(Reading("one"))[0].payload == b"new"
        with pytest.raises(OutOfMemoryError):
            Cache(client).intend("another")


def fill_memory(client: Redis) -> None:
    for size in (100_000, 1_000, 10):
        with pytest.raises(OutOfMemoryError):
            add_until_refused(client, size)


def add_until_refused(client: Redis, size: int) -> None:
    for number in range(10_000):
        client.set(f"ballast:{size}:{number}", b"x" * size)
