"""Many readers of what is not there yet: one of them reads below, and the others wait for it."""

import anyio
import pytest

from orchestra_memory import (
    CorruptRecord,
    DeadlineExceeded,
    Options,
    Unavailable,
    recent,
)
from orchestra_memory.operations import DEFAULT
from orchestra_memory.testing.contract.models import Note

from .beneath import Stop, in_background, said

pytestmark = pytest.mark.anyio


@pytest.mark.parametrize("exists", [True, False])
async def test_a_herd_of_readers_of_one_cold_key_is_one_read(memory, store, exists):
    if exists:
        await store.inner.put(Note(id="a", data={"x": []}))
    found = []

    async def read() -> None:
        found.append(await memory.get(Note, "a"))

    async with anyio.create_task_group() as herd:
        for _ in range(1_000):
            herd.start_soon(read)
    assert store.reads == [["a"]]
    assert found == [Note(id="a", data={"x": []}) if exists else None] * 1_000
    assert len({id(note.data) for note in found if note}) == (1_000 if exists else 0)


async def test_a_herd_of_readers_of_one_cold_history_is_one_query(memory, store):
    await store.inner.put_many(said(number) for number in range(5))
    found = []

    async def read() -> None:
        found.append((await memory.find(recent(user_id="u", session_id="s"))).records)

    async with anyio.create_task_group() as herd:
        for _ in range(200):
            herd.start_soon(read)
    assert store.finds == 1
    assert found == [[said(number) for number in reversed(range(5))]] * 200


async def test_who_waits_for_a_reader_that_is_cancelled_reads_for_itself(memory, store):
    await store.inner.put(Note(id="a"))
    store.before_read = stop = Stop()
    found = []

    async def read() -> None:
        found.append(await memory.get(Note, "a"))

    async with anyio.create_task_group() as readers, in_background(read) as first:
        await stop.reached.wait()
        for _ in range(20):
            readers.start_soon(read)
        await anyio.sleep(0.05)
        store.before_read = None
        first.cancel()
    assert found == [Note(id="a")] * 20
    assert len(store.reads) == 2


async def test_an_error_below_is_every_waiting_readers_own(memory, store):
    async def fail() -> None:
        await anyio.sleep(0.02)
        raise CorruptRecord("not as declared", collection="contract_notes", key="a")

    store.before_read = fail
    failed = []

    async def read() -> None:
        with pytest.raises(CorruptRecord):
            await memory.get(Note, "a")
        failed.append(1)

    async with anyio.create_task_group() as herd:
        for _ in range(5):
            herd.start_soon(read)
    assert len(failed) == 5
    store.before_read = None
    await store.inner.put(Note(id="a"))
    assert await memory.get(Note, "a") == Note(id="a")


async def test_a_store_that_hangs_is_waited_for_once_by_all_who_set_no_deadline(memory, store):
    async def hang() -> None:
        await anyio.sleep(0.05)
        raise DeadlineExceeded("no answer to read", operation="read")

    store.before_read = hang
    failed: list[type[BaseException]] = []

    async def read(options: Options) -> None:
        with pytest.raises(Unavailable) as caught:
            await memory.get(Note, "a", options=options)
        failed.append(type(caught.value))

    async with anyio.create_task_group() as herd:
        for options in (DEFAULT, DEFAULT, DEFAULT):
            herd.start_soon(read, options)
    assert failed == [DeadlineExceeded] * 3
    assert len(store.reads) == 1


async def test_who_has_a_longer_deadline_than_another_reader_does_not_fail_with_it(memory, store):
    await store.inner.put(Note(id="a"))

    stop = Stop()

    async def fail_once() -> None:
        store.before_read = None
        await stop()
        raise DeadlineExceeded("no answer to read", operation="read")

    store.before_read = fail_once
    answers: list[Note | None] = []

    async def give_up() -> None:
        with pytest.raises(DeadlineExceeded):
            await memory.get(Note, "a", options=Options(timeout=10))

    async def read() -> None:
        answers.append(await memory.get(Note, "a"))

    async with anyio.create_task_group() as readers:
        readers.start_soon(give_up)
        await stop.reached.wait()
        readers.start_soon(read)
        await anyio.sleep(0.01)
        stop.open()
    assert answers == [Note(id="a")]
