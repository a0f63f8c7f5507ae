"""Who was erased does not come back with what was queued in an outage, wherever that waits."""

import pytest

from orchestra_memory import (
    Breaker,
    BreakerSettings,
    Delete,
    FallbackMemory,
    GuardedMemory,
    Journal,
    LocalMemory,
    MemoryItem,
    Patch,
    Put,
    Query,
    Ref,
    Unavailable,
    UserSession,
)
from orchestra_memory.codec.operations import NO_BASIS
from orchestra_memory.domain.privacy import Privacy
from orchestra_memory.layers.fallback.conflicts import Conflicted
from orchestra_memory.layers.fallback.markers import commit_id
from orchestra_memory.layers.fallback.queue import Queue
from orchestra_memory.layers.fallback.replay import Replayer
from orchestra_memory.layers.fallback.standby import Standby
from orchestra_memory.resilience.journal import VolatileJournal
from orchestra_memory.resilience.retry import Retries
from orchestra_memory.testing.faults import FaultyMemory

pytestmark = pytest.mark.anyio


def item(key: str, user: str = "ann") -> MemoryItem:
    return MemoryItem(id=key, user_id=user, text_content="tea")


def change(key: str) -> Patch:
    return Patch(Ref(MemoryItem, key), set={"metadata.mood": "low"})


async def queued(*ops, commit: str | None = None, queue: Queue | None = None) -> Queue:
    queue = Queue(VolatileJournal()) if queue is None else queue
    await queue.append([(op, NO_BASIS) for op in ops], commit=commit)
    return queue


async def replayed(store, queue: Queue):
    return await Replayer(store, queue, policies={}).drain()


async def stored(store, model=MemoryItem) -> list[str]:
    return [each.key async for each in store.scan(Query(model))]


@pytest.fixture
def store() -> FaultyMemory:
    return FaultyMemory(LocalMemory())


def behind(store, **parts) -> FallbackMemory:
    never = Breaker(BreakerSettings(consecutive=10**9, least=10**9))
    guard = GuardedMemory(store, retries=Retries(attempts=1), breaker=never)
    return FallbackMemory(guard, guard=guard, **parts)


async def test_what_another_process_queued_before_is_not_written_after(store):
    queue = await queued(
        Put(item("new")),
        Put(UserSession(user_id="ann", session_id="s")),
        Patch(Ref(UserSession, UserSession.key_of("ann", "t")), unset=["ended_at"]),
        Put(item("his", "anna")),
    )
    await Privacy(store).erase("ann")
    drained = await replayed(store, queue)
    assert (drained.left, drained.conflicts, drained.dead_letters) == (0, 0, 0)
    assert await stored(store) == ["his"]
    assert await stored(store, UserSession) == await stored(store, Conflicted) == []


async def test_a_change_of_a_record_that_is_gone_is_not_kept_among_the_conflicts(store):
    await store.put_many([item("hers"), item("his", "bob")])
    queue = await queued(change("hers"), change("his"))
    await Privacy(store).erase("ann")
    await replayed(store, queue)
    assert await stored(store, Conflicted) == []
    assert (await store.get(MemoryItem, "his")).metadata == {"mood": "low"}


async def test_where_nobody_was_erased_since_such_a_change_is_kept(store):
    await Privacy(store).erase("ann")
    queue = await queued(change("nobody's"))
    drained = await replayed(store, queue)
    assert drained.conflicts == 1


async def test_who_comes_back_is_new(store):
    queue = await queued(Put(UserSession(user_id="ann", session_id="s", metadata={"old": True})))
    await Privacy(store).erase("ann")
    again = UserSession(user_id="ann", session_id="s")
    await store.put(again)
    await queued(Put(item("later")), queue=queue)
    await replayed(store, queue)
    assert await store.get(UserSession, again.key) == again
    assert await stored(store) == ["later"]


async def test_what_was_to_be_applied_together_is_without_the_erased(store):
    ops = [Put(item("hers")), Put(item("his", "bob"))]
    queue = await queued(*ops, commit=commit_id(2, whole=True))
    await Privacy(store).erase("ann")
    drained = await replayed(store, queue)
    assert (drained.left, drained.dead_letters) == (0, 0)
    assert await stored(store) == ["his"]


async def test_what_was_bound_to_a_commit_goes_on_without_the_erased(store):
    queue = await queued(Put(item("hers")), Put(item("his", "bob")))
    await queue.bind(queue.waiting(), commit_id(2, whole=False))
    await Privacy(store).erase("ann")
    drained = await replayed(store, queue)
    assert drained.left == 0
    assert await stored(store) == ["his"]


async def test_erasing_in_one_namespace_leaves_what_waits_for_another(store):
    queue = await queued(Put(item("x"), namespace="acme"), Put(item("x")))
    await Privacy(store).erase("ann")
    await replayed(store, queue)
    assert await stored(store) == []
    assert await stored(store.with_options(namespace="acme")) == ["x"]


async def test_replay_asks_once_for_all_where_nobody_was_erased(store):
    queue = await queued(*(Put(item(f"i{n}", f"user{n}")) for n in range(50)))
    drained = await replayed(store, queue)
    assert drained.replayed == 50
    assert store.calls["read"] == 1


async def test_replay_writes_nothing_that_it_could_not_check(store):
    queue = await queued(Put(item("x")))
    store.fail("read")
    with pytest.raises(Unavailable):
        await replayed(store, queue)
    assert (store.calls["write"], len(queue)) == (0, 1)


async def test_queue_dead_letters_and_copies_of_this_process_are_forgotten(store, tmp_path):
    standby = Standby()
    async with (
        Journal.open(tmp_path, target="store") as journal,
        behind(store, standby=standby, journal=journal) as memory,
    ):
        await memory.put_many([item("seen"), item("his", "anna")])
        store.fail()
        await memory.put(item("waiting"))
        store.heal()
        queue = memory._queue
        letters = await queued(
            Put(item("letter")), change("seen"), Put(item("b", "anna")), queue=queue
        )
        for each in letters.waiting()[-3:]:
            await queue.dead_letter(each, "refused")
        privacy = Privacy(memory, forgetting=[memory.forget_user])
        receipt = await privacy.erase("ann")
        forgotten = receipt.namespaces[0].forgotten
        assert (forgotten["dead_letters"], forgotten["standby"] >= 1) == (2, True)
        assert [each.document.key for each in await journal.dead_letters()] == ["b"]
        assert not memory._queue.waiting()
        assert standby.get(Ref(MemoryItem, "seen")) is None
        assert standby.get(Ref(MemoryItem, "his")) is not None
        assert await stored(store) == ["his"]


async def test_in_an_outage_nothing_is_said_to_be_erased(store):
    async with behind(store) as memory:
        await memory.put(item("x"))
        store.fail("write")
        with pytest.raises(Unavailable):
            await Privacy(memory, forgetting=[memory.forget_user]).erase("ann")
        store.heal()
        assert await stored(store) == ["x"]


async def test_a_deletion_that_waits_is_carried_out(store):
    await store.put(item("his", "bob"))
    queue = await queued(Delete(Ref(MemoryItem, "his")))
    await Privacy(store).erase("ann")
    await replayed(store, queue)
    assert await stored(store) == []
