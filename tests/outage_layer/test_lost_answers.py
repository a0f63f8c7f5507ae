"""What builds on a commit whose answer was lost: its marker tells how it left each document."""

from __future__ import annotations

import pytest

from orchestra_memory import Delete, Patch, Put, Ref, Unavailable
from orchestra_memory.codec.bytes import loads
from orchestra_memory.codec.operations import NO_BASIS
from orchestra_memory.layers.fallback.markers import Marker
from orchestra_memory.layers.fallback.overlay import not_applied
from orchestra_memory.layers.fallback.queued import Queued
from orchestra_memory.layers.fallback.reading import Reader
from orchestra_memory.operations import DEFAULT, Source, Stored
from orchestra_memory.values import utc_now

from .replaying import Doc, Process, Recorded, acting, kept

pytestmark = pytest.mark.anyio

A = Ref(Doc, "a")
ONE_MORE = Patch(A, increment={"count": 1})
NOTED = Patch(A, set={"note": "ours"})


class Scene:
    """A process that knows a document, and loses the answer to a replay."""

    def __init__(self) -> None:
        self.store = Recorded()
        self.process = Process(self.store)

    async def known(self) -> None:
        await self.store.put(Doc(id="a", text="known"))
        self.process.standby.saw(A, await self.now())

    async def now(self) -> Stored[Doc]:
        (found,) = await self.store.read([A])
        assert found is not None
        return found

    async def shown(self) -> Stored[Doc]:
        """The document as it is read from who forgot its copies."""
        (found,) = await Reader(self.store, self.process.queue, self.process.standby).read(
            [A], DEFAULT
        )
        self.process.standby.forget([A])
        assert found is not None
        return found

    async def interrupted(self, fault: str = "lose") -> None:
        """A replay binds what waits to a commit, and gets no answer to that."""
        self.process.life.faults.extend(["ok", fault])
        with acting("replay"), pytest.raises(Unavailable):
            await self.process.replayer.drain()

    async def ended(self) -> tuple[Doc | None, list[str]]:
        await self.process.drain_all()
        assert not len(self.process.queue)
        versions = [f"{each.side} {each.reason}" for each in await kept(self.store)]
        return await self.store.get(Doc, "a"), versions


@pytest.fixture
async def scene() -> Scene:
    scene = Scene()
    await scene.known()
    return scene


@pytest.mark.parametrize("first", [NOTED, Put(Doc(id="a", note="ours"))])
async def test_an_update_of_what_was_committed_is_applied(scene, first):
    await scene.process.write(first)
    await scene.interrupted()
    (waiting,) = scene.process.queue.of(A)
    # Nothing is known of what it changes but the revision that it expects.
    scene.process.standby.forget([A])
    await scene.process.write(Put(Doc(id="a", text="changed"), waiting.revision))
    doc, versions = await scene.ended()
    assert (doc.text, versions) == ("changed", [])


async def test_an_update_behind_another_one_is_applied(scene):
    await scene.process.write(Put(Doc(id="a", text="1"), (await scene.now()).revision))
    await scene.interrupted()
    (waiting,) = scene.process.queue.of(A)
    scene.process.standby.forget([A])
    await scene.process.write(Put(Doc(id="a", text="2"), waiting.revision))
    doc, versions = await scene.ended()
    assert (doc.text, versions) == ("2", [])


@pytest.mark.parametrize("last", [Put(Doc(id="a", text="last")), Delete(A)])
async def test_what_was_committed_is_nobody_elses_version(scene, last):
    await scene.process.write(NOTED)
    await scene.interrupted()
    await scene.process.write(last)
    doc, versions = await scene.ended()
    assert (doc and doc.text, versions) == (None if isinstance(last, Delete) else "last", [])


async def test_what_others_wrote_since_is_kept(scene):
    await scene.process.write(NOTED)
    await scene.interrupted()
    await scene.process.write(Put(Doc(id="a", text="last")))
    await scene.store.put(Doc(id="a", text="theirs"))
    doc, versions = await scene.ended()
    assert (doc.text, versions) == ("last", ["remote overwritten"])


async def test_what_others_wrote_before_a_commit_that_was_merged_with_it_is_kept(scene):
    await scene.process.write(ONE_MORE)
    await scene.store.write([Patch(A, set={"text": "theirs"})])
    await scene.interrupted()
    await scene.process.write(Put(Doc(id="a", text="last")))
    doc, versions = await scene.ended()
    (version,) = await kept(scene.store)
    assert (doc.text, versions) == ("last", ["remote overwritten"])
    assert loads(version.document)["text"] == "theirs"


@pytest.mark.parametrize("fault", ["lose", "fail"])
async def test_an_update_behind_an_increment_is_applied_to_what_its_caller_was_shown(scene, fault):
    await scene.process.write(ONE_MORE)
    found = await scene.shown()
    assert found.source is Source.JOURNAL
    await scene.interrupted(fault)
    scene.process.standby.forget([A])
    await scene.process.write(Put(found.record.evolve(text="changed"), found.revision))
    doc, versions = await scene.ended()
    assert (doc.text, doc.count, versions) == ("changed", 1, [])


async def test_an_update_behind_an_increment_in_one_replay_keeps_what_others_changed(scene):
    await scene.process.write(ONE_MORE)
    found = await scene.shown()
    await scene.process.write(Put(found.record.evolve(text="changed"), found.revision))
    await scene.store.write([Patch(A, set={"note": "theirs"})])
    doc, versions = await scene.ended()
    assert (doc.text, doc.note, doc.count, versions) == ("changed", "theirs", 1, [])


async def test_what_is_found_to_be_stored_already_is_not_shown_as_it_was_before(scene):
    await scene.process.write(Put(Doc(id="a", text="ours")))
    await scene.store.put(Doc(id="a", text="ours"))
    await scene.process.drain_all()
    known = scene.process.standby.get(A)
    assert known is None or known.row.document["text"] == "ours"


async def test_what_is_written_after_it_was_settled_knows_what_it_left(scene):
    await scene.process.write(Put(Doc(id="a", text="ours")))
    await scene.interrupted()
    await scene.process.drain_all()
    await scene.process.write(Put(Doc(id="a", text="last")))
    doc, versions = await scene.ended()
    assert (doc.text, versions) == ("last", [])


async def test_a_copy_tells_up_to_which_own_write_it_may_be(scene):
    scene.process.healthy = True
    await scene.process.write(ONE_MORE)
    await scene.process.write(ONE_MORE)
    known = scene.process.standby.get(A)
    assert known.row.document["count"] == 2
    revision, _ = scene.process.standby.latest(A)
    assert revision == (await scene.now()).revision > known.row.revision


def test_what_waits_before_a_write_that_is_applied_is_applied():
    commits = ["one-1", "two-1", "three-1"]
    waiting = [Queued(commit, n, NOTED, NO_BASIS, n, commit) for n, commit in enumerate(commits)]
    marker = Marker(id="two-1", at=utc_now(), expiration=utc_now())
    assert not_applied(waiting, {"two-1": marker}) == waiting[2:]
    split = marker.evolve(split=True)
    assert not_applied(waiting, {"two-1": split}) == waiting
