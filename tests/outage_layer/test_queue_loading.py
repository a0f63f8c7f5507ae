"""What other processes left is taken up, at its place, and what is strange among it is told."""

from __future__ import annotations

import asyncio
import json
import logging
from unittest.mock import patch

import pytest

from orchestra_memory import (
    ABSENT,
    Delete,
    Patch,
    Put,
    Record,
    Ref,
)
from orchestra_memory.codec.operations import Basis, encode_operation
from orchestra_memory.layers.fallback.queue import Queue, known_models
from orchestra_memory.layers.fallback.queued import document_of
from orchestra_memory.resilience.journal import Draft
from orchestra_memory.testing.contract.models import Lease, Note
from tests.journal.parts import Clock, altered, crashed, left_behind, opened

from .queues import NOTES, based, draft_of, entry_for, keys, put, queue_in

pytestmark = pytest.mark.anyio


async def test_the_next_process_finds_operations_with_their_bases(tmp_path):
    ops = [
        (Put(Note(id="a", title="x"), ABSENT), Basis(absent=True)),
        (Patch(Ref(Note, "a"), set={"title": "y"}), Basis(after="z", fields={"title": "x"})),
        (Delete(Ref(Lease, "a", "ours"), 7), Basis(revision=7, in_doubt=True)),
    ]
    async with queue_in(tmp_path / "now") as queue:
        before = await queue.append(ops, commit="one")
        left = crashed(tmp_path / "now", tmp_path / "crashed")
    async with queue_in(left) as queue:
        found = queue.waiting()
        assert [(item.op, item.basis) for item in found] == ops
        assert [(each.id, each.at, each.commit) for each in found] == [
            (each.id, each.at, each.commit) for each in before
        ]


async def test_what_was_adopted_later_comes_at_its_place_in_time(tmp_path):
    clock = Clock()
    async with opened(tmp_path, clock=clock) as other, queue_in(tmp_path, clock=clock) as queue:
        theirs = Queue(other)
        for number in range(3):
            await theirs.append(based(put("a", f"theirs {number}")), commit=None)
            clock.move(seconds=1)
            await queue.append(based(put("a", f"ours {number}")), commit=None)
            clock.move(seconds=1)
        left = crashed(tmp_path, tmp_path / "crashed")
    async with queue_in(left, clock=clock) as queue:
        expected = [f"{whose} {number}" for number in range(3) for whose in ("theirs", "ours")]
        assert [item.op.record.title for item in queue.waiting()] == expected
        assert [item.op.record.title for item in queue.of(Ref(Note, "a"))] == expected


async def test_loading_again_brings_only_what_is_new(tmp_path):
    clock = Clock()
    other = tmp_path / "other"
    op = put("a", "older")
    await left_behind(other, [draft_of(op)], clock=clock)
    clock.move(seconds=1)
    async with queue_in(tmp_path, clock=clock) as queue:
        (ours,) = await queue.append(based(put("a", "younger")), commit=None)
        assert (await queue.load()).entries == 0
        assert queue.waiting() == [ours]
        for path in other.iterdir():
            path.rename(tmp_path / path.name)
        assert (await queue.load()).entries == 1
        assert [item.op.record.title for item in queue.waiting()] == ["older", "younger"]
        assert [item.op.record.title for item in queue.of(Ref(Note, "a"))] == ["older", "younger"]


async def test_a_load_that_was_given_up_is_made_up_for_by_the_next_one(tmp_path):
    async with opened(tmp_path) as journal:
        queue = Queue(journal)
        await queue.load()
        await left_behind(tmp_path, [draft_of(put("a"))])
        taking = journal.adopt

        async def given_up():
            await taking()
            raise asyncio.CancelledError

        with patch.object(journal, "adopt", given_up), pytest.raises(asyncio.CancelledError):
            await queue.load()
        assert queue.waiting() == []
        await queue.load()
        assert keys(queue.waiting()) == ["a"]


async def test_an_unknown_record_type_blocks_its_document_and_is_told(tmp_path, caplog):
    theirs = put("a")
    await left_behind(tmp_path, [entry_for(theirs), entry_for(put("b"), model="Note")])
    with caplog.at_level(logging.WARNING, "orchestra_memory.fallback"):
        async with queue_in(tmp_path) as queue:
            assert keys(queue.waiting()) == ["b"]
            assert (queue.holds(theirs.ref), queue.of(theirs.ref)) == (True, ())
            assert queue.is_blocked(theirs.ref)
            assert not queue.is_blocked(put("b").ref)
            ((why, count),) = queue.unknown().items()
            assert (count, "'Gone'" in why, "import" in why) == (1, True, True)
            await queue.load()
    assert [record.message for record in caplog.records] == [
        f"journal: 1 entries wait and cannot be replayed: {why}"
    ]


async def test_an_unknown_record_type_is_known_once_it_is_imported(tmp_path):
    await left_behind(tmp_path, [entry_for(put("a"), model="Imported")])
    async with queue_in(tmp_path) as queue:
        assert queue.waiting() == []

        class Imported(Note, collection=NOTES):
            pass

        await queue.load()
        assert [type(item.op.record) for item in queue.waiting()] == [Imported]
        assert not queue.is_blocked(Ref(Note, "a"))
        assert queue.unknown() == {}


async def test_an_entry_of_a_later_release_waits_for_it(tmp_path):
    op = put("a")
    body = json.dumps({**json.loads(encode_operation(op)), "v": 99}).encode()
    await left_behind(tmp_path, [Draft(document_of(op.ref), body)])
    async with queue_in(tmp_path) as queue:
        assert queue.is_blocked(op.ref)
        (why,) = queue.unknown()
        assert "upgrade" in why
        assert queue.status().entries == 1


async def test_what_is_no_operation_becomes_a_dead_letter(tmp_path):
    op = put("a")
    await left_behind(tmp_path, [Draft(document_of(op.ref), b"{}")])
    async with queue_in(tmp_path) as queue:
        assert not queue.holds(op.ref)
        assert (queue.status().entries, queue.status().dead_letters) == (0, 1)


async def test_a_damaged_entry_is_no_longer_held(tmp_path):
    async with opened(tmp_path) as journal:
        queue = Queue(journal)
        await queue.append(based(put("a"), put("b")), commit=None)
        altered(journal.path, "UPDATE entries SET body = x'00' WHERE number = 1")
        again = Queue(journal)
        await again.load()
        assert keys(again.waiting()) == ["b"]
        assert not again.holds(Ref(Note, "a"))


async def test_what_is_settled_while_it_is_loaded_does_not_come_back(tmp_path):
    async with opened(tmp_path) as journal:
        items = await Queue(journal).append(based(put("a"), put("b")), commit=None)
        queue, pending = Queue(journal), journal.pending

        async def settled_meanwhile():
            entries = await pending()
            await queue.settle(items[:1])
            return entries

        with patch.object(journal, "pending", settled_meanwhile):
            await queue.load()
        assert keys(queue.waiting()) == ["b"]


def test_every_imported_record_type_is_known():
    class Mine(Record, collection="mine"):
        id: str

    class Middle(Record):
        id: str

    class Below(Middle, collection="below"):
        pass

    models = known_models()
    assert models["mine", "Mine"] is Mine
    assert models["below", "Below"] is Below
    assert models[NOTES, "Note"] is Note
    assert not any(name == "Middle" for _, name in models)
