"""Replay: what waits is brought to its store, each write once, in order for each document."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

import anyio

from ...bulk import CHUNKS_IN_FLIGHT
from ...errors import Unauthenticated
from ...protocol import MemoryManager
from ...record import Record
from ...resilience.retry import may_repeat
from ...slices import sliced
from ...values import to_micros, utc_now
from .committing import Committer
from .conflicts import ConflictPolicy
from .erasures import deletion, erased
from .markers import is_whole
from .outcomes import Known
from .planning import Planned, Planner
from .queue import Queue
from .queued import Queued, document_of
from .standby import Standby

IN_FLIGHT: Final = CHUNKS_IN_FLIGHT
"""Commits under way at once: as many as of any other bulk write."""
OLDEST: Final = timedelta(days=7)
"""Age up to which a marker is sure to be there still if a write was applied."""
TOO_OLD: Final = "it was sent, and is too old to know whether it was applied"


@dataclass(frozen=True, slots=True)
class Drained:
    """What came of a replay.

    ``replayed`` writes are applied, ``conflicts`` versions that lost are kept in the store, and
    ``dead_letters`` writes are kept in the journal, out of replay. ``left`` wait for another one.
    ``paused`` says what has to be done first, if anything has.
    """

    replayed: int
    conflicts: int
    dead_letters: int
    left: int
    paused: str | None = None


class Replayer:
    """Brings queued writes to `primary`, exactly once, in order for each document.

    ``in_flight`` commits, 8 by default, are under way at once, each of up to 399 writes. A write
    that belongs to an atomic one is committed with that and nothing else. ``policies`` say what
    becomes of a write whose document somebody else has changed; `standby` is told what was written.
    """

    def __init__(
        self,
        primary: MemoryManager,
        queue: Queue,
        *,
        policies: Mapping[type[Record], ConflictPolicy],
        in_flight: int = IN_FLIGHT,
        standby: Standby | None = None,
        clock: Callable[[], datetime] = utc_now,
    ) -> None:
        self._primary = primary
        self._queue = queue
        self._known = Known(queue)
        self._in_flight = in_flight
        self._clock = clock
        self._turn = anyio.Lock()

        def committer() -> Committer:
            return Committer(
                primary, queue, self._known, policies=policies, standby=standby, clock=clock
            )

        self._committer = committer

    async def drain(self, *, passes: int | None = None) -> Drained:
        """Replay all that waits, and what comes meanwhile.

        With ``passes``, what waits when each of them begins, and no more: that has an end even if
        more comes all the time.

        Raises ``Unavailable`` when the store does not answer: what is not done then waits on, and
        what was under way is found out by the next replay. Raises ``Overloaded`` after several
        pauses, and ``DurabilityUnavailable`` if the journal cannot be written.
        """
        async with self._turn:
            committer = self._committer()
            paused = None
            try:
                while passes != 0 and (due := await self._pass(committer)) is not None:
                    await due.run()
                    passes = None if passes is None else passes - 1
            except Unauthenticated as error:
                paused = str(error)
            tally = committer.tally
            return Drained(
                tally.replayed, tally.conflicts, tally.dead_letters, len(self._queue), paused
            )

    async def _pass(self, committer: Committer) -> _Pass | None:
        due = await self._due(committer)
        return _Pass(committer, due, self._in_flight) if due else None

    async def _due(self, committer: Committer) -> list[Queued]:
        """What can be replayed now."""
        if orphans := self._known.orphans():
            await self._queue.settle(orphans)
        queued = sliced(self._queue.waiting())
        waiting = [item async for item in queued if item not in self._known]
        if self._queue.unknown():
            blocked = filter(self._queue.is_blocked, {item.op.ref for item in waiting})
            committer.stuck.update(map(document_of, blocked))
        oldest = to_micros(self._clock() - OLDEST)
        old = [i async for i in sliced(waiting) if i.at < oldest and _is_beyond_knowing(i)]
        if old:
            await committer.give_up(old, TOO_OLD)
            return await self._due(committer)
        stuck = committer.stuck
        if stuck:
            waiting = [item for item in waiting if item.document not in stuck]
        return await self._without_erased(waiting)

    async def _without_erased(self, waiting: list[Queued]) -> list[Queued]:
        """The same, but for what is of erased persons: that is not written any more."""
        found = await erased(self._primary, waiting) if waiting else []
        if not found:
            return waiting
        # What is to be applied together or not at all keeps its size: there it leaves nothing.
        bound = {i.number: deletion(i) for i in found if i.commit and is_whole(i.commit)}
        self._queue.put_in_place(bound.values())
        gone = [item for item in found if item.number not in bound]
        await self._queue.settle(gone)
        numbers = {item.number for item in gone}
        return [bound.get(i.number, i) for i in waiting if i.number not in numbers]


class _Pass:
    """One replay of what waited when it began."""

    def __init__(self, committer: Committer, waiting: Sequence[Queued], in_flight: int) -> None:
        self._committer = committer
        self._planner = Planner(waiting, stuck=committer.stuck)
        self._in_flight = in_flight
        self._failure: Exception | None = None
        committer.ease = self._planner.ease

    async def run(self) -> None:
        async with anyio.create_task_group() as group:
            for _ in range(self._in_flight):
                group.start_soon(self._work)
        if self._failure is not None:
            raise self._failure

    async def _work(self) -> None:
        while self._failure is None and (planned := self._planner.next()) is not None:
            try:
                for earlier in planned.earlier:
                    await earlier.ended.wait()
                if self._failure is None:
                    await self._carry_out(planned)
            except Exception as error:  # noqa: BLE001 -- raised when the others have ended
                self._fail(error)
            finally:
                planned.end()

    def _fail(self, error: Exception) -> None:
        if self._failure is None:
            self._failure = error

    async def _carry_out(self, planned: Planned) -> None:
        items, stuck = planned.items, self._committer.stuck
        if stuck:
            items = [item for item in items if item.document not in stuck]
            if planned.bound is not None and len(items) < len(planned.items):
                stuck.update(item.document for item in planned.items)
                return
        if items:
            await self._committer.carry_out(items, planned.bound)


def _is_beyond_knowing(item: Queued) -> bool:
    """Whether it may have been applied, and would not be the same if it were again."""
    was_sent = item.commit is not None or item.basis.in_doubt
    return was_sent and not may_repeat([item.op])
