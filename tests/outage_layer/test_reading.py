"""Reads by id while the store answers: what waits for it is shown, and counts once."""

from __future__ import annotations

from typing import Any

import pytest

from orchestra_memory import (
    Count,
    Delete,
    LocalMemory,
    Patch,
    Put,
    Query,
    Ref,
    Source,
    Unavailable,
)
from orchestra_memory.layers.fallback.markers import mark
from orchestra_memory.layers.fallback.queued import PROVISIONAL
from orchestra_memory.operations import DEFAULT, Options
from orchestra_memory.testing.contract.models import Note

from .stages import REFUSED, Away, Stage, staged, titles

pytestmark = pytest.mark.anyio

A, B, C = (Ref(Note, key) for key in "abc")


async def test_where_nothing_waits_the_answer_is_the_stores_own() -> None:
    stage = Stage()
    await stage.inner.put(Note(id="a"))
    expected = await stage.inner.read([A, B])
    assert await stage.read(A, B, timeout=1.5) == expected
    assert [verb for verb, _ in stage.primary.calls] == ["read"]
    assert stage.primary.calls[0][1] == Options(timeout=1.5)


async def test_what_waits_is_shown_over_what_is_stored() -> None:
    stage, time = staged()
    await stage.inner.write([Put(Note(id=key, title=key, rank=1)) for key in "abc"])
    await stage.wait(Put(Note(id="a", title="put")), Patch(B, set={"title": "patched"}))
    time.pass_by(3)
    found = await stage.read(A, B, C)
    assert titles(found) == ["put", "patched", "c"]
    assert found[1].record.rank == 1
    assert [item.source for item in found] == [Source.JOURNAL, Source.JOURNAL, Source.PRIMARY]
    assert [item.age for item in found] == [3, 3, 0]
    assert [item.revision >= PROVISIONAL for item in found] == [True, True, False]
    assert found.as_of is None
    assert found.billed.reads == 2


async def test_the_store_is_not_asked_for_what_needs_nothing_of_it() -> None:
    stage = Stage()
    await stage.wait(Put(Note(id="a", title="put")), Delete(B))
    assert titles(await stage.read(A, B, A)) == ["put", None, "put"]
    assert not stage.primary.calls


async def test_what_waits_is_never_kept_as_what_is_stored() -> None:
    stage = Stage()
    await stage.inner.put(Note(id="a", title="stored"))
    await stage.wait(Patch(A, set={"title": "patched"}))
    await stage.read(A)
    known = stage.standby.get(A)
    assert known is not None
    assert known.row.document["title"] == "stored"


COUNTING = Patch(A, increment={"rank": 1})


class Replaying(Away):
    """Applies what waits at the moment it is asked, as a replay under way may."""

    stage: Stage
    settles: bool = True

    async def read(self, refs: Any, *, options: Options = DEFAULT) -> Any:
        self.calls.append(("read", options))
        await self.apply()
        return await self.inner.read(refs)

    async def find(self, query: Any, *, options: Options = DEFAULT) -> Any:
        self.calls.append(("find", options))
        await self.apply()
        return await self.inner.find(query)

    async def apply(self) -> None:
        waiting = [item for item in self.stage.queue.waiting() if item.commit is None]
        if not waiting:
            return
        bound = await self.stage.queue.bind(waiting, "c-1")
        marker = mark("c-1", self.stage.reader._clock())
        await self.inner.write([*(item.op for item in bound), marker])
        if self.settles:
            await self.stage.queue.settle(bound)


def replaying(*, settles: bool) -> Stage:
    inner = LocalMemory()
    primary = Replaying(inner)
    primary.stage, primary.settles = Stage(inner, primary=primary), settles
    return primary.stage


@pytest.mark.parametrize("settles", [True, False])
@pytest.mark.parametrize("query", [Query(Note), Query(Note, order_by="rank")])
async def test_what_is_replayed_while_it_is_read_counts_once(
    settles: bool, query: Query[Note]
) -> None:
    stage = replaying(settles=settles)
    await stage.inner.put(Note(id="a", rank=10))
    await stage.wait(COUNTING)
    assert (await stage.read_one(A)).record.rank == 11
    assert (await stage.read_one(A)).record.rank == 11
    stage = replaying(settles=settles)
    await stage.inner.put(Note(id="a", rank=10))
    await stage.wait(COUNTING)
    for _ in range(2):
        (item,) = (await stage.find(query)).items
        assert item.record.rank == 11


async def test_what_was_sent_but_not_applied_still_counts() -> None:
    stage = Stage()
    await stage.inner.put(Note(id="a", rank=10))
    await stage.wait(COUNTING, commit="c-1")
    assert (await stage.read_one(A)).record.rank == 11
    (item,) = (await stage.find(Query(Note))).items
    assert item.record.rank == 11
    assert {options.cache for verb, options in stage.primary.calls if verb == "read"} == {"bypass"}


async def test_totals_are_the_stores_or_none() -> None:
    stage = Stage()
    await stage.inner.put(Note(id="a"))
    count = [Count()]
    assert dict(await stage.reader.aggregate(Query(Note), count, DEFAULT)) == {"count": 1}
    await stage.wait(Put(Note(id="b", title="x"), namespace="ours"))
    assert dict(await stage.reader.aggregate(Query(Note), count, DEFAULT)) == {"count": 1}
    with pytest.raises(Unavailable, match="contract_notes: writes wait"):
        await stage.reader.aggregate(Query(Note, namespace="ours"), count, DEFAULT)
    stage.primary.away(failure := Unavailable(REFUSED))
    with pytest.raises(Unavailable) as raised:
        await stage.reader.aggregate(Query(Note), count, DEFAULT)
    assert raised.value is failure


async def test_large_reads_are_not_kept() -> None:
    stage = Stage()
    refs = [Ref(Note, f"n{n}") for n in range(401)]
    await stage.inner.put_many([Note(id=ref.key) for ref in refs])
    await stage.read(*refs)
    assert len(stage.standby) == 0
    await stage.read(*refs[:100])
    assert len(stage.standby) == 100
