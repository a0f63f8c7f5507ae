"""In which order records come."""

from __future__ import annotations

from typing import Any

from ...protocol import MemoryManager
from ...queries import Query
from .base import Contract
from .models import Note
from .queries import VALUES, notes


async def ordered(memory: MemoryManager, **query: Any) -> list[str]:
    page = await memory.find(Query(Note, page_size=1_000, **query))
    return [record.key for record in page.records]


class OrderingContract(Contract):
    async def test_values_of_all_kinds_have_one_order(self, memory: MemoryManager) -> None:
        shuffled = sorted(notes(), key=lambda note: hash(note.id))
        await memory.put_many(shuffled)
        in_order = [f"n{i:02}" for i in range(len(VALUES))]
        assert await ordered(memory, order_by="data.x") == in_order
        assert await ordered(memory, order_by="-data.x") == in_order[::-1]

    async def test_equal_numbers_are_ties_whatever_their_type(self, memory: MemoryManager) -> None:
        values = {"d": 1, "b": 1.0, "c": 1, "a": 2, "e": -0.0, "f": 0}
        await memory.put_many(Note(id=key, data={"x": value}) for key, value in values.items())
        assert await ordered(memory, order_by="data.x") == ["e", "f", "b", "c", "d", "a"]

    async def test_large_integers_are_told_apart(self, memory: MemoryManager) -> None:
        numbers = [2**62 + i for i in (3, 0, 2, 1, -1)] + [-(2**62) - 1, -(2**62)]
        await memory.put_many(Note(id=f"n{i}", rank=n) for i, n in enumerate(numbers))
        page = await memory.find(Query(Note, order_by="rank"))
        assert [note.rank for note in page.records] == sorted(numbers)

    async def test_ids_and_text_order_by_their_bytes(self, memory: MemoryManager) -> None:
        names = ["a", "B", "é", "z", "\uffff", "😀", "ab", "a b", "A"]
        await memory.put_many(Note(id=name, title=name) for name in names)
        in_order = sorted(names, key=str.encode)
        assert await ordered(memory) == in_order
        assert await ordered(memory, order_by="title") == in_order
        assert await ordered(memory, order_by="-title") == in_order[::-1]

    async def test_ties_go_by_id_in_the_last_direction(self, memory: MemoryManager) -> None:
        await memory.put_many(Note(id=f"n{i}", rank=i % 2) for i in range(6))
        assert await ordered(memory, order_by="rank") == ["n0", "n2", "n4", "n1", "n3", "n5"]
        assert await ordered(memory, order_by="-rank") == ["n5", "n3", "n1", "n4", "n2", "n0"]

    async def test_several_orders_apply_in_turn(self, memory: MemoryManager) -> None:
        await memory.put_many(Note(id=f"n{i}", rank=i % 2, score=float(i // 4)) for i in range(8))
        assert await ordered(memory, order_by=["rank", "-score"]) == [
            "n6", "n4", "n2", "n0", "n7", "n5", "n3", "n1",
        ]  # fmt: skip
        assert await ordered(memory, order_by=["-rank", "-score"]) == [
            "n7", "n5", "n3", "n1", "n6", "n4", "n2", "n0",
        ]  # fmt: skip

    async def test_a_range_orders_by_its_field(self, memory: MemoryManager) -> None:
        await memory.put_many(Note(id=f"n{i}", rank=9 - i) for i in range(10))
        where = [("rank", ">", 6)]
        assert await ordered(memory, where=where) == ["n2", "n1", "n0"]
        assert await ordered(memory, where=where, order_by="-rank") == ["n0", "n1", "n2"]

    async def test_what_lacks_an_ordered_field_is_left_out(self, memory: MemoryManager) -> None:
        await memory.put_many(
            [Note(id="a", data={"x": 1}), Note(id="b"), Note(id="c", data={"x": None})]
        )
        assert await ordered(memory, order_by="data.x") == ["c", "a"]
        assert await ordered(memory, order_by="-data.x") == ["a", "c"]

    async def test_a_field_held_to_one_value_orders_nothing(self, memory: MemoryManager) -> None:
        await memory.put_many(Note(id=key, rank=1) for key in "cab")
        assert await ordered(memory, where={"rank": 1}, order_by="rank") == ["a", "b", "c"]

    async def test_a_declared_index_orders_a_field_without_one_of_its_own(
        self, memory: MemoryManager
    ) -> None:
        times = [Note(id="x").created.replace(hour=hour) for hour in (3, 1, 2)]
        await memory.put_many(Note(id=f"n{i}", created=at) for i, at in enumerate(times))
        query = {"where": {"owner": "alice"}, "order_by": "-created"}
        assert await ordered(memory, **query) == ["n0", "n2", "n1"]
