"""What a window is filled with, and what it becomes by writes."""

from dataclasses import replace
from datetime import timedelta

import pytest

from orchestra_memory import (
    Page,
    Stored,
)
from orchestra_memory.codec.document import encode
from orchestra_memory.layers.cached.filling import change_for, contents_of, may_fill
from orchestra_memory.layers.cached.replies import Intended
from orchestra_memory.layers.cached.scopes import (
    Scope,
    sort_text,
)

from .turns import NOW, Change, Fact, Task, Turn, filled, history, run, scoped, turns


def test_part_of_a_scope_in_another_order_fills_nothing() -> None:
    async def test() -> None:
        days = {"a": 5, "b": 1, "c": 3}
        puts = [
            Change("put", key, {"user": "u", "at": NOW + timedelta(days=day), "rank": rank})
            for rank, (key, day) in enumerate(days.items())
        ]
        store = await filled(puts, order_by="-at", limit=2)
        # The first two happen to be in the window's order; what lies between them is not there.
        await store.fill(scoped(Turn, {"user": "u"}, order_by="rank", limit=2))
        assert store.window is None

    run(test)


def test_what_is_put_behind_the_end_of_a_window_leaves_it() -> None:
    async def test() -> None:
        store = await filled(turns(4), order_by="-at", limit=2)
        assert store.window
        assert [key for key, _ in store.window.members] == ["d", "c"]
        await store.do(Change("put", "d", {"user": "u", "at": NOW}))
        await store.do(Change("put", "e", {"user": "u", "at": NOW}))
        assert [key for key, _ in store.window.members] == ["c"]

    run(test)


def test_what_lacks_the_order_of_a_part_of_a_scope_leaves_it() -> None:
    scope = Scope(Task, ("user", "session"), ("u", "s"))
    ordered, lacking = (
        Task(id="a", user="u", session="s", at=NOW, data=data) for data in ({"level": 1}, {})
    )
    page = Page((Stored(ordered, 1),), cursor="more", as_of=1)
    query = scoped(Task, {"user": "u", "session": "s"}, order_by="data.level")
    contents = contents_of(query, page, [encode(ordered)], 9)
    assert contents
    intended = Intended(0, True, False, contents.bound, 1)
    assert change_for(scope, intended, {"a": sort_text(scope, encode(lacking))}, 9) == (("a", b""),)
    assert (
        change_for(scope, intended, {"a": sort_text(scope, encode(ordered))}, 9) == contents.members
    )


@pytest.mark.parametrize(
    ("rest", "fills"),
    [
        ({"order_by": "-at"}, True),
        ({"order_by": "-at", "limit": 3}, True),
        ({}, True),
        ({"more": [("rank", "==", 1)]}, False),
        ({"more": [("at", ">", NOW)]}, False),
        ({"order_by": "-at", "after": "x"}, False),
    ],
    ids=str,
)
def test_only_the_beginning_of_a_scope_fills_its_window(rest, fills) -> None:
    assert may_fill(scoped(Turn, {"user": "u"}, **rest)) is fills


def test_a_page_of_unknown_time_fills_nothing() -> None:
    record = Turn(id="a", user="u", at=NOW)
    page = Page((Stored(record, 1),))
    assert contents_of(history(), page, [encode(record)], 9) is None
    assert contents_of(history(), replace(page, as_of=1), [encode(record)], 9) is not None
    hidden = replace(page, as_of=1, complete=False)
    assert contents_of(history(), hidden, [encode(record)], 9) is None


def test_a_page_that_is_not_in_the_order_of_its_records_fills_nothing() -> None:
    old, new = (Turn(id="a", user="u", at=NOW + timedelta(days=n)) for n in (0, 1))
    page = Page((Stored(old, 1), Stored(new, 1)), cursor="more", as_of=1)
    assert contents_of(history(), page, [encode(old), encode(new)], 9) is None


def test_a_window_that_others_write_or_that_has_grown_is_dropped() -> None:
    scope, record = Scope(Fact, ("user",), ("u",)), Fact(id="a", user="u", at=NOW)
    sorts = {"a": sort_text(scope, encode(record))}
    assert change_for(scope, Intended(0, True, True, b"", 3), sorts, 2) is not None
    assert change_for(scope, Intended(0, True, True, b"", 4), sorts, 2) is None
    assert change_for(scope, Intended(0, False, True, b"", 0), sorts, 2) is None
