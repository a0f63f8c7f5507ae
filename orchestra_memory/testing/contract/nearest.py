"""Records nearest to a vector."""

from __future__ import annotations

from math import sqrt

import pytest

from ...protocol import MemoryManager
from ...queries import Metric, Query
from .base import Contract
from .models import Note

VECTORS = {
    "east": [1.0, 0.0],
    "far east": [9.0, 0.0],
    "north": [0.0, 2.0],
    "north east": [3.0, 3.0],
    "west": [-1.0, 0.0],
}
TARGET = [2.0, 1.0]


async def stored(memory: MemoryManager) -> None:
    await memory.put_many(
        Note(id=key, vector=vector, owner=key[0]) for key, vector in VECTORS.items()
    )


def away(vector: list[float], metric: Metric) -> float:
    dot = vector[0] * TARGET[0] + vector[1] * TARGET[1]
    if metric == "dot_product":
        return dot
    if metric == "euclidean":
        return sqrt((vector[0] - TARGET[0]) ** 2 + (vector[1] - TARGET[1]) ** 2)
    return 1 - dot / (sqrt(vector[0] ** 2 + vector[1] ** 2) * sqrt(5))


class NearestContract(Contract):
    @pytest.mark.parametrize(
        ("metric", "expected"),
        [
            ("cosine", ["north east", "east", "far east", "north", "west"]),
            ("euclidean", ["east", "north", "north east", "west", "far east"]),
            ("dot_product", ["far east", "north east", "east", "north", "west"]),
        ],
    )
    async def test_the_nearest_come_first(
        self, memory: MemoryManager, metric: Metric, expected: list[str]
    ) -> None:
        await stored(memory)
        page = await memory.find(Query(Note).near("vector", TARGET, metric=metric))
        assert [note.id for note in page.records] == expected
        assert page.cursor is None

    @pytest.mark.parametrize("metric", ["cosine", "euclidean", "dot_product"])
    async def test_each_answer_tells_its_distance(
        self, memory: MemoryManager, metric: Metric
    ) -> None:
        await stored(memory)
        page = await memory.find(Query(Note).near("vector", TARGET, metric=metric))
        for item in page.items:
            assert item.distance == pytest.approx(away(VECTORS[item.record.id], metric))

    async def test_the_limit_bounds_the_answer(self, memory: MemoryManager) -> None:
        await stored(memory)
        page = await memory.find(Query(Note).near("vector", TARGET, limit=2))
        assert [note.id for note in page.records] == ["north east", "east"]
        assert page.cursor is None

    async def test_only_records_that_meet_the_conditions_are_near(
        self, memory: MemoryManager
    ) -> None:
        await stored(memory)
        query = Query(Note, where={"owner": "n"}).near("vector", TARGET)
        page = await memory.find(query)
        assert [note.id for note in page.records] == ["north east", "north"]

    async def test_records_without_such_a_vector_are_left_out(self, memory: MemoryManager) -> None:
        await stored(memory)
        await memory.put_many(
            [Note(id="none"), Note(id="longer", vector=[1.0, 2.0, 3.0]), Note(id="s", vector=[2.0])]
        )
        page = await memory.find(Query(Note).near("vector", TARGET, limit=100))
        assert {note.id for note in page.records} == set(VECTORS)

    async def test_ties_go_by_id(self, memory: MemoryManager) -> None:
        await memory.put_many(Note(id=key, vector=[1.0, 1.0]) for key in "cab")
        for metric in ("cosine", "euclidean", "dot_product"):
            page = await memory.find(Query(Note).near("vector", TARGET, metric=metric))
            assert [note.id for note in page.records] == ["a", "b", "c"]

    async def test_a_vector_without_a_direction_comes_last(self, memory: MemoryManager) -> None:
        await memory.put_many([Note(id="a", vector=[0.0, 0.0]), Note(id="b", vector=[-2.0, -1.0])])
        page = await memory.find(Query(Note).near("vector", TARGET, metric="cosine"))
        assert [note.id for note in page.records] == ["b", "a"]

    async def test_vectors_of_any_size_can_be_searched(self, memory: MemoryManager) -> None:
        await memory.put_many(
            [Note(id="far", vector=[1e200, 1e200]), Note(id="n", vector=[1.0, 1.0])]
        )
        page = await memory.find(Query(Note).near("vector", TARGET, metric="euclidean"))
        assert [note.id for note in page.records] == ["n", "far"]
        page = await memory.find(Query(Note).near("vector", TARGET, metric="dot_product"))
        assert [note.id for note in page.records] == ["far", "n"]
        page = await memory.find(Query(Note).near("vector", [1e200, 0.0], metric="cosine"))
        assert {note.id for note in page.records} == {"far", "n"}

    async def test_vectors_come_back_as_they_were(self, memory: MemoryManager) -> None:
        vector = [0.1 * i for i in range(2_048)]
        await memory.put(Note(id="a", vector=vector))
        page = await memory.find(Query(Note).near("vector", vector))
        assert page.records[0].vector == vector
        assert await memory.get(Note, "a") == Note(id="a", vector=vector)
