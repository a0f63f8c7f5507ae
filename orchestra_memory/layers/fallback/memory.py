"""The outage fallback as a memory around a memory."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncGenerator, Callable, Iterable, Mapping, Sequence
from datetime import UTC, datetime
from types import TracebackType
from typing import Any, Final, Self, TypeVar

import anyio

from ...health import Health, Status
from ...operations import (
    DEFAULT,
    Durability,
    Measure,
    Op,
    Options,
    Page,
    Receipt,
    Ref,
    Snapshot,
    Totals,
)
from ...protocol import MemoryManager
from ...queries import Query
from ...record import Record
from ...resilience.journal import VolatileJournal
from .conflicts import ConflictPolicy
from .forgetting import Forgetting
from .healing import Guard, Healer, tell_adopted
from .queue import AnyJournal, Queue
from .reading import Reader
from .replay import Replayer
from .standby import Standby
from .states import FallbackStatus, Hook, State, counted
from .writing import Writer

R = TypeVar("R", bound=Record)

log: Final = logging.getLogger("orchestra_memory.fallback")


def never() -> bool:
    return False


class FallbackMemory(MemoryManager):
    """Answers while the store beneath does not, and forgets nothing that it accepted meanwhile.

    Use it as ``async with FallbackMemory(...) as memory``. `primary` is the store with what belongs
    around it, ``guard`` the `GuardedMemory` in there, which has a breaker: what that is told
    decides whether the store is asked. `journal` is where writes of an outage wait for it, and
    stays its owner's to close; without one they wait in memory and are acknowledged as
    ``VOLATILE``. `standby` keeps what was read and written of late.

    ``Receipt.durability`` says what became of a write: ``COMMITTED`` by the store, ``JOURNALED``,
    or ``VOLATILE``. ``min_durability`` refuses less, by default less than the journal gives;
    ``Options(min_durability=...)`` says so for a call. ``journal_first`` keeps every write in the
    journal before the store is asked.

    In an outage a read is answered by writes that wait, then by the cache, then by what is kept in
    memory; ``Stored.source`` and ``age`` say so, and ``Options(max_age=...)`` refuses what is
    older. What nothing is known of raises ``Unavailable``. It is never taken for absent.

    ``policies`` say by record type what becomes of a write that finds, when it is replayed, that
    another process has changed the record: ``"dead_letter"`` (the default), ``"keep_remote"``,
    ``"keep_local"``, or a function of both records. What loses is kept among the conflicts.

    At the end, what waits is brought to the store for at most ``drain`` seconds, 8 by default; what
    is left stays in the journal for the next process.

    ``bypassed`` says whether a cache in `primary` goes unused; ``hooks`` are called with every
    `Transition`, and should neither raise nor block.
    """

    def __init__(  # noqa: PLR0913 -- its parts, and what the settings say
        self,
        primary: MemoryManager,
        standby: Standby | None = None,
        journal: AnyJournal | None = None,
        *,
        guard: Guard,
        min_durability: Durability | None = None,
        policies: Mapping[type[Record], ConflictPolicy] | None = None,
        drain: float = 8.0,
        journal_first: bool = False,
        bypassed: Callable[[], bool] = never,
        hooks: Iterable[Hook] = (),
    ) -> None:
        standby = Standby() if standby is None else standby
        self._primary = primary
        self._queue = Queue(VolatileJournal() if journal is None else journal)
        self._drain = drain
        replayer = Replayer(primary, self._queue, policies=policies or {}, standby=standby)
        self._healer = Healer(guard, self._queue, replayer, bypassed=bypassed, hooks=hooks)
        self._forgetting = Forgetting(primary, self._queue, standby, self._healer.replay)
        self._reader = Reader(primary, self._queue, standby)
        self._writer = Writer(
            primary,
            self._queue,
            standby,
            healthy=self._healer.is_healthy,
            min_durability=min_durability or self._queue.durability,
            journal_first=journal_first,
        )
        self._entered = False
        self._healing: asyncio.Task[None] | None = None

    def __repr__(self) -> str:
        return f"<FallbackMemory {self.status().state}, {self._queue!r} around {self._primary!r}>"

    async def __aenter__(self) -> Self:
        if self._entered:
            raise RuntimeError("a FallbackMemory is entered once; make another one")
        self._entered = True
        tell_adopted(await self._queue.load())
        self._healer.look()
        self._healing = asyncio.create_task(self._healer.run())
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        healing, self._healing = self._healing, None
        if healing is None:
            return
        try:
            with anyio.CancelScope(shield=True):
                await self._healer.finish(self._drain)
        finally:
            healing.cancel()
            with anyio.CancelScope(shield=True):
                await asyncio.wait([healing])
            self._tell_what_is_left()

    async def read(self, refs: Sequence[Ref[R]], *, options: Options = DEFAULT) -> Snapshot[R]:
        self._check_open()
        return await self._reader.read(refs, options)

    async def write(self, ops: Sequence[Op], *, options: Options = DEFAULT) -> Receipt:
        self._check_open()
        return await self._writer.write(ops, options)

    async def find(self, query: Query[R], *, options: Options = DEFAULT) -> Page[R]:
        self._check_open()
        return await self._reader.find(query, options)

    def pages(self, query: Query[R], *, options: Options = DEFAULT) -> AsyncGenerator[Page[R]]:
        self._check_open()
        return self._reader.pages(query, options)

    async def aggregate(
        self, query: Query[Any], measures: Sequence[Measure], *, options: Options = DEFAULT
    ) -> Totals:
        self._check_open()
        return await self._reader.aggregate(query, measures, options)

    async def health(self) -> Health:
        self._check_open()
        return health_of(self.status(), await self._primary.health())

    def status(self) -> FallbackStatus:
        """How things stand; asks nobody."""
        return self._healer.status()

    async def replay(self) -> bool:
        """Bring to the store what waits, now; false if that did not get on.

        It happens by itself as soon as the store answers. Raises ``Unavailable`` if it does not.
        """
        self._check_open()
        return await self._healer.replay()

    async def forget_user(self, user_id: str, namespace: str | None) -> dict[str, int]:
        """Keep nothing of a user whose `Erasure` the store has; how much of what that was.

        What waits is brought to the store first, where it is deleted. Raises ``Unavailable`` if
        something has to wait on.
        """
        self._check_open()
        return await self._forgetting.forget_user(user_id, namespace)

    def _check_open(self) -> None:
        if self._healing is None:
            raise RuntimeError("enter it first: async with FallbackMemory(...) as memory")

    def _tell_what_is_left(self) -> None:
        status = self.status()
        if not status.waiting:
            return
        if status.durability is Durability.VOLATILE:
            log.error("%s: no more than VOLATILE", counted(status.waiting, "is lost", "are lost"))
        else:
            log.warning(
                "%s in %s for the next process",
                counted(status.waiting, "waits", "wait"),
                status.journal.path,
            )


def health_of(status: FallbackStatus, inner: Health) -> Health:
    """The fallback's own state with what is beneath: while it answers, nothing is down."""
    normal = status.state is State.NORMAL and inner.status is Status.OK
    dead = status.journal.dead
    ours = Status.OK if normal and dead is None else Status.DEGRADED
    return Health("fallback", ours, _detail(status), None, (inner,))


def _detail(status: FallbackStatus) -> str:
    waiting = counted(status.waiting, "waits", "wait")
    parts = [f"{status.state} since {_time(status.since)}", waiting]
    if status.oldest is not None:
        parts.append(f"the oldest since {_time(status.oldest / 1e6)}")
    if status.dead_letters:
        parts.append(f"{status.dead_letters:,} dead letters")
    if status.journal.dead is not None:
        parts.append(f"no write of an outage can be kept ({status.journal.dead})")
    if status.error and status.state is not State.NORMAL:
        parts.append(status.error)
    return ", ".join(parts)


def _time(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="seconds")
