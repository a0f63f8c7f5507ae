"""Changing single fields without reading."""

from __future__ import annotations

from typing import Any

import pytest

from ...errors import InvalidRecord
from ...operations import Patch, Ref
from ...protocol import MemoryManager
from ...values import INT64_MAX, INT64_MIN
from .base import Contract
from .models import Event, LooseEvent, Note
from .oracle import exact

A = Ref(Note, "a")


async def after(memory: MemoryManager, data: dict[str, Any], **changes: Any) -> Any:
    """What a patch makes of ``data``."""
    await memory.put(Note(id="a", title="kept", data=data, body="kept"))
    await memory.write([Patch(A, **changes)])
    record = await memory.get(Note, "a")
    assert record is not None
    assert record == Note(id="a", title="kept", data=record.data, body="kept")
    return record.data


class PatchingContract(Contract):
    async def test_set_changes_only_what_it_names(self, memory: MemoryManager) -> None:
        note = Note(id="a", title="t", rank=1, tags=["x"], data={"y": 1}, body="b")
        await memory.put(note)
        await memory.write([Patch(A, set={"rank": 2, "score": 0.5, "tags": ["z"]})])
        assert await memory.get(Note, "a") == note.evolve(rank=2, score=0.5, tags=["z"])

    @pytest.mark.parametrize(
        ("data", "path", "expected"),
        [
            ({"y": 1}, "x", {"y": 1, "x": 9}),
            ({"x": {"y": 1, "z": 2}}, "x.y", {"x": {"y": 9, "z": 2}}),
            ({}, "x.y.z", {"x": {"y": {"z": 9}}}),
            ({"x": "text"}, "x.y", {"x": {"y": 9}}),
            ({"x": [1, 2]}, "x.y", {"x": {"y": 9}}),
            ({"x": None, "w": 0}, "x.y", {"x": {"y": 9}, "w": 0}),
        ],
    )
    async def test_set_reaches_into_maps_and_makes_them(
        self, memory: MemoryManager, data: dict[str, Any], path: str, expected: Any
    ) -> None:
        assert await after(memory, data, set={f"data.{path}": 9}) == expected

    @pytest.mark.parametrize(
        ("name", "problem"),
        [("\ud800", "lone surrogate"), ("x" * 1_500, "1400 bytes"), ("é" * 750, "1400 bytes")],
        ids=["no text", "long", "many bytes"],
    )
    async def test_a_name_that_no_map_may_have_is_refused(
        self, memory: MemoryManager, name: str, problem: str
    ) -> None:
        await memory.put(Note(id="a", data={}))
        with pytest.raises(InvalidRecord, match=problem):
            await memory.write([Patch(A, set={f"data.{name}": 9})])

    @pytest.mark.parametrize(
        "name", ["sp ace", "back`tick", "back\\slash", "tilde~", "~e", "__x__", "ключ", "😀", "1st"]
    )
    async def test_any_name_without_a_dot_can_be_patched(
        self, memory: MemoryManager, name: str
    ) -> None:
        assert await after(memory, {"y": 1}, set={f"data.{name}": 9}) == {"y": 1, name: 9}
        assert await after(memory, {name: 1}, increment={f"data.{name}": 9}) == {name: 10}
        assert await after(memory, {name: 1, "y": 2}, unset=[f"data.{name}"]) == {"y": 2}

    async def test_set_replaces_a_map_as_a_whole(self, memory: MemoryManager) -> None:
        assert await after(memory, {"x": {"y": 1}}, set={"data.x": {"z": [[1]]}}) == {
            "x": {"z": [[1]]}
        }
        assert await after(memory, {"x": 1}, set={"data": {}}) == {}

    @pytest.mark.parametrize(
        ("before", "amount", "expected"),
        [
            (1, 2, 3),
            (1, 0.5, 1.5),
            (1.5, 1, 2.5),
            (5, -7, -2),
            (None, 3, 3),
            ("text", 3, 3),
            ([1], 0.25, 0.25),
            (True, 1, 1),
            (INT64_MAX, 1, INT64_MAX),
            (INT64_MIN, -1, INT64_MIN),
            (2**53, 1, 2**53 + 1),
        ],
    )
    async def test_increment_adds_to_numbers_and_replaces_the_rest(
        self, memory: MemoryManager, before: Any, amount: float, expected: float
    ) -> None:
        data = await after(memory, {"x": before}, increment={"data.x": amount})
        assert exact(data) == exact({"x": expected})

    async def test_increment_starts_at_nothing(self, memory: MemoryManager) -> None:
        assert await after(memory, {}, increment={"data.x.y": 2}) == {"x": {"y": 2}}
        await memory.write([Patch(A, increment={"rank": 5, "score": 0.5})])
        await memory.write([Patch(A, increment={"rank": -2, "score": 1})])
        record = await memory.get(Note, "a")
        assert record is not None
        assert (record.rank, record.score) == (3, 1.5)

    @pytest.mark.parametrize(
        ("before", "added", "expected"),
        [
            ([1, 2], [2, 3], [1, 2, 3]),
            ([1, 1], [3, 3, 1], [1, 1, 3]),
            ([1], [1.0, 2.0], [1, 2.0]),
            (None, [1], [1]),
            ("text", [1], [1]),
            ([], [{"a": 1}, {"a": 1}], [{"a": 1}]),
            ([True, "1"], [1], [True, "1", 1]),
            (["z"], ["a"], ["z", "a"]),
        ],
    )
    async def test_add_appends_what_is_missing(
        self, memory: MemoryManager, before: Any, added: list[Any], expected: list[Any]
    ) -> None:
        data = await after(memory, {"x": before}, add={"data.x": added})
        assert exact(data) == exact({"x": expected})

    @pytest.mark.parametrize(
        ("before", "removed", "expected"),
        [
            ([1, 2, 1, 3], [1], [2, 3]),
            ([1, 2.0], [1.0, 2], []),
            ([{"a": [1]}, {"a": [2]}], [{"a": [1]}], [{"a": [2]}]),
            (None, [1], []),
            ("text", [1], []),
            ([1], [2], [1]),
        ],
    )
    async def test_remove_takes_out_every_occurrence(
        self, memory: MemoryManager, before: Any, removed: list[Any], expected: list[Any]
    ) -> None:
        data = await after(memory, {"x": before}, remove={"data.x": removed})
        assert exact(data) == exact({"x": expected})

    async def test_add_and_remove_start_at_nothing(self, memory: MemoryManager) -> None:
        assert await after(memory, {}, add={"data.x.y": ["a"]}) == {"x": {"y": ["a"]}}
        assert await after(memory, {}, remove={"data.x": ["a"]}) == {"x": []}
        await memory.write([Patch(A, add={"tags": ["t", "u"]})])
        await memory.write([Patch(A, remove={"tags": ["t"]})])
        record = await memory.get(Note, "a")
        assert record is not None
        assert record.tags == ["u"]

    async def test_lists_within_lists_can_be_added_and_removed(self, memory: MemoryManager) -> None:
        data = await after(memory, {"x": [[1]]}, add={"data.x": [[1], [2, [3]]]})
        assert data == {"x": [[1], [2, [3]]]}
        assert await after(memory, data, remove={"data.x": [[2, [3]]]}) == {"x": [[1]]}

    async def test_unset_takes_entries_away_and_fields_to_their_default(
        self, memory: MemoryManager
    ) -> None:
        assert await after(memory, {"x": 1, "y": {"z": 2}}, unset=["data.y.z"]) == {"x": 1, "y": {}}
        assert await after(memory, {"x": 1}, unset=["data.x", "data.no.such"]) == {}
        await memory.put(Note(id="a", rank=3, tags=["x"], data={"x": 1}, score=2.0))
        await memory.write([Patch(A, unset=["rank", "tags", "data", "score"])])
        assert await memory.get(Note, "a") == Note(id="a")

    async def test_all_kinds_of_change_go_into_one_patch(self, memory: MemoryManager) -> None:
        data = {"n": 1, "add": [1], "gone": 1, "out": [1, 2]}
        changed = await after(
            memory,
            data,
            set={"data.s": "x"},
            increment={"data.n": 1},
            add={"data.add": [2]},
            remove={"data.out": [1]},
            unset=["data.gone"],
        )
        assert changed == {"s": "x", "n": 2, "add": [1, 2], "out": [2]}

    async def test_or_create_gives_what_to_patch(self, memory: MemoryManager) -> None:
        patch = Patch(
            A,
            increment={"rank": 1, "data.n": 1},
            add={"tags": ["x"]},
            or_create=Note(id="a", rank=10, title="new", body="b"),
        )
        for i in range(3):
            await memory.write([patch])
            assert await memory.get(Note, "a") == Note(
                id="a", rank=11 + i, title="new", body="b", tags=["x"], data={"n": i + 1}
            )

    async def test_or_create_sets_and_unsets_too(self, memory: MemoryManager) -> None:
        created = Note(id="a", rank=3, title="gone", data={"x": 1, "y": 2})
        patch = Patch(A, set={"data.z": 3}, unset=["title", "data.x"], or_create=created)
        await memory.write([patch])
        assert await memory.get(Note, "a") == Note(id="a", rank=3, data={"y": 2, "z": 3})

    async def test_a_patch_keeps_fields_this_version_does_not_know(
        self, memory: MemoryManager
    ) -> None:
        await memory.put(LooseEvent(id="a", size=1, extra={"kept": [1]}))
        await memory.write([Patch(Ref(Event, "a"), increment={"size": 1})])
        record = await memory.get(LooseEvent, "a")
        assert record is not None
        assert (record.size, record.extra) == (2, {"kept": [1]})
