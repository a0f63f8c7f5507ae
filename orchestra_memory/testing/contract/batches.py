"""Several operations at once: all of them, or none, in their order."""

from __future__ import annotations

import pytest

from ...errors import InvalidBatch, InvalidRecord
from ...operations import Delete, Options, Patch, Put, Ref
from ...protocol import MemoryManager
from .base import Contract
from .models import Note

A = Ref(Note, "a")
MEBIBYTE = 1024 * 1024


class BatchContract(Contract):
    async def test_a_batch_is_written_as_a_whole(self, memory: MemoryManager) -> None:
        await memory.put(Note(id="old"))
        await memory.put(Note(id="n", rank=1))
        receipt = await memory.write(
            [
                Put(Note(id="new")),
                Delete(Ref(Note, "old")),
                Patch(Ref(Note, "n"), increment={"rank": 1}),
            ]
        )
        assert len(receipt.revisions) == 3
        assert await memory.get_many(Note, ["new", "old", "n"]) == [
            Note(id="new"),
            None,
            Note(id="n", rank=2),
        ]

    async def test_four_hundred_operations_go_at_once(self, memory: MemoryManager) -> None:
        receipt = await memory.write([Put(Note(id=f"n{i}", rank=i)) for i in range(400)])
        assert len(set(receipt.revisions)) == 1
        keys = [f"n{i}" for i in range(400)]
        ranks = [note and note.rank for note in await memory.get_many(Note, keys)]
        assert ranks == list(range(400))

    async def test_more_operations_are_refused_and_none_is_applied(
        self, memory: MemoryManager
    ) -> None:
        with pytest.raises(InvalidBatch) as caught:
            await memory.write([Put(Note(id=f"n{i}")) for i in range(401)])
        assert caught.value.bound == "operations"
        assert await memory.get_many(Note, ["n0", "n400"]) == [None, None]
        with pytest.raises(InvalidBatch):
            await memory.write([Delete(A)] * 401, options=Options(atomic=True))

    async def test_more_bytes_are_refused_and_none_is_applied(self, memory: MemoryManager) -> None:
        with pytest.raises(InvalidBatch) as caught:
            await memory.write([Put(Note(id=key, body="x" * MEBIBYTE)) for key in "abc"])
        assert caught.value.bound == "bytes"
        assert await memory.get_many(Note, "abc") == [None, None, None]

    async def test_a_record_too_large_is_refused_and_none_is_applied(
        self, memory: MemoryManager
    ) -> None:
        with pytest.raises(InvalidRecord) as caught:
            await memory.write([Put(Note(id="a")), Put(Note(id="b", body="s3cret" * 600_000))])
        assert caught.value.field == "body"
        assert "s3cret" not in str(caught.value)
        assert await memory.get_many(Note, "ab") == [None, None]

    async def test_put_then_patch(self, memory: MemoryManager) -> None:
        await memory.write([Put(Note(id="a", rank=1)), Patch(A, increment={"rank": 1})])
        assert await memory.get(Note, "a") == Note(id="a", rank=2)

    async def test_delete_then_put(self, memory: MemoryManager) -> None:
        await memory.put(Note(id="a", title="old", data={"x": 1}))
        await memory.write([Delete(A), Put(Note(id="a", rank=1))])
        assert await memory.get(Note, "a") == Note(id="a", rank=1)

    async def test_put_then_delete(self, memory: MemoryManager) -> None:
        await memory.write([Put(Note(id="a")), Delete(A)])
        assert await memory.get(Note, "a") is None

    async def test_patch_then_patch(self, memory: MemoryManager) -> None:
        await memory.put(Note(id="a", rank=1))
        await memory.write(
            [
                Patch(A, increment={"rank": 1}, add={"tags": ["x"]}),
                Patch(A, set={"rank": 10}),
                Patch(A, increment={"rank": 5}, remove={"tags": ["x"]}, set={"data.y": 1}),
            ]
        )
        assert await memory.get(Note, "a") == Note(id="a", rank=15, data={"y": 1})

    async def test_put_then_put(self, memory: MemoryManager) -> None:
        await memory.write([Put(Note(id="a", rank=i, data={f"k{i}": i})) for i in range(3)])
        assert await memory.get(Note, "a") == Note(id="a", rank=2, data={"k2": 2})

    async def test_patch_with_or_create_twice(self, memory: MemoryManager) -> None:
        patch = Patch(A, increment={"rank": 1}, or_create=Note(id="a"))
        await memory.write([patch, patch, Delete(A), patch])
        assert await memory.get(Note, "a") == Note(id="a", rank=1)

    async def test_delete_then_patch_with_or_create(self, memory: MemoryManager) -> None:
        await memory.put(Note(id="a", rank=7, title="old"))
        await memory.write([Delete(A), Patch(A, set={"rank": 1}, or_create=Note(id="a"))])
        assert await memory.get(Note, "a") == Note(id="a", rank=1)
