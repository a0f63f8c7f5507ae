"""One process of an outage: writes and reads through the whole stack, and tells all it is told.

``python -m tests.outage.worker`` with a `Job` as JSON. What it tells goes to its output, line by
line, before it goes on: an acknowledgement that was told is one that must be found again. It ends
when it gets a second line.
"""

from __future__ import annotations

import asyncio
import json
import logging
import random
import sys
import time
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Any

from orchestra_memory import (
    ABSENT,
    Conflict,
    Count,
    Delete,
    DurabilityUnavailable,
    MemoryManager,
    Overloaded,
    Patch,
    Put,
    Query,
    Receipt,
    Ref,
    Unavailable,
)
from orchestra_memory.operations import Op

from ..children import Told
from .job import Job
from .opening import opened
from .records import Chapter, Fact, Half, Line, State, Tally

STANDARD_OUTPUT = 1
LIVES_TOGETHER = 3
"""Successive lives of a slot that go on with the same chapters."""
OPS_OF_ONE = {"tally": 100, "chapter": 30, "line": 20}
"""Operations after which a task takes another record, so that none grows without end."""
REMEMBERED = 500
"""Facts of this life that are read again."""
REPORT = 0.05
"""Seconds between two looks at how many writes wait."""

Write = Callable[[str], Awaitable[Receipt | None]]


class Agent:
    """One task of a worker: one call after another, on records that are its own, and on tallies."""

    def __init__(self, memory: MemoryManager, job: Job, number: int, told: Told) -> None:
        self._memory = memory
        self._job = job
        self._told = told
        self._chance = random.Random(f"{job.seed}/{job.name}/{number}")
        self._name = f"{job.slot}-{number}"
        self._done = 0
        self._facts: list[tuple[str, str]] = list(job.facts.items())
        self._mine: dict[str, set[str]] = {}
        """Of each tally and session, what was acknowledged of it to this task."""
        self._tried: dict[str, int] = {}
        self._present: set[str] = set()
        """States that are certainly there."""

    async def one(self) -> None:
        """One call, of a kind taken at random."""
        kinds, weights = tuple(CALLS), tuple(CALLS.values())
        call = self._chance.choices(kinds, weights)[0]
        self._done += 1
        try:
            await call(self)
        except Unknown:
            self._told.add("unknown")
        except Exception as error:  # noqa: BLE001 -- whatever it is, it is a bug, and told
            self._told.add("bug", what=f"{call.__name__}: {type(error).__name__}: {error}")

    @property
    def _seq(self) -> int:
        """Rises over all lives."""
        return self._job.life * 1_000_000 + self._done

    def _place(self, kind: str) -> int:
        return self._done // (OPS_OF_ONE[kind] * 8)

    async def put_fact(self) -> None:
        fact = Fact(by=self._id)
        expect = self._chance.choice((None, ABSENT))

        async def put(_: str) -> Receipt:
            return await self._memory.put(fact, expect=expect)

        if await self._write("fact", fact.id, put):
            self._facts.append((fact.id, fact.by))
            del self._facts[:-REMEMBERED]

    async def count_up(self) -> None:
        key = f"t{self._job.life}.{self._place('tally')}.{self._chance.randrange(3)}"
        ref = Ref(Tally, key)

        async def patch(name: str) -> Receipt:
            change = Patch(
                ref, increment={"count": 1}, add={"ops": [name]}, or_create=Tally(id=key)
            )
            return await self._memory.write([change])

        name = self._id
        if await self._write("tally", key, patch):
            self._mine.setdefault(key, set()).add(name)

    async def add_to_chapter(self) -> None:
        era = self._job.life // LIVES_TOGETHER
        key = f"c{self._name}.{era}.{self._place('chapter')}"

        async def update(name: str) -> None:
            def more(chapter: Chapter) -> Chapter:
                return chapter.evolve(ops=[*chapter.ops, name])

            await self._memory.update(Chapter, key, more, or_create=Chapter(id=key))

        await self._write("chapter", key, update)

    async def change_state(self) -> None:
        key = f"s{self._name}.{self._chance.randrange(3)}"
        kind = self._chance.choices(("put", "patch", "delete"), (5, 3, 2))[0]
        if kind == "patch" and key not in self._present:
            # In an outage nobody could tell it that there is nothing to patch.
            kind = "put"
        ref, seq = Ref(State, key), self._seq

        async def change(name: str) -> Receipt:
            op: Op = Put(State(id=key, seq=seq, by=name))
            if kind == "patch":
                op = Patch(ref, set={"seq": seq, "by": name})
            elif kind == "delete":
                op = Delete(ref)
            return await self._memory.write([op])

        self._present.discard(key)
        left = None if kind == "delete" else seq
        if await self._write("state", key, change, how=kind, seq=left) and left:
            self._present.add(key)

    async def write_pair(self) -> None:
        key, seq = f"h{self._name}.{self._chance.randrange(2)}", self._seq

        async def put(name: str) -> Receipt:
            halves = [Half(id=f"{key}.{side}", seq=seq, by=name) for side in "lr"]
            return await self._memory.write([Put(half) for half in halves])

        await self._write("pair", key, put, seq=seq)

    async def add_line(self) -> None:
        session = self._session
        line = Line(session=session, seq=self._seq, by=self._id)

        async def put(_: str) -> Receipt:
            return await self._memory.put(line)

        self._tried[session] = self._tried.get(session, 0) + 1
        if await self._write("line", line.id, put, session=session):
            self._mine.setdefault(session, set()).add(line.id)

    async def read_fact(self) -> None:
        if self._facts:
            key, by = self._chance.choice(self._facts)
            seen, source = await self._read([Ref(Fact, key)])
            self._saw("fact", key, source, seen=seen[0] and seen[0].by, want=by)

    async def read_state(self) -> None:
        key = f"s{self._name}.{self._chance.randrange(3)}"
        seen, source = await self._read([Ref(State, key)])
        self._saw("state", key, source, seen=seen[0] and seen[0].seq)

    async def read_pair(self) -> None:
        key = f"h{self._name}.{self._chance.randrange(2)}"
        seen, source = await self._read([Ref(Half, f"{key}.{side}") for side in "lr"])
        self._saw("pair", key, source, seen=[half and half.seq for half in seen])

    async def read_tally(self) -> None:
        keys = [key for key in self._mine if key.startswith("t")]
        if keys:
            key = keys[-1]
            seen, source = await self._read([Ref(Tally, key)])
            ops = seen[0].ops if seen[0] else []
            missing = self._mine[key].difference(ops)
            more = seen[0].count - len(ops) if seen[0] else 0
            self._saw("tally", key, source, missing=sorted(missing), more=more)

    async def list_session(self) -> None:
        session, mine = self._session, self._mine.get(self._session, set())
        query = Query(Line, where=[("session", "==", session)], order_by="-seq", page_size=50)
        try:
            page = await self._memory.find(query)
        except Unavailable:
            raise Unknown from None
        missing = mine.difference(line.id for line in page.records) if page.complete else ()
        self._saw("page", session, page.source.value, missing=sorted(missing))

    async def count_session(self) -> None:
        session = self._session
        try:
            totals = await self._memory.aggregate(
                Query(Line, where=[("session", "==", session)]), [Count()]
            )
        except Unavailable:
            raise Unknown from None
        least, most = len(self._mine.get(session, ())), self._tried.get(session, 0)
        self._saw("count", session, "primary", seen=totals["count"], least=least, most=most)

    @property
    def _id(self) -> str:
        return f"{self._name}-{self._job.life}-{self._done}"

    @property
    def _session(self) -> str:
        return f"l{self._name}.{self._job.life}.{self._place('line')}"

    async def _write(self, kind: str, key: str, write: Write, **about: Any) -> bool:
        """Whether it was acknowledged."""
        name = self._id
        self._told.add("try", id=name, kind=kind, key=key, **about)
        begin = time.monotonic_ns()
        try:
            receipt = await write(name)
        except (Unavailable, Conflict, DurabilityUnavailable, Overloaded) as error:
            ambiguous = isinstance(error, Unavailable) and error.ambiguous
            self._told.add("failed", id=name, error=type(error).__name__, ambiguous=ambiguous)
            return False
        durability = receipt.durability.value if receipt else ""
        end = time.monotonic_ns()
        self._told.add("ack", id=name, durability=durability, begin=begin, end=end)
        return True

    async def _read(self, refs: Sequence[Ref[Any]]) -> tuple[list[Any], str]:
        try:
            snapshot = await self._memory.read(refs)
        except Unavailable:
            raise Unknown from None
        sources = [stored.source.value for stored in snapshot if stored is not None]
        return snapshot.records, min(sources, default="")

    def _saw(self, kind: str, key: str, source: str, **what: Any) -> None:
        at = time.monotonic_ns()
        self._told.add("saw", kind=kind, key=key, source=source, at=at, **what)


class Unknown(Exception):
    """What was asked for is not known now, and nobody said that it is not there."""


CALLS: dict[Callable[[Agent], Awaitable[None]], int] = {
    Agent.put_fact: 18,
    Agent.count_up: 18,
    Agent.add_to_chapter: 8,
    Agent.change_state: 16,
    Agent.write_pair: 6,
    Agent.add_line: 10,
    Agent.read_fact: 9,
    Agent.read_state: 6,
    Agent.read_pair: 3,
    Agent.read_tally: 2,
    Agent.list_session: 3,
    Agent.count_session: 1,
}
"""What a task does, and how often."""


async def report(status: Callable[[], tuple[int, str]], told: Told) -> None:
    """Tell how many writes wait and how the memory fares, when that has changed."""
    before = (-1, "")
    while True:
        if (now := status()) != before:
            entries, state = before = now
            told.add("left", entries=entries, state=state, at=time.monotonic_ns())
        await asyncio.sleep(REPORT)


async def work(job: Job) -> None:
    told, over = Told(STANDARD_OUTPUT), asyncio.Event()

    async def busy(agent: Agent) -> None:
        while not over.is_set():
            await agent.one()
            await asyncio.sleep(random.random() * 2 * job.pause)

    async with opened(job) as (memory, status):
        print("ready", flush=True)
        await asyncio.to_thread(sys.stdin.readline)
        told.add("start", life=job.life, at=time.monotonic_ns())
        reporting = asyncio.create_task(report(status, told))
        async with asyncio.TaskGroup() as tasks:
            for number in range(job.tasks):
                tasks.create_task(busy(Agent(memory, job, number, told)))
            await asyncio.to_thread(sys.stdin.readline)
            over.set()
        told.add("over", at=time.monotonic_ns())
        # Its journal is emptied, if the store is there, before it leaves.
        await asyncio.to_thread(sys.stdin.readline)
        reporting.cancel()


def main(job: str) -> None:
    logging.basicConfig(level=logging.INFO, format="%(created).3f %(name)s %(message)s")
    asyncio.run(work(Job(**json.loads(Path(job).read_text()))))


if __name__ == "__main__":
    main(sys.argv[1])
