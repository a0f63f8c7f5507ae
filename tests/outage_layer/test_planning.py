"""Commits are as large as may be, keep order for each document, and leave atomic writes whole."""

from __future__ import annotations

import gc
from collections import defaultdict
from dataclasses import replace
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from orchestra_memory import Put, Ref
from orchestra_memory.codec.operations import NO_BASIS
from orchestra_memory.layers.fallback.planning import MOST, Planned, Planner
from orchestra_memory.layers.fallback.queued import Queued, document_of
from orchestra_memory.operations import Op
from orchestra_memory.testing.contract.models import Note

keys = st.sampled_from("abcdef")
units = st.lists(
    st.one_of(keys.map(lambda key: [key]), st.lists(keys, min_size=2, max_size=4)), max_size=30
)


def queued(number: int, op: Op, commit: str | None = None) -> Queued:
    return Queued(f"e{number}", number, op, NO_BASIS, number, commit)


def waiting(found: list[list[str]]) -> list[Queued]:
    items: list[Queued] = []
    for number, unit in enumerate(found):
        commit = f"c{number}-{len(unit)}w" if len(unit) > 1 else None
        items += [
            queued(len(items) + place, Put(Note(id=key)), commit) for place, key in enumerate(unit)
        ]
    return items


def planned(planner: Planner) -> list[Planned]:
    return list(iter(planner.next, None))


@given(units, st.integers(1, 5))
def test_everything_is_planned_once_and_in_order_for_each_document(found, most):
    items = waiting(found)
    commits = planned(Planner(items, stuck=set(), most=most))
    assert sorted(item.number for each in commits for item in each.items) == [
        item.number for item in items
    ]
    before: dict[Planned, set[Planned]] = {}
    orders = defaultdict(list)
    for each in commits:
        # What a commit waits for was given earlier: else nobody would ever make it.
        assert all(earlier in before for earlier in each.earlier)
        before[each] = set(each.earlier).union(*(before[earlier] for earlier in each.earlier))
        for item in each.items:
            orders[document_of(item.op.ref)].append((each, item.number))
    for order in orders.values():
        numbers = [number for _, number in order]
        assert numbers == sorted(numbers)
        for (one, _), (two, _) in pairwise(order):
            assert one is two or one in before[two]


@given(units, st.integers(1, 5))
def test_what_is_bound_stays_together_and_alone(found, most):
    commits = planned(Planner(waiting(found), stuck=set(), most=most))
    for each in commits:
        assert {item.commit for item in each.items} == {each.bound}
        if each.bound is None:
            assert len(each.items) <= most
    assert len({each.bound for each in commits if each.bound}) == sum(len(u) > 1 for u in found)


@given(units, keys)
def test_what_follows_a_stuck_document_waits_and_nothing_else(found, key):
    items = waiting(found)
    note = document_of(Ref(Note, key))
    stuck = {note}
    done = {item.number for each in planned(Planner(items, stuck=stuck)) for item in each.items}
    for item in items:
        assert (item.number in done) or document_of(item.op.ref) in stuck
    assert not any(document_of(item.op.ref) == note for item in items if item.number in done)


def test_many_writes_share_few_commits():
    items = [queued(n, Put(Note(id=f"n{n}"))) for n in range(1000)]
    sizes = [len(each.items) for each in planned(Planner(items, stuck=set()))]
    assert sizes == [MOST, MOST, 1000 - 2 * MOST]


def test_a_store_that_has_too_much_to_do_gets_smaller_commits():
    items = [queued(n, Put(Note(id=f"n{n}"))) for n in range(1000)]
    planner = Planner(items, stuck=set())
    assert len(planner.next().items) == MOST
    planner.ease()
    assert len(planner.next().items) == MOST // 2


def test_what_is_done_is_not_held_until_all_is():
    planner = Planner([queued(n, Put(Note(id=f"n{n}"))) for n in range(3 * MOST)], stuck=set())
    first = planner.next()
    done = {id(item) for item in first.items}
    first.end()
    assert not any(id(each) in done and type(each) is Queued for each in gc.get_objects())
    assert len(planner.next().items) == MOST


def test_large_records_make_smaller_commits():
    items = [replace(queued(n, Put(Note(id=f"n{n}"))), size=100_000) for n in range(100)]
    sizes = [len(each.items) for each in planned(Planner(items, stuck=set()))]
    assert max(sizes) * 100_000 < 3 * 1024 * 1024
    assert min(sizes[:-1]) * 100_000 > 1024 * 1024


def test_a_record_that_fills_a_commit_has_one_of_its_own():
    sizes = (10, 3_000_000, 10)
    items = [replace(queued(n, Put(Note(id=f"n{n}"))), size=size) for n, size in enumerate(sizes)]
    assert [len(each.items) for each in planned(Planner(items, stuck=set()))] == [1, 1, 1]
