"""Back to Redis: connecting, probing it, and catching up with what it was not told."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Iterable, Sequence
from typing import Final

from ...errors import CacheUnavailable
from ...operations import Revision
from ...resilience.breaker import Breaker, State
from .asking import AT_ONCE, Asker
from .coalescing import LANES, MOST_KEYS
from .failures import MEANING
from .pending import Pending
from .steps import Step, Target

log: Final = logging.getLogger("orchestra_memory.cache")

CONNECTING: Final = 1.0
"""Seconds for a connection in the background, where nobody waits for it."""
LOOK: Final = 1.0
"""Longest sleep while Redis is away: a call refused meanwhile makes the next probe come sooner."""


class Healer:
    """Decides when Redis may be asked; `run` does the asking that is due.

    ``publish`` tells Redis of invalidations, or raises ``CacheUnavailable``.
    """

    def __init__(
        self,
        asker: Asker,
        breaker: Breaker,
        publish: Callable[[Sequence[Step]], Awaitable[None]],
    ) -> None:
        self.since: Revision = 0
        """Entries filled before are not used, by Redis' time in microseconds: in an outage common
        to all, another process's write may not have been told yet."""
        self.pending: Pending = Pending()
        self.connected: asyncio.Event = asyncio.Event()
        """Set after the first attempt to connect, however it ended."""
        self._asker = asker
        self._breaker = breaker
        self._publish = publish
        self._wake = asyncio.Event()
        self._offset = 0
        self._outage = False
        self._away_since = 0.0

    @property
    def state(self) -> str:
        return self._breaker.state.value if self.connected.is_set() else "connecting"

    def allows(self) -> bool:
        """Whether Redis may be asked."""
        return self._breaker.allows() and self.connected.is_set()

    def now(self) -> Revision:
        """About Redis' time, in microseconds."""
        return time.monotonic_ns() // 1000 + self._offset

    def opened(self, kind: str) -> None:
        """The breaker has just opened."""
        self._outage = True
        self._left(f"{kind}: {MEANING.get(kind, 'Redis refused')}")

    def remember(self, floors: Iterable[tuple[Target, Revision]]) -> None:
        """Let nothing be read before these are published."""
        for target, floor in floors:
            self.pending.add(target, floor)
        self._catch_up_soon()

    def forget(self, namespaces: Iterable[str | None]) -> None:
        """Let nothing be read before these have new epochs."""
        for namespace in namespaces:
            self.pending.add_all(namespace)
        self._catch_up_soon()

    async def tell_the_rest(self) -> None:
        """Tell Redis of what is pending, whatever the breaker says; raises ``CacheUnavailable``."""
        await self._catch_up()

    def _catch_up_soon(self) -> None:
        if self.pending and self._breaker.catch_up():
            self._left("a write could not be told")
        self._wake.set()

    async def run(self) -> None:
        """Connect, and then heal whenever there is something to heal."""
        await self._connect()
        while True:
            self._wake.clear()
            if self._breaker.state is State.CLOSED:
                await self._wake.wait()
            elif self._breaker.state is State.DRAINING:
                await self._drain()
            else:
                await self._try()

    async def _connect(self) -> None:
        try:
            await self._set_clock()
        except CacheUnavailable:
            self._breaker.trip()
            self.opened(self._asker.error)
        finally:
            self.connected.set()
        if self._breaker.state is State.CLOSED:
            # Those who come first should not have to wait for the other connections.
            await asyncio.gather(
                *(self._asker.probe(CONNECTING) for _ in range(LANES + AT_ONCE + 1)),
                return_exceptions=True,
            )

    async def _try(self) -> None:
        wait = self._breaker.probe_in(urgent=bool(self.pending))
        if wait > 0:
            await self._sleep(min(wait, LOOK))
        elif self._breaker.probe(urgent=bool(self.pending)):
            await self._probed()

    async def _probed(self) -> None:
        try:
            await self._set_clock()  # which connects; what follows is as fast as a call has to be
            await self._asker.probe(self._asker.timeout)
        except CacheUnavailable:
            self._breaker.probed(answered=False)
        except BaseException:
            self._breaker.abandoned()
            raise
        else:
            self._breaker.probed(answered=True)

    async def _drain(self) -> None:
        try:
            await self._catch_up()
            if self._outage:
                self.since = await self._set_clock()
        except CacheUnavailable:
            self._outage = True
            self._breaker.probed(answered=False)
            return
        if not self.pending:
            self._breaker.drained()
            self._outage = False
            log.info("Redis is used again, after %.1f s", time.monotonic() - self._away_since)

    async def _catch_up(self) -> None:
        for namespace, added in self.pending.overflowed():
            await self._asker.replace_epoch(namespace)
            self.pending.replaced(namespace, added)
        for steps in self.pending.batches(MOST_KEYS):
            await self._publish(steps)
            self.pending.published(steps)

    async def _set_clock(self) -> Revision:
        now = await self._asker.probe(CONNECTING)
        self._offset = now - time.monotonic_ns() // 1000
        return now

    async def _sleep(self, seconds: float) -> None:
        try:
            async with asyncio.timeout(seconds):
                await self._wake.wait()
        except TimeoutError:
            pass

    def _left(self, reason: str) -> None:
        self._away_since = time.monotonic()
        self._wake.set()
        log.warning("going on without Redis (%s)", reason)
