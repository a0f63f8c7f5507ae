"""Firestore refused, hung or cut off: an error in time, never an absence."""

import socket
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import suppress
from typing import Any

import anyio
import pytest
from google.auth.credentials import AnonymousCredentials
from google.cloud.firestore import AsyncClient

from orchestra_memory import (
    Count,
    DeadlineExceeded,
    FirestoreMemory,
    GuardedMemory,
    MemoryItem,
    MemoryManager,
    Options,
    PartialWrite,
    Query,
    Status,
    Unavailable,
)
from orchestra_memory.backends.firestore.access import close_client

pytestmark = pytest.mark.anyio

CALLS: dict[str, Callable[[MemoryManager], Any]] = {
    "get": lambda memory: memory.get(MemoryItem, "i"),
    "put": lambda memory: memory.put(MemoryItem(user_id="alice")),
    "find": lambda memory: memory.find(Query(MemoryItem, page_size=1)),
}


@pytest.fixture
def listener() -> Iterator[socket.socket]:
    """A port where nobody answers."""
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        yield held


@pytest.fixture
async def guarded(listener, monkeypatch) -> AsyncIterator[GuardedMemory]:
    monkeypatch.setenv("FIRESTORE_EMULATOR_HOST", f"127.0.0.1:{listener.getsockname()[1]}")
    client = AsyncClient("p", credentials=AnonymousCredentials())
    memory = GuardedMemory(FirestoreMemory(client), timeout=0.5)
    yield memory
    # What gRPC has to say of a cancelled call comes later, for the loop of this test, which may be
    # closed then. It comes before it says anything of a call made after that one.
    with suppress(Unavailable):
        await memory.get(MemoryItem, "last", options=Options(timeout=0.05))
    await close_client(client)


@pytest.mark.parametrize("name", CALLS)
async def test_a_refused_connection_is_unavailable_within_the_deadline(
    guarded: GuardedMemory, name: str
) -> None:
    started = time.monotonic()
    with pytest.raises(Unavailable) as caught:
        await CALLS[name](guarded)
    assert time.monotonic() - started < 1.5
    assert not caught.value.ambiguous


@pytest.mark.parametrize("name", CALLS)
async def test_a_black_hole_is_left_at_the_deadline(
    guarded: GuardedMemory, listener: socket.socket, name: str
) -> None:
    listener.listen()
    started = time.monotonic()
    with pytest.raises(DeadlineExceeded) as caught:
        await CALLS[name](guarded)
    assert time.monotonic() - started < 1.5
    assert caught.value.ambiguous == (name == "put")


@pytest.mark.parametrize("name", [*CALLS, "health"])
async def test_a_scope_knows_the_call_that_it_cancels(
    guarded: GuardedMemory, listener: socket.socket, name: str
) -> None:
    listener.listen()
    with anyio.move_on_after(0.05) as scope:
        await (guarded.health() if name == "health" else CALLS[name](guarded))
    assert scope.cancelled_caught


async def test_an_aggregation_in_an_outage_is_no_count(guarded: GuardedMemory) -> None:
    with pytest.raises(Unavailable):
        await guarded.aggregate(Query(MemoryItem), [Count()])


async def test_a_bulk_write_says_that_nothing_is_stored(guarded: GuardedMemory) -> None:
    items = [MemoryItem(user_id="alice") for _ in range(801)]
    with pytest.raises(PartialWrite) as caught:
        await guarded.put_many(items, options=Options(timeout=0.5))
    assert caught.value.committed == ()
    assert [op.record for op in caught.value.remaining] == items
    assert isinstance(caught.value.__cause__, Unavailable)


async def test_an_outage_is_health_and_not_an_error(guarded: GuardedMemory) -> None:
    health = await guarded.health()
    assert health.status is Status.DOWN
    assert health.detail
