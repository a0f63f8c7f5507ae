"""Any order of changes, crashes and adoptions leaves the queue as a plain list would be."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import invariant, rule

from orchestra_memory import Delete, Put, Ref
from orchestra_memory.codec.operations import Basis
from orchestra_memory.layers.fallback.queue import Queue
from orchestra_memory.operations import Op
from orchestra_memory.testing.contract.models import Lease, Note
from tests.journal.lives import Lives
from tests.journal.parts import opened

REFS = (Ref(Note, "a"), Ref(Note, "b"), Ref(Note, "a", "ours"), Ref(Lease, "a"))
SCOPES = {(ref.namespace, ref.collection) for ref in REFS}

picks = st.integers(0, 1_000)
commits = st.sampled_from((None, "one", "two"))
writes = st.lists(st.tuples(st.sampled_from(REFS), picks), min_size=1, max_size=4)


@dataclass
class Kept:
    """What must be in the queue, and where; a place is a time and a serial number."""

    id: str
    op: Op
    basis: Basis
    commit: str | None
    place: tuple[int, int]
    is_dead: bool = False


class QueueMachine(Lives):
    def __init__(self) -> None:
        self.model: list[Kept] = []
        self.serial = 0
        super().__init__()

    def start(self, directory: Path) -> None:
        self.directory = directory
        journal = self.run(self.exits.enter_async_context(opened(directory, clock=self.clock)))
        self.queue = Queue(journal)
        self.run(self.queue.load())

    def op(self, ref: Ref[Any], number: int) -> Op:
        if ref.model is Lease or number % 3 == 0:
            return Delete(ref)
        return Put(Note(id=ref.key, rank=number), namespace=ref.namespace)

    async def write(self, queue: Queue, drawn: Any, commit: str | None) -> None:
        # No two journals have an entry of the same time: their order would be anybody's guess.
        self.clock.move(seconds=1)
        ops = [(self.op(ref, number), Basis(revision=number)) for ref, number in drawn]
        for item in await queue.append(ops, commit=commit):
            self.serial += 1
            place = (item.at, self.serial)
            self.model.append(Kept(item.id, item.op, item.basis, commit, place))

    def items_of(self, kept: list[Kept]) -> list[Any]:
        by_id = {item.id: item for item in self.queue.waiting()}
        return [by_id[each.id] for each in kept]

    def picked(self, wanted: set[int]) -> list[Kept]:
        waiting = [kept for kept in self.model if not kept.is_dead]
        return [waiting[pick] for pick in wanted if pick < len(waiting)]

    @rule(drawn=writes, commit=commits)
    def append(self, drawn: Any, commit: str | None) -> None:
        self.run(self.write(self.queue, drawn, commit))

    @rule(drawn=writes, commit=commits)
    def adopt(self, drawn: Any, commit: str | None) -> None:
        """Another process dies, and what it left comes in below what is written meanwhile."""

        async def leave() -> None:
            async with opened(self.directory, clock=self.clock) as journal:
                await self.write(Queue(journal), drawn, commit)
                await self.write(self.queue, drawn[:1], None)
            await self.queue.load()

        self.run(leave())

    @rule(wanted=st.sets(picks, max_size=3))
    def settle(self, wanted: set[int]) -> None:
        gone = self.picked(wanted)
        self.run(self.queue.settle(self.items_of(gone)))
        self.model = [kept for kept in self.model if kept not in gone]

    @rule(wanted=st.sets(picks, max_size=3), commit=st.sampled_from(("three", "four")))
    def bind(self, wanted: set[int], commit: str) -> None:
        bound = self.picked(wanted)
        self.run(self.queue.bind(self.items_of(bound), commit))
        for kept in bound:
            kept.commit = commit

    @rule(pick=picks)
    def bury(self, pick: int) -> None:
        for kept in self.picked({pick % 5}):
            self.run(self.queue.dead_letter(*self.items_of([kept]), "refused"))
            kept.is_dead = True

    @rule(pick=picks)
    def revive(self, pick: int) -> None:
        dead = [kept for kept in self.model if kept.is_dead]
        if dead:
            kept = dead[pick % len(dead)]
            letters = self.run(self.queue._journal.dead_letters())
            (number,) = (each.number for each in letters if each.id == kept.id)
            self.run(self.queue.revive(number))
            kept.is_dead = False

    @rule()
    def load_again(self) -> None:
        self.run(self.queue.load())

    @rule()
    def crash(self) -> None:
        left = self.copy()
        self.end()
        self.start(left)

    @invariant()
    def it_holds_what_it_must_in_order(self) -> None:
        self.model.sort(key=lambda kept: kept.place)
        waiting = [kept for kept in self.model if not kept.is_dead]
        assert [shown(item) for item in self.queue.waiting()] == [shown(kept) for kept in waiting]
        for ref in REFS:
            mine = [kept.id for kept in waiting if kept.op.ref == ref]
            assert [item.id for item in self.queue.of(ref)] == mine
            assert self.queue.holds(ref) == bool(mine)
        assert self.queue.status().dead_letters == len(self.model) - len(waiting)

    @invariant()
    def collections_tell_what_waits_in_them(self) -> None:
        for namespace, collection in SCOPES:
            refs = self.queue.refs(collection, namespace)
            assert len(refs) == len({*refs})
            assert {*refs} == {
                ref
                for ref in REFS
                if (ref.namespace, ref.collection) == (namespace, collection)
                and self.queue.holds(ref)
            }
            assert self.queue.holds_any(collection, namespace) == bool(refs)

    @invariant()
    def provisional_revisions_lead_back(self) -> None:
        for item in self.queue.waiting():
            assert self.queue.find_provisional(item.revision) is item


def shown(item: Any) -> tuple[Any, ...]:
    return item.id, item.op, item.basis, item.commit


QueueMachine.TestCase.settings = settings(
    deadline=None, derandomize=True, max_examples=30, stateful_step_count=25
)
TestQueue = QueueMachine.TestCase
