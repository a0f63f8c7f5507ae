"""Merged pages are what a store would show that had the waiting writes already."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any
from unittest.mock import patch

from hypothesis import given, note, settings
from hypothesis import strategies as st

from orchestra_memory import Conflict, InvalidQuery, LocalMemory, Patch, Put, Query, Ref, Source
from orchestra_memory.codec.operations import NO_BASIS
from orchestra_memory.layers.fallback import merging
from orchestra_memory.layers.fallback.overlay import stays_in_place
from orchestra_memory.layers.fallback.queued import PROVISIONAL, Queued
from orchestra_memory.testing.contract.models import Note
from orchestra_memory.testing.contract.oracle import exact
from tests.properties import steps
from tests.properties.steps import NOW, Step

from .stages import AsCache, Stage, all_pages, as_run

KEYS = (*steps.KEYS, "aa", "d", "e", "f")
NAMESPACES = (None, None, None, "ours")

days = st.sampled_from((None, None, None, None, 1, -1))
vectors = st.sampled_from(([1.0, 0.0], [0.0, 3.0], [2.0, 2.0], [1.0], None))
records = st.lists(
    st.tuples(st.sampled_from(NAMESPACES), st.integers(0, 3), steps.note_fields, vectors, days),
    min_size=5,
    max_size=len(KEYS),
)
"""What is stored under each of the keys, in order."""
waiting = st.tuples(
    st.permutations(KEYS),
    st.lists(
        st.tuples(
            st.builds(
                Step,
                kind=st.sampled_from(("put", "patch", "patch", "delete", "delete")),
                key=st.none(),
                namespace=st.sampled_from(NAMESPACES),
                expect=st.none(),
                fields=steps.note_fields,
                changes=steps.changes,
                created=st.booleans(),
            ),
            st.integers(0, 4),
            days,
            st.booleans(),
        ),
        max_size=9,
    ),
)
"""An order of the keys; writes with the place in it, about where they stand, of their own."""
orders = st.one_of(st.sampled_from(("rank", "-rank", ("rank", "title"))), steps.orders)
wheres = st.one_of(st.just([]), st.lists(steps.conditions, max_size=1))


@st.composite
def _queries(draw: st.DrawFn) -> Query[Note] | None:
    namespace = draw(st.sampled_from(NAMESPACES))
    if draw(st.integers(0, 3)) == 3:
        metric: Any = draw(st.sampled_from(("euclidean", "dot_product", "cosine")))
        limit = draw(st.integers(1, 4))
        return Query(Note, namespace=namespace).near("vector", [1, 2], limit=limit, metric=metric)
    try:
        return Query(
            Note,
            where=draw(wheres),
            order_by=draw(orders),
            page_size=draw(st.sampled_from((1, 2, 3, 5, 100))),
            limit=draw(st.sampled_from((None, None, 1, 2, 3, 5))),
            namespace=namespace,
            include_expired=draw(st.booleans()),
        )
    except InvalidQuery:
        return None


queries = _queries().filter(lambda query: query is not None)


def note_of(key: str, rank: int, fields: dict[str, Any], left: int | None) -> Note:
    values = {name: value for name, value in fields.items() if name != "length"}
    return Note(id=key, rank=rank, expiration=time_left(left), **values)


def time_left(left: int | None) -> datetime | None:
    return None if left is None else NOW + timedelta(days=left)


def operations(drawn: Any) -> list[Any]:
    """The waiting writes, most of them to documents of their own."""
    order, later = drawn
    ops = []
    for serial, (step, back, left, quiet) in enumerate(later):
        key = order[max(0, serial - back // 3)]
        op = replace(step, key=key).operation(serial % 5, None)
        if isinstance(op, Put):
            op = Put(op.record.evolve(expiration=time_left(left)), None, op.namespace)
        elif isinstance(op, Patch) and quiet:
            op = Patch(op.ref, set={"mood": "tense"})
        ops.append(op)
    return ops


class Scene:
    """A stage, and a memory to which what waits there was applied."""

    def __init__(self, **options: Any) -> None:
        self.stage = Stage(clock=lambda: NOW, **options)
        self.model = LocalMemory(clock=lambda: NOW)
        self.gone: set[Ref[Any]] = set()

    async def store(self, drawn: list[Any]) -> None:
        for key, (namespace, rank, fields, vector, left) in zip(KEYS, drawn, strict=False):
            put = Put(note_of(key, rank, {**fields, "vector": vector}, left), None, namespace)
            await self.stage.inner.write([put])
            await self.model.write([put])
            if left is not None and left <= 0:
                self.gone.add(put.ref)

    async def inner(self, refs: list[Ref[Note]]) -> list[Any]:
        return [item for item in await self.stage.inner.read(refs) if item]

    async def wait(self, op: Any) -> None:
        """Have it wait, and apply it to the model; one that the store refuses changes nothing."""
        await self.stage.wait(op)
        with suppress(Conflict):
            await self.model.write([op])

    def covers(self, op: Any) -> bool:
        """Whether it is told by waiting writes alone what this one makes of its document."""
        return not isinstance(op, Patch) or any(
            not isinstance(item.op, Patch) for item in self.stage.queue.of(op.ref)
        )


def described(page: Any) -> Any:
    return (
        [(exact(dict(item.record)), item.distance) for item in page.items],
        page.cursor,
        page.corrupt,
    )


async def check(scene: Scene, query: Query[Note], source: Source) -> None:
    ours = await all_pages(scene.stage.find, query)
    theirs = await all_pages(scene.model.find, query)
    assert list(map(described, ours)) == list(map(described, theirs))
    for page in ours:
        assert len(page.items) <= query.page_size
        assert page.source is source
        assert page.complete is (source is Source.PRIMARY) or source is Source.CACHE
        for item in page.items:
            assert (item.source is Source.JOURNAL) == (item.revision >= PROVISIONAL)


def is_fair(op: Any, scene: Scene, query: Query[Note]) -> bool:
    """Whether a reader can know what it makes of an expired record, which is absent to reads."""
    if not isinstance(op, Patch) or op.ref not in scene.gone or scene.covers(op):
        return True
    queued = [Queued("", 1, op, NO_BASIS, 0, None)]
    return stays_in_place(query, queued) if query.include_expired else op.or_create is None


def is_fair_in_an_outage(op: Any, scene: Scene, query: Query[Note]) -> bool:
    """Whether a reader can know what it makes of a record that may never have been."""
    del query
    return not isinstance(op, Patch) or op.or_create is None or scene.covers(op)


async def staged(
    scene: Scene,
    later: Any,
    query: Query[Note],
    fair: Callable[[Any, Scene, Query[Note]], bool] = is_fair,
) -> None:
    note(f"{query}")
    for op in operations(later):
        if fair(op, scene, query):
            note(f"{op}")
            await scene.wait(op)


@given(stored=records, later=waiting, query=queries, spare=st.sampled_from((0, 1, 20)))
@settings(max_examples=100, deadline=None)
def test_with_the_store_there(stored: Any, later: Any, query: Query[Note], spare: int) -> None:
    async def work() -> None:
        scene = Scene()
        await scene.store(stored)
        await staged(scene, later, query)
        with patch.object(merging, "SPARE", spare):
            await check(scene, query, Source.PRIMARY)

    as_run(work)


@given(stored=records, later=waiting, query=queries, written=st.booleans())
@settings(max_examples=80, deadline=None)
def test_from_what_is_kept_in_memory(
    stored: Any, later: Any, query: Query[Note], written: bool
) -> None:
    query = query.with_(include_expired=False)

    async def work() -> None:
        scene = Scene()
        await scene.store(stored)
        for namespace in {*NAMESPACES}:
            refs = [Ref(Note, key, namespace) for key in KEYS]
            if written:
                puts = [Put(item.record, None, namespace) for item in await scene.inner(refs)]
                scene.stage.standby.wrote(puts, await scene.stage.inner.write(puts))
            else:
                await scene.stage.read(*refs)
        scene.stage.primary.away()
        await staged(scene, later, query, is_fair_in_an_outage)
        await check(scene, query, Source.MEMORY)

    as_run(work)


@given(stored=records, later=waiting, query=queries)
@settings(max_examples=60, deadline=None)
def test_from_what_the_cache_has(stored: Any, later: Any, query: Query[Note]) -> None:
    query = query.with_(include_expired=False)

    async def work() -> None:
        scene = Scene()
        await scene.store(stored)
        scene.stage.primary.cached = AsCache(scene.stage.inner)
        scene.stage.primary.away()
        await staged(scene, later, query, is_fair_in_an_outage)
        await check(scene, query, Source.CACHE)

    as_run(work)
