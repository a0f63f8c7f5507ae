"""The meter says what the store billed: neither more nor less than went over the wire."""

import asyncio
from collections.abc import AsyncIterator, Iterable, Sequence
from typing import Any

import anyio
import pytest
from google.api_core.exceptions import ServiceUnavailable
from google.auth.credentials import AnonymousCredentials
from google.cloud.firestore import AsyncClient
from google.cloud.firestore_v1.services.firestore import FirestoreAsyncClient

from orchestra_memory import (
    ABSENT,
    Billed,
    Conflict,
    Cost,
    Count,
    Delete,
    FirestoreMemory,
    GuardedMemory,
    LocalMemory,
    MemoryItem,
    MemoryManager,
    MeteredMemory,
    Options,
    PartialWrite,
    Put,
    Query,
    Record,
    Ref,
    Snapshot,
    Unavailable,
)
from orchestra_memory.backends.firestore import calls, streams
from orchestra_memory.backends.firestore.access import close_client
from orchestra_memory.domain.agents import Agents
from orchestra_memory.operations import DEFAULT

pytestmark = pytest.mark.anyio

PATIENT = Options(timeout=30)


class Note(Record, collection="notes", key="id"):
    """Of a type without parts and without expiry."""

    id: str
    text: str = ""


def notes(count: int) -> list[Note]:
    return [Note(id=f"n{number}") for number in range(count)]


class Wire:
    """Counts what is sent and answered, whatever the library says of it."""

    def __init__(self) -> None:
        self.seen = Billed()
        self.failures: list[Exception] = []

    def written(self, writes: Iterable[Any]) -> None:
        if self.failures:
            raise self.failures.pop(0)
        deletes = [write.HasField("delete") for write in writes]
        self.seen += Billed(writes=deletes.count(False), deletes=deletes.count(True))


@pytest.fixture
def wire(monkeypatch: pytest.MonkeyPatch) -> Wire:
    wire = Wire()
    commit, single = FirestoreAsyncClient.commit, FirestoreAsyncClient.get_document
    aggregation, stream = FirestoreAsyncClient.run_aggregation_query, streams.answered

    async def committed(self: Any, *, request: Any, **how: Any) -> Any:
        wire.written(type(request).pb(request).writes)
        return await commit(self, request=request, **how)

    async def got(self: Any, *, request: Any, **how: Any) -> Any:
        wire.seen += Billed(reads=1)
        return await single(self, request=request, **how)

    async def answered(api: Any, kind: Any, request: Any, take: Any, sent: Any) -> None:
        found: list[Any] = []

        def taken(answer: Any) -> None:
            found.extend([answer] if answer.document is not None else [])
            take(answer)

        try:
            await stream(api, kind, request, taken, sent)
        finally:
            # A query that finds nothing is billed a read all the same.
            reads = max(1, len(found)) if kind is streams.QUERY else len(request.documents)
            wire.seen += Billed(reads=reads)

    async def aggregated(self: Any, *, request: Any, **how: Any) -> Any:
        wire.seen += Billed(reads=1)
        return await aggregation(self, request=request, **how)

    monkeypatch.setattr(FirestoreAsyncClient, "commit", committed)
    monkeypatch.setattr(FirestoreAsyncClient, "get_document", got)
    monkeypatch.setattr(calls, "answered", answered)
    monkeypatch.setattr(FirestoreAsyncClient, "run_aggregation_query", aggregated)
    return wire


@pytest.fixture
async def firestore(
    firestore_emulator, firestore_project, wire, monkeypatch
) -> AsyncIterator[MeteredMemory]:
    monkeypatch.setenv("FIRESTORE_EMULATOR_HOST", firestore_emulator.host)
    client = AsyncClient(firestore_project, credentials=AnonymousCredentials())
    yield MeteredMemory(FirestoreMemory(client))
    await close_client(client)


async def test_each_operation_is_counted_by_itself(firestore: MeteredMemory, wire: Wire) -> None:
    assert firestore.cost() == Cost()
    await firestore.put_many(notes(3))
    assert firestore.cost() == Cost(write=Billed(writes=3), calls=1)
    await firestore.get(Note, "missing")
    await firestore.get_many(Note, ["n0", "n1"])
    assert firestore.cost().read == Billed(reads=3)
    page = await firestore.find(Query(Note, page_size=50))
    assert len(page.items) == 3
    assert firestore.cost().find == Billed(reads=3)
    await firestore.find(Query(Note, where={"text": "none has it"}))
    assert firestore.cost().find == Billed(reads=4)
    await firestore.aggregate(Query(Note), [Count()])
    assert firestore.cost().aggregate == Billed(reads=1)
    await firestore.delete(Note, "n0")
    assert firestore.cost().write == Billed(writes=3, deletes=1)
    assert firestore.cost().total == wire.seen
    assert (firestore.cost().calls, firestore.cost().failed) == (7, 0)


async def test_what_the_store_adds_by_itself_is_counted(
    firestore: MeteredMemory, wire: Wire
) -> None:
    items = [MemoryItem(id=f"i{number}", user_id="alice") for number in range(5)]
    await firestore.put_many(items)
    await firestore.find(Query(MemoryItem, page_size=2))
    await firestore.aggregate(Query(MemoryItem), [Count()])
    await firestore.delete(MemoryItem, "i0")
    cost = firestore.cost()
    assert cost.total == wire.seen
    assert cost.find.reads > 2  # one more, to know whether there is another page
    assert cost.aggregate.reads > 1  # those that have expired
    assert cost.write.deletes > 1  # parts the item might have


async def test_a_query_reads_nothing_beyond_its_limit(firestore: MeteredMemory, wire: Wire) -> None:
    await firestore.put_many(notes(5))
    one = await firestore.find(Query(Note, limit=1))
    assert (one.billed.reads, len(one.items), one.cursor) == (1, 1, None)
    first = await firestore.find(Query(Note, limit=3, page_size=2))
    # One more, to know whether there is another page.
    assert (first.billed.reads, len(first.items)) == (3, 2)
    last = await firestore.find(Query(Note, limit=3, page_size=2, after=first.cursor))
    assert (last.billed.reads, len(last.items), last.cursor) == (1, 1, None)
    past = await firestore.find(Query(Note, limit=1, after=first.cursor))
    assert (len(past.items), past.cursor) == (0, None)
    assert firestore.cost().total == wire.seen


async def test_the_latest_state_of_an_agent_costs_one_read(firestore: MeteredMemory) -> None:
    agents = Agents(firestore)
    for session in ("one", "two"):
        await agents.save(agent_type="worker", agent_id="w1", session_id=session)
    before = firestore.cost()
    latest = await agents.latest("worker", "w1")
    assert latest is not None
    assert latest.session_id == "two"
    assert firestore.cost() - before == Cost(find=Billed(reads=1), calls=1)


async def test_many_chunks_are_counted_each_once(firestore: MeteredMemory, wire: Wire) -> None:
    await firestore.put_many(notes(1_000), options=PATIENT)
    await firestore.delete_many(Note, [note.id for note in notes(900)], options=PATIENT)
    assert [note.id async for note in firestore.scan(Query(Note), options=PATIENT)] == sorted(
        note.id for note in notes(1_000)[900:]
    )
    cost = firestore.cost()
    assert cost.write == Billed(writes=1_000, deletes=900)
    assert cost.total == wire.seen


async def test_every_attempt_of_the_guard_is_a_call(firestore: MeteredMemory, wire: Wire) -> None:
    wire.failures = [ServiceUnavailable("gone")]
    await GuardedMemory(firestore, timeout=30).put(Note(id="n"))
    assert firestore.cost() == Cost(write=Billed(writes=1), calls=2, failed=1)
    assert firestore.cost().total == wire.seen


async def test_work_can_be_measured_by_a_difference() -> None:
    memory = MeteredMemory(LocalMemory())
    await memory.put_many(notes(10))
    before = memory.cost()
    await memory.get(Note, "n1")
    await memory.delete(Note, "n1")
    assert memory.cost() - before == Cost(read=Billed(reads=1), write=Billed(deletes=1), calls=2)
    assert before == Cost(write=Billed(writes=10), calls=1)


async def test_nothing_is_lost_among_calls_at_once() -> None:
    memory = MeteredMemory(LocalMemory())
    view = memory.with_options(namespace="acme")

    async def work(manager: MemoryManager, note: Note) -> None:
        await manager.put(note)
        await manager.get(Note, note.id)
        await manager.find(Query(Note, page_size=1))

    async with anyio.create_task_group() as group:
        for note in notes(50):
            group.start_soon(work, memory, note)
            group.start_soon(work, view, note)
    assert memory.cost() == Cost(
        read=Billed(reads=100), write=Billed(writes=100), find=Billed(reads=100), calls=300
    )


async def test_what_a_write_stored_before_it_stopped_is_counted() -> None:
    memory = MeteredMemory(LocalMemory())
    await memory.put_many(notes(400))
    before = memory.cost()
    ops = [
        *(Delete(Ref(Note, note.id)) for note in notes(100)),
        *(Put(note) for note in notes(400)[100:]),
        Put(Note(id="n399"), expect=ABSENT),
    ]
    with pytest.raises(PartialWrite) as stopped:
        await memory.write(ops, options=Options(atomic=False))
    assert len(stopped.value.committed) == 400
    assert memory.cost() - before == Cost(write=Billed(writes=300, deletes=100), calls=1, failed=1)


async def test_a_refused_write_is_a_failed_call() -> None:
    memory = MeteredMemory(LocalMemory())
    await memory.put(Note(id="n"))
    with pytest.raises(Conflict):
        await memory.put(Note(id="n"), expect=ABSENT)
    assert memory.cost() == Cost(write=Billed(writes=1), calls=2, failed=1)


class Hung(LocalMemory):
    async def read(self, refs: Sequence[Ref[Any]], *, options: Options = DEFAULT) -> Snapshot[Any]:
        await anyio.sleep_forever()
        raise AssertionError


async def test_a_cancelled_call_is_a_failed_one() -> None:
    memory = MeteredMemory(Hung())
    task = asyncio.create_task(memory.get(Note, "n"))
    await anyio.wait_all_tasks_blocked()
    assert memory.cost() == Cost(calls=1)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert memory.cost() == Cost(calls=1, failed=1)


async def test_health_is_the_stores_and_not_counted() -> None:
    store = LocalMemory()
    memory = MeteredMemory(store)
    assert await memory.health() == await store.health()
    assert memory.cost() == Cost()


class Broken(LocalMemory):
    async def read(self, refs: Sequence[Ref[Any]], *, options: Options = DEFAULT) -> Snapshot[Any]:
        raise Unavailable("the store does not answer")


async def test_errors_pass_as_they_are() -> None:
    memory = MeteredMemory(Broken())
    with pytest.raises(Unavailable, match="the store does not answer"):
        await memory.get(Note, "n")
