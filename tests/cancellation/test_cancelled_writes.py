"""A write cancelled at any moment leaves whole chunks, and a memory that goes on working."""

import asyncio
import sys
import time
import types
from collections.abc import AsyncIterator, Callable, Coroutine, Generator
from typing import Any

import pytest
from google.auth.credentials import AnonymousCredentials
from google.cloud.firestore import AsyncClient

from orchestra_memory import (
    FirestoreMemory,
    GuardedMemory,
    LocalMemory,
    MemoryManager,
    Patch,
    Query,
    Ref,
    SqliteMemory,
)
from orchestra_memory.backends.firestore.access import close_client
from orchestra_memory.testing.contract.models import Note

pytestmark = pytest.mark.anyio

RECORDS, CHUNK = 850, 400


@pytest.fixture(params=["local", "sqlite", "guarded sqlite", "firestore", "guarded firestore"])
async def memory(request, use_backend, tmp_path) -> AsyncIterator[MemoryManager]:
    name = request.param.removeprefix("guarded ")
    use_backend(name)
    guarded = GuardedMemory if "guarded" in request.param else lambda inner: inner
    if name == "local":
        yield LocalMemory()
    elif name == "sqlite":
        async with SqliteMemory.open(tmp_path / "memory.db") as store:
            yield guarded(store)
    else:
        project = request.getfixturevalue("firestore_project")
        emulator = request.getfixturevalue("firestore_emulator")
        request.getfixturevalue("monkeypatch").setenv("FIRESTORE_EMULATOR_HOST", emulator.host)
        client = AsyncClient(project, credentials=AnonymousCredentials())
        yield guarded(FirestoreMemory(client))
        await close_client(client)


@types.coroutine
def stepping(
    work: Coroutine[Any, Any, Any], at_each: Callable[[], None]
) -> Generator[Any, Any, Any]:
    """`work`, telling whenever it gives up the event loop."""
    error: BaseException | None = None
    while True:
        try:
            yielded = work.send(None) if error is None else work.throw(error)
        except StopIteration as stop:
            return stop.value
        at_each()
        error = None
        try:
            yield yielded
        except BaseException as thrown:  # noqa: BLE001 - a cancellation is what this is about
            error = thrown


async def finishes(work: Coroutine[Any, Any, Any], *, cancelled_at: int) -> bool:
    """Run `work`, cancelled when it waits for that time; whether it came to its end before."""
    left = cancelled_at

    def count() -> None:
        nonlocal left
        left -= 1
        if left == 0:
            task.cancel()

    async def steps() -> None:
        await stepping(work, count)

    task = asyncio.create_task(steps())
    return await ended(task)


async def finishes_within(work: Coroutine[Any, Any, Any], seconds: float) -> bool:
    """Run `work`, cancelled after this time; whether it came to its end before."""
    task = asyncio.create_task(work)
    await asyncio.wait([task], timeout=seconds)
    task.cancel()
    return await ended(task)


async def ended(task: asyncio.Task[None]) -> bool:
    await asyncio.wait([task])
    if task.cancelled():
        return False
    task.result()
    return True


def notes(name: str) -> list[Note]:
    return [Note(id=f"{name}-{i}", rank=i) for i in range(RECORDS)]


async def torn_chunks(memory: MemoryManager, name: str) -> list[int]:
    stored = await memory.get_many(Note, [note.id for note in notes(name)])
    present = [note is not None for note in stored]
    chunks = [present[start : start + CHUNK] for start in range(0, RECORDS, CHUNK)]
    return [number for number, chunk in enumerate(chunks) if any(chunk) and not all(chunk)]


async def check(memory: MemoryManager, name: str) -> None:
    """Every chunk is there or not at all, and the memory works."""
    # What was on its way when it was cancelled may still be applied, which the emulator shows.
    deadline = time.monotonic() + 5
    while torn := await torn_chunks(memory, name):
        assert time.monotonic() < deadline, torn
        await asyncio.sleep(0.01)
    follower = Note(id=f"{name}-after", rank=-1)
    await memory.put(follower)
    assert await memory.get(Note, follower.id) == follower


async def nothing_left_running(before: set[asyncio.Task[Any]]) -> None:
    deadline = time.monotonic() + 2
    while leaked := asyncio.all_tasks() - before:
        assert time.monotonic() < deadline, leaked
        await asyncio.sleep(0.01)


async def test_a_bulk_write_cancelled_wherever_it_waits(memory: MemoryManager) -> None:
    before = asyncio.all_tasks()
    for point in range(1, 1_000):
        finished = await finishes(memory.put_many(notes(f"at{point}")), cancelled_at=point)
        await check(memory, f"at{point}")
        if finished:
            break
    else:
        pytest.fail("the write never came to its end")
    assert point > 1
    assert len(await memory.get_many(Note, [note.id for note in notes(f"at{point}")])) == RECORDS
    await nothing_left_running(before)


async def test_a_bulk_write_cancelled_after_a_while(memory: MemoryManager) -> None:
    before = asyncio.all_tasks()
    for micros in (0, 500, 2_000, 5_000, 10_000, 20_000, 40_000, 80_000):
        await finishes_within(memory.put_many(notes(f"in{micros}")), micros / 1e6)
        await check(memory, f"in{micros}")
    await nothing_left_running(before)


async def test_a_cancelled_increment_is_applied_once_or_not_at_all(memory: MemoryManager) -> None:
    await memory.put(Note(id="a"))
    patch = Patch(Ref(Note, "a"), increment={"rank": 1})
    finished = attempts = 0
    while finished == 0:
        attempts += 1
        finished += await finishes(memory.write([patch]), cancelled_at=attempts)
    note = await memory.get(Note, "a")
    assert note is not None
    assert finished <= note.rank <= attempts


async def ask(memory: MemoryManager, kind: str) -> Any:
    if kind == "read":
        return await memory.get_many(Note, [f"n{i}" for i in range(RECORDS)])
    if kind == "find":
        return (await memory.find(Query(Note, page_size=RECORDS))).records
    return [note async for note in memory.scan(Query(Note, page_size=300))]


@pytest.mark.parametrize("kind", ["read", "find", "scan"])
async def test_a_read_cancelled_wherever_it_waits(memory: MemoryManager, kind: str) -> None:
    before = asyncio.all_tasks()
    await memory.put_many(Note(id=f"n{i}") for i in range(RECORDS))
    for point in (*range(1, 12), 20, 40, 80, sys.maxsize):
        if await finishes(ask(memory, kind), cancelled_at=point):
            break
    assert len(await ask(memory, kind)) == RECORDS
    await memory.put(Note(id="after"))
    assert await memory.get(Note, "after") == Note(id="after")
    await nothing_left_running(before)


async def test_an_update_cancelled_wherever_it_waits(memory: MemoryManager) -> None:
    await memory.put(Note(id="a"))
    point, finished = 0, False
    while not finished:
        point += 1
        work = memory.update(Note, "a", lambda note: note.evolve(rank=note.rank + 1))
        finished = await finishes(work, cancelled_at=point)
    note = await memory.get(Note, "a")
    assert note is not None
    assert 1 <= note.rank <= point
