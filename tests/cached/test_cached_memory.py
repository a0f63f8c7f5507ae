"""What the cache promises of records by id, and how callers have their way with it."""

from datetime import timedelta
from uuid import uuid4

import anyio
import pytest
from redis.asyncio import Redis

from orchestra_memory import (
    ABSENT,
    PRESENT,
    CachedMemory,
    CachePolicy,
    ConfigurationError,
    Conflict,
    Count,
    Delete,
    LocalMemory,
    MemoryItem,
    Options,
    Patch,
    Put,
    Query,
    Ref,
    Source,
    SystemState,
    Unavailable,
    recent,
)
from orchestra_memory.testing.contract.models import Note
from orchestra_memory.values import utc_now

from .beneath import NOW, A, Stop, Store, in_background, said

pytestmark = pytest.mark.anyio


async def test_what_was_put_is_read_without_the_store(memory, store):
    receipt = await memory.put(Note(id="a", rank=1))
    (stored,) = await memory.read([A])
    assert store.asked == 0
    assert stored.record == Note(id="a", rank=1)
    assert (stored.revision,) == receipt.revisions
    assert stored.source is Source.CACHE
    assert stored.age >= 0
    assert receipt.cache_invalidation == "done"


async def test_what_was_read_is_kept(memory, store):
    await store.inner.put(Note(id="a", rank=1))
    (first,), (second,) = await memory.read([A]), await memory.read([A])
    assert store.reads == [["a"]]
    assert (first.source, second.source) == (Source.PRIMARY, Source.CACHE)
    assert first.record == second.record
    assert first.revision == second.revision


async def test_a_read_tells_its_time_if_all_of_it_is_the_stores(memory, store):
    receipt = await store.inner.put(Note(id="a"))
    assert (await memory.read([A, Ref(Note, "b")])).as_of == receipt.version
    assert (await memory.read([A, Ref(Note, "c")])).as_of is None


async def test_a_read_is_billed_only_what_it_asked_the_store(memory, store):
    await store.inner.put_many([Note(id="a"), Note(id="b")])
    refs = [A, Ref(Note, "b"), A]
    assert (await memory.read([A])).billed.reads == 1
    assert (await memory.read(refs)).billed.reads == 1
    assert (await memory.read(refs)).billed.reads == 0


async def test_only_what_is_missing_is_asked_of_the_store_and_at_once(memory, store):
    await store.inner.put_many(Note(id=key, rank=1) for key in "abcd")
    await memory.get_many(Note, "bd")
    found = await memory.get_many(Note, "abxcdx")
    assert [note and note.id for note in found] == ["a", "b", None, "c", "d", None]
    assert store.reads == [["b", "d"], ["a", "x", "c"]]


async def test_what_is_absent_is_known_to_be(memory, store):
    assert await memory.get(Note, "a") is None
    assert await memory.get(Note, "a") is None
    assert store.reads == [["a"]]
    await memory.put(Note(id="a"))
    assert await memory.get(Note, "a") == Note(id="a")
    assert store.reads == [["a"]]


async def test_the_store_is_asked_for_the_time_of_what_it_lacks(memory, store):
    await memory.get(Note, "a")
    assert store.options[0].cache == "use"


async def test_what_was_deleted_is_gone_without_asking(memory, store):
    await memory.put(Note(id="a"))
    await memory.delete(Note, "a")
    assert await memory.get(Note, "a") is None
    assert store.asked == 0


async def test_what_was_patched_is_read_anew_once(memory, store):
    await memory.put(Note(id="a", rank=1))
    await memory.write([Patch(A, increment={"rank": 1})])
    for _ in range(3):
        assert (await memory.get(Note, "a")).rank == 2
    assert store.reads == [["a"]]


async def test_the_last_operation_on_a_record_counts(memory, store):
    await memory.write([Put(Note(id="a", rank=1)), Delete(A), Put(Note(id="a", rank=2))])
    assert (await memory.get(Note, "a")).rank == 2
    await memory.write([Put(Note(id="a", rank=3)), Patch(A, set={"rank": 4})])
    assert (await memory.get(Note, "a")).rank == 4
    await memory.write([Put(Note(id="a", rank=5)), Delete(A)])
    assert await memory.get(Note, "a") is None


async def test_a_write_that_changes_nothing_leaves_the_record_in_the_cache(memory, store):
    for _ in range(3):
        await memory.put(Note(id="a", rank=1))
        assert (await memory.get(Note, "a")).rank == 1
    assert store.asked == 0


async def test_after_a_conflict_the_record_is_read_anew(memory, store):
    await memory.put(Note(id="a", rank=1))
    await store.inner.put(Note(id="a", rank=2))  # by somebody who does not know of the cache
    with pytest.raises(Conflict):
        await memory.put(Note(id="a", rank=3), expect=ABSENT)
    for _ in range(3):
        assert (await memory.get(Note, "a")).rank == 2
    assert store.reads == [["a"]]


async def test_readers_share_nothing_mutable(memory, store):
    await memory.put(Note(id="a", data={"x": [1]}))
    first = await memory.get(Note, "a")
    first.data["x"].append(2)
    assert (await memory.get(Note, "a")).data == {"x": [1]}


async def test_what_is_changed_while_it_is_written_is_cached_as_it_was_stored(memory, store):
    note = Note(id="a", data={"x": 1})

    async def change() -> None:
        note.data["x"] = 2

    store.after_write = change
    await memory.put(note)
    cached, stored = await memory.get(Note, "a"), await store.inner.get(Note, "a")
    assert store.asked == 0
    assert cached == stored == Note(id="a", data={"x": 1})


async def test_the_expired_are_absent_from_the_cache_too(memory, store):
    await memory.put(Note(id="a", expiration=utc_now() + timedelta(seconds=0.2)))
    assert await memory.get(Note, "a") is not None
    await anyio.sleep(0.25)
    assert await memory.get(Note, "a") is None
    assert store.asked == 0


async def test_the_state_of_the_system_is_kept(memory, store):
    await memory.put(SystemState(emergency_stop=True))
    assert (await memory.get(SystemState, "global_config")).emergency_stop
    assert store.asked == 0


async def test_bypass_asks_the_store_and_keeps_nothing(memory, store):
    bypass = Options(cache="bypass")
    await store.inner.put(Note(id="a", rank=1))
    await memory.get(Note, "a", options=bypass)
    await memory.get(Note, "a")
    assert store.reads == [["a"], ["a"]]
    await memory.get(Note, "a", options=bypass)
    assert len(store.reads) == 3
    assert store.options[-1].cache == "bypass"


async def test_refresh_asks_the_store_and_keeps_the_answer(memory, store):
    await memory.put(Note(id="a", rank=1))
    await memory.put(said(1))
    query = recent(user_id="u", session_id="s")
    await memory.find(query)
    await store.inner.put(Note(id="a", rank=2))  # by somebody who does not know of the cache
    await store.inner.put(said(2))
    assert (await memory.get(Note, "a")).rank == 1
    refresh = Options(cache="refresh")
    assert (await memory.get(Note, "a", options=refresh)).rank == 2
    assert (await memory.find(query, options=refresh)).records == [said(2), said(1)]
    asked = store.asked
    assert (await memory.get(Note, "a")).rank == 2
    assert (await memory.find(query)).records == [said(2), said(1)]
    assert store.asked == asked + 1  # the record that the list has now, and the cache had not


async def test_only_never_asks_the_store(memory, store):
    only = Options(cache="only")
    await memory.put(Note(id="a", rank=1))
    await memory.delete(Note, "gone")
    await store.inner.put(Note(id="b"))
    refs = [A, Ref(Note, "b"), Ref(Note, "gone")]
    assert (await memory.read([A], options=only)).records == [Note(id="a", rank=1)]
    with pytest.raises(Unavailable) as caught:
        await memory.read(refs, options=only)
    known = caught.value.known
    assert known[A].record == Note(id="a", rank=1)
    assert known[Ref(Note, "gone")] is None
    assert Ref(Note, "b") not in known
    query = recent(user_id="u", session_id="s")
    with pytest.raises(Unavailable):
        await memory.find(query, options=only)
    with pytest.raises(Unavailable):
        await memory.aggregate(query, [Count()], options=only)
    assert store.asked == 0
    await memory.find(query)
    assert (await memory.find(query, options=only)).records == []
    assert (await memory.aggregate(query, [Count()], options=only))["count"] == 0


async def test_what_is_older_than_max_age_is_read_anew(memory, store):
    await memory.put(Note(id="a"))
    await anyio.sleep(0.05)
    await memory.get(Note, "a", options=Options(max_age=60.0))
    assert store.reads == []
    await memory.get(Note, "a", options=Options(max_age=0.02))
    await memory.get(Note, "a", options=Options(max_age=60.0))
    assert store.reads == [["a"]]
    await memory.get(Note, "a", options=Options(max_age=0))
    assert store.reads == [["a"], ["a"]]


async def test_max_age_holds_while_another_process_reads_anew(opened, store):
    memory = await opened()
    await memory.put(Note(id="a"))
    await anyio.sleep(0.05)
    slow, stop = Store(store.inner), Stop()
    slow.before_read = stop
    refreshing = await opened(slow)
    async with in_background(lambda: refreshing.read([A], options=Options(cache="refresh"))):
        await stop.reached.wait()
        (stored,) = await memory.read([A], options=Options(max_age=0.04))
        assert stored.source is Source.PRIMARY
        stop.open()


async def test_scans_ask_the_store(memory, store):
    await memory.put(said(1))
    query = recent(user_id="u", session_id="s")
    await memory.find(query)
    assert [item async for item in memory.scan(query)] == [said(1)]
    assert store.finds == 2


async def test_a_type_can_be_kept_out_of_the_cache(opened, store):
    memory = await opened(policies={Note: CachePolicy(records=False)})
    await memory.put(Note(id="a"))
    await memory.put(said(1))
    refs = [A, Ref(MemoryItem, said(1).id), A]
    for _ in range(2):
        assert (await memory.read(refs)).records == [Note(id="a"), said(1), Note(id="a")]
    assert store.reads == [["a"], ["a"]]


async def test_lists_of_a_type_can_be_kept_out_of_the_cache(opened, store):
    memory = await opened(policies={MemoryItem: CachePolicy(windows=False)})
    other = await opened()
    query = recent(user_id="u", session_id="s")
    for number in range(3):
        await memory.put(said(number))
        assert (await memory.find(query)).source is Source.PRIMARY
        assert (await other.find(query)).records == [said(n) for n in range(number, -1, -1)]
    assert store.reads == []


async def test_what_is_too_large_is_not_kept(opened, store):
    memory = await opened(policies={Note: CachePolicy(max_bytes=1_000)})
    await memory.put(Note(id="a", body="x" * 2_000))
    for _ in range(2):
        assert (await memory.get(Note, "a")).body == "x" * 2_000
    assert len(store.reads) == 2


async def test_entries_end_with_their_time(opened, store):
    memory = await opened(ttl=0.2)
    await memory.put(Note(id="a"))
    assert await memory.get(Note, "a") == Note(id="a")
    await anyio.sleep(0.3)
    assert await memory.get(Note, "a") == Note(id="a")
    assert store.reads == [["a"]]


async def test_it_must_be_entered(store, redis):
    memory = CachedMemory(store, redis, store="x")
    for call in (
        lambda: memory.get(Note, "a"),
        lambda: memory.put(Note(id="a")),
        lambda: memory.find(Query(Note)),
        lambda: memory.aggregate(Query(Note), [Count()]),
        memory.health,
    ):
        with pytest.raises(RuntimeError, match="async with"):
            await call()
    with pytest.raises(RuntimeError, match="async with"):
        memory.pages(Query(Note))
    assert store.asked == store.writes == 0


async def test_it_is_entered_once(store, redis):
    memory = CachedMemory(store, redis, store=uuid4().hex)
    async with memory:
        with pytest.raises(RuntimeError):
            await memory.__aenter__()
    with pytest.raises(RuntimeError, match="async with"):
        await memory.get(Note, "a")
    with pytest.raises(RuntimeError):
        await memory.__aenter__()


async def test_errors_of_the_body_pass_as_they_are(store, redis):
    with pytest.raises(LookupError, match="mine"):
        async with CachedMemory(store, redis, store="x"):
            raise LookupError("mine")


async def test_the_client_and_the_store_stay_open(store, redis):
    async with CachedMemory(store, redis, store="x"):
        pass
    assert await redis.ping()


def test_what_cannot_be_is_refused():
    client = Redis()
    with pytest.raises(ConfigurationError, match="strict"):
        CachedMemory(LocalMemory(), client, store="x", mode="sometimes")
    with pytest.raises(ConfigurationError, match="ttl"):
        CachedMemory(LocalMemory(), client, store="x", ttl=0)


async def test_it_shows_its_state_and_no_content(memory):
    await memory.put(Note(id="a", title="s3cret"))
    await memory.get(Note, "a")
    assert "s3cret" not in repr(memory)
    assert "available" in repr(memory)
    assert memory.status().counters["hits"] == 1
    assert "1 hits" in (await memory.health()).detail


async def test_a_patch_of_what_is_not_there_is_refused_as_below(memory):
    with pytest.raises(Conflict):
        await memory.write([Patch(Ref(MemoryItem, "gone"), set={"timestamp": NOW})])
    with pytest.raises(Conflict):
        await memory.write([Delete(A, PRESENT)])
