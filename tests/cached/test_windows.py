"""A window answers as the store does that it was filled from, or not at all."""

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestra_memory import (
    InvalidQuery,
    Page,
    Put,
    Query,
    Source,
)
from orchestra_memory.codec.document import encode
from orchestra_memory.layers.cached import windows
from orchestra_memory.layers.cached.filling import change_for, contents_of
from orchestra_memory.layers.cached.replies import Intended, Window
from orchestra_memory.layers.cached.scopes import (
    Scope,
    sort_text,
)
from orchestra_memory.layers.cached.windows import (
    Held,
    answer_from,
    held,
    plan_for_totals,
    plans,
    totals_from,
)

from .turns import (
    KEYS,
    MEASURES,
    NOW,
    Change,
    Store,
    Task,
    Turn,
    changes,
    filled,
    fillers,
    history,
    keys_of,
    models,
    rests,
    run,
    scoped,
    scopes,
    times,
    turns,
)


@pytest.fixture(autouse=True, scope="module")
def spare_nothing() -> Iterator[None]:
    """Look at so few members first that some that are gone are missed."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(windows, "_SPARE", 0)
        yield


def shown(page: Page[Any]) -> Any:
    return page.cursor, page.complete, [(repr(i.record), i.revision) for i in page.items]


@given(models, scopes, changes, fillers, changes, st.lists(rests, min_size=1, max_size=6), times)
def test_a_window_answers_as_its_store_or_not_at_all(
    model, scope, before, filled_by, after, asked, later
) -> None:
    async def test() -> None:
        store = Store(model, scope)
        for change in before:
            await store.do(change)
        await store.fill(store.query(filled_by))
        for change in after:
            await store.do(change)
        store.now = later
        for rest in asked:
            await check_pages(store, store.query(rest))
            await check_totals(store, store.query(rest))

    run(test)


async def check_pages(store: Store, query: Query[Any]) -> None:
    """The window and the store give the same, from the first page to the last."""
    while True:
        page, wanted = await store.page(query), await store.local.find(query)
        if page is not None:
            assert shown(page) == shown(wanted)
            assert page.source is Source.CACHE
            assert page.billed.reads == 0
        if wanted.cursor is None:
            return
        query = query.with_(after=wanted.cursor)


async def check_totals(store: Store, query: Query[Any]) -> None:
    known = store.window and held(store.scope, store.window)
    plan = known and plan_for_totals(query, known)
    if plan:
        rows = await store.rows(plan.refs)
        wanted = await store.local.aggregate(query, MEASURES)
        assert repr(totals_from(query, MEASURES, rows, store.now).values_by_name) == repr(
            wanted.values_by_name
        )


def test_what_is_appended_is_seen_by_the_next_query() -> None:
    async def test() -> None:
        store = await filled(turns(4), order_by="-at", limit=3)
        for change in turns(7)[4:]:
            await store.do(change)
            assert await keys_of(store, history(limit=2)) == [
                change.key,
                KEYS[KEYS.index(change.key) - 1],
            ]

    run(test)


def test_the_first_records_answer_for_shorter_lists_and_filters_they_fill() -> None:
    async def test() -> None:
        store = await filled(turns(6), order_by="-at", limit=4)
        assert await keys_of(store, history(limit=4)) == ["f", "e", "d", "c"]
        assert await keys_of(store, history(page_size=3)) == ["f", "e", "d"]
        assert await keys_of(
            store, history(limit=2, more=[("at", "<", NOW + timedelta(days=4))])
        ) == ["d", "c"]
        assert await keys_of(store, history(limit=5)) is None
        assert await keys_of(store, history(page_size=4)) is None
        assert await keys_of(store, history(limit=1, more=[("rank", "==", 9)])) is None
        assert await keys_of(store, scoped(Turn, {"user": "u"}, limit=1)) is None

    run(test)


def test_all_records_of_a_scope_answer_every_query_over_it() -> None:
    async def test() -> None:
        store = await filled(turns(4, rank=1), order_by="-at", limit=5)
        assert await keys_of(store, history()) == list("dcba")
        assert await keys_of(store, scoped(Turn, {"user": "u"})) == list("abcd")
        assert await keys_of(store, history(more=[("rank", "==", 9)])) == []

    run(test)


def test_a_window_reads_few_records_for_a_short_page() -> None:
    async def test() -> None:
        store = Store(Turn, {"user": "u"})
        big = [Turn(id=f"k{n:03}", user="u", at=NOW + timedelta(seconds=n)) for n in range(100)]
        await store.local.write([Put(record) for record in big])
        page = await store.local.find(history())
        contents = contents_of(history(), page, [encode(r) for r in page.records], 100)
        assert contents is not None
        known = held(store.scope, Window(0, 0, contents.complete, b"", contents.members))
        assert known is not None
        plan = next(plans(history(page_size=5), known))
        assert len(plan.refs) <= 12
        after = (await store.local.find(history(page_size=50))).cursor
        query = history(page_size=5, after=after)
        plan = next(plans(query, known))
        assert len(plan.refs) <= 12
        store.window = Window(0, 0, True, b"", contents.members)
        assert await keys_of(store, query) == [f"k{n:03}" for n in range(49, 44, -1)]

    run(test)


def test_a_page_is_right_though_the_first_members_are_gone() -> None:
    async def test() -> None:
        store = await filled(turns(6), order_by="-at")
        for key in "fedc":
            await store.do(Change("delete", key, {}))
        assert await keys_of(store, history(limit=1)) == ["b"]
        assert await keys_of(store, history(page_size=1)) == ["b"]

    run(test)


def test_what_an_index_leaves_out_is_counted_below() -> None:
    scope = {"user": "u", "session": "s"}
    order = {"order_by": "data.level"}

    async def test() -> None:
        store = Store(Task, scope)
        await store.local.write(
            [
                Put(Task(id=key, at=NOW, data=data, **scope))
                for key, data in (("a", {"level": 1}), ("b", {}), ("c", {"level": 0}))
            ]
        )
        await store.fill(scoped(Task, scope, **order))
        assert store.window
        known = held(store.scope, store.window)
        assert known
        assert await keys_of(store, scoped(Task, scope, **order)) == ["c", "a"]
        assert await keys_of(store, scoped(Task, scope)) is None
        assert plan_for_totals(scoped(Task, scope), known) is None
        assert plan_for_totals(scoped(Task, scope, more=[("data.level", ">", 0)]), known)
        # One that comes is known, but found by no query in that order.
        await store.do(Change("put", "d", {**scope, "at": NOW}))
        assert "d" in dict(store.window.members)
        assert await keys_of(store, scoped(Task, scope, **order)) == ["c", "a"]
        assert await keys_of(store, scoped(Task, scope, page_size=2, **order)) == ["c", "a"]
        # All there are by another order that leaves some out.
        await store.fill(scoped(Task, scope, order_by="data.name"))
        assert store.window is None

    run(test)


def test_what_moves_while_a_window_is_read_is_no_answer() -> None:
    async def test() -> None:
        store = await filled(turns(6), order_by="-at", limit=4)
        assert store.window
        known = held(store.scope, store.window)
        assert known
        moved = Turn(id="f", user="u", at=NOW - timedelta(days=9))
        await store.local.write([Put(moved)])
        query = history(limit=4)
        for plan in plans(query, known):
            assert answer_from(query, plan, await store.rows(plan.refs), NOW) is None

    run(test)


def test_a_cursor_of_another_query_is_refused_as_the_store_refuses_it() -> None:
    async def test() -> None:
        store = await filled(turns(4), order_by="-at")
        for query in (history(after="?"), scoped(Turn, {"user": "u"}, after="?")):
            with pytest.raises(InvalidQuery):
                await store.page(query)

    run(test)


def test_a_window_of_another_order_or_of_garbage_is_of_no_use() -> None:
    ours, theirs = Scope(Turn, ("user",), ("u",)), Scope(Task, ("user",), ("u",))

    async def test() -> None:
        store = await filled(turns(3), order_by="-at", limit=2)
        assert store.window
        assert isinstance(held(ours, store.window), Held)
        assert held(theirs, store.window) is None
        intended = Intended(0, True, False, store.window.bound, 2)
        task = Task(id="a", user="u", at=NOW)
        assert change_for(theirs, intended, {"a": sort_text(ours, encode(task))}, 9) is None
        for bound, members in [
            (b"", ()),
            (b"\xff", ()),
            (store.window.bound, (("a", b""),)),
            (store.window.bound, (("a", b"\xff\0"),)),
            (store.window.bound, (("", store.window.members[0][1]),)),
            (store.window.bound, (("a" * 1_501, store.window.members[0][1]),)),
        ]:
            assert held(ours, Window(0, 0, False, bound, members)) is None

    run(test)
