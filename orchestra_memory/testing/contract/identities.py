"""Exactly the id you gave."""

from __future__ import annotations

from itertools import product
from typing import Final

import pytest

from ...operations import Patch, Ref
from ...protocol import MemoryManager
from ...queries import Query
from .base import Contract
from .models import Note, Place

ODD: Final = (
    "a/b", "a/b/c", "/", "//", "a/", "/a", ".", "..", "...", "__x__", "____", "__", "__a", "_",
    "~", "~x", "~e", "~ea%2Fb", "~h", "%", "%2F", "%25", "a%2Fb", "a%252Fb", " ", " a", "a\nb",
    "\n", "__x\n__", "\t", "\x01", "\x7f", "a\u0301", "\u00e1", "😀", "\uffff", "\u200b", "a:b",
    "*", "[1]", "`", "\\", "'", '"; drop table', "$", "#", "?", "😀" * 375, "x" * 1_500,
    "/" * 1_500, "/" * 400, "~" * 1_500, "__" + "😀" * 374 + "__", "None", "0", "00", "-1", "1e3",
)  # fmt: skip
PARTS: Final = ("a", "b", "a_b", "_", "__", "%", "%5F", "/", "a/b", ".", "é", " ")


class IdentityContract(Contract):
    async def test_any_id_is_kept_as_it_is(self, memory: MemoryManager) -> None:
        notes = [Note(id=key, rank=i) for i, key in enumerate(ODD)]
        await memory.write([])
        await memory.put_many(notes)
        assert await memory.get_many(Note, ODD) == notes
        assert {note.id async for note in memory.scan(Query(Note, page_size=7))} == set(ODD)

    async def test_any_id_can_be_patched_and_deleted(self, memory: MemoryManager) -> None:
        await memory.put_many(Note(id=key) for key in ODD)
        await memory.write([Patch(Ref(Note, key), set={"rank": 1}) for key in ODD])
        assert [note and note.rank for note in await memory.get_many(Note, ODD)] == [1] * len(ODD)
        await memory.delete_many(Note, ODD[::2])
        left = {note.id async for note in memory.scan(Query(Note))}
        assert left == set(ODD[1::2])

    async def test_any_id_can_be_paged_over(self, memory: MemoryManager) -> None:
        await memory.put_many(Note(id=key, rank=1) for key in ODD)
        query = Query(Note, order_by="-rank", page_size=1)
        scanned = [note.id async for note in memory.scan(query)]
        assert len(scanned) == len(ODD)
        assert set(scanned) == set(ODD)

    @pytest.mark.parametrize("key", ["\x00", "a\x00b"])
    async def test_even_a_nul_is_kept(self, memory: MemoryManager, key: str) -> None:
        await memory.put(Note(id=key))
        assert await memory.get(Note, key) == Note(id=key)
        assert await memory.get(Note, key.replace("\x00", "") or "x") is None
        assert [note.id async for note in memory.scan(Query(Note))] == [key]

    async def test_ids_of_several_parts_are_apart(self, memory: MemoryManager) -> None:
        places = [
            Place(country=country, town=town, people=i)
            for i, (country, town) in enumerate(product(PARTS, PARTS))
        ]
        assert len({place.key for place in places}) == len(places)
        await memory.put_many(places)
        assert await memory.get_many(Place, [place.key for place in places]) == places
        assert [Place.key_parts(place.key) for place in places] == list(product(PARTS, PARTS))

    async def test_plain_parts_make_a_plain_id(self, memory: MemoryManager) -> None:
        await memory.put(Place(country="it", town="Rome"))
        assert await memory.get(Place, "it_Rome") == Place(country="it", town="Rome")

    async def test_parts_too_long_to_escape_are_kept_all_the_same(
        self, memory: MemoryManager
    ) -> None:
        places = [Place(country="/" * 300, town=town * 500) for town in "ab"]
        await memory.put_many(places)
        assert await memory.get_many(Place, [place.key for place in places]) == places
        found = [place async for place in memory.scan(Query(Place))]
        assert sorted(found, key=lambda place: place.town) == places
