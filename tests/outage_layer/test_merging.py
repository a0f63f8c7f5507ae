"""Pages in an outage and while writes wait: what they cost, what they say of themselves."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from dataclasses import replace
from typing import Any
from unittest.mock import patch

import pytest

from orchestra_memory import (
    Delete,
    InvalidQuery,
    LocalMemory,
    Patch,
    Put,
    Query,
    Ref,
    Source,
    Unavailable,
)
from orchestra_memory.layers.fallback import merging
from orchestra_memory.layers.fallback.merging import SPARE
from orchestra_memory.operations import DEFAULT, Options, Page
from orchestra_memory.testing.contract.models import LooseNote, Note

from .stages import AsCache, Away, Stage, all_pages, keys

pytestmark = pytest.mark.anyio

A, B, C = (Ref(Note, key) for key in "abc")


async def filled(stage: Stage, count: int = 6) -> None:
    await stage.inner.put_many([Note(id=f"n{n}", rank=n) for n in range(count)])


def finds(stage: Stage) -> int:
    return sum(verb == "find" for verb, _ in stage.primary.calls)


def reads(stage: Stage) -> int:
    return sum(verb == "read" for verb, _ in stage.primary.calls)


async def test_where_nothing_waits_the_page_is_the_stores_own() -> None:
    stage = Stage()
    await filled(stage)
    await stage.wait(Put(Note(id="x"), namespace="ours"))
    query = Query(Note, order_by="rank", page_size=2)
    assert await stage.find(query, timeout=1.5) == await stage.inner.find(query)
    assert stage.primary.calls == [("find", Options(timeout=1.5))]


async def test_a_page_with_writes_over_it_is_one_query_and_says_so() -> None:
    stage = Stage()
    await filled(stage)
    await stage.wait(Put(Note(id="x", rank=1)), Delete(Ref(Note, "n0")))
    page = await stage.find(Query(Note, order_by="rank", page_size=3))
    assert keys(page.items) == ["n1", "x", "n2"]
    assert (page.complete, page.source, page.as_of) == (True, Source.PRIMARY, None)
    assert [item.source for item in page.items] == [
        Source.PRIMARY,
        Source.JOURNAL,
        Source.PRIMARY,
    ]
    assert page.cursor is not None
    assert (finds(stage), reads(stage)) == (1, 0)
    assert page.billed.reads <= 3 + 1 + 2


async def test_a_patch_that_moves_nothing_needs_no_read_of_its_record() -> None:
    stage = Stage()
    await filled(stage)
    await stage.wait(Patch(Ref(Note, "n1"), set={"title": "new"}))
    page = await stage.find(Query(Note, order_by="rank", page_size=2))
    assert [item.record.title for item in page.items] == ["", "new"]
    assert (finds(stage), reads(stage)) == (1, 0)
    await stage.wait(Patch(Ref(Note, "n1"), set={"rank": 9}))
    page = await stage.find(Query(Note, order_by="rank", page_size=2))
    assert keys(page.items) == ["n0", "n2"]
    assert reads(stage) == 1


async def test_a_page_is_filled_up_however_many_of_its_records_are_gone() -> None:
    stage = Stage()
    count = 3 * SPARE
    await filled(stage, count)
    await stage.wait(*(Delete(Ref(Note, f"n{n}")) for n in range(count - 2)))
    page = await stage.find(Query(Note, order_by="rank", page_size=2))
    assert keys(page.items) == [f"n{count - 2}", f"n{count - 1}"]
    assert page.cursor is None


async def test_a_last_page_has_no_cursor_even_if_the_store_has_more() -> None:
    stage = Stage()
    await filled(stage, 3)
    await stage.wait(Delete(Ref(Note, "n2")))
    page = await stage.find(Query(Note, order_by="rank", page_size=2))
    assert (keys(page.items), page.cursor) == (["n0", "n1"], None)


async def test_what_comes_twice_while_it_moves_is_shown_once() -> None:
    class Moving(LocalMemory):
        async def find(self, query: Any, *, options: Options = DEFAULT) -> Any:
            page = await super().find(query)
            if query.after is None:
                await self.put(Note(id="n0", rank=9))
            return page

    stage = Stage(Moving())
    await filled(stage, 4)
    await stage.wait(*(Delete(Ref(Note, f"n{n}")) for n in (1, 2)))
    with patch.object(merging, "SPARE", 0):
        page = await stage.find(Query(Note, order_by="rank", page_size=3))
    assert keys(page.items) == ["n0", "n3"]


async def test_a_foreign_cursor_is_refused_in_an_outage_too() -> None:
    stage = Stage()
    await filled(stage)
    cursor = (await stage.find(Query(Note, order_by="rank", page_size=2))).cursor
    for change in (lambda: stage.wait(Delete(A)), away(stage)):
        await change()
        with pytest.raises(InvalidQuery, match="cursor"):
            await stage.find(Query(Note, order_by="-rank", page_size=2, after=cursor))


def away(stage: Stage) -> Any:
    async def change() -> None:
        stage.primary.away()

    return change


async def test_cursors_hold_across_the_beginning_and_the_end_of_an_outage() -> None:
    stage = Stage()
    await filled(stage, 6)
    query = Query(Note, order_by="rank", page_size=2)
    await stage.find(query.with_(page_size=6))
    first = await stage.find(query)
    stage.primary.away()
    second = await stage.find(query.with_(after=first.cursor))
    stage.primary.failure = None
    third = await stage.find(query.with_(after=second.cursor))
    assert [keys(page.items) for page in (first, second, third)] == [
        ["n0", "n1"],
        ["n2", "n3"],
        ["n4", "n5"],
    ]
    assert [page.complete for page in (first, second, third)] == [True, False, True]
    assert second.source is Source.MEMORY


async def test_with_nothing_known_a_page_is_empty_and_incomplete() -> None:
    stage = Stage()
    stage.primary.away()
    page = await stage.find(Query(Note))
    assert (page.items, page.cursor, page.complete) == ((), None, False)
    page = await stage.find(Query(Note).near("vector", [1.0]))
    assert (page.items, page.cursor, page.complete) == ((), None, False)


async def test_the_caches_page_is_as_complete_as_it_says() -> None:
    class Incomplete(AsCache):
        async def find(self, query: Any, *, options: Options = DEFAULT) -> Any:
            return replace(await super().find(query), complete=False)

    for cached, complete in ((AsCache, True), (Incomplete, False)):
        stage = Stage()
        stage.primary.cached = cached(stage.inner)
        await filled(stage)
        stage.primary.away()
        assert (await stage.find(Query(Note))).complete is complete
        await stage.wait(Put(Note(id="x")))
        page = await stage.find(Query(Note))
        assert (page.complete, page.source, len(page.items)) == (complete, Source.CACHE, 7)


async def test_a_page_that_lacks_what_a_patch_builds_on_is_incomplete() -> None:
    stage = Stage()
    stage.primary.cached = AsCache(stage.inner)
    await filled(stage)
    stage.primary.away()
    await stage.wait(Patch(Ref(Note, "elsewhere"), set={"rank": 1}))
    assert (await stage.find(Query(Note, order_by="rank"))).complete is False
    assert (await stage.find(Query(Note, order_by="title"))).complete is True


async def test_a_cache_that_gives_up_half_way_leaves_it_to_memory() -> None:
    class Short(AsCache):
        async def find(self, query: Any, *, options: Options = DEFAULT) -> Any:
            if query.after is not None:
                raise Unavailable("no more than the first")
            return await super().find(query)

    stage = Stage()
    stage.primary.cached = Short(stage.inner)
    await filled(stage)
    await stage.find(Query(Note))
    stage.primary.away()
    await stage.wait(*(Delete(Ref(Note, f"n{n}")) for n in range(3)))
    with patch.object(merging, "SPARE", 0):
        page = await stage.find(Query(Note, order_by="rank", page_size=2))
    assert (keys(page.items), page.source, page.complete) == (["n3", "n4"], Source.MEMORY, False)


@pytest.mark.parametrize(("max_age", "found"), [(None, 3), (100, 3), (20, 2), (0, 1)])
async def test_a_page_holds_no_copies_older_than_the_caller_takes(
    max_age: float | None, found: int
) -> None:
    now = [0.0]
    stage = Stage(ticks=lambda: now[0])
    await filled(stage, 1)
    await stage.find(Query(Note))
    now[0] = 30.0
    await stage.inner.put(Note(id="n1", rank=1))
    await stage.read(Ref(Note, "n1"))
    now[0] = 40.0
    stage.primary.away()
    await stage.wait(Put(Note(id="n2", rank=2)))
    page = await stage.find(Query(Note, order_by="-rank"), max_age=max_age)
    assert keys(page.items) == ["n2", "n1", "n0"][:found]
    assert not page.complete
    assert [item.age for item in page.items if item.source is Source.MEMORY] == [10, 40][
        : found - 1
    ]


@pytest.mark.parametrize(("max_age", "source"), [(60, Source.CACHE), (5, Source.MEMORY)])
async def test_the_caches_page_is_refused_with_one_record_too_old(
    max_age: float, source: Source
) -> None:
    stage = Stage()
    stage.primary.cached = AsCache(stage.inner, age=50.0)
    await filled(stage)
    stage.primary.away()
    assert (await stage.find(Query(Note), max_age=max_age)).source is source


async def test_who_asks_the_cache_alone_hears_that_it_has_no_page() -> None:
    stage = Stage()
    await filled(stage)
    await stage.find(Query(Note))
    for waits in (False, True):
        if waits:
            await stage.wait(Put(Note(id="x")))
        with pytest.raises(Unavailable, match="the cache knows nothing"):
            await stage.find(Query(Note), cache="only")


async def test_what_does_not_fit_its_type_is_named_beside_what_waits() -> None:
    stage = Stage()
    await filled(stage, 2)
    await stage.inner.put(LooseNote(id="bad", rank="high"))
    await stage.wait(Put(Note(id="x", rank=5)), Put(LooseNote(id="worse", rank="low")))
    page = await stage.find(Query(Note), corrupt="skip")
    assert keys(page.items) == ["n0", "n1", "x"]
    assert sorted(error.key for error in page.corrupt) == ["bad", "worse"]


async def test_the_nearest_are_incomplete_where_too_many_had_to_be_left_out() -> None:
    stage = Stage()
    vectors = [Note(id=f"n{n}", vector=[float(n + 1)]) for n in range(6)]
    await stage.inner.put_many(vectors)
    await stage.wait(*(Delete(Ref(Note, f"n{n}")) for n in range(3)))
    query = Query(Note).near("vector", [1.0], limit=3, metric="euclidean")
    page = await stage.find(query)
    assert (keys(page.items), page.complete) == (["n3", "n4", "n5"], True)
    with patch.object(merging, "MAX_NEIGHBOURS", 4):
        page = await stage.find(query)
    assert (keys(page.items), page.complete) == (["n3"], False)


class Streaming(Away):
    """Streams its pages, and may be away from one of them on."""

    ends_after = 100

    def pages(self, query: Any, *, options: Options = DEFAULT) -> AsyncGenerator[Page[Any]]:
        return self._pages(query)

    async def _pages(self, query: Any) -> AsyncGenerator[Page[Any]]:
        self.calls.append(("pages", DEFAULT))
        for number, page in enumerate(await all_pages(self.inner.find, query)):
            if number == self.ends_after:
                self.away()
            if self.failure:
                raise self.failure
            yield page


def streaming() -> tuple[Stage, Streaming]:
    inner = LocalMemory()
    primary = Streaming(inner)
    return Stage(inner, primary=primary), primary


RANKED = Query(Note, order_by="rank", page_size=2, limit=5)


async def test_pages_are_one_stream_while_all_is_well_and_are_not_kept() -> None:
    stage, primary = streaming()
    await filled(stage)
    pages = [page async for page in stage.reader.pages(RANKED, DEFAULT)]
    assert [keys(page.items) for page in pages] == [["n0", "n1"], ["n2", "n3"], ["n4"]]
    assert [verb for verb, _ in primary.calls] == ["pages"]
    assert len(stage.standby) == 0


@pytest.mark.parametrize("ends_after", [0, 1])
async def test_pages_go_on_where_the_store_leaves_off(ends_after: int) -> None:
    stage, primary = streaming()
    await filled(stage)
    await stage.find(RANKED.with_(page_size=5))
    primary.ends_after = ends_after
    pages = [page async for page in stage.reader.pages(RANKED, DEFAULT)]
    assert [key for page in pages for key in keys(page.items)] == [f"n{n}" for n in range(5)]
    assert [page.complete for page in pages] == [n < ends_after for n in range(len(pages))]


async def test_pages_show_what_came_to_wait_while_they_were_read() -> None:
    stage, _ = streaming()
    await filled(stage)
    found: list[str] = []
    async for page in stage.reader.pages(RANKED.with_(limit=None), DEFAULT):
        if not found:
            await stage.wait(Delete(Ref(Note, "n2")), Put(Note(id="x", rank=4)))
        found += keys(page.items)
    assert found == ["n0", "n1", "n3", "n4", "x", "n5"]


async def test_pages_raise_what_is_no_outage() -> None:
    stage, primary = streaming()
    await filled(stage)
    primary.failure = ZeroDivisionError("a bug")
    with pytest.raises(ZeroDivisionError):
        [page async for page in stage.reader.pages(RANKED, DEFAULT)]
