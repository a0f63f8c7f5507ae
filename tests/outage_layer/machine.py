"""Any operations, faults and deaths: what was acknowledged is stored, once and in order."""

from __future__ import annotations

import asyncio
import shutil
import tempfile
from collections.abc import Awaitable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, ClassVar

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from orchestra_memory import (
    Conflict,
    Count,
    Durability,
    DurabilityUnavailable,
    LocalMemory,
    Options,
    Query,
    Ref,
    Unavailable,
)
from orchestra_memory.layers.fallback.conflicts import Conflicted
from orchestra_memory.operations import DEFAULT
from orchestra_memory.testing.faults import Verb

from ..journal.parts import MEMORY
from .process import Process
from .worlds import KEYS, Change, Doc, Worlds, count, delete, moved, note, put, value_of, world_of

REFS = [Ref(Doc, key) for key in KEYS]
keys = st.sampled_from(KEYS)
texts = st.sampled_from(("x", "y"))
changes = st.one_of(
    st.builds(put, keys, texts),
    st.builds(count, keys),
    st.builds(count, keys),
    st.builds(note, keys, texts),
    st.builds(delete, keys),
)
times = st.sampled_from((1, 2, 3, 5, None))
verbs: st.SearchStrategy[tuple[Verb, ...]] = st.sampled_from(
    ((), (), ("write",), ("read",), ("write", "health"), ("read", "find"))
)


class OutageMachine(RuleBasedStateMachine):
    seen: ClassVar[set[str]] = set()
    """What has happened in all runs: a machine that meets no faults proves nothing."""

    def __init__(self) -> None:
        super().__init__()
        self.runner = asyncio.Runner()
        self.root = Path(tempfile.mkdtemp(dir=MEMORY))
        self.store = LocalMemory()
        self.worlds = Worlds()
        self.begin(self.root / "0")

    def teardown(self) -> None:
        try:
            self.heal()
            self.run(self.process.end())
        finally:
            self.runner.close()
            shutil.rmtree(self.root)

    def run(self, awaitable: Awaitable[Any]) -> Any:
        return self.runner.run(awaitable)  # type: ignore[arg-type]

    def begin(self, directory: Path) -> None:
        self.process = Process(self.store, directory)
        self.run(self.process.start())

    @property
    def memory(self) -> Any:
        return self.process.memory

    @rule(
        wanted=st.lists(changes, min_size=1, max_size=3, unique_by=lambda each: each.key),
        durability=st.sampled_from((None, None, Durability.COMMITTED)),
    )
    def write(self, wanted: list[Change], durability: Durability | None) -> None:
        self.run(self.written(wanted, Options(min_durability=durability)))

    async def written(self, wanted: Sequence[Change], options: Options = DEFAULT) -> None:
        try:
            receipt = await self.memory.write([each.op for each in wanted], options=options)
        except DurabilityUnavailable:
            self.seen.add("not safe enough")
        except Unavailable as error:
            self.seen.add("ambiguous" if error.ambiguous else "refused")
            if error.ambiguous:
                self.worlds.unknown([*wanted])
        else:
            self.seen.add(receipt.durability)
            self.worlds.acknowledged([*wanted])

    @rule(key=keys)
    def update(self, key: str) -> None:
        self.run(self.updated(key))

    async def updated(self, key: str) -> None:
        read: list[Doc] = []

        def change(doc: Doc) -> Doc:
            read.append(doc)
            return doc.evolve(total=doc.total + 1)

        step = [Change(key, put(key, "").op, count(key).change)]
        try:
            await self.memory.update(Doc, key, change)
        except Conflict:
            assert None in self.worlds.values(key)
        except DurabilityUnavailable:
            self.seen.add("not safe enough")
        except Unavailable as error:
            if error.ambiguous:
                self.seen.add("ambiguous")
                self.worlds.unknown(step)
        else:
            self.seen.add("updated")
            self.worlds.was(key, value_of(read[-1]))
            self.worlds.acknowledged(step)

    @rule(wanted=st.sets(keys, min_size=1))
    def read(self, wanted: set[str]) -> None:
        self.run(self.was_read(sorted(wanted)))

    async def was_read(self, wanted: list[str]) -> None:
        try:
            found = (await self.memory.read([Ref(Doc, key) for key in wanted])).records
        except Unavailable as error:
            self.seen.add("nothing known")
            known = {ref.key: stored and stored.record for ref, stored in error.known.items()}
        else:
            known = dict(zip(wanted, found, strict=True))
        for key, doc in known.items():
            assert value_of(doc) in self.worlds.values(key), key

    @rule()
    def find(self) -> None:
        try:
            page = self.run(self.memory.find(Query(Doc, page_size=5)))
        except Unavailable:
            return
        self.seen.add("complete" if page.complete else "incomplete")
        docs = {doc.id: doc for doc in page.records}
        if page.complete:
            assert world_of(docs) in self.worlds.all
        for key, doc in docs.items():
            assert value_of(doc) in self.worlds.values(key)

    @rule()
    def add_up(self) -> None:
        try:
            totals = self.run(self.memory.aggregate(Query(Doc), [Count()]))
        except Unavailable:
            return
        counts = {sum(value is not None for value in world) for world in self.worlds.all}
        assert totals["count"] in counts

    @rule(wanted=verbs, times=times)
    def fail(self, wanted: tuple[Verb, ...], times: int | None) -> None:
        self.process.link.fail(*wanted, times=times)

    @rule(times=times)
    def lose_answers(self, times: int | None) -> None:
        self.process.link.lose_answers(times=times)

    @rule(wanted=verbs, applied=st.booleans())
    def hang(self, wanted: tuple[Verb, ...], applied: bool) -> None:
        self.process.link.hang(*wanted, times=2, applied=applied)

    @rule()
    def pass_time(self) -> None:
        self.run(asyncio.sleep(0.01))

    @rule()
    def heal(self) -> None:
        """The outage is over: all that waited is in the store, and nothing else is."""
        self.run(self.process.until_normal())
        assert self.memory.status().dead_letters == 0
        docs = self.run(self.store.get_many(Doc, KEYS))
        self.worlds.known(tuple(map(value_of, docs)))
        assert self.run(self.memory.get_many(Doc, KEYS)) == docs
        # Nobody else writes.
        kept = self.run(self.store.find(Query(Conflicted))).records
        assert not [each for each in kept if each.reason == "refused"]

    @rule(
        wanted=st.lists(changes, min_size=1, max_size=3, unique_by=lambda each: each.key),
        step=st.integers(0, 3),
        before=st.booleans(),
        heals=st.booleans(),
    )
    def die(self, wanted: list[Change], step: int, before: bool, heals: bool) -> None:
        """Be killed at a step of the journal, while writing or replaying."""
        self.process.kill_at(step, before=before)
        if heals:
            self.process.link.heal()
        self.run(self.until_dead(wanted))
        left = self.process.kill()
        self.run(self.process.end())
        self.begin(left)

    async def until_dead(self, wanted: list[Change]) -> None:
        writing = asyncio.create_task(self.written(wanted) if wanted else self.replayed())
        dying = asyncio.create_task(self.process.died.wait())
        await asyncio.wait({writing, dying}, return_when=asyncio.FIRST_COMPLETED)
        if writing.done():
            writing.result()
            # Perhaps it dies while it replays.
            await asyncio.wait({dying}, timeout=0.01)
            self.seen.add("died later" if dying.done() else "not died")
        else:
            self.seen.add("died while writing")
            self.worlds.unknown(wanted)
        writing.cancel()
        dying.cancel()
        await asyncio.wait({writing, dying})

    @rule(
        wanted=st.lists(changes, min_size=1, max_size=3, unique_by=lambda each: each.key),
        step=st.integers(0, 3),
        before=st.booleans(),
        loses=st.booleans(),
    )
    def die_while_replaying(
        self, wanted: list[Change], step: int, before: bool, loses: bool
    ) -> None:
        self.process.link.fail()
        self.run(self.written(wanted))
        self.process.kill_at(step, before=before)
        self.process.link.heal()
        if loses:
            self.process.link.lose_answers("write", times=1)
        self.run(self.until_dead([]))
        left = self.process.kill()
        self.run(self.process.end())
        self.begin(left)

    @rule(key=keys, wanted=st.lists(changes, min_size=2, max_size=3), times=st.integers(2, 6))
    def write_again_at_once(self, key: str, wanted: list[Change], times: int) -> None:
        """Write to one document, the first of it in vain."""
        self.process.link.fail("write", times=times)
        for change in wanted:
            self.run(self.written([moved(change, key)]))

    async def replayed(self) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(0.05):
                while self.memory.status().waiting:  # noqa: ASYNC110 -- it tells nobody
                    await asyncio.sleep(0.002)

    @rule()
    def end_and_begin_again(self) -> None:
        self.run(self.process.end())
        self.begin(self.process.directory)

    @invariant()
    def nothing_is_shown_that_cannot_be(self) -> None:
        self.run(self.was_read([*KEYS]))
