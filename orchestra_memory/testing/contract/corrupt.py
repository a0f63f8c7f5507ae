"""Stored documents that do not fit their record type: an error, or left out and told."""

from __future__ import annotations

from collections.abc import Iterable

import pytest

from ...errors import CorruptRecord, SchemaTooNew
from ...operations import Options, Page, Ref
from ...protocol import MemoryManager
from ...queries import Query
from .base import Contract
from .models import Event, EventTomorrow, LooseEvent, LooseNote, Note

SKIP = Options(corrupt="skip")
BAD = (0, 3, 4, 5, 6, 7, 11)
"""Which of a dozen events do not fit: at the ends, alone, and more than a page of them."""


def key(number: int) -> str:
    return f"e{number:02}"


def keys(numbers: Iterable[int]) -> list[str]:
    return [key(number) for number in numbers]


GOOD = tuple(number for number in range(12) if number not in BAD)


async def dozen(memory: MemoryManager) -> None:
    await memory.put_many(
        LooseEvent(id=key(number), size="s3cret" if number in BAD else number)
        for number in range(12)
    )


async def pages(memory: MemoryManager, query: Query[Event]) -> list[Page[Event]]:
    found: list[Page[Event]] = []
    while True:
        page = await memory.find(query, options=SKIP)
        found.append(page)
        if page.cursor is None:
            return found
        query = query.with_(after=page.cursor)


class CorruptContract(Contract):
    async def test_what_does_not_fit_is_an_error_unless_asked_otherwise(
        self, memory: MemoryManager
    ) -> None:
        await dozen(memory)
        with pytest.raises(CorruptRecord):
            await memory.find(Query(Event))
        with pytest.raises(CorruptRecord):
            [event async for event in memory.scan(Query(Event))]
        with pytest.raises(CorruptRecord):
            await memory.find(Query(Event), options=Options(corrupt="raise"))

    async def test_what_does_not_fit_is_left_out_and_named(self, memory: MemoryManager) -> None:
        await dozen(memory)
        page = await memory.find(Query(Event), options=SKIP)
        assert [event.id for event in page.records] == keys(GOOD)
        assert [(error.collection, error.key) for error in page.corrupt] == [
            ("contract_events", key(number)) for number in BAD
        ]
        assert {error.fields for error in page.corrupt} == {("size",)}
        assert page.complete
        assert page.cursor is None

    async def test_what_is_told_holds_nothing_of_what_is_stored(
        self, memory: MemoryManager
    ) -> None:
        await dozen(memory)
        page = await memory.find(Query(Event), options=SKIP)
        assert len(page.corrupt) == len(BAD)
        for error in page.corrupt:
            assert "s3cret" not in repr((error, str(error), vars(error)))
            assert (error.__cause__, error.__context__, error.__traceback__) == (None, None, None)

    async def test_a_page_without_fault_tells_of_none(self, memory: MemoryManager) -> None:
        await memory.put_many(Event(id=key(number)) for number in range(3))
        page = await memory.find(Query(Event), options=SKIP)
        assert len(page.items) == 3
        assert page.corrupt == ()

    @pytest.mark.parametrize("page_size", [1, 2, 3, 5, 11, 12, 13])
    async def test_pages_neither_repeat_nor_skip_for_what_is_left_out(
        self, memory: MemoryManager, page_size: int
    ) -> None:
        await dozen(memory)
        found = await pages(memory, Query(Event, page_size=page_size))
        assert [event.id for page in found for event in page.records] == keys(GOOD)
        assert [error.key for page in found for error in page.corrupt] == keys(BAD)
        assert all(len(page.items) + len(page.corrupt) == page_size for page in found[:-1])

    @pytest.mark.parametrize("order_by", ["-at", "size"])
    async def test_any_order_is_kept(self, memory: MemoryManager, order_by: str) -> None:
        await dozen(memory)
        query = Query(Event, order_by=order_by, page_size=4)
        found = await pages(memory, query)
        good = [event.id for page in found for event in page.records]
        assert good == (keys(GOOD) if order_by == "size" else keys(GOOD)[::-1])
        assert sorted(error.key for page in found for error in page.corrupt) == keys(BAD)

    @pytest.mark.parametrize("limit", [1, 5, 12, 99])
    async def test_the_limit_counts_what_is_left_out(
        self, memory: MemoryManager, limit: int
    ) -> None:
        await dozen(memory)
        query = Query(Event, page_size=4, limit=limit)
        found = await pages(memory, query)
        assert [event.id for page in found for event in page.records] == keys(
            number for number in GOOD if number < limit
        )
        assert sum(len(page.corrupt) for page in found) == sum(n < limit for n in BAD)

    @pytest.mark.parametrize("page_size", [1, 3, 100])
    async def test_a_scan_goes_on_and_tells_of_each(
        self, memory: MemoryManager, page_size: int
    ) -> None:
        await dozen(memory)
        errors: list[CorruptRecord] = []
        query = Query(Event, page_size=page_size)
        scanned = [event.id async for event in memory.scan(query, on_corrupt=errors.append)]
        assert scanned == keys(GOOD)
        assert [error.key for error in errors] == keys(BAD)

    async def test_what_is_raised_when_told_ends_the_scan(self, memory: MemoryManager) -> None:
        await dozen(memory)

        def refuse(error: CorruptRecord) -> None:
            raise error

        with pytest.raises(CorruptRecord):
            [event async for event in memory.scan(Query(Event), on_corrupt=refuse)]

    async def test_a_view_can_leave_out_what_does_not_fit(self, memory: MemoryManager) -> None:
        view = memory.with_options(namespace="ours", corrupt="skip")
        await dozen(view)
        page = await view.find(Query(Event))
        assert [event.id for event in page.records] == keys(GOOD)
        assert [event.id async for event in view.scan(Query(Event))] == keys(GOOD)
        with pytest.raises(CorruptRecord):
            await view.find(Query(Event), options=Options(corrupt="raise"))
        with pytest.raises(CorruptRecord):
            await memory.with_options(namespace="ours").find(Query(Event))

    async def test_a_record_asked_for_by_its_id_is_never_left_out(
        self, memory: MemoryManager
    ) -> None:
        await dozen(memory)
        with pytest.raises(CorruptRecord):
            await memory.get(Event, key(0), options=SKIP)
        with pytest.raises(CorruptRecord):
            await memory.read([Ref(Event, key(1)), Ref(Event, key(0))], options=SKIP)

    async def test_what_needs_a_newer_reader_is_not_corrupt(self, memory: MemoryManager) -> None:
        await memory.put(Event(id="a"))
        await memory.put(EventTomorrow(id="b"))
        with pytest.raises(SchemaTooNew):
            await memory.find(Query(Event), options=SKIP)
        with pytest.raises(SchemaTooNew):
            [event async for event in memory.scan(Query(Event), on_corrupt=lambda _: None)]

    async def test_a_neighbour_that_does_not_fit_is_left_out(self, memory: MemoryManager) -> None:
        await memory.put_many(
            LooseNote(id=f"n{number}", vector=[1.0, number], rank="text" if number == 1 else number)
            for number in range(4)
        )
        query = Query(Note).near("vector", [1.0, 0.0], limit=3)
        with pytest.raises(CorruptRecord):
            await memory.find(query)
        page = await memory.find(query, options=SKIP)
        assert [note.id for note in page.records] == ["n0", "n2"]
        assert [(error.key, error.fields) for error in page.corrupt] == [("n1", ("rank",))]
