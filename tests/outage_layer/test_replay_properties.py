"""Whatever fails, arrives late or dies: what was acknowledged is applied once, in order, whole."""

from __future__ import annotations

import asyncio
from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest
from hypothesis import event, given
from hypothesis import strategies as st

from orchestra_memory import (
    ABSENT,
    Conflict,
    Delete,
    DurabilityUnavailable,
    LocalMemory,
    PartialWrite,
    Patch,
    Put,
    Ref,
    Unavailable,
)
from orchestra_memory.codec.operations import decode_operation
from orchestra_memory.operations import Durability, Op, Options
from orchestra_memory.protocol import MemoryManager

from .replaying import MODELS, Doc, Process, Recorded, acting, kept, operation_in, stamps_of

KEYS = ["a", "b", "c"]
FAULTS = ["ok", "fail", "lose", "late", "crash", "crash after"]

keys = st.sampled_from(KEYS)
kinds = st.sampled_from(["put", "text", "count", "count or create", "delete", "update"])
single = st.tuples(st.just("write"), st.lists(st.tuples(kinds, keys), min_size=1, max_size=1))
atomic = st.tuples(
    st.just("write"),
    st.lists(st.tuples(kinds, keys), min_size=2, max_size=3, unique_by=lambda pair: pair[1]),
)
create = st.tuples(st.just("create"), st.none())
bulk = st.tuples(st.just("bulk"), st.lists(st.tuples(kinds, keys), min_size=2, max_size=5))
remote = st.tuples(
    st.just("remote"), st.tuples(st.sampled_from(["put", "note", "text", "count", "delete"]), keys)
)
look = st.tuples(st.just("look"), keys)
faults = st.lists(st.sampled_from(FAULTS), max_size=6)
replay = st.tuples(st.just("replay"), faults)
turn = st.tuples(st.just("healthy"), st.booleans())
doubt = st.tuples(st.just("faults"), faults)
arrival = st.tuples(st.just("arrive"), st.none())
own = st.one_of(single, single, atomic, create, bulk, look, replay, turn, doubt, arrival)
scripts = st.lists(st.one_of(own, own, remote), max_size=25)
own_scripts = st.lists(own, max_size=25)
policies = st.sampled_from(["dead_letter", "keep_remote", "keep_local"])
stored = st.dictionaries(keys, st.booleans())


@dataclass
class Written:
    """A local write, and what was said of it."""

    stamp: str
    key: str
    op: Op
    group: int
    size: int
    acknowledged: bool = False
    unknown: bool = False
    doubtful: bool = False


@dataclass
class Story:
    """What a process did, and what came of it."""

    process: Process
    store: Recorded
    written: list[Written] = field(default_factory=list)
    known: set[str] = field(default_factory=set)
    groups: int = 0
    serial: int = 0

    def stamp(self, letter: str) -> str:
        self.serial += 1
        return f"{letter}{self.serial}"

    async def begin(self, docs: dict[str, bool]) -> None:
        for key, seen in docs.items():
            await self.store.put(Doc(id=key, remote=self.stamp("r")))
            if seen:
                await self.look(key)

    async def look(self, key: str) -> None:
        """Know the document, as after a read."""
        (found,) = await self.store.read([Ref(Doc, key)])
        if found is not None and not self.process.queue.holds(Ref(Doc, key)):
            self.process.standby.saw(Ref(Doc, key), found)
            self.known.add(found.record.remote)

    async def step(self, action: str, what: Any) -> None:
        process = self.process
        match action:
            case "write":
                await self.write([self.operation(*pair) for pair in what])
            case "bulk":
                pairs = [pair for pair in what if pair[0] != "update"]
                await self.write([self.operation(*pair) for pair in pairs], atomic=False)
            case "create":
                stamp = self.stamp("w")
                await self.write([(stamp, Put(Doc(stamp=stamp), ABSENT))])
            case "remote":
                await self.remotely(*what)
            case "look":
                await self.look(what)
            case "replay":
                await process.drain(what)
            case "healthy":
                process.healthy = what
            case "faults":
                process.life.faults.extend(f for f in what if not f.startswith("crash"))
            case "arrive":
                await process.link.arrive()

    def operation(self, kind: str, key: str) -> tuple[str, Op] | None:
        stamp, ref = self.stamp("w"), Ref(Doc, key)
        match kind:
            case "put":
                return stamp, Put(Doc(id=key, stamp=stamp))
            case "text":
                return stamp, Patch(ref, set={"text": stamp})
            case "count":
                return stamp, Patch(ref, increment={"count": 1, f"seen.{stamp}": 1})
            case "count or create":
                changes = {"count": 1, f"seen.{stamp}": 1}
                return stamp, Patch(ref, increment=changes, or_create=Doc(id=key, stamp=stamp))
            case "delete":
                return "", Delete(ref)
            case _:
                found = self.process.visible(key)
                if found is None:
                    return None
                changed = found.record.evolve(stamp=stamp, text=stamp)
                return stamp, Put(changed, found.revision)

    async def write(self, pairs: Any, *, atomic: bool | None = None) -> None:
        pairs = [pair for pair in pairs if pair is not None]
        if not pairs:
            return
        new = self.noted(pairs, atomic=atomic)
        doubts = self.process.link.doubts
        options = Options(min_durability=Durability.VOLATILE, atomic=atomic)
        try:
            await self.process.write(*(op for _, op in pairs), options=options)
        except Unavailable:
            mark(new, unknown=True)
        except PartialWrite as error:
            mark(new[: error.stored], acknowledged=True)
        except (Conflict, DurabilityUnavailable):
            pass
        else:
            mark(new, acknowledged=True)
        mark(new, doubtful=self.process.link.doubts > doubts)

    def noted(self, pairs: Any, *, atomic: bool | None) -> list[Written]:
        self.groups += 1
        size = len(pairs) if atomic is None else 1
        new = [
            Written(stamp, op.ref.key, op, self.groups * 100 + (0 if atomic is None else n), size)
            for n, (stamp, op) in enumerate(pairs)
        ]
        self.written += new
        return new

    async def remotely(self, kind: str, key: str) -> None:
        stamp, ref = self.stamp("r"), Ref(Doc, key)
        op: Op = Put(Doc(id=key, remote=stamp))
        match kind:
            case "note":
                op = Patch(ref, set={"note": stamp, "remote": stamp})
            case "text":
                op = Patch(ref, set={"text": stamp, "remote": stamp})
            case "count":
                op = Patch(ref, increment={"count": 1})
            case "delete":
                op = Delete(ref)
        with acting("remote"):
            try:
                await self.store.write([op])
            except Conflict:
                return

    async def end(self) -> None:
        """The store answers again, for good; then what was under way arrives, too."""
        self.process.life.faults.clear()
        await self.process.drain_all()
        await self.process.link.arrive()
        assert not len(self.process.queue)


def mark(written: list[Written], **fields: bool) -> None:
    for each in written:
        for name, value in fields.items():
            setattr(each, name, value)


async def played(script: Any, docs: dict[str, bool], policy: Any = "dead_letter") -> Story:
    store = Recorded()
    story = Story(Process(store, {Doc: policy}), store)
    await story.begin(docs)
    for action, what in script:
        await story.step(action, what)
    await story.end()
    return story


async def given_up(story: Story) -> Counter[str]:
    """Local writes that are not applied, but kept."""
    counted: Counter[str] = Counter()
    for each in await kept(story.store):
        if each.side == "local":
            counted.update(stamps_of(operation_in(each)))
    for entry in await story.process.journal.dead_letters():
        counted.update(stamps_of(decode_operation(entry.body, MODELS)))
    return counted


def applied(story: Story) -> Counter[str]:
    ours = (change for change in story.store.history if change.who != "remote")
    return Counter(stamp for change in ours for stamp in stamps_of(change.op))


@pytest.fixture(scope="module")
def runner() -> Iterator[asyncio.Runner]:
    with asyncio.Runner() as runner:
        yield runner


@given(scripts, stored, policies)
def test_what_was_acknowledged_is_applied_once_or_kept(runner, script, docs, policy):
    story = runner.run(played(script, docs, policy))
    done, kept_back = applied(story), runner.run(given_up(story))
    event(f"kept back: {bool(kept_back)}")
    for each in story.written:
        times = done[each.stamp] + kept_back[each.stamp]
        if not each.stamp:
            continue
        if each.acknowledged and each.doubtful and not _is_counted(each):
            assert times >= 1, each
        elif each.acknowledged:
            assert times == 1, each
        elif each.unknown:
            assert times <= 1, each
        else:
            assert times == 0, each


def _is_counted(each: Written) -> bool:
    """Whether it would not be the same if it were applied twice."""
    return isinstance(each.op, Patch) and bool(each.op.increment)


@given(scripts, stored, policies)
def test_writes_to_one_document_are_applied_in_the_order_of_their_acknowledgements(
    runner, script, docs, policy
):
    story = runner.run(played(script, docs, policy))
    sure = {each.stamp: n for n, each in enumerate(story.written) if not each.doubtful}
    orders = defaultdict(list)
    for change in story.store.history:
        if change.who != "remote":
            orders[change.op.ref.key] += [sure[s] for s in stamps_of(change.op) if s in sure]
    for order in orders.values():
        assert order == sorted(order)


@given(scripts, stored, policies)
def test_atomic_writes_are_applied_whole_or_kept_whole(runner, script, docs, policy):
    story = runner.run(played(script, docs, policy))
    kept_back = runner.run(given_up(story))
    commits = defaultdict(set)
    for change in story.store.history:
        for stamp in stamps_of(change.op):
            commits[stamp].add(change.commit)
    groups = defaultdict(list)
    for each in story.written:
        if each.size > 1 and each.acknowledged and each.stamp and not each.doubtful:
            groups[each.group].append(each.stamp)
    for stamps in groups.values():
        assert len({frozenset(commits[stamp]) for stamp in stamps}) == 1
        assert len({kept_back[stamp] for stamp in stamps}) == 1


@given(scripts, stored, policies)
def test_versions_of_others_that_were_overwritten_are_kept(runner, script, docs, policy):
    story = runner.run(played(script, docs, policy))
    texts = [each.document for each in runner.run(kept(story.store)) if each.side == "remote"]
    for change in story.store.history:
        version = (change.before or {}).get("remote")
        gone = version and (change.after or {}).get("remote") != version
        if change.who == "replay" and gone and version not in story.known:
            event("a version of another process was overwritten")
            assert any(f'"remote":"{version}"' in text for text in texts)


@given(own_scripts, stored)
def test_without_others_the_store_is_as_if_nothing_had_failed(runner, script, docs):
    story = runner.run(played(script, docs))
    if any(each.unknown for each in story.written):
        return
    kept_back = runner.run(given_up(story))
    assert runner.run(contents(story.store)) == runner.run(expected(story, docs, kept_back))


async def contents(store: MemoryManager) -> dict[str, Any]:
    found = (await store.find(_all())).records
    return {each.id: each.model_dump(exclude={"remote"}) for each in found}


def _all() -> Any:
    from orchestra_memory import Query

    return Query(Doc, page_size=1000)


async def expected(story: Story, docs: dict[str, bool], kept_back: Counter[str]) -> dict[str, Any]:
    """What all that was acknowledged makes of the store, if it is not kept back."""
    model = LocalMemory()
    for key in docs:
        await model.put(Doc(id=key))
    without = {each.group for each in story.written if kept_back[each.stamp]}
    for each in story.written:
        if each.acknowledged and each.group not in without:
            try:
                await model.write([_unconditional(each.op)])
            except Conflict:
                # Nobody knew that there was nothing to patch.
                assert each.doubtful
    return await contents(model)


def _unconditional(op: Op) -> Op:
    return Put(op.record) if isinstance(op, Put) else op
