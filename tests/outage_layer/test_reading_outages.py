"""Reads by id in an outage: answered by what is known, and never taken for absence."""

from __future__ import annotations

from datetime import timedelta
from typing import Any
from unittest.mock import patch

import anyio
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from orchestra_memory import (
    ABSENT,
    Conflict,
    Delete,
    LocalMemory,
    Overloaded,
    Patch,
    PermissionDenied,
    Put,
    Query,
    Ref,
    Source,
    Stored,
    Unauthenticated,
    Unavailable,
)
from orchestra_memory.errors import BreakerOpen, CacheUnavailable, CorruptRecord, DeadlineExceeded
from orchestra_memory.layers.fallback import recalling
from orchestra_memory.layers.fallback.replay import Replayer
from orchestra_memory.operations import DEFAULT, Options, Snapshot
from orchestra_memory.testing.contract.models import Lease, Note

from .stages import REFUSED, AsCache, Stage, as_run, staged, titles

pytestmark = pytest.mark.anyio

A, B, C = (Ref(Note, key) for key in "abc")


async def test_in_an_outage_the_nearest_copy_answers_and_says_what_it_is() -> None:
    behind = LocalMemory()
    stage, time = staged(AsCache(behind, age=40.0))
    for key in "abcd":
        await stage.inner.put(Note(id=key, title="stored"))
    await stage.read(A, B, C, Ref(Note, "d"))
    await behind.put(Note(id="b", title="cached"))
    stage.primary.away()
    time.pass_by(60)
    await stage.wait(Put(Note(id="a", title="put")), Patch(Ref(Note, "d"), set={"title": "new"}))
    time.pass_by(5)
    found = await stage.read(A, B, C, Ref(Note, "d"))
    assert titles(found) == ["put", "cached", "stored", "new"]
    assert [(item.source, item.age) for item in found] == [
        (Source.JOURNAL, 5),
        (Source.CACHE, 40),
        (Source.MEMORY, 65),
        (Source.JOURNAL, 65),
    ]
    assert found.as_of is None


async def test_the_cache_is_asked_alone_and_only_for_what_lacks() -> None:
    asked: list[Any] = []

    class Listening(AsCache):
        async def read(self, refs: Any, *, options: Options = DEFAULT) -> Any:
            asked.append((list(refs), options))
            return await super().read(refs)

    stage = Stage(cached=Listening(LocalMemory()))
    stage.primary.away()
    await stage.wait(Put(Note(id="a")))
    with pytest.raises(Unavailable):
        await stage.read(A, B, B, timeout=0.5, max_age=7.0)
    assert asked == [([B], Options(cache="only", max_age=7.0))]


async def test_what_nothing_is_known_of_is_unavailable_with_the_rest() -> None:
    stage = Stage()
    await stage.inner.put(Note(id="a", title="stored"))
    await stage.read(A)
    stage.primary.away(failure := BreakerOpen(REFUSED))
    await stage.wait(Delete(C))
    with pytest.raises(Unavailable, match="contract_notes/b") as raised:
        await stage.read(A, B, C)
    assert raised.value.__cause__ is failure
    assert (raised.value.operation, raised.value.collection) == ("read", "contract_notes")
    assert raised.value.key == "b"
    assert titles(raised.value.known.values()) == ["stored", None]
    assert list(raised.value.known) == [A, C]


async def test_only_an_own_queued_delete_is_absence() -> None:
    class Forgetful(AsCache):
        """It takes everything for absent."""

        async def read(self, refs: Any, *, options: Options = DEFAULT) -> Any:
            return Snapshot((None,) * len(refs))

    for cached in (None, Forgetful(LocalMemory())):
        stage = Stage(cached=cached)
        await stage.read(A)
        stage.primary.away()
        with pytest.raises(Unavailable):
            await stage.read(A)
        await stage.wait(Patch(A, set={"title": "x"}, or_create=Note(id="a")))
        with pytest.raises(Unavailable):
            await stage.read(A)
        await stage.wait(Delete(A))
        assert await stage.read_one(A) is None


async def test_what_a_cache_takes_for_absent_is_not() -> None:
    class Partly(AsCache):
        async def read(self, refs: Any, *, options: Options = DEFAULT) -> Any:
            raise Unavailable("partly", known={A: None, B: Stored(Note(id="b"), 1, Source.CACHE)})

    stage = Stage(cached=Partly(LocalMemory()))
    stage.primary.away()
    assert await stage.read_one(B) is not None
    with pytest.raises(Unavailable) as raised:
        await stage.read(A, B)
    assert list(raised.value.known) == [B]


async def test_a_copy_that_has_expired_tells_nothing() -> None:
    stage, time = staged()
    lease, own = Ref(Lease, "a"), Ref(Lease, "b")
    await stage.inner.put(Lease(id="a", expiration=time.now + timedelta(seconds=5)))
    await stage.read(lease)
    stage.primary.away()
    await stage.wait(Put(Lease(id="b", expiration=time.now + timedelta(seconds=5))))
    assert None not in await stage.read(lease, own)
    time.pass_by(6)
    with pytest.raises(Unavailable):
        await stage.read(lease)
    await stage.wait(Patch(lease, set={"rank": 1}))
    with pytest.raises(Unavailable):
        await stage.read(lease)
    assert await stage.read_one(own) is None


async def test_a_deletion_behind_which_something_unreadable_waits_is_not_absence() -> None:
    stage = Stage()
    stage.primary.away()
    await stage.wait(Delete(A), Put(Note(id="b")))
    with patch.object(stage.queue, "is_blocked", return_value=True):
        assert await stage.read_one(B) is not None
        with pytest.raises(Unavailable):
            await stage.read(A)


@pytest.mark.parametrize(
    ("max_age", "known"),
    [(None, "abc"), (1_000, "abc"), (50, "ac"), (45, "ac"), (30, "a"), (0, "a")],
)
async def test_copies_older_than_the_caller_takes_are_refused(
    max_age: float | None, known: str
) -> None:
    behind = LocalMemory()
    stage, time = staged(AsCache(behind, age=45.0))
    await stage.inner.put(Note(id="b"))
    await stage.read(B)
    stage.primary.away()
    time.pass_by(100)
    await behind.put(Note(id="c"))
    await stage.wait(Put(Note(id="a")))
    time.pass_by(40)
    bound = "nothing is known" if max_age is None else f"no older than {max_age} s is known"
    with pytest.raises(Unavailable, match=bound) as raised:
        await stage.read(A, B, C, Ref(Note, "nowhere"), max_age=max_age)
    assert "".join(ref.key for ref in raised.value.known) == known


async def test_a_patch_is_refused_with_the_copy_that_is_too_old_for_it() -> None:
    stage, time = staged()
    await stage.inner.put(Note(id="a"))
    await stage.read(A)
    stage.primary.away()
    time.pass_by(10)
    await stage.wait(Patch(A, set={"rank": 1}))
    assert (await stage.read_one(A, max_age=10)).age == 10
    for max_age in (5, 0):
        with pytest.raises(Unavailable):
            await stage.read(A, max_age=max_age)


ERRORS = [
    PermissionDenied("no"),
    Unauthenticated("who"),
    Overloaded("too much"),
    Conflict("other"),
    CorruptRecord("bad"),
    CacheUnavailable("strict"),
    ZeroDivisionError("a bug"),
]


@pytest.mark.parametrize("error", ERRORS, ids=lambda error: type(error).__name__)
async def test_no_other_failure_degrades(error: Exception) -> None:
    stage = Stage(cached=AsCache(LocalMemory()))
    await stage.inner.put(Note(id="a"))
    await stage.read(A)
    stage.primary.away(error)
    for waits in (False, True):
        if waits:
            await stage.wait(Patch(A, set={"rank": 1}))
        for ask in (lambda: stage.read(A), lambda: stage.find(Query(Note))):
            with pytest.raises(type(error)) as raised:
                await ask()
            assert raised.value is error
    assert all(options.cache is None for _, options in stage.primary.calls)


@pytest.mark.parametrize("failure", [BreakerOpen("x"), DeadlineExceeded("x"), Unavailable("x")])
async def test_every_way_of_being_away_degrades(failure: Unavailable) -> None:
    stage = Stage()
    await stage.inner.put(Note(id="a"))
    await stage.read(A)
    stage.primary.away(failure)
    assert (await stage.read_one(A)).source is Source.MEMORY


async def test_who_asks_the_cache_alone_hears_what_it_says() -> None:
    behind = LocalMemory()
    stage = Stage(cached=AsCache(behind))
    await stage.inner.put(Note(id="a"))
    await stage.read(A)
    with pytest.raises(Unavailable, match="the cache"):
        await stage.read(A, cache="only")
    await stage.wait(Put(Note(id="a", title="put")))
    assert titles(await stage.read(A, cache="only")) == ["put"]


async def test_who_asks_twice_gets_two_that_share_nothing() -> None:
    stage = Stage()
    await stage.inner.put(Note(id="a", data={"x": [1]}))
    await stage.read(A)
    for away in (False, True):
        if away:
            stage.primary.away()
        else:
            await stage.wait(Put(Note(id="b", data={"x": [1]})))
        one, two, other = await stage.read(A, A, B)
        one.record.data["x"].append(2)
        other.record.data["x"].append(2)
        again, fresh = await stage.read(A, B)
        assert [each.record.data for each in (two, again, fresh)] == [{"x": [1]}] * 3


async def test_a_cache_that_hangs_is_not_waited_for() -> None:
    class Hanging(AsCache):
        async def read(self, refs: Any, *, options: Options = DEFAULT) -> Any:
            await anyio.sleep_forever()

        async def find(self, query: Any, *, options: Options = DEFAULT) -> Any:
            await anyio.sleep_forever()

    stage = Stage(cached=Hanging(LocalMemory()))
    await stage.inner.put(Note(id="a"))
    await stage.read(A)
    stage.primary.away()
    with patch.object(recalling, "CACHE_SECONDS", 0.01), anyio.fail_after(30):
        assert (await stage.read_one(A)).source is Source.MEMORY
        assert (await stage.find(Query(Note))).source is Source.MEMORY


async def test_cancelling_a_read_ends_it() -> None:
    class Hanging(LocalMemory):
        async def read(self, refs: Any, *, options: Options = DEFAULT) -> Any:
            await anyio.sleep_forever()

    stage = Stage(Hanging())
    await stage.wait(Patch(A, set={"rank": 1}))
    with anyio.move_on_after(0.01) as scope:
        await stage.read(A)
    assert scope.cancelled_caught


steps = st.lists(
    st.tuples(
        st.sampled_from(("put", "delete", "foreign", "forget", "read", "wait", "patch", "remove")),
        st.sampled_from((A, B)),
    ),
    max_size=14,
)


@given(before=steps, during=steps)
@settings(max_examples=100, deadline=None)
def test_absence_is_never_reported_of_what_may_be_there(before: Any, during: Any) -> None:
    async def work() -> None:
        stage = Stage()
        for number, (what, ref) in enumerate(before):
            await happen(stage, what, ref, number)
        stage.primary.away()
        for number, (what, ref) in enumerate(during):
            if what in {"wait", "patch", "remove", "foreign"}:
                await happen(stage, what, ref, number)
        for ref in (A, B):
            waiting = stage.queue.of(ref)
            try:
                found = await stage.read_one(ref)
            except Unavailable:
                assert not any(isinstance(item.op, Put) for item in waiting)
                continue
            own = [item.op for item in waiting if not isinstance(item.op, Patch)]
            assert (found is None) == (bool(own) and isinstance(own[-1], Delete))

    as_run(work)


async def happen(stage: Stage, what: str, ref: Ref[Note], number: int) -> None:
    note = Note(id=ref.key, rank=number)
    match what:
        case "put" | "delete":
            op: Any = Put(note) if what == "put" else Delete(ref)
            stage.standby.wrote([op], await stage.inner.write([op]))
        case "foreign":
            await stage.inner.write([Put(note)])
        case "forget":
            stage.standby.forget([ref])
        case "read":
            await stage.read(ref)
        case "wait":
            await stage.wait(Put(note, expect=ABSENT))
        case "patch":
            await stage.wait(Patch(ref, set={"rank": number}))
        case _:
            await stage.wait(Delete(ref))


async def test_what_is_replayed_while_the_cache_is_asked_is_not_counted_twice() -> None:
    class Meanwhile(AsCache):
        async def read(self, refs: Any, *, options: Options = DEFAULT) -> Any:
            await Replayer(stage.inner, stage.queue, policies={}, standby=stage.standby).drain()
            raise Unavailable("the cache does not know it")

    stage = Stage(cached=Meanwhile(LocalMemory()))
    await stage.inner.put(Note(id="a", rank=1))
    await stage.read(A)
    stage.primary.away()
    await stage.wait(Patch(A, increment={"rank": 1}))
    assert (await stage.read_one(A)).record.rank == 2
