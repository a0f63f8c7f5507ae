"""Exactly the value you stored."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal
from functools import reduce
from typing import Any, Final
from uuid import UUID

import pytest

from ...protocol import MemoryManager
from ...queries import Query
from ...values import INT64_MAX, INT64_MIN
from .base import Contract
from .models import Mood, Note, Ticket
from .oracle import exact

TOKYO: Final = timezone(timedelta(hours=9))
NEW_YEAR: Final = datetime(2026, 1, 1, 0, 0, 0, 1, tzinfo=TOKYO)


def nested(depth: int) -> Any:
    """Maps within maps, so many that a field holds them just so."""
    leaf: dict[str, Any] = {"leaf": 1}
    return reduce(lambda inner, _: {"d": inner}, range(depth - 1), leaf)


VALUES: Final[dict[str, Any]] = {
    "none": None,
    "booleans": [True, False],
    "integers": [0, 1, -1, 2**31, 2**53 + 1, INT64_MAX, INT64_MIN],
    "floats": [0.0, -0.0, 1.0, 0.1, 1e308, 5e-324, float("inf"), float("-inf"), float("nan")],
    "texts": ["", " ", "é", "😀", "\x00", "\n", "a\u0301", "\uffff", "null", "$time"],
    "bytes": [b"", b"\x00\xff", b"text"],
    "times": [
        datetime(2026, 1, 1, 12, 0, 0, 123456, tzinfo=UTC),
        datetime(1969, 12, 31, 23, 59, 59, 999999, tzinfo=UTC),
        datetime(1, 1, 1, tzinfo=UTC),
        datetime(9999, 12, 31, 23, 59, 59, 999999, tzinfo=UTC),
    ],
    "lists in lists": [[], [[]], [1, [2, [3, [{"a": [[4]]}]]]], [None], [[None]]],
    "empty maps": [{}, {"a": {}}, {"": {}}],
    "odd keys": {
        "": 1, ".": 2, "a.b": 3, "`": 4, "~": 5, "~e": 6, "__x__": 7, "__": 8, "$time": 9, "/": 10,
        "a b": 11, "\\": 12, "é": 13, "😀": 14, "\n": 15, "%2F": 16, "__name__": 17, "$$x": 18,
        "~~": 19, "_": 20, "~l": 21, "schema_version": 22, "\x00": 23,
    },
    "what looks like a vector": {"__type__": "__vector__", "value": [1.0, 2.0]},
    "what looks like a time": {"$time": "2026-01-01T00:00:00.000000Z"},
    "what looks like bytes": [{"$bytes": "AA=="}, {"$vector": [1]}, {"$float": "nan"}, {"$": 1}],
    "what looks wrapped": [{"~l": [1]}, {"~": [1]}, [{"~list": [1]}], {"__list__": [[1]]}],
    "deep maps": nested(18),
    "long text": "é" * 100_000,
    "long list": list(range(2_000)),
    "many keys": {f"k{i}": i for i in range(1_000)},
}  # fmt: skip


class ValueContract(Contract):
    @pytest.mark.parametrize("name", VALUES)
    async def test_free_values_come_back_exactly(self, memory: MemoryManager, name: str) -> None:
        value = VALUES[name]
        note = Note(id="a", data={"x": value, name: value}, attachment=value)
        await memory.put(note)
        read = await memory.get(Note, "a")
        assert read is not None
        assert exact(read.data) == exact(note.data)
        assert exact(read.attachment) == exact(value)
        (found,) = (await memory.find(Query(Note))).records
        assert exact(found.data) == exact(note.data)

    async def test_times_of_other_zones_are_kept_to_the_microsecond(
        self, memory: MemoryManager
    ) -> None:
        note = Note(id="a", created=NEW_YEAR, data={"at": [NEW_YEAR]})
        await memory.put(note)
        read = await memory.get(Note, "a")
        assert read == note
        assert read is not None
        assert read.created == NEW_YEAR
        assert read.created.tzinfo is UTC
        assert exact(read.data) == exact({"at": [datetime(2025, 12, 31, 15, 0, 0, 1, tzinfo=UTC)]})

    async def test_what_is_normalised_at_construction_comes_back_equal(
        self, memory: MemoryManager
    ) -> None:
        data: Any = {"tuple": (1, (2,)), "mood": Mood.TENSE, "moods": [Mood.CALM], Mood.CALM: 1}
        note = Note(id="a", mood=Mood.TENSE, data=data)
        await memory.put(note)
        read = await memory.get(Note, "a")
        assert read == note
        assert read is not None
        assert read.mood is Mood.TENSE
        assert exact(read.data) == exact(
            {"tuple": [1, [2]], "mood": "tense", "moods": ["calm"], "calm": 1}
        )

    async def test_fields_with_a_type_of_their_own_come_back_in_it(
        self, memory: MemoryManager
    ) -> None:
        ticket = Ticket(id="t", serial=UUID(int=7), price=Decimal("0.10"))
        await memory.put(ticket)
        read = await memory.get(Ticket, "t")
        assert read == ticket
        assert read is not None
        assert str(read.price) == "0.10"

    @pytest.mark.parametrize("field", ["body", "attachment"])
    @pytest.mark.parametrize("text", ["x" * 1_500_000, "é" * 1_250_000, "😀" * 700_000])
    async def test_large_fields_outgrow_a_mebibyte(
        self, memory: MemoryManager, field: str, text: str
    ) -> None:
        note = Note.model_validate({"id": "a", "rank": 1, field: text})
        await memory.put(note)
        assert await memory.get(Note, "a") == note
        smaller = note.evolve(**{field: "small"})
        await memory.put(smaller)
        assert await memory.get(Note, "a") == smaller
        await memory.delete(Note, "a")
        assert await memory.get(Note, "a") is None
        assert (await memory.find(Query(Note))).records == []

    async def test_several_large_fields_go_together(self, memory: MemoryManager) -> None:
        parts = [{"n": i, "b": bytes(range(256)) * 400, "l": [[i]]} for i in range(12)]
        note = Note(id="a", body="b" * 1_200_000, attachment=parts)
        await memory.put(note)
        read = await memory.get(Note, "a")
        assert read == note
        await memory.put(note.evolve(rank=1, attachment=None))
        assert await memory.get(Note, "a") == note.evolve(rank=1, attachment=None)
