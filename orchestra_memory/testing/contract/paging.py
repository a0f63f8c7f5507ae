"""Pages: no record twice, none left out, and cursors that travel."""

from __future__ import annotations

import re
from itertools import chain
from typing import Any

import pytest

from ...errors import InvalidQuery
from ...protocol import MemoryManager
from ...queries import Query
from .base import Contract
from .models import Note, Place
from .queries import VALUES, notes


async def pages(memory: MemoryManager, query: Query[Note]) -> list[list[str]]:
    """The ids on every page, first to last."""
    found: list[list[str]] = []
    while True:
        page = await memory.find(query)
        found.append([note.id for note in page.records])
        if page.cursor is None:
            return found
        query = query.with_(after=page.cursor)


def flat(found: list[list[str]]) -> list[str]:
    return list(chain.from_iterable(found))


async def with_ties(memory: MemoryManager) -> None:
    await memory.put_many(Note(id=f"n{i:02}", rank=i % 3, owner="ab"[i % 2]) for i in range(23))


class PagingContract(Contract):
    @pytest.mark.parametrize("page_size", [1, 2, 5, 22, 23, 24])
    @pytest.mark.parametrize("order_by", [(), "rank", "-rank"])
    async def test_pages_neither_repeat_nor_skip(
        self, memory: MemoryManager, page_size: int, order_by: str
    ) -> None:
        await with_ties(memory)
        query = Query(Note, order_by=order_by, page_size=page_size)
        whole = await memory.find(query.with_(page_size=100))
        found = await pages(memory, query)
        assert flat(found) == [note.id for note in whole.records]
        assert all(len(page) == page_size for page in found[:-1])
        assert 0 < len(found[-1]) <= page_size

    @pytest.mark.parametrize("order_by", ["data.x", "-data.x"])
    async def test_values_of_every_kind_can_be_paged_over(
        self, memory: MemoryManager, order_by: str
    ) -> None:
        await memory.put_many(notes())
        found = await pages(memory, Query(Note, order_by=order_by, page_size=1))
        in_order = [f"n{i:02}" for i in range(len(VALUES))]
        assert flat(found) == (in_order if order_by == "data.x" else in_order[::-1])

    async def test_conditions_hold_on_every_page(self, memory: MemoryManager) -> None:
        await with_ties(memory)
        where: Any = [("owner", "==", "b"), ("rank", ">=", 1)]
        found = await pages(memory, Query(Note, where=where, order_by="-rank", page_size=3))
        assert flat(found) == [
            f"n{i:02}"
            for i in sorted(
                (i for i in range(23) if i % 2 and i % 3), key=lambda i: (i % 3, i), reverse=True
            )
        ]

    @pytest.mark.parametrize("limit", [1, 5, 6, 22, 23, 99])
    async def test_the_limit_is_the_total_over_all_pages(
        self, memory: MemoryManager, limit: int
    ) -> None:
        await with_ties(memory)
        query = Query(Note, page_size=5, limit=limit)
        found = await pages(memory, query)
        assert flat(found) == [f"n{i:02}" for i in range(min(limit, 23))]
        assert all(found), "an empty page at the end"
        assert [note.id async for note in memory.scan(query)] == flat(found)

    async def test_scan_gives_every_record_once(self, memory: MemoryManager) -> None:
        await with_ties(memory)
        scanned = [note.id async for note in memory.scan(Query(Note, order_by="rank", page_size=4))]
        assert len(scanned) == len(set(scanned)) == 23

    async def test_a_scan_can_be_left_early(self, memory: MemoryManager) -> None:
        await with_ties(memory)
        async for note in memory.scan(Query(Note, page_size=2)):
            if note.id == "n02":
                break
        assert (await memory.find(Query(Note, limit=1))).records[0].id == "n00"

    async def test_a_cursor_is_url_safe(self, memory: MemoryManager) -> None:
        await memory.put_many(Note(id=f"é/{i}", data={"x": f"?&=%{i}\n"}) for i in range(4))
        page = await memory.find(Query(Note, order_by="data.x", page_size=2))
        assert page.cursor is not None
        assert re.fullmatch(r"[A-Za-z0-9_.~-]+", page.cursor)

    async def test_a_cursor_continues_in_another_instance(
        self, memory: MemoryManager, another: MemoryManager
    ) -> None:
        await with_ties(memory)
        first = await memory.find(Query(Note, order_by="rank", page_size=10))
        second = await another.find(Query(Note, order_by="rank", page_size=99, after=first.cursor))
        assert len({note.id for note in (*first.records, *second.records)}) == 23

    async def test_the_page_size_may_change_between_pages(self, memory: MemoryManager) -> None:
        await with_ties(memory)
        first = await memory.find(Query(Note, page_size=3))
        second = await memory.find(Query(Note, page_size=7, after=first.cursor))
        assert [note.id for note in second.records] == [f"n{i:02}" for i in range(3, 10)]

    async def test_a_cursor_outlives_the_record_it_stands_on(self, memory: MemoryManager) -> None:
        await with_ties(memory)
        first = await memory.find(Query(Note, page_size=3))
        await memory.delete_many(Note, [note.id for note in first.records])
        await memory.put(Note(id="n015"))
        second = await memory.find(Query(Note, page_size=3, after=first.cursor))
        assert [note.id for note in second.records] == ["n03", "n04", "n05"]

    @pytest.mark.parametrize(
        "other",
        [
            Query(Note, order_by="-rank"),
            Query(Note, where={"owner": "a"}, order_by="rank"),
            Query(Note, order_by="rank", include_expired=True),
            Query(Note, order_by="rank", namespace="acme"),
            Query(Place),
        ],
    )
    async def test_a_cursor_of_another_query_is_refused(
        self, memory: MemoryManager, other: Query[Any]
    ) -> None:
        await with_ties(memory)
        page = await memory.find(Query(Note, order_by="rank", page_size=2))
        with pytest.raises(InvalidQuery) as caught:
            await memory.find(other.with_(after=page.cursor))
        assert caught.value.field == "after"

    @pytest.mark.parametrize("cursor", ["", "x", "AAAA", "é", "W10", "e30=", "a b", "W" * 5_000])
    async def test_what_is_no_cursor_is_refused(self, memory: MemoryManager, cursor: str) -> None:
        with pytest.raises(InvalidQuery) as caught:
            await memory.find(Query(Note, after=cursor))
        assert caught.value.field == "after"

    async def test_records_written_meanwhile_do_not_disturb_the_pages(
        self, memory: MemoryManager
    ) -> None:
        await with_ties(memory)
        query = Query(Note, order_by="rank", page_size=4)
        seen: list[str] = []
        while True:
            page = await memory.find(query)
            seen += [note.id for note in page.records]
            await memory.put(Note(id=f"a{len(seen)}", rank=0))
            if page.cursor is None:
                break
            query = query.with_(after=page.cursor)
        assert [key for key in seen if key.startswith("n")] == sorted(
            (f"n{i:02}" for i in range(23)), key=lambda key: (int(key[1:]) % 3, key)
        )
