"""Never an answer that a write has replaced, whoever reads and writes at the same time."""

from dataclasses import replace
from functools import partial
from uuid import uuid4

import anyio
import pytest

from orchestra_memory import (
    ABSENT,
    DeadlineExceeded,
    Delete,
    Durability,
    MemoryItem,
    Options,
    PartialWrite,
    Patch,
    Put,
    Ref,
    Source,
    Unavailable,
    recent,
)
from orchestra_memory.operations import DEFAULT
from orchestra_memory.testing.contract.models import Note

from .beneath import Stop, Store, entries, in_background, said

pytestmark = pytest.mark.anyio


async def test_who_read_before_a_write_cannot_put_the_old_value_back(memory, store):
    await store.inner.put(Note(id="a", rank=1))
    store.after_read = stop = Stop()
    async with in_background(lambda: memory.get(Note, "a")):
        await stop.reached.wait()
        store.after_read = None
        await memory.put(Note(id="a", rank=2))
        assert (await memory.get(Note, "a")).rank == 2
        stop.open()
    assert (await memory.get(Note, "a")).rank == 2
    assert len(store.reads) == 1


async def test_who_read_before_a_delete_cannot_bring_it_back(memory, store):
    await store.inner.put(Note(id="a"))
    store.after_read = stop = Stop()
    async with in_background(lambda: memory.get(Note, "a")):
        await stop.reached.wait()
        store.after_read = None
        await memory.delete(Note, "a")
        stop.open()
    assert await memory.get(Note, "a") is None


async def test_a_list_that_was_read_before_a_write_is_not_kept(memory, store):
    await store.inner.put(said(1))
    query = recent(user_id="u", session_id="s")
    store.after_read = stop = Stop()
    async with in_background(lambda: memory.find(query)):
        await stop.reached.wait()
        store.after_read = None
        await memory.put(said(2))
        stop.open()
    assert (await memory.find(query)).records == [said(2), said(1)]


async def test_while_a_write_is_under_way_readers_ask_the_store(memory, store):
    await memory.put(Note(id="a", rank=1))
    store.after_write = stop = Stop()
    async with in_background(lambda: memory.put(Note(id="a", rank=2))):
        await stop.reached.wait()
        for _ in range(2):
            assert (await memory.get(Note, "a")).rank == 2
        assert len(store.reads) == 2
        stop.open()
    assert (await memory.get(Note, "a")).rank == 2
    assert len(store.reads) == 2


async def test_a_write_cancelled_on_its_way_is_fenced_off(memory, store):
    await memory.put(Note(id="a", rank=1))
    store.before_write = stop = Stop()
    async with in_background(lambda: memory.put(Note(id="a", rank=2))) as writer:
        await stop.reached.wait()
        writer.cancel()
    # As if it had reached the store all the same.
    await store.inner.put(Note(id="a", rank=2))
    for _ in range(2):
        assert (await memory.get(Note, "a")).rank == 2
    assert len(store.reads) == 2


async def test_a_fence_nobody_lifted_falls_and_the_old_value_with_it(memory, store, monkeypatch):
    monkeypatch.setattr("orchestra_memory.layers.cached.outcome.MARGIN", 0.0)
    await memory.put(Note(id="a", rank=1))

    async def lost() -> None:
        raise Unavailable("no reply", operation="write", ambiguous=True)

    store.after_write = lost
    with pytest.raises(Unavailable):
        await memory.put(Note(id="a", rank=2), options=Options(timeout=0.2))
    await anyio.sleep(0.3)
    for _ in range(2):
        assert (await memory.get(Note, "a")).rank == 2
    assert store.reads == [["a"]]


async def test_of_a_write_cancelled_once_it_is_stored_nothing_older_is_served(memory, store):
    with anyio.CancelScope() as scope:

        async def cancel() -> None:
            scope.cancel()

        store.after_write = cancel
        await memory.put(Note(id="a", rank=1))
    for _ in range(3):
        assert (await memory.get(Note, "a")).rank == 1
        await anyio.sleep(0.01)
    assert store.asked <= 2
    assert memory.status().pending == 0


async def test_after_a_partial_write_the_store_is_asked(memory, store):
    await memory.put_many(Note(id=f"n{i}", rank=1) for i in range(3))
    await store.inner.put(Note(id="n450"))
    ops = [Put(Note(id=f"n{i}", rank=2), None if i < 400 else ABSENT) for i in range(500)]
    with pytest.raises(PartialWrite):
        await memory.write(ops, options=Options(atomic=False))
    found = await memory.get_many(Note, [f"n{i}" for i in range(3)])
    assert [note.rank for note in found] == [2, 2, 2]
    assert store.reads == [["n0", "n1", "n2"]]


async def test_two_processes_see_each_others_writes_at_once(memory, opened, store):
    other = await opened()
    query = recent(user_id="u", session_id="s")
    for number in range(5):
        writer, reader = (memory, other) if number % 2 else (other, memory)
        await writer.put(Note(id="a", rank=number))
        await writer.put(said(number))
        assert (await reader.get(Note, "a")).rank == number
        assert (await reader.find(query)).records[0].id == said(number).id
    await other.delete(Note, "a")
    assert await memory.get(Note, "a") is None
    assert store.reads == []
    assert store.finds == 1


async def test_two_stores_on_one_redis_share_nothing(memory, opened):
    other = await opened(Store(), store="another")
    await memory.put(Note(id="a", rank=1))
    assert await other.get(Note, "a") is None
    await other.put(Note(id="a", rank=2))
    assert (await memory.get(Note, "a")).rank == 1
    assert (await other.get(Note, "a")).rank == 2


async def test_namespaces_share_nothing(memory, store):
    ours, theirs = (memory.with_options(namespace=name) for name in ("ours", "theirs"))
    await ours.put(said(1))
    query = recent(user_id="u", session_id="s")
    assert await theirs.get(MemoryItem, said(1).id) is None
    assert await memory.get(MemoryItem, said(1).id) is None
    assert (await theirs.find(query)).records == []
    assert (await ours.find(query)).records == [said(1)]
    assert (await ours.find(query)).source is Source.CACHE


async def test_what_is_read_together_was_so_together(memory, store):
    await memory.put(Note(id="a", rank=1))
    await store.inner.put(Note(id="b", rank=1))

    async def write_both() -> None:
        store.before_read = None
        await memory.write([Put(Note(id=key, rank=2)) for key in "ab"])

    # The one is in the cache; before the other is read, both are written.
    store.before_read = write_both
    assert [note.rank for note in await memory.get_many(Note, "ab")] == [2, 2]


async def test_what_nobody_writes_is_read_once(memory, store):
    await store.inner.put_many(Note(id=key) for key in "ab")
    await memory.get(Note, "a")
    assert len(await memory.get_many(Note, "abc")) == 3
    assert store.reads == [["a"], ["b", "c"]]


async def test_readers_of_several_records_wait_for_one_who_reads_them_all(memory, store):
    await store.inner.put_many(Note(id=key) for key in "abc")
    found = []

    async def read() -> None:
        found.append(await memory.get_many(Note, "abc"))

    async with anyio.create_task_group() as herd:
        for _ in range(50):
            herd.start_soon(read)
    assert found == [[Note(id=key) for key in "abc"]] * 50
    assert store.reads == [["a", "b", "c"]]


async def test_who_waits_for_another_reader_keeps_the_deadline(memory, store):
    store.before_read = stop = Stop()
    query = recent(user_id="u", session_id="s")
    soon = Options(timeout=0.05)
    async with (
        in_background(lambda: memory.get(Note, "a")),
        in_background(lambda: memory.find(query)),
    ):
        await stop.reached.wait()
        await anyio.sleep(0.02)
        with pytest.raises(DeadlineExceeded):
            await memory.get(Note, "a", options=soon)
        with pytest.raises(DeadlineExceeded):
            await memory.find(query, options=soon)
        stop.open()


async def test_what_is_only_journalled_is_not_published(opened):
    class Journal(Store):
        async def write(self, ops, *, options=DEFAULT):
            receipt = await super().write(ops, options=options)
            return replace(receipt, revisions=(None,), durability=Durability.JOURNALED)

    store = Journal()
    memory = await opened(store)
    receipt = await memory.put(Note(id="a", rank=1))
    assert receipt.cache_invalidation == "none"
    for _ in range(2):
        assert (await memory.get(Note, "a")).rank == 1
    assert store.reads == [["a"], ["a"]]


async def test_a_delete_that_another_writer_overtook_is_not_taken_for_the_last(memory, store):
    store.after_write = stop = Stop()
    async with in_background(lambda: memory.delete(Note, "a")):
        await stop.reached.wait()
        store.after_write = None
        await memory.put(Note(id="a", rank=1))
        stop.open()
    for _ in range(2):
        assert await memory.get(Note, "a") == Note(id="a", rank=1)


@pytest.mark.parametrize("mode", ["available", "strict"])
async def test_a_write_that_lost_its_fence_is_told_before_it_is_acknowledged(
    opened, store, redis, mode
):
    name = uuid4().hex
    writer, reader = [await opened(store=name, mode=mode) for _ in range(2)]
    await store.inner.put(Note(id="a", rank=1))

    async def evict_and_read() -> None:
        await redis.delete(*await entries(redis, name))
        assert (await reader.get(Note, "a")).rank == 1

    store.before_write = evict_and_read
    await writer.put(Note(id="a", rank=2))
    assert (await reader.get(Note, "a")).rank == 2


async def test_another_processes_reader_is_waited_for_but_a_moment(memory, opened, store):
    other = await opened()
    await store.inner.put(Note(id="a"))
    store.before_read = stop = Stop()
    async with in_background(lambda: memory.get(Note, "a")):
        await stop.reached.wait()
        store.before_read = None
        with anyio.fail_after(5):
            assert await other.get(Note, "a") == Note(id="a")
        assert len(store.reads) == 2
        stop.open()
    await other.get(Note, "a")
    assert len(store.reads) == 2


async def test_a_herd_in_several_processes_is_at_most_a_read_in_each(opened, store):
    processes = [await opened() for _ in range(3)]
    await store.inner.put(Note(id="a"))
    store.after_read = partial(anyio.sleep, 0.05)
    async with anyio.create_task_group() as herd:
        for number in range(300):
            herd.start_soon(processes[number % 3].get, Note, "a")
    assert 1 <= len(store.reads) <= 3


async def test_a_herd_for_a_history_in_several_processes_is_at_most_a_query_in_each(opened, store):
    processes = [await opened() for _ in range(3)]
    await store.inner.put(said(1))
    store.after_read = partial(anyio.sleep, 0.05)
    async with anyio.create_task_group() as herd:
        for number in range(150):
            herd.start_soon(processes[number % 3].find, recent(user_id="u", session_id="s"))
    assert 1 <= store.finds <= 3


@pytest.mark.parametrize("change", [Delete, partial(Patch, set={"item_type": "changed"})])
async def test_who_waits_for_a_list_sees_what_was_changed_before(memory, store, change):
    await store.inner.put_many([said(1), said(2)])
    query = recent(user_id="u", session_id="s")
    found = []

    async def read_later() -> None:
        found.extend((await memory.find(query)).records)

    store.after_read = stop = Stop()
    async with in_background(lambda: memory.find(query)):
        await stop.reached.wait()
        store.after_read = None
        await memory.write([change(Ref(MemoryItem, said(1).id))])
        async with in_background(read_later):
            await anyio.sleep(0.05)
            stop.open()
    changed = [] if change is Delete else [said(1).evolve(item_type="changed")]
    assert found == [said(2), *changed]
    assert store.finds == 1
