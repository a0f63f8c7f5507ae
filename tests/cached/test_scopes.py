"""Scopes of records and queries, and what moves a record in one."""

from typing import Any

import pytest

from orchestra_memory import (
    Patch,
    Query,
    Ref,
)
from orchestra_memory.codec.document import encode
from orchestra_memory.layers.cached.filling import may_fill
from orchestra_memory.layers.cached.scopes import (
    Scope,
    matters_to_windows,
    scope_of,
    scopes_of,
    window_order,
)
from orchestra_memory.queries import Order

from .turns import NOW, Fact, Task, Turn


@pytest.mark.parametrize(
    "query",
    [
        Query(Turn, order_by="rank"),
        Query(Turn, where={"session": "s"}),
        Query(Turn, where=[("user", "in", ["u"])]),
        Query(Turn, where=[("user", "!=", "u")]),
        Query(Turn, where={"user": None}),
        Query(Turn, where={"user": "u"}, include_expired=True),
    ],
    ids=["no scope", "half a scope", "in", "other than", "no text", "expired"],
)
def test_no_scope_no_window(query) -> None:
    assert scope_of(query) is None
    assert not may_fill(query)


def test_a_query_goes_to_its_smallest_scope() -> None:
    query = Query(Turn, where={"session": "s", "user": "u", "rank": 1}, namespace="ours")
    assert scope_of(query) == Scope(Turn, ("user", "session"), ("u", "s"), "ours")


def test_a_record_is_in_every_scope_whose_fields_hold_text() -> None:
    lone, both = (Turn(id="a", user="u", session=session, at=NOW) for session in (None, "s"))
    assert scopes_of(Ref(Turn, "a"), encode(lone)) == [Scope(Turn, ("user",), ("u",))]
    assert scopes_of(Ref(Turn, "a", "n"), encode(both)) == [
        Scope(Turn, ("user",), ("u",), "n"),
        Scope(Turn, ("user", "session"), ("u", "s"), "n"),
    ]


def test_windows_are_ordered_by_the_shortest_index_of_their_scope() -> None:
    assert window_order(Turn, ("user", "session")) == (Order("at", descending=True),)
    assert window_order(Task, ("user",)) == (Order("rank"), Order("at", descending=True))
    assert window_order(Fact, ("user",)) == ()


@pytest.mark.parametrize(
    ("changes", "matters"),
    [
        ({"set": {"at": NOW}}, True),
        ({"set": {"expiration": NOW}}, True),
        ({"unset": ["expiration"]}, True),
        ({"set": {"rank": 1}}, False),
        ({"increment": {"rank": 1}}, False),
        ({"set": {"data.name": "x"}}, False),
    ],
    ids=str,
)
def test_a_patch_matters_if_it_may_move_its_record(changes, matters) -> None:
    assert matters_to_windows(Patch(Ref(Turn, "a"), **changes)) is matters


def test_a_patch_of_part_of_an_ordered_map_matters() -> None:
    for path in ("data", "data.level"):
        value: Any = {"level": 1} if path == "data" else 1
        assert matters_to_windows(Patch(Ref(Task, "a"), set={path: value}))
    assert not matters_to_windows(Patch(Ref(Task, "a"), set={"data.name": 1}))


def test_a_patch_that_may_create_matters() -> None:
    record = Turn(id="a", user="u", at=NOW)
    assert matters_to_windows(Patch(Ref(Turn, "a"), set={"data.name": "x"}, or_create=record))
