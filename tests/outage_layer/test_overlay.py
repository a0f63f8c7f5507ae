"""What waiting writes make of a document, decided without asking anybody."""

from __future__ import annotations

import time
from contextlib import suppress
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from orchestra_memory import Conflict, Delete, LocalMemory, Patch, Put, Query, Ref, Source, Stored
from orchestra_memory.backends.rows import Row
from orchestra_memory.codec.document import encode
from orchestra_memory.codec.operations import NO_BASIS
from orchestra_memory.layers.fallback.markers import Marker
from orchestra_memory.layers.fallback.overlay import (
    UNKNOWN,
    commits_of,
    lacks,
    may_hold,
    not_applied,
    overlaid,
    shown,
    stays_in_place,
    texts_of,
    was_sent_since,
)
from orchestra_memory.layers.fallback.queued import PROVISIONAL, Queued
from orchestra_memory.operations import Op
from orchestra_memory.testing.contract.models import Lease, LooseNote, Note
from orchestra_memory.testing.contract.oracle import exact
from orchestra_memory.values import to_micros
from tests.properties import steps
from tests.properties.steps import NOW, Step

from .stages import as_run

A = Ref(Note, "a")


def queued(*ops: Any, at: int = 0, commit: str | None = None) -> list[Queued]:
    return [
        Queued(f"id{number}", number, op, NO_BASIS, to_micros(NOW) + at, commit)
        for number, op in enumerate(ops, start=1)
    ]


def row(title: str = "", revision: int = 3, **values: Any) -> Row:
    return Row("a", encode(Note(id="a", title=title, **values)), revision)


def document(found: Any) -> Any:
    return found.document if isinstance(found, Row) else found


@pytest.mark.parametrize("base", [row(), UNKNOWN, None])
def test_nothing_that_waits_changes_nothing(base: Any) -> None:
    assert overlaid(A, base, [], NOW) is base


@pytest.mark.parametrize("base", [row("stored"), UNKNOWN, None])
def test_a_put_or_delete_needs_nothing_beneath(base: Any) -> None:
    put = overlaid(A, base, queued(Delete(A), Put(Note(id="a", title="put"))), NOW)
    assert document(put)["title"] == "put"
    assert overlaid(A, base, queued(Put(Note(id="a")), Delete(A)), NOW) is None


def test_a_patch_goes_by_what_is_beneath() -> None:
    patch = queued(Patch(A, set={"title": "patched"}))
    assert document(overlaid(A, row("stored", rank=2), patch, NOW))["rank"] == 2
    assert document(overlaid(A, row("stored"), patch, NOW))["title"] == "patched"
    assert overlaid(A, UNKNOWN, patch, NOW) is UNKNOWN
    assert overlaid(A, None, patch, NOW) is None


def test_a_patch_creates_only_where_it_is_known_that_nothing_is_there() -> None:
    patch = queued(Patch(A, increment={"rank": 1}, or_create=Note(id="a", rank=5)))
    assert document(overlaid(A, None, patch, NOW))["rank"] == 6
    assert overlaid(A, UNKNOWN, patch, NOW) is UNKNOWN


def test_what_is_beneath_stays_as_it_was() -> None:
    base = row(data={"x": [1]})
    after = overlaid(A, base, queued(Patch(A, add={"data.x": [2]})), NOW)
    assert document(after)["data"] == {"x": [1, 2]}
    assert base.document["data"] == {"x": [1]}


def test_the_revision_is_that_of_the_last_write() -> None:
    found = overlaid(A, row(), queued(Put(Note(id="a")), Patch(A, set={"rank": 1})), NOW)
    assert isinstance(found, Row)
    assert found.revision == PROVISIONAL + 2


def test_it_is_as_old_as_the_last_write_or_as_what_that_builds_on() -> None:
    later = NOW + timedelta(seconds=10)
    stored = Stored(Note(id="a"), 3, Source.MEMORY, 60.0)
    put, patch = Put(Note(id="a")), Patch(A, set={"rank": 1})
    ages = {
        "put": shown(A, stored, queued(put), later),
        "put and patch": shown(A, stored, queued(put, patch), later),
        "patch": shown(A, stored, queued(patch), later),
        "patch of new": shown(A, replace(stored, age=0.0), queued(patch), later),
        "clock set back": shown(A, UNKNOWN, queued(put), NOW - timedelta(days=1)),
    }
    found = {name: (item.source, item.age) for name, item in ages.items()}  # type: ignore[union-attr]
    assert found == {
        "put": (Source.JOURNAL, 10.0),
        "put and patch": (Source.JOURNAL, 10.0),
        "patch": (Source.JOURNAL, 60.0),
        "patch of new": (Source.JOURNAL, 10.0),
        "clock set back": (Source.JOURNAL, 0.0),
    }


def test_what_has_expired_is_not_shown() -> None:
    ref = Ref(Lease, "a")
    put = queued(Put(Lease(id="a", expiration=NOW)))
    assert isinstance(overlaid(ref, UNKNOWN, put, NOW), Row)
    assert shown(ref, UNKNOWN, put, NOW) is None
    assert shown(ref, UNKNOWN, put, NOW - timedelta(seconds=1)) is not None


def test_no_two_readers_share_what_a_write_holds() -> None:
    put = queued(Put(Note(id="a", data={"x": [1]})))
    one = shown(A, UNKNOWN, put, NOW)
    assert isinstance(one, Stored)
    one.record.data["x"].append(2)  # type: ignore[union-attr]
    other = shown(A, UNKNOWN, put, NOW)
    assert isinstance(other, Stored)
    assert other.record.data == {"x": [1]}


writes = st.builds(
    Step,
    kind=st.sampled_from(("put", "patch", "patch", "patch", "delete")),
    key=st.just("a"),
    namespace=st.none(),
    expect=st.none(),
    fields=steps.note_fields,
    changes=steps.changes,
    created=st.booleans(),
)


@given(stored=st.booleans(), drawn=st.lists(writes, max_size=6))
@settings(max_examples=100, deadline=None)
def test_it_is_what_the_store_would_make_of_it(stored: bool, drawn: list[Step]) -> None:
    ops: list[Op] = [step.operation(number, None) for number, step in enumerate(drawn)]

    async def work() -> None:
        memory = LocalMemory(clock=lambda: NOW)
        if stored:
            await memory.put(Note(id="a", rank=-1, data={"x": 1}))
        (base,) = await memory.read([A])
        for op in ops:
            with suppress(Conflict):
                await memory.write([op])
        expected = await memory.get(Note, "a")
        found = shown(A, base, queued(*ops), NOW)
        assert found is not UNKNOWN
        assert exact(expected and dict(expected)) == exact(found and dict(found.record))

    as_run(work)


ORDERED = Query(Note, where={"owner": "alice"}, order_by="-rank")


@pytest.mark.parametrize(
    ("op", "stays"),
    [
        (Patch(A, set={"title": "x"}), True),
        (Patch(A, increment={"score": 1}, unset=["data.x"]), True),
        (Patch(A, increment={"rank": 1}), False),
        (Patch(A, set={"title": "x"}, or_create=Note(id="a")), False),
        (Put(Note(id="a")), False),
        (Delete(A), False),
    ],
)
def test_a_query_finds_it_as_before_if_nothing_it_looks_at_is_changed(op: Op, stays: bool) -> None:
    assert stays_in_place(ORDERED, queued(op)) is stays
    assert not stays_in_place(ORDERED, queued(op, Delete(A)))


@pytest.mark.parametrize(
    ("query", "path"),
    [
        (Query(Note, where={"data.x": 1}), "data.y"),
        (Query(Note).near("vector", [1.0]), "vector"),
        (Query(Note, order_by="data.x"), "data"),
    ],
)
def test_a_query_looks_at_whole_fields(query: Query[Note], path: str) -> None:
    value: Any = {"data": {}, "vector": [1.0]}.get(path, 1)
    assert not stays_in_place(query, queued(Patch(A, set={path: value})))


COUNTING = Patch(A, increment={"rank": 1})
SETTING = Patch(A, set={"rank": 1})


def test_only_what_counts_is_asked_after() -> None:
    assert commits_of(queued(SETTING, Put(Note(id="a")), commit="c")) == set()
    assert commits_of(queued(COUNTING)) == set()
    assert commits_of(queued(COUNTING, commit="c")) == {"c"}
    assert not stays_in_place(Query(Note), queued(COUNTING, commit="c"))
    assert stays_in_place(Query(Note), queued(COUNTING))


@pytest.mark.parametrize(
    ("marker", "left"),
    [
        (None, 1),
        ({}, 0),
        ({"split": True}, 1),
        ({"refused": ("id1",)}, 1),
        ({"refused": ("other",)}, 0),
    ],
)
def test_a_marker_tells_what_was_applied(marker: dict[str, Any] | None, left: int) -> None:
    made = {} if marker is None else {"c": Marker(id="c", at=NOW, expiration=NOW, **marker)}
    assert len(not_applied(queued(COUNTING, commit="c"), made)) == left
    assert len(not_applied(queued(COUNTING), made)) == 1


def test_what_was_bound_or_settled_since_may_have_been_applied() -> None:
    before = queued(COUNTING)
    assert not was_sent_since(before, before)
    assert was_sent_since(before, queued(COUNTING, commit="c"))
    assert was_sent_since(before, [])
    assert not was_sent_since(queued(COUNTING, commit="c"), [])
    assert not was_sent_since(queued(SETTING), [])


@pytest.mark.parametrize(
    ("ops", "out"),
    [
        ([Put(Note(id="a", owner="bob"))], True),
        ([Put(Note(id="a", owner="alice"))], False),
        ([Put(Note(id="a", owner="bob", title="x")), Patch(A, set={"rank": 1})], True),
        ([Put(LooseNote(id="a"))], False),
        ([Delete(A)], False),
        ([Patch(A, set={"rank": 1})], False),
    ],
)
def test_what_has_another_text_is_told_apart_early(ops: list[Op], out: bool) -> None:
    query = Query(Note, where=[("owner", "==", "alice"), ("rank", "==", 1)])
    assert texts_of(query) == {"owner": "alice"}
    assert lacks(texts_of(query), queued(*ops)) is out


def test_a_patch_may_give_the_text_that_a_put_does_not() -> None:
    put, patch = Put(Note(id="a", title="x")), Patch(A, set={"title": "y"})
    assert not lacks({"title": "y"}, queued(put, patch))
    assert lacks({"title": "y"}, queued(put))


def test_a_clock_that_is_off_does_not_let_a_write_count_twice() -> None:
    (item,) = queued(Patch(A, increment={"rank": 1}), at=3_600_000_000, commit="c")
    item = replace(item, since=time.monotonic() - 30)
    assert may_hold(3, 10.0, [item], NOW)
    assert not may_hold(3, 60.0, [item], NOW)
