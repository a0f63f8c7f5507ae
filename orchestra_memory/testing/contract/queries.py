"""Which records a query finds: every operator against every kind of value."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any, Final

import pytest

from ...conditions import Operator
from ...protocol import MemoryManager
from ...queries import Query
from ...record import Record
from .base import Contract
from .models import Note, Place
from .oracle import holds

NOON: Final = datetime(2026, 6, 1, 12, tzinfo=UTC)
VALUES: Final[tuple[Any, ...]] = (
    None, False, True, float("nan"), float("-inf"), -(2**63), -1.5, -0.0, 0, 1, 1.5, 2**53,
    2**53 + 1, 2.0**63, float("inf"), NOON, NOON + timedelta(microseconds=1), "", "a", "ab", "b",
    "\uffff", "😀", b"", b"a", b"\xff", [], [None], [1], [1, "a"], ["a", 1.0], [[1, 2]], {},
    {"a": 1}, {"a": 1, "b": 2}, {"b": None},
)  # fmt: skip
"""In the order of a store. Nothing here is equal to another of them."""
OPERANDS: Final = (True, -1.5, 1, 2**53 + 1, NOON, "a", "\uffff", b"a", [1], [1, 2], {"a": 1})


def notes() -> list[Note]:
    return [Note(id=f"n{i:02}", data={"x": value}) for i, value in enumerate(VALUES)]


async def found(memory: MemoryManager, model: type[Record], *where: Any) -> list[str]:
    page = await memory.find(Query(model, where=where))
    return sorted(record.key for record in page.records)


def expected(operator: str, operand: Any) -> list[str]:
    return [f"n{i:02}" for i, value in enumerate(VALUES) if holds(value, operator, operand)]


class QueryContract(Contract):
    @pytest.mark.parametrize("operator", ["==", "!=", "<", "<=", ">", ">=", "contains"])
    async def test_a_condition_holds_between_values_of_one_kind(
        self, memory: MemoryManager, operator: Operator
    ) -> None:
        await memory.put_many([*notes(), Note(id="without")])
        for operand in OPERANDS:
            assert await found(memory, Note, ("data.x", operator, operand)) == expected(
                operator, operand
            ), operand

    @pytest.mark.parametrize("operator", ["in", "contains_any"])
    async def test_a_list_of_values_needs_one_to_hold(
        self, memory: MemoryManager, operator: Operator
    ) -> None:
        await memory.put_many([*notes(), Note(id="without")])
        for operand in (["a"], [1, "a", NOON], [*OPERANDS], ["nowhere"], ["a", "a"], [[1, 2]]):
            assert await found(memory, Note, ("data.x", operator, operand)) == expected(
                operator, operand
            ), operand

    async def test_none_is_asked_for_by_equality(self, memory: MemoryManager) -> None:
        await memory.put_many([*notes(), Note(id="without")])
        assert await found(memory, Note, ("data.x", "==", None)) == ["n00"]

    async def test_a_declared_field_that_is_none_is_found(self, memory: MemoryManager) -> None:
        await memory.put_many([Note(id="a"), Note(id="b", score=0.0)])
        assert await found(memory, Note, ("score", "==", None)) == ["a"]
        assert await found(memory, Note, ("score", "!=", 1.0)) == ["b"]

    async def test_all_conditions_must_hold(self, memory: MemoryManager) -> None:
        await memory.put_many(
            Note(id=f"n{i}", owner="ab"[i % 2], rank=i, done=i % 3 == 0) for i in range(12)
        )
        assert await found(memory, Note, ("owner", "==", "a"), ("done", "==", True)) == ["n0", "n6"]
        ranged = (("owner", "==", "b"), ("rank", ">=", 3), ("rank", "<", 9))
        assert await found(memory, Note, *ranged) == ["n3", "n5", "n7"]
        either = (("owner", "in", ["a", "b"]), ("rank", "in", [1, 2, 99]))
        assert await found(memory, Note, *either) == ["n1", "n2"]
        assert await found(memory, Note, ("rank", ">", 5), ("rank", "<", 3)) == []
        assert await found(memory, Note, ("rank", "==", 5), ("rank", "<", 7)) == ["n5"]
        assert await found(memory, Note, ("rank", "==", None), ("rank", "!=", 1)) == []

    async def test_a_map_of_equalities_will_do(self, memory: MemoryManager) -> None:
        await memory.put_many([Note(id="a", rank=1), Note(id="b", rank=2)])
        page = await memory.find(Query(Note, where={"owner": "alice", "rank": 2}))
        assert page.records == [Note(id="b", rank=2)]

    async def test_list_fields_contain(self, memory: MemoryManager) -> None:
        await memory.put_many(
            [Note(id="a", tags=["x", "y"]), Note(id="b", tags=["y"]), Note(id="c")]
        )
        assert await found(memory, Note, ("tags", "contains", "y")) == ["a", "b"]
        assert await found(memory, Note, ("tags", "contains_any", ["x", "z"])) == ["a"]
        assert await found(memory, Note, ("tags", "==", ["y"])) == ["b"]

    async def test_enums_compare_by_their_value(self, memory: MemoryManager) -> None:
        await memory.put_many([Note(id="a"), Note.model_validate({"id": "b", "mood": "tense"})])
        assert await found(memory, Note, ("mood", "==", "tense")) == ["b"]
        mood = Note(id="a").mood
        assert await found(memory, Note, ("mood", "==", mood)) == ["a"]

    async def test_times_compare_across_zones(self, memory: MemoryManager) -> None:
        zone = NOON.astimezone().tzinfo
        assert zone is not None
        await memory.put_many(
            Note(id=f"n{i}", data={"x": NOON + timedelta(microseconds=i)}) for i in range(3)
        )
        since = (NOON + timedelta(microseconds=1)).astimezone(zone)
        assert await found(memory, Note, ("data.x", ">=", since)) == ["n1", "n2"]

    @pytest.mark.parametrize(
        "name", ["sp ace", "back`tick", "back\\slash", "tilde~", "~e", "__x__", "ключ", "😀"]
    )
    async def test_any_name_without_a_dot_can_be_asked_for(
        self, memory: MemoryManager, name: str
    ) -> None:
        await memory.put_many([Note(id="a", data={name: {name: 1}}), Note(id="b", data={name: 2})])
        assert await found(memory, Note, (f"data.{name}", "==", 2)) == ["b"]
        assert await found(memory, Note, (f"data.{name}.{name}", ">", 0)) == ["a"]

    async def test_other_collections_are_not_found(self, memory: MemoryManager) -> None:
        await memory.put(Place(country="a", town="b", people=1))
        await memory.put(Note(id="a"))
        assert await found(memory, Place, ("people", "==", 1)) == ["a_b"]
        assert await found(memory, Note) == ["a"]

    async def test_finding_nothing_is_an_empty_last_page(self, memory: MemoryManager) -> None:
        page = await memory.find(Query(Note, where={"rank": 77}))
        assert page.records == []
        assert page.cursor is None
        assert page.complete

    async def test_changed_and_deleted_records_leave_the_answer(
        self, memory: MemoryManager
    ) -> None:
        await memory.put_many(Note(id=key, rank=1) for key in "abc")
        await memory.put(Note(id="a", rank=2))
        await memory.delete(Note, "b")
        assert await found(memory, Note, ("rank", "==", 1)) == ["c"]

    async def test_large_fields_come_with_what_is_found(self, memory: MemoryManager) -> None:
        large = Note(id="a", body="é" * 700_000, attachment=[1, {"x": "y" * 400_000}])
        await memory.put(large)
        page = await memory.find(Query(Note))
        assert page.records == [large]
