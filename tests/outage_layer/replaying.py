"""A store that remembers every commit, a way to it that fails, and processes that die on it."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any

from pydantic import Field

from orchestra_memory import (
    Conflict,
    JsonMap,
    LocalMemory,
    MemoryManager,
    Patch,
    Put,
    Query,
    Receipt,
    Record,
    Ref,
    Snapshot,
    Unavailable,
)
from orchestra_memory.backends.rows import Row
from orchestra_memory.codec.document import Document
from orchestra_memory.codec.operations import decode_operation, models_by_name
from orchestra_memory.layers.fallback.conflicts import Conflicted, ConflictPolicy
from orchestra_memory.layers.fallback.overlay import UNKNOWN, overlaid
from orchestra_memory.layers.fallback.queue import Queue
from orchestra_memory.layers.fallback.replay import Drained, Replayer
from orchestra_memory.layers.fallback.standby import Standby
from orchestra_memory.layers.fallback.writing import Writer
from orchestra_memory.models import random_id
from orchestra_memory.operations import DEFAULT, Durability, Op, Options, Stored
from orchestra_memory.resilience.journal import VolatileJournal
from orchestra_memory.values import utc_now

WHO: ContextVar[str] = ContextVar("who", default="remote")
DURABLE = Options(min_durability=Durability.VOLATILE)


class Doc(Record, collection="replayed"):
    """``stamp`` tells the local write that put it, ``remote`` the one of another process."""

    id: str = Field(default_factory=random_id)
    stamp: str = ""
    remote: str = ""
    text: str = ""
    note: str = ""
    count: int = 0
    seen: JsonMap = Field(default_factory=dict)


MODELS = models_by_name([Doc])


@contextmanager
def acting(who: str):
    token = WHO.set(who)
    try:
        yield
    finally:
        WHO.reset(token)


@dataclass
class Change:
    """What one operation of a commit made of its document."""

    who: str
    commit: int
    op: Op
    before: Document | None
    after: Document | None


class Recorded(LocalMemory):
    """Remembers every change of a `Doc`."""

    def __init__(self) -> None:
        super().__init__()
        self.history: list[Change] = []

    def _commit(self, chunk: Sequence[Any]) -> list[int | None]:
        before = {item.address: self._document(item.address) for item in chunk}
        revisions = super()._commit(chunk)
        for item in chunk:
            if item.op.ref.model is Doc:
                after = self._document(item.address)
                change = Change(WHO.get(), self._revision, item.op, before[item.address], after)
                self.history.append(change)
        return revisions

    def _document(self, address: Any) -> Document | None:
        row: Row | None = self._row(address)
        return None if row is None else row.document


class Crashed(Exception):
    """The process is dead."""


@dataclass
class Life:
    """One life of a process: nothing of it has any effect once it is over."""

    faults: deque[str] = field(default_factory=deque)
    dead: bool = False

    def step(self, *possible: str) -> str:
        """The fault that meets this step; one that does not fit it is put off."""
        self.check()
        if self.faults and self.faults[0] in ("ok", *possible):
            return self.faults.popleft()
        return "ok"

    def check(self) -> None:
        if self.dead:
            raise Crashed

    def die(self) -> None:
        self.dead = True
        raise Crashed


class Link(MemoryManager):
    """The way to a store: requests fail, are lost, or arrive late."""

    def __init__(self, store: MemoryManager, life: Life) -> None:
        self.store = store
        self.life = life
        self.late: list[tuple[str, Sequence[Op], Options]] = []
        self.doubts = 0

    async def read(self, refs: Sequence[Ref[Any]], *, options: Options = DEFAULT) -> Snapshot[Any]:
        match self.life.step("fail", "crash"):
            case "fail":
                raise Unavailable("no answer")
            case "crash":
                self.life.die()
        return await self.store.read(refs, options=options)

    async def write(self, ops: Sequence[Op], *, options: Options = DEFAULT) -> Receipt:
        fault = self.life.step("fail", "lose", "late", "crash", "crash after")
        match fault:
            case "fail":
                raise Unavailable("no answer")
            case "crash":
                self.life.die()
            case "late" if any(op.ref.collection == "markers" for op in ops):
                self.late.append((WHO.get(), ops, options))
                self.doubts += 1
                raise Unavailable("no answer in time", ambiguous=True)
        receipt = await self.store.write(ops, options=options)
        if fault == "crash after":
            self.life.die()
        if fault in ("lose", "late"):
            self.doubts += 1
            raise Unavailable("the answer was lost", ambiguous=True)
        return receipt

    async def find(self, query: Query[Any], *, options: Options = DEFAULT) -> Any:
        raise NotImplementedError

    async def aggregate(self, *_: Any, **__: Any) -> Any:
        raise NotImplementedError

    async def health(self) -> Any:
        raise NotImplementedError

    async def arrive(self) -> None:
        """What was under way arrives now."""
        late, self.late = self.late, []
        for who, ops, options in late:
            with acting(who):
                try:
                    await self.store.write(ops, options=options)
                except Conflict:
                    continue


class MortalJournal(VolatileJournal):
    """Outlives the process that writes it, whose steps may be its last."""

    life = Life()

    async def append(self, drafts: Any, *, batch: str | None = None) -> list[int]:
        self.life.check()
        return await super().append(drafts, batch=batch)

    async def bind(self, numbers: Iterable[int], batch: str) -> None:
        await self._mortally(lambda: super(MortalJournal, self).bind(numbers, batch))

    async def settle(self, numbers: Iterable[int]) -> None:
        await self._mortally(lambda: super(MortalJournal, self).settle(numbers))

    async def dead_letter(self, number: int, reason: str) -> None:
        await self._mortally(lambda: super(MortalJournal, self).dead_letter(number, reason))

    async def _mortally(self, work: Callable[[], Any]) -> None:
        fault = self.life.step("crash", "crash after")
        if fault == "crash":
            self.life.die()
        await work()
        if fault == "crash after":
            self.life.die()


class Process:
    """A process with a writer and a replayer; `restart` is another one on the same journal."""

    def __init__(
        self, store: MemoryManager, policies: dict[type[Record], ConflictPolicy] | None = None
    ) -> None:
        self.store = store
        self.journal = MortalJournal()
        self.policies = policies or {}
        self.healthy = False
        self.link = Link(store, Life())
        self._live()

    def _live(self) -> None:
        self.life = Life()
        self.link.life = self.journal.life = self.life
        self.queue = Queue(self.journal)
        self.standby = Standby()
        self.writer = Writer(
            self.link,
            self.queue,
            self.standby,
            healthy=lambda: self.healthy,
            min_durability=Durability.VOLATILE,
        )
        self.replayer = Replayer(
            self.link, self.queue, policies=self.policies, standby=self.standby, in_flight=2
        )

    async def restart(self) -> None:
        self._live()
        await self.queue.load()

    async def write(self, *ops: Op, options: Options = DURABLE) -> Receipt:
        with acting("writer"):
            return await self.writer.write(ops, options)

    async def drain(self, faults: Iterable[str] = ()) -> Drained | None:
        """One replay; a process that dies of it is replaced by another one."""
        self.life.faults.extend(faults)
        try:
            with acting("replay"):
                return await self.replayer.drain()
        except (Unavailable, Crashed):
            if self.life.dead:
                await self.restart()
            return None
        finally:
            self.life.faults.clear()

    async def drain_all(self) -> Drained:
        """Replay until there is no fault any more."""
        drained = await self.drain()
        assert drained is not None
        return drained

    def visible(self, key: str) -> Stored[Doc] | None:
        """The record as this process knows it."""
        ref, known = Ref(Doc, key), self.standby.get(Ref(Doc, key))
        base = UNKNOWN if known is None else known.row
        row = overlaid(ref, base, self.queue.of(ref), utc_now())
        if not isinstance(row, Row):
            return None
        fields = {name: row.document[name] for name in Doc.model_fields if name in row.document}
        return Stored(Doc(**fields), row.revision)


def stamps_of(op: Op) -> set[str]:
    """Which local writes an operation is of."""
    if isinstance(op, Put):
        record: Any = op.record
        return {record.stamp} if record.stamp else set()
    if isinstance(op, Patch):
        assigned = {str(op.set["text"])} if "text" in op.set else set[str]()
        return assigned | {path.removeprefix("seen.") for path in op.increment if "." in path}
    return set()


async def kept(store: MemoryManager) -> list[Conflicted]:
    return (await store.find(Query(Conflicted, page_size=1000))).records


def operation_in(conflicted: Conflicted) -> Op:
    return decode_operation(conflicted.document.encode(), MODELS)
