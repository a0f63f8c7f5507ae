"""``update``: read, change, write back, without losing what others write meanwhile."""

from __future__ import annotations

import anyio
import pytest

from ...errors import Conflict, InvalidRecord
from ...operations import ABSENT, Patch, Put, Ref
from ...protocol import MemoryManager
from .base import Contract
from .models import Note
from .oracle import exact

WRITERS = 20


def one_more(note: Note) -> Note:
    return note.evolve(rank=note.rank + 1)


class UpdatingContract(Contract):
    async def test_an_update_returns_what_it_wrote(self, memory: MemoryManager) -> None:
        await memory.put(Note(id="a", rank=1))
        assert await memory.update(Note, "a", one_more) == Note(id="a", rank=2)
        assert await memory.get(Note, "a") == Note(id="a", rank=2)

    async def test_no_update_is_lost_among_many(self, memory: MemoryManager) -> None:
        await memory.put(Note(id="a"))
        async with anyio.create_task_group() as writers:
            for _ in range(WRITERS):
                writers.start_soon(memory.update, Note, "a", one_more)
        assert await memory.get(Note, "a") == Note(id="a", rank=WRITERS)

    async def test_no_increment_is_lost_among_many(self, memory: MemoryManager) -> None:
        patch = Patch(Ref(Note, "a"), increment={"rank": 1}, or_create=Note(id="a"))
        async with anyio.create_task_group() as writers:
            for _ in range(WRITERS):
                writers.start_soon(memory.write, [patch])
        assert await memory.get(Note, "a") == Note(id="a", rank=WRITERS)

    async def test_one_of_many_creates(self, memory: MemoryManager) -> None:
        created: list[int] = []

        async def create(number: int) -> None:
            try:
                await memory.put(Note(id="a", rank=number), expect=ABSENT)
            except Conflict:
                return
            created.append(number)

        async with anyio.create_task_group() as writers:
            for number in range(WRITERS):
                writers.start_soon(create, number)
        assert len(created) == 1
        assert await memory.get(Note, "a") == Note(id="a", rank=created[0])

    async def test_a_batch_is_never_seen_half_done(self, memory: MemoryManager) -> None:
        torn: list[object] = []

        async def write() -> None:
            for i in range(10):
                await memory.write([Put(Note(id=key, rank=i)) for key in "abc"])

        async def read() -> None:
            for _ in range(10):
                ranks = {note and note.rank for note in await memory.get_many(Note, "abc")}
                if len(ranks) > 1:
                    torn.append(ranks)

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(write)
            for _ in range(3):
                tasks.start_soon(read)
        assert torn == [] or not self.shows_commits_whole
        assert await memory.get_many(Note, "abc") == [Note(id=key, rank=9) for key in "abc"]

    async def test_or_create_gives_what_to_change(self, memory: MemoryManager) -> None:
        for rank in (11, 12):
            note = await memory.update(Note, "a", one_more, or_create=Note(id="a", rank=10))
            assert note.rank == rank

    async def test_many_may_create_and_none_is_lost(self, memory: MemoryManager) -> None:
        async def update() -> None:
            await memory.update(Note, "a", one_more, or_create=Note(id="a"))

        async with anyio.create_task_group() as writers:
            for _ in range(8):
                writers.start_soon(update)
        assert await memory.get(Note, "a") == Note(id="a", rank=8)

    async def test_updating_the_absent_is_a_conflict(self, memory: MemoryManager) -> None:
        with pytest.raises(Conflict):
            await memory.update(Note, "a", one_more)
        assert await memory.get(Note, "a") is None

    async def test_a_change_to_another_record_is_refused(self, memory: MemoryManager) -> None:
        await memory.put(Note(id="a"))
        with pytest.raises(InvalidRecord):
            await memory.update(Note, "a", lambda note: note.evolve(id="b"))
        assert await memory.get_many(Note, "ab") == [Note(id="a"), None]

    async def test_an_error_of_the_change_is_the_callers(self, memory: MemoryManager) -> None:
        await memory.put(Note(id="a"))

        def fail(_: Note) -> Note:
            raise LookupError("mine")

        with pytest.raises(LookupError, match="mine"):
            await memory.update(Note, "a", fail)

    async def test_a_change_of_a_values_type_alone_is_written(self, memory: MemoryManager) -> None:
        for value in (1, 1.0, True, 0.0, -0.0):

            def change(note: Note, value: float = value) -> Note:
                return note.evolve(data={"x": value})

            await memory.update(Note, "a", change, or_create=Note(id="a"))
            note = await memory.get(Note, "a")
            assert note is not None
            assert exact(note.data) == exact({"x": value})

    async def test_a_change_of_nothing_writes_nothing(self, memory: MemoryManager) -> None:
        receipt = await memory.put(Note(id="a", rank=1))
        assert await memory.update(Note, "a", lambda note: note.evolve()) == Note(id="a", rank=1)
        (stored,) = await memory.read([Ref(Note, "a")])
        assert stored is not None
        assert (stored.revision,) == receipt.revisions
