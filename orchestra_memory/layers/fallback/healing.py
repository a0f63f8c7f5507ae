"""What goes on beside the calls: probing, replaying, taking over, and knowing how things stand."""

from __future__ import annotations

import logging
import time
from collections.abc import Awaitable, Callable, Iterable
from contextlib import AbstractContextManager
from typing import Final, Protocol

import anyio

from ...errors import ConfigurationError, DurabilityUnavailable, StorageError, Unavailable
from ...operations import Durability
from ...resilience.breaker import Breaker
from ...resilience.breaker import State as BreakerState
from ...resilience.journal import Adoption
from ...resilience.prober import PATIENCE, Prober
from .queue import Queue
from .replay import Drained, Replayer
from .states import FallbackStatus, Hook, Standing, State, Transition, counted, state_of

log: Final = logging.getLogger("orchestra_memory.fallback")

TICK: Final = 1.0
"""Seconds between two looks at the parts that do not tell when they change."""
ADOPT_EVERY: Final = 60.0
"""Seconds between two looks for journals of processes that have died."""
PAUSE: Final = 1.0
"""Seconds until writes are replayed again where that did not get on; doubled each time."""
LONGEST_PAUSE: Final = 2.0
PASSES: Final = 3
"""Times that what waits is replayed before calls go to the store again: what came during the first
is little, and what came during the last is brought there beside the calls."""


class Guard(Protocol):
    """What stands right above the store: a `GuardedMemory` that has a breaker."""

    @property
    def breaker(self) -> Breaker | None: ...

    @property
    def error(self) -> str:
        """The last failure of the store, in words."""
        ...

    async def probe(self, seconds: float) -> bool:
        """Whether the store answers, whatever the breaker says."""
        ...

    def catching_up(self) -> AbstractContextManager[None]:
        """Lets calls in its block through while the breaker is draining."""
        ...


class Healer:
    """Brings writes that wait to the store once it answers, and says how things stand."""

    def __init__(
        self,
        guard: Guard,
        queue: Queue,
        replayer: Replayer,
        *,
        bypassed: Callable[[], bool],
        hooks: Iterable[Hook],
    ) -> None:
        self.breaker: Breaker = breaker_of(guard)
        self._guard = guard
        self._queue = queue
        self._replayer = replayer
        self._bypassed = bypassed
        self._hooks = tuple(hooks)
        self._paused = ""
        self._standing = Standing(State.NORMAL, time.time())
        self._prober = Prober(
            self.breaker, guard.probe, catch_up=self._catch_up, urgent=lambda: bool(len(queue))
        )

    def is_healthy(self) -> bool:
        """Whether calls go to the store."""
        return self.breaker.state is BreakerState.CLOSED

    def status(self) -> FallbackStatus:
        """How things stand; without I/O."""
        self.look()
        journal = self._queue.status()
        return FallbackStatus(
            self._standing.state,
            self._standing.since,
            journal.entries,
            journal.oldest,
            journal.dead_letters,
            self._queue.durability,
            self._error(),
            journal,
        )

    async def run(self) -> None:
        """Heal whenever there is something to heal, until cancelled."""
        self.breaker.hooks.append(self.look)
        try:
            async with anyio.create_task_group() as tasks:
                for work in (self._prober.run, self._replay, self._tend):
                    tasks.start_soon(_kept_up, work)
        finally:
            self.breaker.hooks.remove(self.look)

    async def replay(self, passes: int | None = None) -> bool:
        """Bring to the store what waits; false if that did not get on.

        ``passes`` end even if more comes all the time. Raises ``Unavailable`` if the store does not
        answer.
        """
        with self._guard.catching_up():
            drained = await self._replayer.drain(passes=passes)
        self._tell_of(drained)
        self._paused = drained.paused or ""
        self.look()
        return not drained.left or bool(drained.replayed)

    def _tell_of(self, drained: Drained) -> None:
        """Say what somebody has to look at: nothing of it goes away by itself."""
        if drained.dead_letters or drained.conflicts:
            log.warning(
                "what was replayed left dead letters: %d, conflicts: %d",
                drained.dead_letters,
                drained.conflicts,
            )
        if drained.paused and drained.paused != self._paused:
            log.error("the replay is paused: %s", drained.paused)

    async def finish(self, seconds: float) -> None:
        """Bring to the store what waits, while it answers, for so many seconds at most.

        What would be lost with this process is worth waiting for a store that does not answer now.
        """
        with anyio.move_on_after(seconds):
            while len(self._queue):
                if not (await self._got_on() or self._is_volatile()):
                    return
                await anyio.sleep(0.05)

    async def _got_on(self) -> bool:
        if self.breaker.state in {BreakerState.OPEN, BreakerState.HALF_OPEN}:
            # Where it answers, the prober is about to find out, too.
            return await self._guard.probe(PATIENCE)
        try:
            return await self.replay()
        except StorageError as error:
            self._paused = "" if isinstance(error, Unavailable) else str(error)
            return False

    def _is_volatile(self) -> bool:
        return self._queue.durability is Durability.VOLATILE

    def look(self) -> None:
        """See how things stand, and tell if that has changed."""
        waiting = len(self._queue)
        state = state_of(self.breaker.state, waiting, bypassed=self._bypassed())
        before, self._standing = self._standing, self._standing.moved(state, time.time())
        if before is not self._standing:
            self._tell(Transition(before, self._standing, waiting, self._error()))

    def _tell(self, transition: Transition) -> None:
        better = transition.after.state in {State.NORMAL, State.RECOVERING}
        leaving = transition.before.state is State.NORMAL
        log.log(logging.INFO if better and not leaving else logging.WARNING, "%s", transition)
        for hook in self._hooks:
            hook(transition)

    def _error(self) -> str:
        return self._paused or self._guard.error

    async def _catch_up(self) -> None:
        try:
            for _ in range(PASSES):
                if not (len(self._queue) and await self.replay(passes=1)):
                    break
        except Unavailable:
            raise
        except StorageError as error:
            self._paused = str(error)
        except Exception as error:
            # Calls wait for this to end: what cannot be replayed must not keep the rest away.
            log.exception("the replay failed")
            self._paused = f"the replay failed: {type(error).__name__}"
        self._queue.changed.set()

    async def _replay(self) -> None:
        """Replay what came while the store answers: writes in doubt, or taken over."""
        pause = PAUSE
        while True:
            await self._until_changed(pause)
            self._queue.changed.clear()
            if not (len(self._queue) and self.is_healthy()) or await self._got_on():
                pause = PAUSE
            else:
                await anyio.sleep(pause)
                pause = min(pause * 2, LONGEST_PAUSE)

    async def _until_changed(self, seconds: float) -> None:
        """Until something is queued; what is left there is looked at again after a while."""
        with anyio.move_on_after(seconds if len(self._queue) else None):
            await self._queue.changed.wait()

    async def _tend(self) -> None:
        due = anyio.current_time() + ADOPT_EVERY
        while True:
            await anyio.sleep(TICK)
            self.look()
            if anyio.current_time() >= due:
                due = anyio.current_time() + ADOPT_EVERY
                await self._adopt()

    async def _adopt(self) -> None:
        try:
            adoption = await self._queue.load()
        except DurabilityUnavailable as error:
            log.warning("journals of other processes cannot be taken over: %s", error)
        else:
            tell_adopted(adoption)
            self.look()


def tell_adopted(adoption: Adoption) -> None:
    if adoption.entries:
        log.warning("took over %s", counted(adoption.entries, "left behind", "left behind"))


async def _kept_up(work: Callable[[], Awaitable[None]]) -> None:
    """Go on after a fault of our own: an outage that nobody ends would be the worse one."""
    while True:
        try:
            await work()
        except Exception:
            log.exception("a task of the fallback failed and begins anew")
            await anyio.sleep(PAUSE)


def breaker_of(guard: Guard) -> Breaker:
    if guard.breaker is None:
        raise ConfigurationError(
            "the guard has no breaker; make it GuardedMemory(..., breaker=Breaker(...))"
        )
    return guard.breaker
