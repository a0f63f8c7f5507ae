"""A write goes to the store while that answers, else to the queue; never to both unseen."""

from __future__ import annotations

import asyncio

import anyio
import pytest

from orchestra_memory import (
    ABSENT,
    PRESENT,
    Conflict,
    Delete,
    Durability,
    DurabilityUnavailable,
    InvalidBatch,
    JournalFull,
    Options,
    PartialWrite,
    Patch,
    Put,
    Query,
    Ref,
    Unavailable,
)
from orchestra_memory.errors import BreakerOpen
from orchestra_memory.layers.fallback.markers import Marker
from orchestra_memory.layers.fallback.queued import PROVISIONAL
from orchestra_memory.layers.fallback.writing import Writer
from orchestra_memory.resilience.journal.bounds import Bounds
from orchestra_memory.testing.faults import FaultyMemory

from .replaying import DURABLE, Doc, MortalJournal, Process, Recorded

pytestmark = pytest.mark.anyio

A = Ref(Doc, "a")
ONE_MORE = Patch(A, increment={"count": 1})
PLAIN = Options()


async def process(*, healthy: bool = False, **fields) -> Process:
    made = Process(Recorded())
    made.healthy = healthy
    await made.store.put(Doc(id="a", **fields))
    (found,) = await made.store.read([A])
    made.standby.saw(A, found)
    return made


async def count(made: Process) -> int:
    doc = await made.store.get(Doc, "a")
    return doc.count


async def markers(made: Process) -> int:
    return len((await made.store.find(Query(Marker))).items)


async def test_a_healthy_write_is_committed_and_known_afterwards():
    made = await process(healthy=True)
    receipt = await made.write(Put(Doc(id="b", text="new")))
    assert receipt.durability is Durability.COMMITTED
    assert made.standby.get(Ref(Doc, "b")).row.revision == receipt.revisions[0]
    assert not len(made.queue)


async def test_a_write_in_an_outage_is_queued_and_says_so():
    made = await process()
    receipt = await made.write(Put(Doc(id="b")), Delete(A))
    assert receipt.durability is made.queue.durability
    assert (receipt.revisions, receipt.version, receipt.count) == ((None, None), None, 2)
    assert [item.op.ref.key for item in made.queue.waiting()] == ["b", "a"]


async def test_a_write_that_finds_the_store_gone_is_queued():
    made = await process(healthy=True)
    made.life.faults.append("fail")
    assert (await made.write(ONE_MORE)).durability is Durability.VOLATILE
    assert await count(made) == 0
    await made.drain_all()
    assert await count(made) == 1


async def test_what_follows_a_queued_write_to_a_document_waits_behind_it():
    made = await process()
    await made.write(Put(Doc(id="a", text="first")))
    made.healthy = True
    assert (await made.write(ONE_MORE)).durability is Durability.VOLATILE
    assert (await made.write(Put(Doc(id="b")))).durability is Durability.COMMITTED


async def test_committed_is_refused_where_earlier_writes_wait():
    made = await process()
    await made.write(ONE_MORE)
    made.healthy = True
    with pytest.raises(DurabilityUnavailable, match="still wait"):
        await made.write(ONE_MORE, options=Options(min_durability=Durability.COMMITTED))


async def test_committed_gets_the_error_of_the_store_itself():
    made = await process()
    link = FaultyMemory(made.store)
    writer = Writer(
        link,
        made.queue,
        made.standby,
        healthy=lambda: False,
        min_durability=Durability.COMMITTED,
    )
    link.fail("write", error=lambda: BreakerOpen("it does not answer"))
    with pytest.raises(BreakerOpen):
        await writer.write([ONE_MORE], PLAIN)
    assert not len(made.queue)


async def test_what_is_kept_less_safely_than_wanted_is_refused():
    made = await process()
    with pytest.raises(DurabilityUnavailable, match="volatile only"):
        await made.write(ONE_MORE, options=Options(min_durability=Durability.JOURNALED))
    made.healthy = True
    made.life.faults.append("fail")
    with pytest.raises(DurabilityUnavailable) as caught:
        await made.write(ONE_MORE, options=Options(min_durability=Durability.JOURNALED))
    assert isinstance(caught.value.__cause__, Unavailable)
    assert not len(made.queue)


@pytest.mark.parametrize("fault", ["lose", "late"])
async def test_an_increment_whose_answer_is_lost_is_applied_once(fault):
    made = await process(healthy=True)
    made.life.faults.append(fault)
    assert (await made.write(ONE_MORE)).durability is Durability.VOLATILE
    await made.drain_all()
    await made.link.arrive()
    assert await count(made) == 1


async def test_without_its_marker_an_increment_in_doubt_is_said_to_be():
    made = await process(healthy=True)
    made.life.faults.append("lose")
    options = Options(exactly_once=False, min_durability=Durability.VOLATILE)
    with pytest.raises(Unavailable) as caught:
        await made.write(ONE_MORE, options=options)
    assert caught.value.ambiguous
    assert not len(made.queue)
    assert made.standby.get(A) is None
    assert await markers(made) == 0


async def test_only_what_does_not_bear_repeating_pays_for_a_marker():
    made = await process(healthy=True)
    await made.write(Put(Doc(id="b")), Patch(A, set={"text": "x"}))
    assert await markers(made) == 0
    receipt = await made.write(ONE_MORE, Put(Doc(id="c")))
    assert await markers(made) == 1
    assert len(receipt.revisions) == receipt.count == 2
    assert receipt.billed.writes == 3


@pytest.mark.parametrize("op", [Put(Doc(id="b"), ABSENT), Put(Doc(id="a"), 1), Delete(A, PRESENT)])
async def test_a_conditional_write_in_doubt_is_said_to_be(op):
    made = await process(healthy=True)
    made.life.faults.append("lose")
    with pytest.raises(Unavailable) as caught:
        await made.write(op)
    assert caught.value.ambiguous
    assert not len(made.queue)


async def test_a_creation_in_doubt_under_an_id_of_its_own_is_found_out():
    made = await process(healthy=True)
    made.life.faults.append("lose")
    doc = Doc(text="new")
    await made.write(Put(doc, ABSENT))
    (drained, stored) = (await made.drain_all(), await made.store.get(Doc, doc.id))
    assert (drained.replayed, drained.conflicts) == (1, 0)
    assert stored == doc


async def test_a_creation_under_a_given_id_is_not_accepted_unless_asked_for():
    made = await process()
    with pytest.raises(DurabilityUnavailable, match="leave the id"):
        await made.writer.write([Put(Doc(id="b"), ABSENT)], PLAIN)
    await made.writer.write([Put(Doc(), ABSENT)], PLAIN)
    await made.writer.write([Put(Doc(id="b"), ABSENT)], DURABLE)
    assert len(made.queue) == 2


async def test_what_waiting_writes_speak_against_is_a_conflict_at_once():
    made = await process()
    await made.write(Delete(A))
    for op in (ONE_MORE, Put(Doc(id="a"), PRESENT), Put(Doc(id="a"), 1)):
        with pytest.raises(Conflict) as caught:
            await made.write(op)
        assert caught.value.refs == (A,)
    await made.write(Put(Doc(id="a")))
    with pytest.raises(Conflict):
        await made.write(Put(Doc(id="a"), ABSENT))
    assert len(made.queue) == 2


async def test_an_older_revision_than_is_known_is_a_conflict_at_once():
    made = await process()
    with pytest.raises(Conflict):
        await made.write(Put(Doc(id="a"), made.standby.get(A).row.revision - 1))


async def test_an_update_builds_on_the_write_whose_revision_it_expects():
    made = await process()
    await made.write(Put(Doc(id="a", text="first")))
    (first,) = made.queue.of(A)
    await made.write(Put(Doc(id="a", text="second"), first.revision))
    _, second = made.queue.of(A)
    assert second.basis.after == first.id
    with pytest.raises(Conflict):
        await made.write(Put(Doc(id="a", text="also second"), first.revision))
    await made.drain_all()
    assert (await made.store.get(Doc, "a")).text == "second"


async def test_a_revision_that_has_been_replayed_by_now_is_a_conflict():
    made = await process()
    await made.write(Put(Doc(id="a", text="first")))
    (first,) = made.queue.of(A)
    await made.drain_all()
    made.healthy = True
    assert first.revision > PROVISIONAL
    with pytest.raises(Conflict):
        await made.write(Put(Doc(id="a", text="second"), first.revision))


async def test_of_two_updates_at_once_one_conflicts():
    made = await process()
    await made.write(Put(Doc(id="a")))
    (first,) = made.queue.of(A)
    updates = [Put(Doc(id="a", text=text), first.revision) for text in ("one", "two")]
    found = await asyncio.gather(*map(made.write, updates), return_exceptions=True)
    assert sorted(type(each).__name__ for each in found) == ["Conflict", "Receipt"]


async def test_many_operations_go_one_by_one_and_know_of_each_other():
    made = await process()
    ops = [Put(Doc(id="b", text="1")), Put(Doc(id="c")), Put(Doc(id="b", text="2"))]
    await made.write(*ops, options=Options(atomic=False, min_durability=Durability.VOLATILE))
    first, other, second = made.queue.waiting()
    assert second.basis.after == first.id
    assert {first.commit, other.commit, second.commit} == {None}


async def test_an_atomic_write_is_one_commit_in_the_queue():
    made = await process()
    await made.write(Put(Doc(id="b")), Put(Doc(id="c")))
    one, two = made.queue.waiting()
    assert one.commit == two.commit is not None


async def test_too_much_for_one_commit_is_refused_before_it_is_queued():
    made = await process()
    with pytest.raises(InvalidBatch):
        await made.write(*(Put(Doc(id=f"n{n}")) for n in range(401)))
    assert not len(made.queue)


async def test_what_is_left_of_a_bulk_write_is_queued():
    made = await process(healthy=True)
    made.life.faults.extend(["ok", "fail"])
    link = made.link

    class Halved(FaultyMemory):
        async def write(self, ops, *, options=PLAIN):
            committed: list = []
            try:
                for start in range(0, len(ops), 2):
                    await link.write(ops[start : start + 2])
                    committed = [*ops[: start + 2]]
            except Unavailable as error:
                remaining = ops[len(committed) :]
                raise PartialWrite("", committed=committed, remaining=remaining) from error

    made.writer._primary = Halved(made.store)
    ops = [Put(Doc(id=f"n{n}")) for n in range(4)]
    receipt = await made.write(
        *ops, options=Options(atomic=False, min_durability=Durability.VOLATILE)
    )
    assert (receipt.durability, receipt.count) == (Durability.VOLATILE, 4)
    assert [item.op.ref.key for item in made.queue.waiting()] == ["n2", "n3"]


async def test_many_increments_in_chunks_have_a_marker_each():
    made = await process(healthy=True)
    options = Options(atomic=False, min_durability=Durability.VOLATILE)
    receipt = await made.write(*[ONE_MORE] * 500, options=options)
    assert (receipt.count, len(receipt.revisions)) == (500, 500)
    assert (await count(made), await markers(made)) == (500, 2)


async def test_four_hundred_increments_are_one_commit():
    made = await process(healthy=True)
    await made.write(*[ONE_MORE] * 400)
    assert (await count(made), await markers(made)) == (400, 1)


async def test_a_full_journal_refuses_but_says_of_a_write_in_doubt_that_it_is():
    made = await process(healthy=True)
    made.journal = MortalJournal(bounds=Bounds(max_entries=1))
    await made.restart()
    made.healthy = False
    await made.write(Put(Doc(id="b")))
    with pytest.raises(JournalFull):
        await made.write(Put(Doc(id="c")))
    made.healthy = True
    made.life.faults.append("lose")
    with pytest.raises(Unavailable) as caught:
        await made.write(Put(Doc(id="c")))
    assert caught.value.ambiguous
    assert isinstance(caught.value.__cause__, JournalFull)


async def test_a_write_cancelled_on_its_way_leaves_nothing_believed():
    made = await process()
    link = FaultyMemory(made.store)
    writer = Writer(
        link, made.queue, made.standby, healthy=lambda: True, min_durability=Durability.VOLATILE
    )
    link.hang("write")
    with anyio.move_on_after(0.01):
        await writer.write([Put(Doc(id="a", text="unsure"))], PLAIN)
    assert made.standby.get(A) is None
    assert not len(made.queue)


async def test_a_conflict_of_the_store_makes_the_copy_doubtful():
    made = await process(healthy=True)
    await made.store.put(Doc(id="a", text="theirs"))
    with pytest.raises(Conflict):
        await made.write(Put(Doc(id="a"), made.standby.get(A).row.revision))
    assert made.standby.get(A) is None


async def test_journal_first_queues_what_the_store_would_take():
    made = await process()
    writer = Writer(
        made.link,
        made.queue,
        made.standby,
        healthy=lambda: True,
        min_durability=Durability.VOLATILE,
        journal_first=True,
    )
    receipt = await writer.write([Put(Doc(id="b"))], PLAIN)
    assert receipt.durability is Durability.VOLATILE
    committed = Options(min_durability=Durability.COMMITTED)
    receipt = await writer.write([Put(Doc(id="c"))], committed)
    assert receipt.durability is Durability.COMMITTED


async def test_nothing_to_write_asks_nobody():
    made = await process()
    assert (await made.writer.write([], PLAIN)).count == 0


async def test_markers_are_not_kept_beside_the_records():
    made = await process(healthy=True)
    await made.write(ONE_MORE)
    assert made.standby.collection("markers", None) == {}
