"""The lines that an operator goes by at night, told when somebody has to act, and once."""

import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import anyio
import pytest

from orchestra_memory import (
    Breaker,
    BreakerSettings,
    FallbackMemory,
    GuardedMemory,
    Journal,
    LocalMemory,
    MemoryItem,
    PermissionDenied,
    Unauthenticated,
)
from orchestra_memory.testing.faults import FaultyMemory

pytestmark = pytest.mark.anyio

LOGGER = "orchestra_memory.fallback"


@pytest.fixture(autouse=True)
def everything(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, LOGGER)


@asynccontextmanager
async def made(
    directory: Path, store: FaultyMemory, drain: float = 0.0
) -> AsyncIterator[FallbackMemory]:
    guard = GuardedMemory(store, breaker=Breaker(BreakerSettings(pause=0.01, spread=0)))
    async with (
        Journal.open(directory, target="a store", medium="persistent") as journal,
        FallbackMemory(guard, journal=journal, guard=guard, drain=drain) as memory,
    ):
        yield memory


def lines(caplog: pytest.LogCaptureFixture, text: str) -> list[str]:
    found = [each for each in caplog.records if each.name == LOGGER and text in each.getMessage()]
    return [f"{each.levelname} {each.getMessage()}" for each in found]


async def told(caplog: pytest.LogCaptureFixture, text: str) -> list[str]:
    for _ in range(1_000):
        if found := lines(caplog, text):
            return found
        await anyio.sleep(0.01)
    raise AssertionError(caplog.messages)


async def put_in_an_outage(store: FaultyMemory, memory: FallbackMemory) -> None:
    store.fail()
    await memory.put(MemoryItem(user_id="ann"))
    store.heal()


async def test_a_write_that_becomes_a_dead_letter(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    store = FaultyMemory(LocalMemory())
    async with made(tmp_path, store) as memory:
        await put_in_an_outage(store, memory)
        store.fail("write", error=lambda: PermissionDenied("not this one"))
        assert await told(caplog, "dead letters") == [
            "WARNING what was replayed left dead letters: 1, conflicts: 0"
        ]


async def test_a_credential_that_pauses_the_replay_is_told_once(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    store = FaultyMemory(LocalMemory())
    async with made(tmp_path, store) as memory:
        await put_in_an_outage(store, memory)
        store.fail("write", error=lambda: Unauthenticated("renew it"))
        assert await told(caplog, "paused") == ["ERROR the replay is paused: renew it"]
        assert not await memory.replay()
        assert len(lines(caplog, "paused")) == 1
        store.heal()
        assert await memory.replay()


async def test_what_is_taken_over_at_the_start(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    store = FaultyMemory(LocalMemory())
    async with made(tmp_path, store) as memory:
        store.fail()
        await memory.put(MemoryItem(user_id="ann"))
    store.heal()
    async with made(tmp_path, store, drain=8.0):
        assert lines(caplog, "took over") == ["WARNING took over 1 write left behind"]


async def test_what_was_taken_over_is_said_to_be_replayed(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    store = FaultyMemory(LocalMemory())
    async with made(tmp_path, store) as memory:
        store.fail()
        await memory.put(MemoryItem(user_id="ann"))
    store.heal()
    caplog.clear()
    async with made(tmp_path, store):
        (begun,) = await told(caplog, "recovering after")
        assert "1 write waits" in begun
        (ended,) = await told(caplog, "normal after")
        assert "0 writes wait" in ended
