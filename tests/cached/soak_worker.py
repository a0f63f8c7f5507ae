"""One process of a soak: reads and writes through its cache, and records what it did and saw.

``python -m tests.cached.soak_worker`` with a `Job` as JSON. It says ``ready``, and begins when it
gets a line.
"""

from __future__ import annotations

import asyncio
import json
import random
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import anyio

from orchestra_memory import (
    CachedMemory,
    CacheUnavailable,
    Conflict,
    Count,
    Delete,
    FirestoreMemory,
    GuardedMemory,
    Health,
    MemoryManager,
    Options,
    Page,
    Patch,
    Put,
    Query,
    Receipt,
    Record,
    Ref,
    Snapshot,
    SqliteMemory,
    Totals,
    Unavailable,
)
from orchestra_memory.layers.cached import outcome
from orchestra_memory.layers.cached.connect import connect
from orchestra_memory.operations import DEFAULT, Measure, Op
from orchestra_memory.values import NonEmpty

from ..children import Told, appending
from .naive import CacheAside

T = TypeVar("T")


class Thing(Record, collection="soak_things", scopes=["owner"], indexes=[("owner", "-rank")]):
    """One of few that all write; ``by`` is the write it is of."""

    id: NonEmpty
    owner: str
    rank: int = 0
    by: str = ""


OWNED = {
    owner: tuple(f"{owner}{number}" for number in range(4))
    for owner in ("ann", "bob", "cat", "dan", "eve", "fay", "guy", "hal", "ivy", "jim")
}
OWNER_OF = {key: owner for owner, keys in OWNED.items() for key in keys}
KEYS = tuple(OWNER_OF)
HOT = KEYS[:6]
"""Half of what is done is done to these, so that all get in each other's way."""


DEADLINE = 1.0
"""Seconds a write may take."""
MARGIN = 0.5
"""Seconds by which its fence outlives it: more than a process is ever paused here, and less than in
earnest, so that records whose write is in doubt are soon cached again."""


@dataclass(frozen=True)
class Job:
    """What a process is to do: so many operations, in so many seconds at most.

    ``mode`` is that of the cache, or ``naive``; ``store`` is ``sqlite:<file>`` or
    ``firestore:<project>``, ``ttl`` in seconds. Of the operations of the store ``flaws`` is the
    share that fails, half of them after they were carried out.
    """

    name: str
    mode: str
    store: str
    redis: str
    seed: str
    log: str
    seconds: float
    operations: int
    tasks: int = 6
    ttl: float = 2.0
    flaws: float = 0.01
    cancelled: float = 0.01


WRITING: ContextVar[str] = ContextVar("writing")


class SlowMemory(MemoryManager):
    """A store some way off, and not always well. Commits are recorded."""

    def __init__(self, inner: MemoryManager, job: Job, log: Told, chance: random.Random) -> None:
        self._inner = inner
        self._job = job
        self._log = log
        self._chance = chance
        self.longest = 0.0
        """Seconds that the longest read took."""

    async def read(self, refs: Sequence[Ref[Any]], *, options: Options = DEFAULT) -> Snapshot[Any]:
        return await self._read(lambda: self._inner.read(refs, options=options))

    async def find(self, query: Query[Any], *, options: Options = DEFAULT) -> Page[Any]:
        return await self._read(lambda: self._inner.find(query, options=options))

    async def aggregate(
        self, query: Query[Any], measures: Sequence[Measure], *, options: Options = DEFAULT
    ) -> Totals:
        return await self._read(lambda: self._inner.aggregate(query, measures, options=options))

    async def write(self, ops: Sequence[Op], *, options: Options = DEFAULT) -> Receipt:
        await self._far(0.003)
        self._fail(ambiguous=False)
        # Who cancels does not keep a commit from being recorded, if it is one.
        commit = asyncio.create_task(self._committed(ops, options))
        commit.add_done_callback(lambda task: task.cancelled() or task.exception())
        receipt = await asyncio.shield(commit)
        await self._far(0.003)
        self._fail(ambiguous=True)
        return receipt

    async def health(self) -> Health:
        return await self._inner.health()

    async def _committed(self, ops: Sequence[Op], options: Options) -> Receipt:
        receipt = await self._inner.write(ops, options=options)
        made = made_of(ops, receipt)
        self._log.add("commit", id=WRITING.get(), at=time.monotonic_ns(), made=made)
        return receipt

    async def _read(self, ask: Callable[[], Awaitable[T]]) -> T:
        began = time.monotonic()
        await self._far(0.003)
        self._fail(ambiguous=False)
        answer = await ask()
        await self._far(0.006)
        took = time.monotonic() - began
        if took > self.longest:
            self.longest = took
            self._log.add("longest", seconds=took)
        return answer

    async def _far(self, seconds: float) -> None:
        seconds *= self._chance.random() * (10 if self._chance.random() < 0.05 else 1)
        await asyncio.sleep(seconds)

    def _fail(self, *, ambiguous: bool) -> None:
        if self._chance.random() < self._job.flaws / 2:
            raise Unavailable("lost on the way", ambiguous=ambiguous)


def made_of(ops: Sequence[Op], receipt: Receipt) -> dict[str, int | None]:
    """The revision of each record; of one that was deleted, of its absence."""
    revisions = zip(ops, receipt.revisions, strict=True)
    return {op.ref.key: receipt.version if made is None else made for op, made in revisions}


class Client:
    """Does one thing after another, many of them side by side."""

    def __init__(self, memory: MemoryManager, job: Job, log: Told, chance: random.Random) -> None:
        self._memory = memory
        self._job = job
        self._log = log
        self._chance = chance
        self._end = time.monotonic() + job.seconds
        self._begun = 0
        self.untold: list[str] = []
        """Writes that were acknowledged, while the cache could not be told."""

    @property
    def is_done(self) -> bool:
        return self._begun >= self._job.operations or time.monotonic() >= self._end

    async def run(self) -> None:
        while not self.is_done:
            self._begun += 1
            longest = None
            if self._chance.random() < self._job.cancelled:
                longest = self._chance.random() * 0.02
            with anyio.move_on_after(longest):
                await self._one()

    async def _one(self) -> None:
        kind = self._chance.random()
        try:
            if kind < 0.15:
                await self._write(f"{self._job.name}.{self._begun}")
            elif kind < 0.25:
                await self._find()
            elif kind < 0.3:
                await self._count()
            else:
                await self._read()
        except (Unavailable, Conflict):
            # As the store was told to; what was written is in doubt.
            return

    async def _read(self) -> None:
        keys = self._some((1, 1, 1, 3))
        refs = [Ref(Thing, key) for key in keys]
        begin = time.monotonic_ns()
        answer = await self._memory.read(refs, options=self._options())
        self._saw(begin, dict(zip(keys, answer.items, strict=True)))

    async def _find(self) -> None:
        owner = OWNER_OF[self._some((1,))[0]]
        query = Query(Thing, where=[("owner", "==", owner)], order_by="-rank")
        begin = time.monotonic_ns()
        page = await self._memory.find(query, options=self._options())
        found = {stored.record.id: stored for stored in page.items}
        self._saw(begin, {key: found.get(key) for key in OWNED[owner]})

    async def _count(self) -> None:
        owner = OWNER_OF[self._some((1,))[0]]
        query = Query(Thing, where=[("owner", "==", owner)])
        begin = time.monotonic_ns()
        totals = await self._memory.aggregate(query, [Count()])
        end, keys = time.monotonic_ns(), OWNED[owner]
        self._log.add("count", begin=begin, end=end, keys=keys, number=totals["count"])

    async def _write(self, name: str) -> None:
        ops = self._ops(name)
        keys = [op.ref.key for op in ops]
        deletes = [op.ref.key for op in ops if isinstance(op, Delete)]
        self._log.add("write", id=name, at=time.monotonic_ns(), keys=keys, deletes=deletes)
        WRITING.set(name)
        try:
            receipt = await self._memory.write(ops, options=Options(timeout=DEADLINE))
        except CacheUnavailable:
            self._log.add("refused", id=name)
            return
        told = receipt.cache_invalidation == "done"
        if not told:
            self.untold.append(name)
        made, at = made_of(ops, receipt), time.monotonic_ns()
        self._log.add("written", id=name, at=at, made=made, told=told)

    def _ops(self, name: str) -> list[Op]:
        keys = self._some((1, 1, 1, 2))
        return [self._op(key, name) for key in keys]

    def _op(self, key: str, name: str) -> Op:
        kind, rank = self._chance.random(), self._chance.randrange(1_000)
        if kind < 0.3:
            return Delete(Ref(Thing, key))
        if kind < 0.5:
            return Patch(Ref(Thing, key), set={"by": name, "rank": rank})
        return Put(Thing(id=key, owner=OWNER_OF[key], rank=rank, by=name))

    def _some(self, numbers: Sequence[int]) -> list[str]:
        keys = HOT if self._chance.random() < 0.5 else KEYS
        return self._chance.sample(keys, self._chance.choice(numbers))

    def _options(self) -> Options:
        return Options(cache="refresh") if self._chance.random() < 0.02 else DEFAULT

    def _saw(self, begin: int, answers: Mapping[str, Any]) -> None:
        seen = {key: None if stored is None else stored.revision for key, stored in answers.items()}
        self._log.add("read", begin=begin, end=time.monotonic_ns(), seen=seen)


async def tell(memory: MemoryManager, client: Client, log: Told) -> None:
    """Record when Redis has been told what it could not be told at first."""
    while isinstance(memory, CachedMemory):
        await asyncio.sleep(0.01)
        names = list(client.untold)
        if names and not memory.status().pending:
            log.add("told", ids=names, at=time.monotonic_ns())
            del client.untold[: len(names)]


@asynccontextmanager
async def opened(job: Job, log: Told, chance: random.Random) -> AsyncIterator[MemoryManager]:
    kind, _, where = job.store.partition(":")
    async with AsyncExitStack() as stack:
        redis = await stack.enter_async_context(connect(job.redis))
        store: MemoryManager
        if kind == "sqlite":
            store = await stack.enter_async_context(SqliteMemory.open(where))
        else:
            store = await stack.enter_async_context(firestore(where))
        inner = GuardedMemory(SlowMemory(store, job, log, chance))
        if job.mode == "naive":
            yield CacheAside(inner, redis, store=job.store, ttl=job.ttl)
            return
        mode: Any = job.mode
        cached = CachedMemory(inner, redis, store=job.store, mode=mode, ttl=job.ttl)
        yield await stack.enter_async_context(cached)


@asynccontextmanager
async def firestore(project: str) -> AsyncIterator[FirestoreMemory]:
    """The project on the emulator that the environment names."""
    from google.auth.credentials import AnonymousCredentials
    from google.cloud.firestore import AsyncClient

    from orchestra_memory.backends.firestore.access import close_client

    client = AsyncClient(project, credentials=AnonymousCredentials())
    memory = FirestoreMemory(client)
    yield memory
    await memory.aclose()
    await close_client(client)


async def work(job: Job) -> None:
    log, chance = appending(job.log), random.Random(job.seed)
    outcome.MARGIN = MARGIN
    async with opened(job, log, chance) as memory:
        print("ready", flush=True)
        await asyncio.to_thread(sys.stdin.readline)
        client = Client(memory, job, log, chance)
        telling = asyncio.create_task(tell(memory, client, log))
        async with asyncio.TaskGroup() as tasks:
            for _ in range(job.tasks):
                tasks.create_task(client.run())
        telling.cancel()
        if isinstance(memory, CachedMemory):
            counters = memory.status().counters
            log.add("cache", hits=counters["hits"], asked=sum(counters.values()))


if __name__ == "__main__":
    asyncio.run(work(Job(**json.loads(Path(sys.argv[1]).read_text()))))
