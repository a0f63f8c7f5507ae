"""Bulk writes whose answers are lost are sent again where that leaves the same."""

from collections import Counter
from collections.abc import Callable

import anyio
import anyio.to_thread
import pytest

from orchestra_memory import (
    ABSENT,
    PRESENT,
    Delete,
    FirestoreMemory,
    Overloaded,
    PartialWrite,
    Patch,
    Put,
    Ref,
    Unavailable,
)
from orchestra_memory.backends.firestore.access import close_client
from orchestra_memory.errors import StorageError
from orchestra_memory.operations import Op
from orchestra_memory.testing.contract.models import Lease

from .bulk_writes import CHUNKED, LONG, Memories, leases, once
from .grpc_server import LOST, OVERLOADED, Commit, Refusal, Server, connected, served

pytestmark = pytest.mark.anyio


def lost_once() -> Callable[[Commit], Refusal | None]:
    """Applies the first commit and loses the answer."""
    turns = iter([LOST])
    return lambda _: next(turns, None)


def each(make: Callable[[str], Op]) -> list[Op]:
    return [make(f"n{i}") for i in range(10)]


REPEATABLE: dict[str, list[Op]] = {
    "puts": each(lambda key: Put(Lease(id=key))),
    "deletes": each(lambda key: Delete(Ref(Lease, key))),
    "patches that set": each(lambda key: Patch(Ref(Lease, key), set={"rank": 1})),
}
UNREPEATABLE: dict[str, list[Op]] = {
    "increments": each(lambda key: Patch(Ref(Lease, key), increment={"rank": 1})),
    "puts of what is absent": each(lambda key: Put(Lease(id=key), ABSENT)),
    "puts over what is present": each(lambda key: Put(Lease(id=key), PRESENT)),
    "puts over a revision": each(lambda key: Put(Lease(id=key), 7)),
    "deletes of a revision": each(lambda key: Delete(Ref(Lease, key), 7)),
    "one increment among puts": [
        *each(lambda key: Put(Lease(id=key))), Patch(Ref(Lease, "x"), increment={"rank": 1})
    ],
}  # fmt: skip


@pytest.mark.parametrize("name", REPEATABLE)
async def test_what_leaves_the_same_when_applied_twice_is_sent_again(
    on: Memories, name: str
) -> None:
    server = Server(lost_once())
    async with on(server) as memory:
        await memory.write(REPEATABLE[name], options=CHUNKED)
    assert len(server.commits) == 2
    assert server.commits[0].data == server.commits[1].data


@pytest.mark.parametrize("name", UNREPEATABLE)
async def test_what_does_not_is_left_to_the_caller(on: Memories, name: str) -> None:
    server = Server(lost_once())
    async with on(server) as memory:
        with pytest.raises(Unavailable) as caught:
            await memory.write(UNREPEATABLE[name], options=CHUNKED)
    assert caught.value.ambiguous
    assert len(server.commits) == 1
    assert set(server.applied.values()) == {1}


async def test_a_lost_answer_among_many_chunks_repeats_only_its_own(on: Memories) -> None:
    def refuses(commit: Commit) -> Refusal | None:
        return LOST if "n900" in commit.ids and not server.applied["n900"] else None

    server = Server(refuses)
    async with on(server) as memory:
        await memory.put_many(leases(4_000))
    twice = Counter(f"n{i}" for i in range(800, 1_200))
    assert server.applied == once(4_000) + twice


async def test_an_atomic_write_is_sent_once(on: Memories) -> None:
    # Trying again is the guard's, which knows the caller's deadline.
    for refusal in (LOST, OVERLOADED):
        turns = iter([refusal])
        server = Server(lambda _, turns=turns: next(turns, None))
        async with on(server) as memory:
            with pytest.raises((Unavailable, Overloaded)):
                await memory.put(Lease(id="a"))
        assert len(server.commits) == 1


async def test_a_client_closed_under_a_write_is_no_success(monkeypatch) -> None:
    server = Server()
    server.open.clear()
    caught: list[StorageError] = []

    async def put(memory: FirestoreMemory) -> None:
        with pytest.raises(StorageError) as raised:
            await memory.put_many(leases(4_000))
        caught.append(raised.value)

    with served(server) as host, anyio.fail_after(LONG):
        async with connected(host, monkeypatch) as (memory, client):
            async with anyio.create_task_group() as group:
                group.start_soon(put, memory)
                await anyio.to_thread.run_sync(server.asked.wait)
                await close_client(client)
            server.open.set()
    (error,) = caught
    assert isinstance(error, PartialWrite)
    assert isinstance(error.__cause__, Unavailable)
    assert error.stored == 0
    assert len(error.remaining) == 4_000
