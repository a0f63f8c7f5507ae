"""What waits for its store is found by document, kept before it is told, and never twice."""

from __future__ import annotations

import asyncio
import gc

import pytest

from orchestra_memory import (
    Delete,
    Durability,
    DurabilityUnavailable,
    JournalFull,
    Ref,
)
from orchestra_memory.codec.operations import NO_BASIS, Basis
from orchestra_memory.layers.fallback.queue import Queue
from orchestra_memory.layers.fallback.queued import PROVISIONAL
from orchestra_memory.resilience.journal import Bounds, VolatileJournal
from orchestra_memory.testing.contract.models import Lease, Note
from tests.journal.parts import Clock, crashed, opened

from .queues import NOTES, based, keys, put, queue_in

pytestmark = pytest.mark.anyio


async def test_what_is_appended_is_found_by_its_document_in_order(tmp_path):
    clock = Clock()
    async with queue_in(tmp_path, clock=clock) as queue:
        first = await queue.append(based(put("a", "1"), put("b")), commit="one")
        clock.move(seconds=1)
        second = await queue.append([(Delete(Ref(Note, "a")), Basis(revision=7))], commit=None)
        assert [*queue.of(Ref(Note, "a"))] == [first[0], second[0]]
        assert queue.waiting() == [*first, *second]
        assert [item.commit for item in queue.waiting()] == ["one", "one", None]
        assert (second[0].at - first[0].at, second[0].basis) == (1_000_000, Basis(revision=7))
        assert len({item.id for item in queue.waiting()}) == 3
        assert len(queue) == 3


async def test_a_document_is_one_of_its_namespace_collection_and_key(tmp_path):
    async with queue_in(tmp_path) as queue:
        await queue.append(based(put("a", namespace="ours")), commit=None)
        for other in (Ref(Note, "a"), Ref(Note, "b", "ours"), Ref(Lease, "a", "ours")):
            assert not queue.holds(other)
            assert queue.of(other) == ()
        assert queue.holds(Ref(Note, "a", "ours"))


async def test_collections_tell_what_waits_in_them_by_namespace(tmp_path):
    async with queue_in(tmp_path) as queue:
        items = await queue.append(
            based(put("a"), put("b"), put("a", "again"), put("c", namespace="ours")), commit=None
        )
        assert queue.refs(NOTES, None) == [Ref(Note, "a"), Ref(Note, "b")]
        assert queue.refs(NOTES, "ours") == [Ref(Note, "c", "ours")]
        assert (queue.refs(NOTES, "theirs"), queue.refs("other", None)) == ([], [])
        await queue.settle([items[0], items[1]])
        assert queue.refs(NOTES, None) == [Ref(Note, "a")]
        await queue.settle([items[2]])
        assert not queue.holds_any(NOTES, None)
        assert queue.holds_any(NOTES, "ours")


async def test_a_write_shows_a_revision_of_its_own_until_it_is_settled(tmp_path):
    async with queue_in(tmp_path) as queue:
        first, second = await queue.append(based(put("a"), put("a")), commit=None)
        assert PROVISIONAL < first.revision < second.revision
        assert queue.find_provisional(second.revision) == second
        assert queue.find_provisional(17) is None
        await queue.settle([second])
        assert queue.find_provisional(second.revision) is None


async def test_what_is_bound_together_stays_so_after_a_crash(tmp_path):
    async with queue_in(tmp_path / "now") as queue:
        first, second, _ = await queue.append(based(put("a"), put("b"), put("c")), commit=None)
        bound = await queue.bind([first, second], "one")
        assert [item.commit for item in bound] == ["one", "one"]
        assert [item.commit for item in queue.waiting()] == ["one", "one", None]
        assert [item.commit for item in queue.of(Ref(Note, "b"))] == ["one"]
        left = crashed(tmp_path / "now", tmp_path / "crashed")
    async with queue_in(left) as queue:
        found = [(item.id, item.commit) for item in queue.waiting()]
        assert found[:2] == [(first.id, "one"), (second.id, "one")]


async def test_what_is_settled_is_gone_for_good(tmp_path):
    async with queue_in(tmp_path) as queue:
        items = await queue.append(based(put("a"), put("b"), put("c")), commit=None)
        await queue.settle(items[:2])
        assert keys(queue.waiting()) == ["c"]
        assert not queue.holds(Ref(Note, "a"))
    async with queue_in(tmp_path) as queue:
        assert keys(queue.waiting()) == ["c"]


async def test_a_dead_letter_no_longer_waits_and_a_revived_one_does_again(tmp_path):
    async with queue_in(tmp_path) as queue:
        first, second = await queue.append(based(put("a", "1"), put("a", "2")), commit="one")
        await queue.dead_letter(first, "refused")
        assert queue.waiting() == [second]
        assert queue.status().dead_letters == 1
        queue.changed.clear()
        await queue.revive(first.number)
        assert queue.waiting() == [first, second]
        assert [*queue.of(Ref(Note, "a"))] == [first, second]
        assert queue.changed.is_set()
        await queue.revive(4711)
        assert queue.waiting() == [first, second]


async def test_who_replays_is_woken_by_what_comes(tmp_path):
    async with queue_in(tmp_path) as queue:
        assert not queue.changed.is_set()
        await queue.append(based(put()), commit=None)
        assert queue.changed.is_set()
    async with queue_in(tmp_path) as queue:
        assert queue.changed.is_set()


async def test_what_it_is_worth_goes_by_the_medium(tmp_path):
    for medium, worth in (
        ("persistent", Durability.JOURNALED),
        ("ephemeral", Durability.VOLATILE),
    ):
        async with queue_in(tmp_path, medium=medium) as queue:
            assert queue.durability is worth
    assert Queue(VolatileJournal()).durability is Durability.VOLATILE


async def test_a_queue_in_memory_does_the_same():
    queue = Queue(VolatileJournal())
    await queue.load()
    first, second = await queue.append(based(put("a"), put("b")), commit=None)
    await queue.bind([first], "one")
    assert [item.commit for item in queue.waiting()] == ["one", None]
    await queue.settle([second])
    await queue.dead_letter(first, "refused")
    assert queue.waiting() == []
    await queue.revive(first.number)
    assert [item.commit for item in queue.waiting()] == ["one"]


async def test_what_does_not_fit_is_refused_whole(tmp_path):
    async with queue_in(tmp_path, bounds=Bounds(max_entries=2)) as queue:
        with pytest.raises(JournalFull):
            await queue.append(based(put("a"), put("b"), put("c")), commit=None)
        assert not queue.holds(Ref(Note, "a"))
        assert queue.waiting() == []
        assert await queue.append([], commit=None) == []


async def test_what_the_journal_cannot_keep_is_refused_whole(tmp_path):
    bad = (Delete(Ref(Note, "b")), Basis(fields={"vector": float("nan"), "x": object()}))
    async with queue_in(tmp_path) as queue:
        with pytest.raises(TypeError):
            await queue.append([(put("a"), NO_BASIS), bad], commit=None)
        assert queue.status().entries == 0


@pytest.mark.parametrize("turns", range(6))
async def test_an_append_given_up_is_whole_on_the_disk_and_known(tmp_path, turns):
    async with queue_in(tmp_path / "now") as queue:
        appending = asyncio.ensure_future(queue.append(based(put("a"), put("b")), commit="one"))
        for _ in range(turns):
            await asyncio.sleep(0)
        appending.cancel()
        with pytest.raises(asyncio.CancelledError):
            await appending
        await queue.append(based(put("c")), commit=None)
        assert keys(queue.waiting()) in (["c"], ["a", "b", "c"])
        assert queue.status().entries == len(queue)
        assert queue.holds(Ref(Note, "a")) == bool(queue.of(Ref(Note, "a")))
        left = crashed(tmp_path / "now", tmp_path / "crashed")
        here = keys(queue.waiting())
    async with queue_in(left) as queue:
        assert keys(queue.waiting()) == here


@pytest.mark.parametrize("turns", range(4))
@pytest.mark.parametrize("verb", ["settle", "bind", "dead_letter"])
async def test_a_change_given_up_is_the_same_here_and_on_the_disk(tmp_path, verb, turns):
    async with queue_in(tmp_path / "now") as queue:
        items = await queue.append(based(put("a"), put("b")), commit=None)
        work = {
            "settle": lambda: queue.settle(items),
            "bind": lambda: queue.bind(items, "one"),
            "dead_letter": lambda: queue.dead_letter(items[0], "refused"),
        }[verb]
        changing = asyncio.ensure_future(work())
        for _ in range(turns):
            await asyncio.sleep(0)
        changing.cancel()
        await asyncio.wait([changing])
        await queue.append(based(put("c")), commit=None)
        here = [(item.id, item.commit) for item in queue.waiting()]
        left = crashed(tmp_path / "now", tmp_path / "crashed")
    async with queue_in(left) as queue:
        assert [(item.id, item.commit) for item in queue.waiting()] == here


async def test_a_failure_that_nobody_waits_for_makes_no_noise(tmp_path, caplog):
    async with queue_in(tmp_path, bounds=Bounds(max_entries=1)) as queue:
        appending = asyncio.ensure_future(queue.append(based(put("a"), put("b")), commit=None))
        await asyncio.sleep(0)
        appending.cancel()
        await asyncio.wait([appending])
        await asyncio.sleep(0)
        gc.collect()
        assert "never retrieved" not in caplog.text


async def test_what_could_not_be_settled_goes_on_waiting(tmp_path):
    async with opened(tmp_path) as journal:
        queue = Queue(journal)
        items = await queue.append(based(put("a")), commit=None)
    with pytest.raises(DurabilityUnavailable):
        await queue.settle(items)
    with pytest.raises(DurabilityUnavailable):
        await queue.bind(items, "one")
    assert queue.waiting() == items
