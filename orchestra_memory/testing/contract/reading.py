"""Reading by id."""

from __future__ import annotations

from ...operations import Ref
from ...protocol import MemoryManager
from .base import Contract
from .models import Note, Place


def note(key: str, rank: int = 0) -> Note:
    return Note(id=key, rank=rank, title=f"title of {key}")


class ReadingContract(Contract):
    async def test_answers_come_in_the_order_asked(self, memory: MemoryManager) -> None:
        notes = [note(f"n{i}", i) for i in range(20)]
        await memory.put_many(notes)
        wanted = [notes[i] for i in (7, 3, 19, 0, 11)]
        snapshot = await memory.read([Ref(Note, each.id) for each in wanted])
        assert snapshot.records == wanted

    async def test_the_absent_is_none_and_keeps_its_place(self, memory: MemoryManager) -> None:
        await memory.put(note("here"))
        records = await memory.get_many(Note, ["gone", "here", "never"])
        assert records == [None, note("here"), None]
        assert await memory.get(Note, "gone") is None

    async def test_an_id_asked_for_twice_is_answered_twice(self, memory: MemoryManager) -> None:
        await memory.put(note("a"))
        snapshot = await memory.read([Ref(Note, key) for key in ("a", "b", "a", "b")])
        assert snapshot.records == [note("a"), None, note("a"), None]

    async def test_reading_nothing_answers_nothing(self, memory: MemoryManager) -> None:
        assert len(await memory.read(list[Ref[Note]]())) == 0
        assert await memory.get_many(Note, []) == []

    async def test_types_can_be_mixed_in_one_read(self, memory: MemoryManager) -> None:
        place = Place(country="it", town="Rome", people=3)
        await memory.write([])
        await memory.put(place)
        await memory.put(note("rome"))
        refs: list[Ref[Note | Place]] = [Ref(Place, place.key), Ref(Note, "rome")]
        assert (await memory.read(refs)).records == [place, note("rome")]

    async def test_more_ids_than_one_write_takes_can_be_read(self, memory: MemoryManager) -> None:
        await memory.put_many(note(f"n{i}") for i in range(0, 1_000, 2))
        records = await memory.get_many(Note, [f"n{i}" for i in range(1_000)])
        found = [i for i, record in enumerate(records) if record is not None]
        assert found == list(range(0, 1_000, 2))

    async def test_another_instance_reads_what_was_written(
        self, memory: MemoryManager, another: MemoryManager
    ) -> None:
        await memory.put(note("a", 1))
        assert await another.get(Note, "a") == note("a", 1)
        await another.put(note("a", 2))
        assert await memory.get(Note, "a") == note("a", 2)
