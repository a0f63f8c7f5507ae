"""Redis that hangs, refuses, is full, loading or somebody else's: named, and used again."""

from __future__ import annotations

import asyncio
import logging
import time

import pytest

from orchestra_memory import CacheUnavailable
from orchestra_memory.layers.cached.link import Link
from orchestra_memory.layers.cached.replies import Found
from orchestra_memory.layers.cached.steps import (
    Leased,
)
from orchestra_memory.testing import redis_server as redis_servers
from orchestra_memory.testing.probe import free_port

from .linked import (
    SHORT,
    admin,
    eventually,
    fill,
    linked,
    read,
    scripts_run,
    stopped,
    used_again,
)

pytestmark = pytest.mark.anyio


async def test_a_hung_server_is_waited_for_once_and_not_asked_again(server):
    async with linked(server.url, within=SHORT) as link, admin(server) as redis:
        await read(link)
        before = await scripts_run(redis)
        with stopped(server):
            began = time.monotonic()
            with pytest.raises(CacheUnavailable, match="deadline"):
                await read(link)
            assert time.monotonic() - began < SHORT * 20
            for _ in range(50):
                with pytest.raises(CacheUnavailable, match="bypassed"):
                    await read(link)
            assert link.status().error == "deadline"
            assert link.status().counters["bypassed"] == 50
        await used_again(link)
        assert await scripts_run(redis) <= before + 1
        await fill(link, "b")
        assert isinstance(await read(link, "b"), Found)


async def test_all_who_wait_for_a_hung_server_are_told_in_time(server):
    async with linked(server.url, within=SHORT) as link:
        with stopped(server):
            began = time.monotonic()
            calls = (read(link, str(number)) for number in range(300))
            outcomes = await asyncio.gather(*calls, return_exceptions=True)
            assert time.monotonic() - began < SHORT * 20
        assert {type(outcome) for outcome in outcomes} == {CacheUnavailable}
        # Those who were still waiting for their turn did not ask.
        assert link.status().errors.keys() == {"deadline"}
        assert link.status().errors["deadline"] <= 4


async def test_a_server_that_refuses_is_given_up_after_five_calls_and_found_again(caplog):
    caplog.set_level(logging.INFO, "orchestra_memory.cache")
    port = free_port()
    async with linked(f"redis://127.0.0.1:{port}/0") as link:
        assert link.bypassed
        assert link.status().errors == {"refused": 1}
        with redis_servers.start(port=port):
            await used_again(link)
            await fill(link)
        failures = []
        while not link.bypassed:
            with pytest.raises(CacheUnavailable, match="connection") as failed:
                await read(link)
            failures.append(failed.value)
        assert len(failures) == 5
        assert link.status().state == "open"
        with redis_servers.start(port=port):
            await used_again(link)
            assert isinstance(await read(link), Leased), "it has come back empty"
    levels = [record.levelname for record in caplog.records]
    assert levels == ["WARNING", "INFO", "WARNING", "INFO"]


async def fails_as(link: Link, kind: str) -> None:
    """Calls fail for this reason, until nobody asks any more."""
    for number in range(5):
        with pytest.raises(CacheUnavailable, match=rf"\({kind}\)"):
            await read(link, f"{kind} {number}")
    assert link.bypassed
    assert link.status().errors[kind] >= 5
    assert link.status().error == kind


async def test_a_full_server_is_named_and_used_again_when_it_has_room(server):
    async with linked(server.url) as link, admin(server) as redis:
        await redis.config_set("maxmemory", "1mb")
        try:
            await fails_as(link, "oom")
        finally:
            await redis.config_set("maxmemory", "0")
        await used_again(link)


async def test_a_replica_is_named_and_used_again_when_it_is_promoted(server):
    async with linked(server.url) as link, admin(server) as redis:
        await redis.execute_command("REPLICAOF", "127.0.0.1", str(free_port()))
        try:
            await fails_as(link, "readonly")
        finally:
            await redis.execute_command("REPLICAOF", "NO", "ONE")
        await used_again(link)


async def test_a_user_without_rights_is_named(server):
    async with linked(server.url) as link, admin(server) as redis:
        await redis.execute_command("ACL", "SETUSER", "default", "-evalsha", "-eval")
        try:
            await fails_as(link, "permission")
        finally:
            await redis.execute_command("ACL", "SETUSER", "default", "+@all")
        await used_again(link)


async def test_a_wrong_password_is_named_and_never_repeated(server, caplog):
    caplog.set_level(logging.DEBUG)
    async with admin(server) as redis:
        await redis.config_set("requirepass", "right")
        try:
            for login in ("", ":hunter2@"):
                async with linked(server.url.replace("//", f"//{login}")) as link:
                    assert link.bypassed
                    assert link.status().error == "auth"
                    with pytest.raises(CacheUnavailable) as failed:
                        await read(link)
                    assert "hunter2" not in f"{failed.value!r} {link!r} {caplog.text}"
        finally:
            await redis.config_set("requirepass", "")


async def test_a_server_that_is_loading_is_named_and_used_again_when_it_is_done():
    with redis_servers.start("--enable-debug-command", "yes") as server:
        async with linked(server.url) as link, admin(server) as redis:
            await redis.execute_command("DEBUG", "POPULATE", "2000", "load", "1000")
            await redis.config_set("loading-process-events-interval-bytes", "1024")
            await redis.config_set("key-load-delay", "1000")
            reload = asyncio.create_task(redis.execute_command("DEBUG", "RELOAD"))
            async with admin(server) as other:

                async def loading() -> bool:
                    return bool((await other.info("persistence"))["loading"])

                await eventually(loading)
            await fails_as(link, "loading")
            await reload
            await used_again(link)
