"""``open_memory()`` with an outage fallback around the store."""

import json
import logging
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import anyio
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

import orchestra_memory as om
from orchestra_memory import assembly
from orchestra_memory.testing.faults import FaultyMemory
from orchestra_memory.testing.probe import free_port
from orchestra_memory.testing.redis_server import RedisServer

pytestmark = pytest.mark.anyio

URL = "sqlite:///state.db"


def item(**fields: str) -> om.MemoryItem:
    return om.MemoryItem(user_id="u", session_id="s", **fields)


@pytest.fixture
def stores(monkeypatch: pytest.MonkeyPatch) -> list[FaultyMemory]:
    """The stores that are opened, in that order; each fails as it is told."""
    opened: list[FaultyMemory] = []
    opened_store = assembly.opened_store

    async def faulty(*args: Any) -> tuple[om.MemoryManager, str]:
        store, name = await opened_store(*args)
        opened.append(FaultyMemory(store))
        return opened[-1], name

    monkeypatch.setattr(assembly, "opened_store", faulty)
    return opened


async def journal_files(directory: str = "j") -> list[anyio.Path]:
    return [path async for path in anyio.Path(directory).glob("journal-*.db")]


async def until_normal(memory: om.Memory) -> None:
    with anyio.fail_after(20):
        while "normal" not in (await memory.health()).detail:  # noqa: ASYNC110 -- it tells nobody
            await anyio.sleep(0.02)


async def is_in_the_file(key: str) -> bool:
    async with om.open_memory(URL, fallback=False) as memory:
        return await memory.get(om.MemoryItem, key) is not None


@asynccontextmanager
async def ended_in_an_outage(
    stores: list[FaultyMemory], **said: Any
) -> AsyncIterator[om.MemoryItem]:
    """What a memory acknowledged, but could not bring to its store before it ended."""
    stored = item()
    async with AsyncExitStack() as stack:
        settings = om.Settings(drain=0.2)
        memory = await stack.enter_async_context(om.open_memory(URL, settings=settings, **said))
        stores[-1].fail()
        await memory.put(stored)
    yield stored


async def test_a_journal_puts_the_fallback_around_any_store() -> None:
    async with om.open_memory(URL, journal="j") as memory:
        assert memory.describe().parts == (
            "FallbackMemory j persistent",
            "GuardedMemory 2 s",
            "MeteredMemory",
            "SqliteMemory state.db",
        )
        assert (await memory.put(item())).durability is om.Durability.COMMITTED
        assert len(await journal_files()) == 1
        health = await memory.health()
        assert (health.component, health.status) == ("fallback", om.Status.OK)
        assert [part.component for part in health.parts] == ["sqlite"]
    assert await journal_files() == []


async def test_without_a_journal_writes_of_an_outage_are_kept_in_memory(
    stores: list[FaultyMemory],
) -> None:
    stored = item()
    async with om.open_memory("local:", fallback=True) as memory:
        assert memory.describe().parts == (
            "FallbackMemory volatile",
            "GuardedMemory 2 s",
            "MeteredMemory",
            "LocalMemory",
        )
        stores[0].fail()
        assert (await memory.put(stored)).durability is om.Durability.VOLATILE
        stores[0].heal()


async def test_a_write_of_an_outage_reaches_the_store(stores: list[FaultyMemory]) -> None:
    stored = item()
    async with om.open_memory(URL, journal="j") as memory:
        stores[0].fail()
        assert (await memory.put(stored)).durability is om.Durability.JOURNALED
        assert await memory.get(om.MemoryItem, stored.id) == stored
        with pytest.raises(om.Unavailable):
            await memory.get(om.MemoryItem, "unknown")
        health = await memory.health()
        assert health.status is om.Status.DEGRADED
        assert "1 write waits" in health.detail
        stores[0].heal()
        await until_normal(memory)
        assert await memory.get(om.MemoryItem, "unknown") is None
    assert await is_in_the_file(stored.id)


async def test_what_waits_reaches_the_store_before_it_is_closed(
    stores: list[FaultyMemory],
) -> None:
    stored = item()
    async with om.open_memory(URL, journal="j") as memory:
        stores[0].fail("write")
        await memory.put(stored)
        stores[0].heal()
    assert await journal_files() == []
    assert await is_in_the_file(stored.id)


async def test_what_cannot_reach_the_store_stays_for_the_next_process(
    stores: list[FaultyMemory], caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING):
        async with ended_in_an_outage(stores, journal="j") as stored:
            (left,) = await journal_files()
    assert "1 write waits in" in caplog.text
    assert f"{left.name} for the next process" in caplog.text
    async with om.open_memory(URL, journal="j") as memory:
        assert await memory.get(om.MemoryItem, stored.id) == stored
        await until_normal(memory)
    assert await journal_files() == []
    assert await is_in_the_file(stored.id)


async def test_a_journal_is_left_alone_by_who_opens_another_store(
    stores: list[FaultyMemory],
) -> None:
    async with ended_in_an_outage(stores, journal="j") as stored:
        before = await journal_files()
        async with om.open_memory("sqlite:///other.db", journal="j") as other:
            assert await other.get(om.MemoryItem, stored.id) is None
        assert await journal_files() == before


async def test_several_share_a_journal_directory(stores: list[FaultyMemory]) -> None:
    one, two = item(), item()
    async with (
        om.open_memory(URL, journal="j") as first,
        om.open_memory(URL, journal="j") as second,
    ):
        for store in stores:
            store.fail()
        await first.put(one)
        await second.put(two)
        assert len(await journal_files()) == 2
        for store in stores:
            store.heal()
        await until_normal(first)
        await until_normal(second)
    assert await is_in_the_file(one.id)
    assert await is_in_the_file(two.id)
    assert await journal_files() == []


async def test_volatile_writes_that_are_lost_are_said_to_be(
    stores: list[FaultyMemory], caplog: pytest.LogCaptureFixture
) -> None:
    async with ended_in_an_outage(stores, fallback=True):
        assert "1 write is lost" in caplog.text


async def test_the_cache_lies_between_fallback_and_guard(redis_server: RedisServer) -> None:
    async with om.open_memory(URL, cache=redis_server.url, journal="j") as memory:
        layers = [part.split()[0] for part in memory.describe().parts]
        assert layers == [
            "FallbackMemory",
            "CachedMemory",
            "GuardedMemory",
            "MeteredMemory",
            "SqliteMemory",
        ]
        health = await memory.health()
        assert health.status is om.Status.OK


async def test_a_cache_that_is_away_is_said_to_be_bypassed() -> None:
    nowhere = f"redis://127.0.0.1:{free_port()}"
    async with om.open_memory(URL, cache=nowhere, journal="j") as memory:
        health = await memory.health()
        assert health.status is om.Status.DEGRADED
        assert "cache bypassed" in health.detail


async def test_the_cache_answers_in_an_outage(
    stores: list[FaultyMemory], redis_server: RedisServer
) -> None:
    stored = item()
    async with om.open_memory(URL, cache=redis_server.url, journal="j") as memory:
        await memory.put(stored)
    async with om.open_memory(URL, cache=redis_server.url, journal="j") as memory:
        stores[1].fail()
        (found,) = await memory.read([om.Ref(om.MemoryItem, stored.id)])
        assert found is not None
        assert (found.record, found.source) == (stored, om.Source.CACHE)
        stores[1].heal()


async def test_min_durability_of_the_settings_holds_in_an_outage(
    stores: list[FaultyMemory],
) -> None:
    settings = om.Settings(min_durability="committed")
    async with om.open_memory(URL, journal="j", settings=settings) as memory:
        stores[0].fail()
        with pytest.raises(om.StorageError):
            await memory.put(item())
        journaled = om.Options(min_durability=om.Durability.JOURNALED)
        assert (await memory.put(item(), options=journaled)).revisions == (None,)
        stores[0].heal()


@pytest.fixture
def served(monkeypatch: pytest.MonkeyPatch) -> None:
    """What production says: a project, a key of an account that does not exist, no Redis."""
    private = rsa.generate_private_key(public_exponent=65_537, key_size=2048)
    pem = private.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    key = {
        "type": "service_account",
        "project_id": "p",
        "private_key_id": "1",
        "private_key": pem.decode(),
        "client_email": "nobody@p.iam.gserviceaccount.com",
        # Google cannot be reached from here.
        "token_uri": f"http://127.0.0.1:{free_port()}/token",
    }
    monkeypatch.setenv("APP_ENV", "production")
    monkeypatch.setenv("GCP_PROJECT_ID", "p")
    monkeypatch.setenv("GCP_SA_KEY_JSON", json.dumps(key))
    monkeypatch.setenv("ORCHESTRA_CACHE", "none")
    monkeypatch.setenv("ORCHESTRA_TIMEOUT", "0.5")
    monkeypatch.setenv("ORCHESTRA_DRAIN", "0.2")


@pytest.mark.usefixtures("served")
async def test_production_has_the_whole_stack_and_starts_in_an_outage(
    redis_server: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ORCHESTRA_CACHE", redis_server.url)
    stored = item()
    async with om.open_memory() as memory:
        layers = [part.split()[0] for part in memory.describe().parts]
        assert layers == [
            "FallbackMemory",
            "CachedMemory",
            "GuardedMemory",
            "MeteredMemory",
            "FirestoreMemory",
        ]
        assert (await memory.put(stored)).durability is om.Durability.JOURNALED
        assert await memory.get(om.MemoryItem, stored.id) == stored
    assert len(await journal_files(".orchestra/journal")) == 1


@pytest.mark.usefixtures("served")
@pytest.mark.parametrize("mark", ["K_SERVICE", "ORCHESTRA_JOURNAL_MEDIUM"])
async def test_production_says_what_it_means_where_the_journal_goes_with_the_machine(
    mark: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(mark, "ephemeral")
    with pytest.raises(om.ConfigurationError, match="ORCHESTRA_MIN_DURABILITY=volatile"):
        async with om.open_memory():
            pass
    assert await journal_files(".orchestra/journal") == []
    monkeypatch.setenv("ORCHESTRA_MIN_DURABILITY", "volatile")
    async with om.open_memory() as memory:
        assert memory.describe().parts[0].endswith("ephemeral")
        assert (await memory.put(item())).durability is om.Durability.VOLATILE


@pytest.mark.usefixtures("served")
async def test_a_disk_said_to_be_persistent_is_taken_for_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("K_SERVICE", "s")
    monkeypatch.setenv("ORCHESTRA_JOURNAL_MEDIUM", "persistent")
    async with om.open_memory() as memory:
        assert (await memory.put(item())).durability is om.Durability.JOURNALED


@pytest.mark.usefixtures("served")
async def test_staging_starts_on_a_disk_that_does_not_last(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("APP_ENV", "staging")
    monkeypatch.setenv("K_SERVICE", "s")
    async with om.open_memory() as memory:
        assert (await memory.put(item())).durability is om.Durability.VOLATILE


async def test_a_journal_that_cannot_be_made_is_refused(tmp_path: Path) -> None:
    await anyio.Path("file").write_text("")
    with pytest.raises(om.ConfigurationError, match="no journal can be kept there"):
        async with om.open_memory(URL, journal="file/below"):
            pass
