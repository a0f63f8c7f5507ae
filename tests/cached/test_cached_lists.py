"""Lists, counts and sums of a scope come from the cache, as the store would tell them."""

from datetime import timedelta

import pytest

from orchestra_memory import (
    ABSENT,
    AgentMemory,
    Conflict,
    CorruptRecord,
    Count,
    MemoryItem,
    Patch,
    Query,
    Record,
    Ref,
    Source,
    Sum,
    Unavailable,
    UserSession,
    UtcDatetime,
    recent,
)
from orchestra_memory.testing.contract.models import LooseNote, Note
from orchestra_memory.values import utc_now

from .beneath import NOW, said

pytestmark = pytest.mark.anyio


class Task(Record, collection="cached_tasks", scopes=["owner"]):
    """Its expiration can be patched, as it has nothing large."""

    id: str
    owner: str
    expiration: UtcDatetime | None = None


async def test_a_history_is_read_from_the_cache_however_it_grows(memory, store):
    query = recent(user_id="u", session_id="s")
    await memory.find(query)
    for number in range(20):
        await memory.put(said(number))
        page = await memory.find(query)
        assert page.records == [said(n) for n in range(number, -1, -1)]
        assert page.source is Source.CACHE
        assert page.cursor is None
    assert store.finds == 1
    assert store.reads == []


async def test_a_long_history_is_read_from_the_cache_however_it_grows(memory, store):
    await store.inner.put_many(said(number) for number in range(30))
    query = recent(user_id="u", session_id="s", page_size=10)
    await memory.find(query)
    await memory.find(query)
    asked = store.asked
    for number in range(30, 60):
        await memory.put(said(number))
        page = await memory.find(query.with_(page_size=5))
        assert page.records == [said(n) for n in range(number, number - 5, -1)]
        assert page.cursor is not None
    assert store.asked == asked


async def test_a_history_answers_filters_pages_and_measures(memory, store):
    for number in range(12):
        await memory.put(said(number, item_type="ab"[number % 2]))
    whole = recent(user_id="u", session_id="s")
    await memory.find(whole)
    queries = [
        recent(user_id="u", session_id="s", item_type="a"),
        recent(user_id="u", session_id="s", start=said(3).timestamp, end=said(7).timestamp),
        recent(user_id="u", session_id="s", page_size=5),
        recent(user_id="u", session_id="s", limit=3),
        Query(MemoryItem, where={"user_id": "u", "session_id": "s", "item_type": "b"}),
    ]
    asked = store.asked
    for query in queries:
        page, below = await memory.find(query), await store.inner.find(query)
        assert page.records == below.records
        assert page.cursor == below.cursor
        if page.cursor:
            rest = query.with_(after=page.cursor)
            assert (await memory.find(rest)).records == (await store.inner.find(rest)).records
        measures = [Count("n")]
        totals = await memory.aggregate(query, measures)
        assert dict(totals) == dict(await store.inner.aggregate(query, measures))
    assert store.asked == asked


async def test_sums_are_of_what_is_stored_now(memory, store):
    query = recent(user_id="u", session_id="s")
    await memory.find(query)
    measures = [Count("n"), Sum("total", of="metadata.x")]
    await memory.put(said(1, metadata={"x": 1}))
    await memory.put(said(2, metadata={"x": 2}))
    await memory.write([Patch(Ref(MemoryItem, said(1).id), increment={"metadata.x": 10})])
    assert dict(await memory.aggregate(query, measures)) == {"n": 2, "total": 13}
    await memory.put(said(2, "t", metadata={"x": 2}))
    await memory.delete(MemoryItem, said(1).id)
    assert dict(await memory.aggregate(query, measures)) == {"n": 0, "total": 0}
    assert (store.finds, store.aggregates) == (1, 0)


async def test_what_is_deleted_or_moved_leaves_its_lists(memory, store):
    one, two = (recent(user_id="u", session_id=session) for session in ("s", "t"))
    for query in (one, two):
        await memory.find(query)
    for number in range(4):
        await memory.put(said(number))
    await memory.delete(MemoryItem, said(0).id)
    await memory.put(said(1, "t"))
    assert (await memory.find(one)).records == [said(3), said(2)]
    assert (await memory.find(two)).records == [said(1, "t")]
    assert store.finds == 2
    assert store.reads == []


async def test_a_patch_that_moves_a_record_moves_it_in_its_list(memory, store):
    sessions = [
        UserSession(user_id="u", session_id=f"s{n}", last_active=NOW + timedelta(seconds=n))
        for n in range(3)
    ]
    for session in sessions:
        await memory.put(session)
    query = Query(UserSession, where={"user_id": "u"}, order_by="-last_active", page_size=2)
    assert [s.session_id for s in (await memory.find(query)).records] == ["s2", "s1"]
    ref = Ref(UserSession, sessions[0].key)
    await memory.write([Patch(ref, set={"last_active": NOW + timedelta(seconds=9)})])
    assert [s.session_id for s in (await memory.find(query)).records] == ["s0", "s2"]
    # Its id tells the scope, so that nothing had to be read for it.
    assert store.reads == []


async def test_a_patch_takes_the_scope_from_one_counted_read(memory, store):
    await store.inner.put_many(said(number) for number in range(3))
    query = recent(user_id="u", session_id="s")
    await memory.find(query)
    ref = Ref(MemoryItem, said(0).id)
    receipt = await memory.write([Patch(ref, set={"timestamp": said(9).timestamp})])
    assert store.reads == [[said(0).id]]
    assert receipt.billed.reads == 1
    found = (await memory.find(query)).records
    assert [item.id for item in found] == [said(0).id, said(2).id, said(1).id]


async def test_a_patch_of_what_the_cache_knows_reads_nothing(memory, store):
    query = recent(user_id="u", session_id="s")
    for number in range(3):
        await memory.put(said(number))
    await memory.find(query)
    await memory.get(MemoryItem, said(0).id)
    ref = Ref(MemoryItem, said(0).id)
    store.reads.clear()
    receipt = await memory.write([Patch(ref, set={"timestamp": said(9).timestamp})])
    assert (store.reads, receipt.billed.reads) == ([], 0)
    assert (await memory.find(query)).records[0].id == said(0).id


async def test_a_patch_moves_its_record_in_the_list_that_another_writer_has_just_put_it_in(
    memory, opened, store
):
    other = await opened()
    await store.inner.put_many(said(number, "t") for number in range(4))
    await memory.put(said(8))
    there = recent(user_id="u", session_id="t", page_size=2, limit=2)

    async def put_it_there() -> None:
        store.before_write = None
        await other.put(said(8, "t").evolve(timestamp=said(0).timestamp))
        assert [item.id for item in (await other.find(there)).records] == ["m003", "m002"]

    store.before_write = put_it_there
    await memory.write([Patch(Ref(MemoryItem, "m008"), set={"timestamp": said(9).timestamp})])
    assert [item.id for item in (await other.find(there)).records] == ["m008", "m003"]


async def test_where_the_list_of_a_patched_record_cannot_be_told_none_is_used(memory, store):
    await store.inner.put_many(said(number) for number in range(3))
    query = recent(user_id="u", session_id="s", page_size=2, limit=2)
    await memory.find(query)

    async def fail() -> None:
        raise Unavailable("gone")

    store.before_read = fail
    patch = Patch(Ref(MemoryItem, "m000"), set={"timestamp": said(9).timestamp})
    receipt = await memory.write([patch])
    assert receipt.cache_invalidation == "pending"
    store.before_read = None
    assert [item.id for item in (await memory.find(query)).records] == ["m000", "m002"]


async def test_an_expired_record_that_is_revived_is_listed_again(memory, store):
    past = utc_now() - timedelta(hours=1)
    note = Note(id="a", created=NOW)
    await memory.put(note.evolve(expiration=past))
    query = Query(Note, where={"owner": "alice"})
    assert (await memory.find(query)).records == []
    await memory.put(note)
    assert (await memory.find(query)).records == [note]


async def test_a_patch_that_revives_an_expired_record_lists_it_again(memory, store):
    task = Task(id="a", owner="x")
    past = utc_now() - timedelta(hours=1)
    await store.inner.put(task.evolve(expiration=past))
    query = Query(Task, where={"owner": "x"})
    for _ in range(2):
        assert (await memory.find(query)).records == []
    assert await memory.get(Task, "a") is None
    await memory.write([Patch(Ref(Task, "a"), unset=["expiration"])])
    assert (await memory.find(query)).records == [task]
    assert (await memory.aggregate(query, [Count()]))["count"] == 1


async def test_counting_up_what_may_not_exist_reads_nothing(memory, store):
    empty = AgentMemory(agent_type="coder", agent_id="7")
    patch = Patch(Ref(AgentMemory, empty.key), increment={"memory_count": 1}, or_create=empty)
    for _ in range(3):
        await memory.write([patch])
    assert store.asked == 0
    assert (await memory.get(AgentMemory, empty.key)).memory_count == 3


async def test_a_list_of_which_a_record_is_unknown_reads_only_that(memory, store):
    for number in range(3):
        await memory.put(said(number))
    query = recent(user_id="u", session_id="s")
    await memory.find(query)
    await memory.write([Patch(Ref(MemoryItem, said(1).id), set={"metadata.seen": True})])
    page = await memory.find(query)
    assert [item.metadata for item in page.records] == [{}, {"seen": True}, {}]
    assert page.billed.reads == 1
    assert store.reads == [[said(1).id]]
    assert (await memory.find(query)).billed.reads == 0


async def test_what_does_not_fit_its_type_fails_a_list_as_it_does_below(memory, store):
    query = Query(Note, where={"owner": "alice"})
    await memory.put(Note(id="a"))
    await memory.find(query)
    await memory.put(LooseNote(id="a", rank="text"))
    assert (await memory.find(query)).records == []
    with pytest.raises(CorruptRecord):
        await memory.get(Note, "a")


async def test_a_query_without_a_scope_asks_the_store(memory, store):
    await memory.put(Note(id="a"))
    for _ in range(2):
        assert (await memory.find(Query(Note, order_by="rank"))).source is Source.PRIMARY
        await memory.aggregate(Query(Note), [Count()])
    assert (store.finds, store.aggregates) == (2, 2)


async def test_a_refused_write_leaves_the_list_in_the_cache(memory, store):
    await memory.put(said(1))
    query = recent(user_id="u", session_id="s")
    await memory.find(query)
    with pytest.raises(Conflict):
        await memory.put(said(1), expect=ABSENT)
    assert (await memory.find(query)).records == [said(1)]
    assert store.finds == 1


async def test_a_load_does_not_fill_the_cache(memory, store):
    await memory.put(Note(id="n3", rank=9))
    await memory.put_many([Note(id=f"n{i}", rank=i) for i in range(60)])
    assert (await memory.get(Note, "n3")).rank == 3
    assert (await memory.get(Note, "n4")).rank == 4
    assert store.reads == [["n3"], ["n4"]]
    await memory.delete_many(Note, [f"n{i}" for i in range(60)])
    assert await memory.get(Note, "n3") is None


async def test_a_few_records_are_kept(memory, store):
    await memory.put_many([Note(id=f"n{i}", rank=i) for i in range(20)])
    assert [note.rank for note in await memory.get_many(Note, ["n3", "n4"])] == [3, 4]
    assert store.asked == 0


async def test_a_load_drops_the_lists_it_touches(memory, store):
    query = recent(user_id="u", session_id="s")
    await memory.find(query)
    await memory.put_many([said(number) for number in range(60)])
    page = await memory.find(query)
    assert [item.id for item in page.records] == [said(n).id for n in range(59, 9, -1)]
    assert store.finds == 2
