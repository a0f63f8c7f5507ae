"""Writes of any size, in chunks."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Iterator

import anyio.lowlevel
import pytest

from ...errors import Conflict, PartialWrite
from ...operations import ABSENT, Count, Delete, Op, Options, Patch, Put, Ref
from ...protocol import MemoryManager
from ...queries import Query
from .base import Contract
from .models import Lease, Note

CHUNKED = Options(atomic=False)


async def stored_keys(memory: MemoryManager) -> set[str]:
    return {note.id async for note in memory.scan(Query(Note, page_size=1_000))}


async def leased_keys(memory: MemoryManager) -> set[str]:
    return {lease.id async for lease in memory.scan(Query(Lease, page_size=1_000))}


def rising(count: int, *, keys: int) -> Iterator[Lease]:
    """Records with so many ids, each rank higher than those before."""
    return (Lease(id=f"n{rank % keys}", rank=rank) for rank in range(count))


def broken(count: int) -> Iterator[Lease]:
    """So many records, and then an error."""
    yield from rising(count, keys=count)
    raise LookupError


async def arriving(leases: Iterable[Lease]) -> AsyncIterator[Lease]:
    """They come one by one, some after a while."""
    for number, lease in enumerate(leases):
        yield lease
        if number % 100 == 0:
            await anyio.lowlevel.checkpoint()


class ChunkContract(Contract):
    async def test_any_number_of_records_can_be_put_and_deleted(
        self, memory: MemoryManager
    ) -> None:
        notes = [Note(id=f"n{i}", rank=i) for i in range(1_000)]
        receipt = await memory.put_many(notes)
        assert len(receipt.revisions) == 1_000
        assert all(revision is not None for revision in receipt.revisions)
        assert await memory.get_many(Note, [note.id for note in notes]) == notes
        receipt = await memory.delete_many(Note, [note.id for note in notes])
        assert receipt.revisions == (None,) * 1_000
        assert (await memory.aggregate(Query(Note), [Count()]))["count"] == 0

    async def test_revisions_of_chunks_follow_the_operations(self, memory: MemoryManager) -> None:
        ops: list[Op] = [
            Delete(Ref(Note, f"n{i}")) if i % 3 else Put(Note(id=f"n{i}")) for i in range(900)
        ]
        receipt = await memory.write(ops, options=CHUNKED)
        assert [revision is None for revision in receipt.revisions] == [
            isinstance(op, Delete) for op in ops
        ]
        assert receipt.version is not None
        assert receipt.version >= max(filter(None, receipt.revisions))

    async def test_chunks_are_cut_by_bytes_too(self, memory: MemoryManager) -> None:
        notes = [Note(id=f"n{i}", body=str(i) * 800_000) for i in range(6)]
        await memory.put_many(notes)
        assert await memory.get_many(Note, [note.id for note in notes]) == notes

    async def test_operations_on_one_record_keep_their_order(self, memory: MemoryManager) -> None:
        ref = Ref(Note, "one")
        ops: list[Op] = [Put(Note(id="one"))]
        for i in range(900):
            ops.append(Patch(ref, set={"rank": i}, increment={"data.n": 1}))
            ops.append(Put(Note(id=f"n{i % 400}", rank=i)))
        await memory.write(ops, options=CHUNKED)
        assert await memory.get(Note, "one") == Note(id="one", rank=899, data={"n": 900})
        others = await memory.get_many(Note, [f"n{i}" for i in range(400)])
        assert [note and note.rank for note in others] == [
            i + 400 * ((899 - i) // 400) for i in range(400)
        ]

    async def test_a_failing_chunk_says_what_is_stored_and_what_is_not(
        self, memory: MemoryManager
    ) -> None:
        await memory.put(Note(id="n600", title="in the way"))
        ops = [Put(Note(id=f"n{i}", rank=i), ABSENT) for i in range(1_000)]
        with pytest.raises(PartialWrite) as caught:
            await memory.write(ops, options=CHUNKED)
        committed, remaining = caught.value.committed, caught.value.remaining
        assert isinstance(caught.value.__cause__, Conflict)
        assert [ref.key for ref in caught.value.__cause__.refs] == ["n600"]
        kept = {op.ref.key for op in remaining}
        assert [op for op in ops if op.ref.key in kept] == list(remaining)
        assert [op for op in ops if op.ref.key not in kept] == list(committed)
        assert await stored_keys(memory) == {op.ref.key for op in committed} | {"n600"}

    async def test_what_remains_can_be_written_again(self, memory: MemoryManager) -> None:
        await memory.put(Note(id="n600"))
        ops = [Put(Note(id=f"n{i}", rank=i), ABSENT) for i in range(1_000)]
        with pytest.raises(PartialWrite) as caught:
            await memory.write(ops, options=CHUNKED)
        await memory.delete(Note, "n600")
        await memory.write(caught.value.remaining, options=CHUNKED)
        notes = await memory.get_many(Note, [f"n{i}" for i in range(1_000)])
        assert [note and note.rank for note in notes] == list(range(1_000))

    async def test_what_follows_a_failed_operation_on_one_record_is_not_applied(
        self, memory: MemoryManager
    ) -> None:
        await memory.put(Note(id="a", title="in the way"))
        ops: list[Op] = [Put(Note(id="a", rank=1), ABSENT)]
        ops += [Put(Note(id=f"n{i}")) for i in range(450)]
        ops.append(Patch(Ref(Note, "a"), set={"rank": 2}))
        with pytest.raises(PartialWrite) as caught:
            await memory.write(ops, options=CHUNKED)
        assert await memory.get(Note, "a") == Note(id="a", title="in the way")
        assert caught.value.remaining[0] is ops[0]
        assert caught.value.remaining[-1] is ops[-1]

    async def test_a_conflict_within_one_chunk_is_a_conflict(self, memory: MemoryManager) -> None:
        await memory.put(Note(id="a"))
        with pytest.raises(Conflict):
            await memory.put_many([Note(id="a"), Note(id="b")], expect=ABSENT)
        assert await memory.get(Note, "b") is None

    async def test_iterators_are_written_to_their_end(self, memory: MemoryManager) -> None:
        expected = list(rising(900, keys=900))
        for source in (rising(900, keys=900), arriving(rising(900, keys=900))):
            receipt = await memory.put_many(source)
            assert (receipt.revisions, receipt.count) == ((), 900)
            assert receipt.version is not None
            assert await memory.get_many(Lease, [lease.id for lease in expected]) == expected
            receipt = await memory.delete_many(Lease, (lease.id for lease in expected))
            assert (receipt.revisions, receipt.count) == ((), 900)
            assert await leased_keys(memory) == set()

    async def test_nothing_at_all_is_written_too(self, memory: MemoryManager) -> None:
        nothing: list[Lease] = []
        for source in (nothing, iter(nothing), arriving(nothing)):
            receipt = await memory.put_many(source)
            assert (receipt.revisions, receipt.count) == ((), 0)
        assert await leased_keys(memory) == set()

    async def test_the_last_record_of_an_id_is_the_one_that_stays(
        self, memory: MemoryManager
    ) -> None:
        for keys in (30, 500):
            for source in (rising(1_300, keys=keys), arriving(rising(1_300, keys=keys))):
                await memory.put_many(source)
                leases = await memory.get_many(Lease, [f"n{i}" for i in range(keys)])
                last = [i + (1_299 - i) // keys * keys for i in range(keys)]
                assert [lease and lease.rank for lease in leases] == last

    async def test_what_an_iterator_gave_before_it_failed_is_told_apart(
        self, memory: MemoryManager
    ) -> None:
        everything = {lease.id for lease in rising(850, keys=850)}
        for source in (broken(850), arriving(broken(850))):
            with pytest.raises(PartialWrite) as caught:
                await memory.put_many(source)
            remaining = {op.ref.key for op in caught.value.remaining}
            assert isinstance(caught.value.__cause__, LookupError)
            assert caught.value.committed == ()
            assert caught.value.stored + len(remaining) == 850
            assert await leased_keys(memory) == everything - remaining
            await memory.delete_many(Lease, everything)

    async def test_of_an_iterator_too_what_remains_can_be_written_again(
        self, memory: MemoryManager
    ) -> None:
        await memory.put(Lease(id="n600", rank=-1))
        with pytest.raises(PartialWrite) as caught:
            await memory.put_many(arriving(rising(1_000, keys=1_000)), expect=ABSENT)
        assert isinstance(caught.value.__cause__, Conflict)
        remaining = [op.ref.key for op in caught.value.remaining]
        assert "n600" in remaining
        assert len(await leased_keys(memory)) == caught.value.stored + 1
        await memory.delete(Lease, "n600")
        receipt = await memory.write(caught.value.remaining, options=CHUNKED)
        assert receipt.count == len(remaining)
        assert len(await leased_keys(memory)) == caught.value.stored + len(remaining)
