"""``open_memory()`` with a cache in front of the store."""

import logging
import subprocess
import sys
from uuid import uuid4

import anyio
import pytest

import orchestra_memory as om
from orchestra_memory.layers.cached.connect import connect
from orchestra_memory.opening import cache_name
from orchestra_memory.testing import redis_server as redis_servers
from orchestra_memory.testing.emulator import Emulator
from orchestra_memory.testing.probe import free_port
from orchestra_memory.testing.redis_server import RedisServer
from orchestra_memory.urls import FirestoreUrl, LocalUrl, SqliteUrl

pytestmark = pytest.mark.anyio


def item(**fields: str) -> om.MemoryItem:
    return om.MemoryItem(user_id="u", session_id="s", **fields)


async def source_of(memory: om.MemoryManager, key: str) -> str:
    (found,) = await memory.read([om.Ref(om.MemoryItem, key)])
    assert found is not None
    return found.source.value


@pytest.mark.parametrize("url", ["local:", "sqlite:///state.db", "sqlite:///state.db?namespace=n"])
async def test_any_store_may_have_a_cache(url: str, redis_server: RedisServer) -> None:
    stored = item()
    async with om.open_memory(url, cache=redis_server.url) as memory:
        assert (await memory.put(stored)).cache_invalidation == "done"
        before = memory.cost()
        assert await source_of(memory, stored.id) == "cache"
        assert memory.cost() - before == om.Cost()
        await memory.delete(om.MemoryItem, stored.id)
        assert await memory.get(om.MemoryItem, stored.id) is None


async def test_two_that_open_one_file_share_its_cache(redis_server: RedisServer) -> None:
    await anyio.Path("folder").mkdir()
    await anyio.Path("link").symlink_to("folder")
    stored = item()
    async with (
        om.open_memory("sqlite:///folder/state.db", cache=redis_server.url) as first,
        om.open_memory("sqlite:///link/state.db", cache=redis_server.url) as second,
    ):
        await first.put(stored)
        assert await source_of(second, stored.id) == "cache"
        await second.put(stored.evolve(text_content="new"))
        found = await first.get(om.MemoryItem, stored.id)
        assert found is not None
        assert found.text_content == "new"


async def test_two_local_memories_share_nothing(redis_server: RedisServer) -> None:
    stored = item()
    async with (
        om.open_memory("local:", cache=redis_server.url) as first,
        om.open_memory("local:", cache=redis_server.url) as second,
    ):
        await first.put(stored)
        assert await second.get(om.MemoryItem, stored.id) is None


async def test_a_file_made_anew_inherits_no_cache(redis_server: RedisServer) -> None:
    stored = item()
    async with om.open_memory("sqlite:///state.db", cache=redis_server.url) as memory:
        await memory.put(stored)
        await memory.put(stored)
    async for file in anyio.Path().glob("state.db*"):
        await file.unlink()
    async with om.open_memory("sqlite:///state.db", cache=redis_server.url) as memory:
        assert await memory.get(om.MemoryItem, stored.id) is None


async def test_what_a_store_is_known_by_tells_all_stores_apart() -> None:
    settings = om.Settings()
    renamed = om.Settings(collections="acme_")
    firestore = FirestoreUrl("p", "d")
    emulated = FirestoreUrl("p", "d", emulator="h:1")
    assert await cache_name(firestore, settings) == "p/d"
    assert await cache_name(FirestoreUrl("p", "d", "ns"), settings) == "p/d"
    for path in ("a.db", "b.db"):
        async with om.open_memory(f"sqlite:///{path}"):
            pass
    names = [
        await cache_name(firestore, settings),
        await cache_name(firestore, renamed),
        await cache_name(emulated, settings),
        await cache_name(LocalUrl(), settings),
        await cache_name(LocalUrl(), settings),
        await cache_name(SqliteUrl("a.db"), settings),
        await cache_name(SqliteUrl("b.db"), settings),
    ]
    assert len(set(names)) == len(names)
    again = await cache_name(SqliteUrl(str(await anyio.Path("a.db").absolute())), settings)
    assert again == await cache_name(SqliteUrl("a.db"), settings)


async def test_firestore_bills_nothing_for_what_is_cached(
    firestore_emulator: Emulator, firestore_project: str, redis_server: RedisServer
) -> None:
    url = f"firestore://{firestore_project}?emulator={firestore_emulator.host}"
    settings = om.Settings(timeout=30, cache=redis_server.url)
    async with om.open_memory(url, settings=settings) as memory:
        stored = item()
        await memory.put(stored)
        before = memory.cost()
        assert await source_of(memory, stored.id) == "cache"
        assert (memory.cost() - before).total == om.Billed()
        assert memory.describe().parts[0].startswith("CachedMemory redis://")


async def test_the_description_names_the_cache_without_its_password(
    caplog: pytest.LogCaptureFixture,
) -> None:
    with (
        redis_servers.start("--requirepass", "hunter2") as server,
        caplog.at_level(logging.DEBUG),
    ):
        url = server.url.replace("redis://", "redis://:hunter2@")
        settings = om.Settings(cache_mode="strict", cache_ttl=5)
        async with om.open_memory("local:", cache=url, settings=settings) as memory:
            await memory.put(item())
            parts = memory.describe().parts
            assert "hunter2" not in f"{parts} {memory!r}"
        assert parts[0].startswith("CachedMemory redis://**********@127.0.0.1:")
        assert parts[0].endswith(" strict")
        assert parts[1:] == ("MeteredMemory", "LocalMemory")
    assert "hunter2" not in caplog.text


async def test_the_settings_reach_the_cache(redis_server: RedisServer) -> None:
    settings = om.Settings(cache=redis_server.url, cache_ttl=700, url="sqlite:///state.db")
    async with om.open_memory(settings=settings) as memory, connect(redis_server.url) as redis:
        await memory.put(item())
        name = await cache_name(SqliteUrl("state.db"), settings)
        mark = name.rpartition("/")[2]
        lives = [await redis.pttl(key) async for key in redis.scan_iter(match=f"*{mark}*:r:*")]
    assert lives
    assert all(600_000 <= life <= 800_000 for life in lives)


@pytest.fixture
def nowhere() -> str:
    return f"redis://127.0.0.1:{free_port()}"


async def test_without_redis_it_opens_answers_and_says_so(nowhere: str) -> None:
    stored = item()
    async with om.open_memory("sqlite:///state.db", cache=nowhere) as memory:
        assert (await memory.put(stored)).cache_invalidation == "pending"
        assert await memory.get(om.MemoryItem, stored.id) == stored
        health = await memory.health()
        assert (health.component, health.status) == ("cache", om.Status.DEGRADED)
        assert [part.status for part in health.parts] == [om.Status.OK]


async def test_without_redis_strict_refuses_to_write(nowhere: str) -> None:
    settings = om.Settings(cache_mode="strict")
    stored = item()
    async with om.open_memory("local:", cache=nowhere, settings=settings) as memory:
        with pytest.raises(om.CacheUnavailable):
            await memory.put(stored)
        assert await memory.get(om.MemoryItem, stored.id) is None


async def test_a_redis_that_comes_back_is_used_again() -> None:
    port = free_port()
    stored = item()
    async with om.open_memory("local:", cache=f"redis://127.0.0.1:{port}") as memory:
        await memory.put(stored)
        with redis_servers.start(port=port), anyio.fail_after(20):
            while await source_of(memory, stored.id) != "cache":  # noqa: ASYNC110
                await anyio.sleep(0.05)


@pytest.mark.parametrize(
    ("url", "why"),
    [
        ("redis://:hunter2@r?protocol=2", "takes client_name"),
        ("rediss://:hunter2@r?ssl_ca_certs=/nowhere.pem", "ssl_ca_certs in the cache URL"),
    ],
)
async def test_a_cache_of_no_use_is_refused_before_the_store_opens(url: str, why: str) -> None:
    with pytest.raises(om.ConfigurationError, match=why) as refused:
        async with om.open_memory(cache=url):
            pass
    assert "hunter2" not in str(refused.value)
    assert not await anyio.Path(".orchestra").exists()


async def test_an_error_of_the_caller_comes_out_as_it_is(redis_server: RedisServer) -> None:
    with pytest.raises(KeyError):
        async with om.open_memory("local:", cache=redis_server.url):
            raise KeyError


async def test_it_ends_with_its_caller(redis_server: RedisServer) -> None:
    with anyio.move_on_after(0.05) as scope:
        async with om.open_memory("local:", cache=redis_server.url):
            await anyio.sleep_forever()
    assert scope.cancelled_caught


@pytest.fixture
def clients(redis_server: RedisServer) -> str:
    mark = "&" if "?" in redis_server.url else "?"
    return f"{redis_server.url}{mark}client_name=test-{uuid4().hex}"


async def test_what_was_connected_is_closed(clients: str, redis_server: RedisServer) -> None:
    name = clients.rpartition("=")[2]
    async with connect(redis_server.url) as redis:
        async with om.open_memory("local:", cache=clients) as memory:
            await memory.put(item())
            assert name in {client["name"] for client in await redis.client_list()}
        with anyio.fail_after(5):
            while name in {client["name"] for client in await redis.client_list()}:  # noqa: ASYNC110
                await anyio.sleep(0.01)


@pytest.mark.parametrize("cache", ["", "cache='none'"])
async def test_without_a_cache_the_driver_is_not_imported(cache: str) -> None:
    code = f"""
import asyncio, sys, orchestra_memory
async def main():
    async with orchestra_memory.open_memory("local:", {cache}):
        sys.exit("redis" in sys.modules)
asyncio.run(main())
"""
    done = await anyio.run_process([sys.executable, "-c", code], check=False)
    assert done.returncode == 0


def test_importing_the_package_does_not_import_the_driver() -> None:
    code = "import orchestra_memory, sys; sys.exit('redis' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
