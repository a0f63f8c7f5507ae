"""A memory's health, asked for by many at once and found out once a second."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from ..errors import OrchestraMemoryError
from ..health import Health, Status
from ..values import utc_now

MEMORY: Final = "memory"
"""The component of what a memory did not say itself."""
LONGEST: Final = 10.0
"""Seconds for which an earlier answer stands in for one that is late."""


@dataclass(frozen=True, slots=True)
class Seen:
    """What was found, when by the clock on the wall, and whether a newer answer is overdue."""

    health: Health
    at: datetime
    overdue: bool = False


class SharedHealth:
    """Asks at most once in ``fresh`` seconds, whoever looks, and one at a time.

    Who looks waits for ``patience`` seconds at most; what was asked goes on for the next one. Then
    an earlier answer, at most ten seconds old, is better than none: what is down says so by itself,
    within its own deadline.
    """

    def __init__(
        self,
        ask: Callable[[], Awaitable[Health]],
        *,
        fresh: float,
        patience: float,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._ask = ask
        self._fresh = fresh
        self._patience = patience
        self._clock = clock
        self._seen: Seen | None = None
        self._seen_at = 0.0
        self._asking: asyncio.Task[None] | None = None

    async def look(self) -> Seen:
        """The state, found out now or less than ``fresh`` seconds ago."""
        if self._seen is not None and self._age() < self._fresh:
            return self._seen
        asking = self._asked()
        # Neither its own time nor its caller's end is the end of what others wait for, too.
        await asyncio.wait([asking], timeout=self._patience)
        if asking.done():
            asking.result()
        if self._seen is None or (not asking.done() and self._age() >= LONGEST):
            detail = f"no answer in {self._patience:g} s"
            return Seen(Health(MEMORY, Status.DOWN, detail), utc_now(), overdue=True)
        if not asking.done():
            return Seen(self._seen.health, self._seen.at, overdue=True)
        return self._seen

    def _age(self) -> float:
        return self._clock() - self._seen_at

    def _asked(self) -> asyncio.Task[None]:
        task = self._asking
        if task is None or task.done() or task.get_loop() is not asyncio.get_running_loop():
            task = self._asking = asyncio.create_task(self._find_out())
        return task

    async def _find_out(self) -> None:
        try:
            health = await self._ask()
        except (OrchestraMemoryError, RuntimeError) as error:
            # The latter is how a layer answers that is not entered, or not any more.
            health = Health(MEMORY, Status.DOWN, f"{type(error).__name__}: {error}")
        self._seen, self._seen_at = Seen(health, utc_now()), self._clock()
