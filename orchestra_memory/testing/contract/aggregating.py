"""Counts, sums and averages."""

from __future__ import annotations

import math
from typing import Any

import pytest

from ...operations import Average, Count, Measure, Sum
from ...protocol import MemoryManager
from ...queries import Query
from ...values import INT64_MAX
from .base import Contract
from .models import Note
from .oracle import exact

ALL = (Count("n"), Sum("total", of="data.x"), Average("mean", of="data.x"))


async def totals(memory: MemoryManager, values: list[Any]) -> dict[str, Any]:
    """The measures of ``data.x`` over these values, and one record without it."""
    await memory.put_many(Note(id=f"n{i}", data={"x": x}) for i, x in enumerate(values))
    await memory.put(Note(id="without"))
    return dict(await memory.aggregate(Query(Note), ALL))


class AggregatingContract(Contract):
    async def test_measures_are_keyed_by_their_names(self, memory: MemoryManager) -> None:
        await memory.put_many(Note(id=f"n{i}", rank=i) for i in range(5))
        answer = await memory.aggregate(
            Query(Note), [Count("how many"), Sum("sum", of="rank"), Average("é", of="rank")]
        )
        assert dict(answer) == {"how many": 5, "sum": 10, "é": 2.0}
        assert list(answer) == ["how many", "sum", "é"]

    async def test_only_matching_records_are_measured(self, memory: MemoryManager) -> None:
        await memory.put_many(Note(id=f"n{i}", rank=i, owner="ab"[i % 2]) for i in range(10))
        query = Query(Note, where={"owner": "b"})
        answer = await memory.aggregate(query, [Count(), Sum("sum", of="rank")])
        assert dict(answer) == {"count": 5, "sum": 25}
        ranged = Query(Note, where=[("rank", ">", 6)])
        assert dict(await memory.aggregate(ranged, [Count()])) == {"count": 3}

    async def test_page_size_does_not_bound_a_count(self, memory: MemoryManager) -> None:
        await memory.put_many(Note(id=f"n{i}") for i in range(7))
        answer = await memory.aggregate(Query(Note, page_size=2), [Count()])
        assert answer["count"] == 7

    async def test_the_count_includes_what_lacks_the_summed_field(
        self, memory: MemoryManager
    ) -> None:
        assert await totals(memory, [1, 2, None]) == {"n": 4, "total": 3, "mean": 1.5}

    async def test_only_numbers_are_summed(self, memory: MemoryManager) -> None:
        values = [1, "2", True, None, [3], {"x": 4}, 0.5]
        assert await totals(memory, values) == {"n": 8, "total": 1.5, "mean": 0.75}

    async def test_nothing_sums_to_zero_and_has_no_mean(self, memory: MemoryManager) -> None:
        assert dict(await memory.aggregate(Query(Note), ALL)) == {
            "n": 0,
            "total": 0,
            "mean": None,
        }
        assert await totals(memory, ["text"]) == {"n": 2, "total": 0, "mean": None}

    @pytest.mark.parametrize(
        ("values", "total"),
        [
            ([1, 2], 3),
            ([1, 2.0], 3.0),
            ([1.5, 1.5], 3.0),
            ([2**60, 1], 2**60 + 1),
            ([INT64_MAX, 1], float(2**63)),
            ([], 0),
        ],
    )
    async def test_whole_numbers_sum_to_a_whole_number(
        self, memory: MemoryManager, values: list[Any], total: float
    ) -> None:
        answer = await totals(memory, values)
        assert exact(answer["total"]) == exact(total)
        assert exact(answer["n"]) == exact(len(values) + 1)
        if values:
            assert type(answer["mean"]) is float

    async def test_nan_makes_the_sum_nan(self, memory: MemoryManager) -> None:
        answer = await totals(memory, [1, float("nan")])
        assert math.isnan(answer["total"])
        assert math.isnan(answer["mean"])

    async def test_sums_beyond_every_number_are_infinite(self, memory: MemoryManager) -> None:
        answer = await totals(memory, [1e308, 1e308, 1.5])
        assert answer["total"] == math.inf
        assert answer["mean"] == math.inf

    async def test_infinities_of_both_signs_sum_to_nan(self, memory: MemoryManager) -> None:
        answer = await totals(memory, [math.inf, -math.inf, 1])
        assert math.isnan(answer["total"])

    async def test_declared_fields_that_are_none_are_left_out(self, memory: MemoryManager) -> None:
        await memory.put_many([Note(id="a", score=1.0), Note(id="b"), Note(id="c", score=2.0)])
        answer = await memory.aggregate(
            Query(Note), [Count(), Sum("sum", of="score"), Average("mean", of="score")]
        )
        assert dict(answer) == {"count": 3, "sum": 3.0, "mean": 1.5}

    async def test_many_measures_go_into_one_call(self, memory: MemoryManager) -> None:
        await memory.put_many(Note(id=f"n{i}", rank=i, score=float(i)) for i in range(3))
        measures: list[Measure] = [
            Count("a"), Count("b"), Sum("c", of="rank"), Average("d", of="rank"),
            Sum("e", of="score"), Average("f", of="score"), Sum("g", of="rank"),
        ]  # fmt: skip
        answer = await memory.aggregate(Query(Note), measures)
        assert dict(answer) == {"a": 3, "b": 3, "c": 3, "d": 1.0, "e": 3.0, "f": 1.0, "g": 3}

    async def test_no_measures_no_answer(self, memory: MemoryManager) -> None:
        assert dict(await memory.aggregate(Query(Note), [])) == {}
