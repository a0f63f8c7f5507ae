"""What a receipt tells of a commit, and what is read afterwards."""

from __future__ import annotations

from ...operations import Delete, Durability, Op, Patch, Put, Ref, Source
from ...protocol import MemoryManager
from ...queries import Query
from .base import Contract
from .models import Note

A = Ref(Note, "a")


class ReceiptContract(Contract):
    """For what is committed at once; in an outage a receipt has no revisions yet."""

    async def test_revisions_follow_the_operations(self, memory: MemoryManager) -> None:
        await memory.put(Note(id="gone"))
        ops: list[Op] = [Put(Note(id="a")), Delete(Ref(Note, "gone")), Put(Note(id="b"))]
        receipt = await memory.write(ops)
        first, second, third = receipt.revisions
        assert second is None
        assert first is not None
        assert third is not None
        read = await memory.read([Ref(Note, "a"), Ref(Note, "b")])
        assert [stored and stored.revision for stored in read] == [first, third]

    async def test_a_receipt_says_how_it_is_kept(self, memory: MemoryManager) -> None:
        receipt = await memory.put(Note(id="a"))
        assert receipt.durability is Durability.COMMITTED
        assert receipt.version is not None
        assert receipt.cache_invalidation in ("none", "done", "pending")
        assert receipt.revisions[0] is not None
        assert receipt.version >= receipt.revisions[0]

    async def test_revisions_rise_with_every_change(self, memory: MemoryManager) -> None:
        revisions = [
            (await memory.put(Note(id=key, rank=i))).revisions[0] for i, key in enumerate("aabab")
        ]
        assert revisions == sorted(set(revisions))  # type: ignore[type-var]

    async def test_a_revision_is_never_used_again_after_a_delete(
        self, memory: MemoryManager
    ) -> None:
        seen: list[int] = []
        for _ in range(3):
            receipt = await memory.put(Note(id="a"))
            assert receipt.revisions[0] is not None
            seen.append(receipt.revisions[0])
            await memory.delete(Note, "a")
        assert seen == sorted(set(seen))

    async def test_versions_of_writes_and_deletes_rise(self, memory: MemoryManager) -> None:
        versions = [
            (await memory.put(Note(id="a", rank=1))).version,
            (await memory.delete(Note, "a")).version,
            (await memory.put(Note(id="a", rank=2))).version,
        ]
        assert versions == sorted(set(versions))  # type: ignore[type-var]

    async def test_a_read_has_the_revision_its_write_was_told(self, memory: MemoryManager) -> None:
        receipt = await memory.put(Note(id="a"))
        (stored,) = await memory.read([Ref(Note, "a")])
        assert stored is not None
        assert (stored.revision,) == receipt.revisions
        assert stored.age >= 0
        assert stored.source in Source
        assert stored.distance is None

    async def test_a_snapshot_is_no_older_than_what_was_written(
        self, memory: MemoryManager
    ) -> None:
        receipt = await memory.put(Note(id="a"))
        snapshot = await memory.read([Ref(Note, "a"), Ref(Note, "b")])
        assert receipt.version is not None
        assert snapshot.as_of is None or snapshot.as_of >= receipt.version
        assert len(snapshot) == 2

    async def test_what_is_found_has_its_revision(self, memory: MemoryManager) -> None:
        receipt = await memory.put(Note(id="a"))
        page = await memory.find(Query(Note))
        (stored,) = page.items
        assert (stored.revision,) == receipt.revisions
        assert page.source in Source
        assert receipt.version is not None
        assert page.as_of is None or page.as_of >= receipt.version

    async def test_a_patch_gives_a_new_revision(self, memory: MemoryManager) -> None:
        put = await memory.put(Note(id="a"))
        patch = await memory.write([Patch(A, increment={"rank": 1})])
        assert put.revisions[0] is not None
        assert patch.revisions[0] is not None
        assert patch.revisions[0] > put.revisions[0]

    async def test_of_a_delete_and_a_put_the_put_has_a_revision(
        self, memory: MemoryManager
    ) -> None:
        await memory.put(Note(id="a"))
        receipt = await memory.write([Delete(A), Put(Note(id="a", rank=1))])
        assert receipt.revisions[0] is None
        assert receipt.revisions[1] is not None

    async def test_of_several_puts_the_last_has_the_revision_that_is_stored(
        self, memory: MemoryManager
    ) -> None:
        receipt = await memory.write([Put(Note(id="a", rank=i)) for i in range(3)])
        (stored,) = await memory.read([A])
        assert stored is not None
        assert stored.revision == receipt.revisions[-1]
