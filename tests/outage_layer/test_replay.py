"""A replay: exactly once whatever dies or is lost, and nothing that cannot be applied blocks it."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

from orchestra_memory import (
    Delete,
    InvalidRecord,
    Overloaded,
    Patch,
    PermissionDenied,
    Put,
    Ref,
    Unauthenticated,
    Unavailable,
)
from orchestra_memory.codec.operations import Basis
from orchestra_memory.layers.fallback import committing
from orchestra_memory.layers.fallback.markers import Marker, commit_id, mark
from orchestra_memory.layers.fallback.replay import TOO_OLD, Replayer
from orchestra_memory.testing.faults import FaultyMemory
from orchestra_memory.values import utc_now

from .replaying import Doc, Process, Recorded, kept, operation_in

pytestmark = pytest.mark.anyio

A = Ref(Doc, "a")
ONE_MORE = Patch(A, increment={"count": 1}, or_create=Doc(id="a"))


def process() -> Process:
    return Process(Recorded())


async def stored(made: Process, key: str = "a") -> Doc:
    doc = await made.store.get(Doc, key)
    assert doc is not None
    return doc


class Refusing(FaultyMemory):
    """Refuses every write that touches some documents, for good."""

    def __init__(self, inner: Any, error: Callable[[], Exception], *keys: str) -> None:
        super().__init__(inner)
        self.error = error
        self.keys = keys

    async def write(self, ops, **options):
        if any(op.ref.collection == "replayed" and op.ref.key in self.keys for op in ops):
            self.calls["write"] += 1
            raise self.error()
        return await super().write(ops, **options)


@pytest.mark.parametrize("way", ["lose", "late", "crash", "crash after", "fail"])
@pytest.mark.parametrize("step", range(4))
async def test_whatever_step_fails_every_increment_is_applied_once(step, way):
    made = process()
    for _ in range(5):
        await made.write(ONE_MORE)
    await made.drain(["ok"] * step + [way])
    await made.write(ONE_MORE)
    await made.drain_all()
    await made.link.arrive()
    assert (await stored(made)).count == 6


async def test_a_commit_is_on_the_disk_before_it_is_sent():
    made = process()
    await made.write(ONE_MORE)
    await made.drain(["ok", "lose"])
    (item,) = made.queue.waiting()
    (marker,) = await made.store.read([Ref(Marker, item.commit)])
    assert marker is not None


async def test_nothing_is_read_where_a_precondition_tells():
    made = process()
    link = FaultyMemory(made.store)
    for n in range(500):
        await made.write(Put(Doc(id=f"n{n}")))
    drained = await Replayer(link, made.queue, policies={}).drain()
    assert drained.replayed == 500
    assert (link.calls["read"], link.calls["write"]) == (0, 2)


async def test_a_conflict_on_some_documents_costs_one_read_and_one_more_commit():
    made = process()
    link = FaultyMemory(made.store)
    for n in range(100):
        await made.write(Put(Doc(id=f"n{n}")))
    for n in range(10):
        await made.store.put(Doc(id=f"n{n}", text="theirs"))
    drained = await Replayer(link, made.queue, policies={}).drain()
    assert (drained.replayed, drained.conflicts) == (100, 10)
    assert (link.calls["read"], link.calls["write"]) == (1, 2)


async def test_a_write_that_is_never_taken_becomes_a_dead_letter_and_holds_up_nobody():
    made = process()
    for n in range(20):
        await made.write(Put(Doc(id=f"n{n}")))
    link = Refusing(made.store, lambda: InvalidRecord("too large"), "n7", "n12")
    drained = await Replayer(link, made.queue, policies={}).drain()
    assert (drained.replayed, drained.dead_letters, drained.left) == (18, 2, 0)
    letters = await made.journal.dead_letters()
    assert sorted(each.document.key for each in letters) == ["n12", "n7"]
    assert all(each.reason == "InvalidRecord: too large" for each in letters)


async def test_where_nothing_is_permitted_every_write_is_kept():
    made = process()
    for n in range(20):
        await made.write(Put(Doc(id=f"n{n}")))
    link = FaultyMemory(made.store)
    link.fail("write", error=lambda: PermissionDenied("not allowed"))
    drained = await Replayer(link, made.queue, policies={}).drain()
    assert (drained.dead_letters, drained.left) == (20, 0)
    assert link.calls["write"] < 5
    assert len(await made.journal.dead_letters()) == 20


async def test_what_was_refused_can_be_replayed_later():
    made = process()
    await made.write(ONE_MORE)
    link = Refusing(made.store, lambda: PermissionDenied("not allowed"), "a")
    await Replayer(link, made.queue, policies={}).drain()
    (letter,) = await made.journal.dead_letters()
    await made.queue.revive(letter.number)
    await made.drain_all()
    assert (await stored(made)).count == 1


async def test_a_commit_that_was_split_never_arrives_late():
    made = process()
    for n in range(4):
        await made.write(
            Patch(Ref(Doc, f"n{n}"), increment={"count": 1}, or_create=Doc(id=f"n{n}"))
        )
    await made.drain(["ok", "late"])
    link = Refusing(made.store, lambda: InvalidRecord("too large"), "n0")
    await Replayer(link, made.queue, policies={}).drain()
    await made.link.arrive()
    assert await made.store.get(Doc, "n0") is None
    assert [(await stored(made, f"n{n}")).count for n in (1, 2, 3)] == [1, 1, 1]


async def test_what_is_left_of_a_commit_that_was_made_is_not_made_again():
    made = process()
    items = [await made.write(ONE_MORE), await made.write(ONE_MORE)]
    commit = commit_id(len(items), whole=False)
    bound = await made.queue.bind(made.queue.waiting(), commit)
    await made.store.write([ONE_MORE, ONE_MORE, mark(commit, utc_now())])
    await made.queue.settle(bound[:1])
    drained = await made.drain_all()
    assert (drained.replayed, (await stored(made)).count) == (1, 2)


async def test_what_is_left_of_a_commit_that_was_not_made_goes_on_alone():
    made = process()
    await made.write(ONE_MORE)
    (item,) = made.queue.waiting()
    await made.queue.bind([item], commit_id(2, whole=False))
    await made.drain_all()
    assert (await stored(made)).count == 1


async def test_an_atomic_write_of_which_a_part_cannot_be_read_waits():
    made = process()
    await made.write(ONE_MORE)
    (item,) = made.queue.waiting()
    await made.queue.bind([item], commit_id(2, whole=True))
    drained = await made.drain_all()
    assert (drained.replayed, drained.left) == (0, 1)


async def test_an_expired_credential_pauses_the_replay():
    made = process()
    await made.write(ONE_MORE)
    link = FaultyMemory(made.store)
    link.fail("write", error=lambda: Unauthenticated("the key was revoked; rotate it"))
    drained = await Replayer(link, made.queue, policies={}).drain()
    assert (drained.paused, drained.left) == ("the key was revoked; rotate it", 1)
    assert not await made.journal.dead_letters()


async def test_a_store_that_does_not_answer_ends_the_replay():
    made = process()
    await made.write(ONE_MORE)
    link = FaultyMemory(made.store)
    link.fail("write")
    with pytest.raises(Unavailable):
        await Replayer(link, made.queue, policies={}).drain()
    assert len(made.queue) == 1


async def test_a_store_with_too_much_to_do_is_given_time(monkeypatch):
    monkeypatch.setattr(committing, "PAUSE", 0.0001)
    made = process()
    for n in range(500):
        await made.write(Put(Doc(id=f"n{n}")))
    link = FaultyMemory(made.store)
    link.overload("write", times=3)
    drained = await Replayer(link, made.queue, policies={}, in_flight=1).drain()
    assert drained.replayed == 500
    # After the first commit, smaller ones.
    assert link.calls["write"] > 3 + 2
    link.overload("write")
    await made.write(ONE_MORE)
    with pytest.raises(Overloaded):
        await Replayer(link, made.queue, policies={}).drain()
    assert len(made.queue) == 1


async def test_documents_that_others_keep_changing_wait_and_nothing_else():
    made = process()

    class Busy(FaultyMemory):
        async def read(self, refs, **options):
            snapshot = await super().read(refs, **options)
            await made.store.put(Doc(id="a", remote="again"))
            return snapshot

    await made.store.put(Doc(id="a", remote="first"))
    await made.write(Put(Doc(id="a", text="ours")))
    await made.write(Put(Doc(id="b", text="ours")))
    await made.write(ONE_MORE)
    drained = await Replayer(Busy(made.store), made.queue, policies={}).drain()
    assert (drained.replayed, drained.left) == (1, 2)
    assert (await stored(made, "b")).text == "ours"
    await made.drain_all()
    assert ((await stored(made)).text, (await stored(made)).count) == ("ours", 1)


async def test_a_write_sent_too_long_ago_is_not_sent_again_unless_it_does_no_harm():
    made = process()
    await made.write(ONE_MORE)
    await made.write(Put(Doc(id="b")))
    await made.queue.bind(made.queue.waiting()[:1], commit_id(1, whole=False))
    later = utc_now() + timedelta(days=7, seconds=1)
    replayer = Replayer(made.link, made.queue, policies={}, clock=lambda: later)
    drained = await replayer.drain()
    assert (drained.replayed, drained.dead_letters) == (1, 1)
    (letter,) = await made.journal.dead_letters()
    assert letter.reason == TOO_OLD


async def test_what_was_never_sent_is_not_too_old():
    made = process()
    await made.write(ONE_MORE)
    later = utc_now() + timedelta(days=30)
    await Replayer(made.link, made.queue, policies={}, clock=lambda: later).drain()
    assert (await stored(made)).count == 1


async def test_a_write_stays_until_what_builds_on_it_is_done():
    """So that after a crash its marker still tells which revision that expects."""
    made = process()
    await made.write(Put(Doc(id="a", text="first")))
    (first,) = made.queue.of(A)
    await made.drain(["ok", "lose"])
    await made.write(Put(Doc(id="a", text="second"), first.revision))
    # The first is found to be done, then the second fails.
    await made.drain(["ok", "ok", "ok", "fail"])
    assert [item.id == first.id for item in made.queue.waiting()] == [True, False]
    await made.restart()
    drained = await made.drain_all()
    assert (await stored(made)).text == "second"
    assert (drained.left, drained.conflicts) == (0, 0)


async def test_an_update_that_did_not_know_of_a_write_before_it_is_a_conflict():
    """Two processes have died, and a third one has taken over their journals."""
    made = process()
    await made.store.put(Doc(id="a", text="known"))
    (found,) = await made.store.read([A])
    basis = Basis(found.revision, fields={"text": "known"})
    for text in ("one", "two"):
        op = Put(found.record.evolve(text=text), found.revision)
        await made.queue.append([(op, basis)], commit=None)
    await made.drain_all()
    assert (await stored(made)).text == "one"
    (version,) = await kept(made.store)
    assert operation_in(version).record.text == "two"


async def test_what_builds_on_a_dead_letter_is_kept_too():
    made = process()
    await made.store.put(Doc(id="a", text="known"))
    await made.write(Put(Doc(id="a", text="first")))
    (first,) = made.queue.of(A)
    await made.write(Put(Doc(id="a", text="first", note="second"), first.revision))

    class Picky(FaultyMemory):
        async def write(self, ops, **options):
            puts = [op.record for op in ops if isinstance(op, Put) and op.ref == A]
            if any(record.text == "first" and not record.note for record in puts):
                raise InvalidRecord("no")
            return await super().write(ops, **options)

    drained = await Replayer(Picky(made.store), made.queue, policies={}).drain()
    assert (drained.dead_letters, drained.conflicts, drained.left) == (1, 1, 0)
    assert await stored(made) == Doc(id="a", text="known")


async def test_the_copies_of_an_outage_follow_what_is_replayed():
    made = process()
    await made.store.put(Doc(id="a", text="old"))
    (found,) = await made.store.read([A])
    made.standby.saw(A, found)
    await made.write(Put(Doc(id="a", text="new")))
    await made.drain_all()
    assert made.standby.get(A).row.document["text"] == "new"


async def test_a_dead_letter_is_not_settled_with_what_built_on_it():
    made = process()
    await made.write(ONE_MORE)
    await made.write(ONE_MORE)
    link = Refusing(made.store, lambda: InvalidRecord("no"), "a")
    await Replayer(link, made.queue, policies={}).drain()
    assert len(await made.journal.dead_letters()) == 2


async def test_deletes_of_what_is_gone_already_are_done():
    made = process()
    await made.store.put(Doc(id="a"))
    (found,) = await made.store.read([A])
    made.standby.saw(A, found)
    await made.write(Delete(A))
    await made.store.delete(Doc, "a")
    drained = await made.drain_all()
    assert (drained.replayed, drained.conflicts) == (1, 0)


async def test_an_empty_queue_asks_nobody():
    made = process()
    link = FaultyMemory(made.store)
    drained = await Replayer(link, made.queue, policies={}).drain()
    assert (drained.replayed, drained.left, link.calls.total()) == (0, 0, 0)
