"""What is promised of a replay, kept by stores with files and servers of their own."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack

import pytest
from google.auth.credentials import AnonymousCredentials
from google.cloud.firestore import AsyncClient

from orchestra_memory import (
    ABSENT,
    Delete,
    Durability,
    FirestoreMemory,
    Journal,
    MemoryManager,
    Options,
    Patch,
    Put,
    Ref,
    SqliteMemory,
    Unavailable,
)
from orchestra_memory.backends.firestore.access import close_client
from orchestra_memory.codec.bytes import loads
from orchestra_memory.layers.fallback.queue import Queue
from orchestra_memory.layers.fallback.replay import Drained, Replayer
from orchestra_memory.layers.fallback.standby import Standby
from orchestra_memory.layers.fallback.writing import Writer
from orchestra_memory.testing.faults import FaultyMemory

from .replaying import Doc, kept, operation_in

pytestmark = pytest.mark.anyio

A, B = Ref(Doc, "a"), Ref(Doc, "b")
ONE_MORE = Patch(A, increment={"count": 1})


@pytest.fixture(params=["sqlite", "firestore"])
async def store(request, use_backend, tmp_path, monkeypatch) -> AsyncIterator[MemoryManager]:
    use_backend(request.param)
    async with AsyncExitStack() as stack:
        if request.param == "sqlite":
            yield await stack.enter_async_context(SqliteMemory.open(tmp_path / "store.db"))
            return
        emulator = request.getfixturevalue("firestore_emulator")
        project = request.getfixturevalue("firestore_project")
        monkeypatch.setenv("FIRESTORE_EMULATOR_HOST", emulator.host)
        client = AsyncClient(project, credentials=AnonymousCredentials())
        stack.push_async_callback(close_client, client)
        yield FirestoreMemory(client)


class Agent:
    """A process with a journal on the disk, whose way to the store can fail."""

    def __init__(self, store: MemoryManager, journal: Journal) -> None:
        self.store = store
        self.link = FaultyMemory(store)
        self.queue = Queue(journal)
        self.standby = Standby()
        self.healthy = False
        self.writer = Writer(
            self.link,
            self.queue,
            self.standby,
            healthy=lambda: self.healthy,
            min_durability=Durability.JOURNALED,
        )

    async def write(self, *ops, **options):
        return await self.writer.write(ops, Options(**options))

    async def knows(self, doc: Doc) -> None:
        await self.store.put(doc)
        (found,) = await self.store.read([Ref(Doc, doc.id)])
        self.standby.saw(Ref(Doc, doc.id), found)

    async def drain(self) -> Drained:
        """Replay as a process does that began a moment ago."""
        return await Replayer(self.link, self.queue, policies={}, standby=self.standby).drain()

    async def ended(self, key: str = "a") -> Doc | None:
        drained = await self.drain()
        assert (drained.left, drained.dead_letters) == (0, 0)
        return await self.store.get(Doc, key)


@pytest.fixture
async def agent(store, tmp_path) -> AsyncIterator[Agent]:
    async with Journal.open(tmp_path / "journal", target="t", medium="persistent") as journal:
        yield Agent(store, journal)


async def test_increments_whose_answers_are_lost_are_applied_once(agent):
    await agent.knows(Doc(id="a"))
    agent.healthy = True
    agent.link.lose_answers("write", times=1)
    assert (await agent.write(ONE_MORE)).durability is Durability.JOURNALED
    for _ in range(3):
        await agent.write(ONE_MORE)
    # The first is refused, being there already; the answer to the others is lost.
    agent.link.lose_answers("write", times=2)
    with pytest.raises(Unavailable):
        await agent.drain()
    assert (await agent.ended()).count == 4


async def test_writes_to_one_document_keep_their_order(agent):
    await agent.write(Put(Doc(id="a", text="1")))
    await agent.write(Delete(A))
    await agent.write(Put(Doc(id="a", text="2"), ABSENT), min_durability=Durability.JOURNALED)
    (_, _, third) = agent.queue.of(A)
    await agent.write(Put(Doc(id="a", text="3"), third.revision))
    await agent.write(Patch(A, set={"note": "4"}, increment={"count": 5}))
    doc = await agent.ended()
    assert (doc.text, doc.note, doc.count) == ("3", "4", 5)
    assert await kept(agent.store) == []


async def test_an_order_over_several_replays_is_kept(agent):
    await agent.write(Put(Doc(id="a", text="1")))
    (first,) = agent.queue.of(A)
    agent.link.lose_answers("write", times=1)
    with pytest.raises(Unavailable):
        await agent.drain()
    await agent.write(Put(Doc(id="a", text="2"), first.revision))
    assert (await agent.ended()).text == "2"
    assert await kept(agent.store) == []


async def test_an_atomic_write_of_any_size_is_applied_whole_and_once(agent):
    await agent.knows(Doc(id="a"))
    await agent.write(ONE_MORE, *(Put(Doc(id=f"n{n}")) for n in range(399)))
    agent.link.lose_answers("write", times=1)
    with pytest.raises(Unavailable):
        await agent.drain()
    assert (await agent.ended()).count == 1
    assert await agent.store.get(Doc, "n398") is not None


async def test_an_atomic_write_that_conflicts_in_part_is_kept_whole(agent):
    await agent.knows(Doc(id="a", text="known"))
    await agent.write(Patch(A, set={"text": "ours"}), Put(Doc(id="b")))
    await agent.store.write([Patch(A, set={"text": "theirs"})])
    assert (await agent.ended()).text == "theirs"
    assert await agent.store.get(Doc, "b") is None
    assert {operation_in(each).ref.key for each in await kept(agent.store)} == {"a", "b"}


async def test_what_others_wrote_is_kept_before_it_is_overwritten(agent):
    await agent.knows(Doc(id="a", text="known"))
    await agent.write(Put(Doc(id="a", text="ours")))
    await agent.write(Put(Doc(id="b", text="ours"), namespace="acme"))
    await agent.store.put(Doc(id="a", text="theirs"))
    await agent.store.write([Put(Doc(id="b", text="theirs"), namespace="acme")])
    assert (await agent.ended()).text == "ours"
    for space in (agent.store, agent.store.with_options(namespace="acme")):
        (version,) = await kept(space)
        assert loads(version.document)["text"] == "theirs"


async def test_changes_to_different_fields_are_merged(agent):
    await agent.knows(Doc(id="a", text="known", note="known"))
    found = agent.standby.get(A)
    doc = Doc(id="a", text="ours", note="known")
    await agent.write(Put(doc, found.row.revision))
    await agent.store.write([Patch(A, set={"note": "theirs"}, increment={"count": 2})])
    merged = await agent.ended()
    assert (merged.text, merged.note, merged.count) == ("ours", "theirs", 2)
    assert await kept(agent.store) == []


async def test_a_write_that_changes_nothing_keeps_what_builds_on_it(agent):
    await agent.knows(Doc(id="a", text="same"))
    await agent.write(Put(Doc(id="a", text="same")))
    (first,) = agent.queue.of(A)
    agent.link.lose_answers("write", times=1)
    with pytest.raises(Unavailable):
        await agent.drain()
    await agent.write(Put(Doc(id="a", text="changed"), first.revision))
    assert (await agent.ended()).text == "changed"
    assert await kept(agent.store) == []


async def test_a_journal_left_behind_is_replayed_by_the_next_process(store, tmp_path):
    directory = tmp_path / "left"
    await store.put(Doc(id="a"))
    async with Journal.open(directory, target="t", medium="persistent") as journal:
        agent = Agent(store, journal)
        for _ in range(3):
            await agent.write(ONE_MORE)
        agent.link.lose_answers("write", times=1)
        with pytest.raises(Unavailable):
            await agent.drain()
        await agent.write(ONE_MORE)
    async with Journal.open(directory, target="t", medium="persistent") as journal:
        heir = Agent(store, journal)
        await heir.queue.load()
        assert (await heir.ended()).count == 4


async def test_many_writes_take_few_requests(agent):
    for n in range(1000):
        await agent.write(Put(Doc(id=f"n{n}", text="x" * 100)))
    drained = await agent.drain()
    assert (drained.replayed, drained.left) == (1000, 0)
    assert agent.link.calls["write"] == 3
    assert agent.link.calls["read"] == 0
    assert await agent.store.get(Doc, "n999") == Doc(id="n999", text="x" * 100)
