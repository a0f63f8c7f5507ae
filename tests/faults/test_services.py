"""Servers hang, die, and come back where they were, as empty or as full as they are told."""

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import anyio
import pytest
from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import ConnectionError as RedisConnectionError

from orchestra_memory import (
    DeadlineExceeded,
    FirestoreMemory,
    MemoryItem,
    MemoryManager,
    Options,
    Ref,
)
from orchestra_memory.backends.firestore.client import connect
from orchestra_memory.backends.firestore.credentials import CredentialSource
from orchestra_memory.testing import emulator, redis_server
from orchestra_memory.testing.contract.models import Note
from orchestra_memory.testing.faults import EmulatorService, ExportFailed, RedisService, Service
from orchestra_memory.testing.service import Kind, ServiceMissing

from ..owned import skip_without_program

pytestmark = pytest.mark.anyio

PROJECT = "services"


@pytest.fixture
def redis(use_backend):
    skip_without_program(redis_server.KIND)
    use_backend("redis")
    with RedisService() as service:
        yield service


@pytest.fixture(scope="module")
def firestore():
    skip_without_program(emulator.KIND)
    with EmulatorService() as service:
        yield service


@asynccontextmanager
async def opened(service: EmulatorService, project: str = PROJECT) -> AsyncIterator[MemoryManager]:
    """A new client, as one that has met a dead server waits before it asks again."""
    source = CredentialSource()
    async with connect(project, "(default)", emulator=service.host, credentials=source) as client:
        memory = FirestoreMemory(client)
        yield memory
        await memory.aclose()


async def revision(memory: MemoryManager, key: str) -> int:
    (stored,) = await memory.read([Ref(Note, key)])
    assert stored is not None
    return stored.revision


def is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


async def test_a_redis_that_hangs_answers_when_it_is_resumed(redis):
    async with Redis(port=redis.port) as client:
        await client.set("a", "1")
        redis.stop()
        with anyio.move_on_after(0.05) as scope:
            await client.get("a")
        assert scope.cancelled_caught
        redis.resume()
    async with Redis(port=redis.port) as client:
        assert await client.get("a") == b"1"


async def test_a_redis_that_was_killed_comes_back_empty_on_its_port(redis):
    port, pid = redis.port, redis.pid
    async with Redis(port=port, retry=Retry(NoBackoff(), 0)) as client:
        await client.set("a", "1")
        redis.kill()
        with pytest.raises(RedisConnectionError):
            await client.get("a")
    await redis.restart()
    assert (redis.port, redis.lives) == (port, 2)
    assert redis.pid != pid
    async with Redis.from_url(redis.url) as client:
        assert await client.get("a") is None


async def test_one_that_hangs_can_be_restarted(redis):
    redis.stop()
    await redis.restart()
    async with Redis.from_url(redis.url) as client:
        assert await client.ping()


async def test_a_redis_takes_options_in_all_its_lives(use_backend):
    skip_without_program(redis_server.KIND)
    with RedisService("--maxmemory", "7mb") as service:
        for _ in range(2):
            async with Redis.from_url(service.url) as client:
                assert (await client.config_get("maxmemory"))["maxmemory"] == str(7 << 20)
            await service.restart()


async def test_nothing_is_left_running(redis):
    with RedisService() as service:
        pid = service.pid
    assert not is_alive(pid)
    assert is_alive(redis.pid)


async def test_the_emulator_keeps_documents_over_a_restart_and_forgets_what_it_is_not_told_of(
    firestore, use_backend
):
    use_backend("firestore")
    note = Note(id="a/b", owner="alice", title="ä", vector=[0.5, 1.5], data={"a": [[1]]})
    item = MemoryItem(id="i", user_id="alice")
    async with opened(firestore) as memory, opened(firestore, "forgotten") as other:
        await memory.put(note)
        await memory.with_options(namespace="acme").put(item)
        await other.put(note)
        before = await revision(memory, "a/b")
    port = firestore.port
    await firestore.restart(keep=[PROJECT])
    assert firestore.port == port
    async with opened(firestore) as memory, opened(firestore, "forgotten") as other:
        assert await memory.get(Note, "a/b") == note
        assert await memory.with_options(namespace="acme").get(MemoryItem, "i") == item
        assert await other.get(Note, "a/b") is None
        # Documents are as of the import: what was known of them by revision is older.
        assert await revision(memory, "a/b") > before


async def test_the_emulator_hangs_and_goes_on_with_what_it_holds(firestore, use_backend):
    use_backend("firestore")
    item = MemoryItem(id="hung", user_id="alice")
    async with opened(firestore) as memory:
        await memory.put(item)
        firestore.stop()
        # Each of its threads stops in its own time.
        await anyio.sleep(0.1)
        with pytest.raises(DeadlineExceeded):
            await memory.get(MemoryItem, "hung", options=Options(timeout=0.2))
        firestore.resume()
        assert await memory.get(MemoryItem, "hung") == item


async def test_an_emulator_that_is_gone_exports_nothing(firestore, tmp_path):
    firestore.kill()
    with pytest.raises(ExportFailed):
        await firestore.export_to(tmp_path, PROJECT)
    await firestore.restart()


async def test_what_was_not_exported_cannot_be_imported(firestore, tmp_path):
    with pytest.raises(ExportFailed, match="refused"):
        await firestore.import_from(tmp_path, PROJECT)


async def test_where_there_is_no_program_it_says_what_to_install():
    kind = Kind(
        name="nothing",
        variable="NOTHING",
        remedy="",
        container=redis_server.KIND.container,
        parse=redis_server.parse_url,
        ready=redis_server.is_ready,
        find_program=lambda: "no nothing on the PATH",
    )
    with pytest.raises(ServiceMissing, match="no nothing on the PATH"), Service(kind):
        pass
