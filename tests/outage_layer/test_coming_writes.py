"""Writes on their way to the disk while what they build on is replayed: no conflict comes of it."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Sequence

import pytest

from orchestra_memory import Delete, DurabilityUnavailable, Patch, Put, Ref
from orchestra_memory.resilience.journal import Draft

from .replaying import Doc, MortalJournal, Process, Recorded, kept

pytestmark = pytest.mark.anyio

A = Ref(Doc, "a")
FIRST = Put(Doc(id="a", text="first"))
LAST = [Put(Doc(id="a", text="last")), Patch(A, set={"text": "last"}), Delete(A)]


class SlowJournal(MortalJournal):
    """Answers only when it may, and then may fail to append."""

    def __init__(self) -> None:
        super().__init__()
        self.may_append = asyncio.Event()
        self.may_settle = asyncio.Event()
        self.may_append.set()
        self.may_settle.set()
        self.fails = False

    async def append(self, drafts: Sequence[Draft], *, batch: str | None = None) -> list[int]:
        if self.fails:
            await self.may_append.wait()
            raise DurabilityUnavailable("the disk is full")
        numbers = await super().append(drafts, batch=batch)
        await self.may_append.wait()
        return numbers

    async def settle(self, numbers: Iterable[int]) -> None:
        await self.may_settle.wait()
        await super().settle(numbers)


class Scene:
    """A write waits for a document that its process knows."""

    def __init__(self) -> None:
        self.process = Process(Recorded())
        self.journal = self.process.journal = SlowJournal()

    async def prepared(self) -> None:
        await self.process.restart()
        await self.process.store.put(Doc(id="a", text="known"))
        (found,) = await self.process.store.read([A])
        assert found is not None
        self.process.standby.saw(A, found)
        await self.process.write(FIRST)

    async def replay(self) -> bool:
        """Whether the process has outlived it."""
        return await self.process.drain() is not None

    async def ended(self, *, dies: bool) -> tuple[str | None, list[str]]:
        """What is in the store once all is replayed, by this process or the next."""
        if dies:
            await self.process.restart()
        await self.process.drain_all()
        assert not len(self.process.queue)
        assert not await self.journal.pending()
        doc = await self.process.store.get(Doc, "a")
        versions = [f"{each.side} {each.reason}" for each in await kept(self.process.store)]
        return doc and doc.text, versions


@pytest.fixture
async def scene() -> Scene:
    scene = Scene()
    await scene.prepared()
    return scene


async def until_waiting() -> None:
    """Every task has come as far as it can."""
    for _ in range(20):
        await asyncio.sleep(0)


@pytest.mark.parametrize("last", LAST)
@pytest.mark.parametrize("dies", [False, True])
async def test_what_a_write_on_its_way_builds_on_is_known_to_the_next_process(scene, last, dies):
    scene.journal.may_append.clear()
    writing = asyncio.create_task(scene.process.write(last))
    await until_waiting()
    await scene.replay()
    scene.journal.may_append.set()
    await writing
    assert await scene.ended(dies=dies) == (None if isinstance(last, Delete) else "last", [])


@pytest.mark.parametrize("last", LAST)
@pytest.mark.parametrize("dies", [False, True])
async def test_what_is_written_while_that_is_forgotten_on_which_it_builds(scene, last, dies):
    scene.journal.may_settle.clear()
    replaying = asyncio.create_task(scene.replay())
    await until_waiting()
    assert (await scene.process.store.get(Doc, "a")).text == "first"
    await scene.process.write(last)
    assert len(scene.process.queue) == 2
    if dies:
        # What replays dies as it would go on.
        scene.process.life.faults.extend(["crash after"])
    scene.journal.may_settle.set()
    assert await replaying is not dies
    assert await scene.ended(dies=dies) == (None if isinstance(last, Delete) else "last", [])


async def test_what_others_wrote_meanwhile_is_kept(scene):
    scene.journal.may_settle.clear()
    replaying = asyncio.create_task(scene.replay())
    await until_waiting()
    await scene.process.store.put(Doc(id="a", text="theirs"))
    await scene.process.write(LAST[0])
    scene.journal.may_settle.set()
    await replaying
    assert await scene.ended(dies=False) == ("last", ["remote overwritten"])


async def test_what_a_write_builds_on_is_forgotten_even_if_that_never_comes(scene):
    scene.journal.fails = True
    scene.journal.may_append.clear()
    writing = asyncio.create_task(scene.process.write(LAST[0]))
    await until_waiting()
    await scene.replay()
    assert len(scene.process.queue) == 1
    scene.journal.may_append.set()
    with pytest.raises(DurabilityUnavailable):
        await writing
    assert await scene.ended(dies=False) == ("first", [])
