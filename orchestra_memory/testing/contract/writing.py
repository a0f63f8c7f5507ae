"""Whole records: put and delete, and what a receipt says of them."""

from __future__ import annotations

from ...protocol import MemoryManager
from .base import Contract
from .models import Note, Place


class WritingContract(Contract):
    async def test_a_record_read_equals_the_record_put(self, memory: MemoryManager) -> None:
        full = Note(
            id="full", title="é", rank=-3, score=0.5, done=True, tags=["x", "y"],
            data={"a": {"b": [1, 2.5, None, "c"]}}, vector=[1.0, 2.0], body="long",
            attachment=[1, {"z": b"\x00"}],
        )  # fmt: skip
        await memory.put(full)
        assert await memory.get(Note, "full") == full

    async def test_putting_again_replaces_all_of_it(self, memory: MemoryManager) -> None:
        await memory.put(Note(id="a", title="old", data={"gone": 1}, body="old"))
        await memory.put(Note(id="a", rank=1))
        assert await memory.get(Note, "a") == Note(id="a", rank=1)

    async def test_types_with_the_same_id_are_apart(self, memory: MemoryManager) -> None:
        place = Place(country="a", town="b")
        await memory.put(place)
        await memory.put(Note(id=place.key))
        await memory.delete(Place, place.key)
        assert await memory.get(Note, place.key) == Note(id=place.key)
        assert await memory.get(Place, place.key) is None

    async def test_a_deleted_record_is_absent(self, memory: MemoryManager) -> None:
        await memory.put(Note(id="a", body="x" * 100))
        await memory.delete(Note, "a")
        assert await memory.get(Note, "a") is None

    async def test_deleting_the_absent_succeeds(self, memory: MemoryManager) -> None:
        receipt = await memory.delete(Note, "never")
        assert receipt.revisions == (None,)
        await memory.delete(Note, "never")

    async def test_nothing_to_write_is_no_error(self, memory: MemoryManager) -> None:
        assert (await memory.write([])).revisions == ()

    async def test_no_two_callers_share_a_mutable_value(self, memory: MemoryManager) -> None:
        data = {"list": [1]}
        note = Note(id="a", data=data)
        await memory.put(note)
        data["list"].append(2)
        first = await memory.get(Note, "a")
        assert first is not None
        assert first.data == {"list": [1]}
        first.data["list"].append(3)  # type: ignore[union-attr]
        note.data["list"].append(4)  # type: ignore[union-attr]
        second = await memory.get(Note, "a")
        assert second is not None
        assert second.data == {"list": [1]}
