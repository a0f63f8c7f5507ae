"""A process with an outage fallback, which can be killed at any step that its journal takes."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

from orchestra_memory import (
    Breaker,
    BreakerSettings,
    FallbackMemory,
    GuardedMemory,
    Journal,
    MemoryManager,
)
from orchestra_memory.layers.fallback.states import State
from orchestra_memory.resilience.retry import Retries
from orchestra_memory.testing.faults import FaultyMemory

TARGET = "the store of the test"
STEPS = ("append", "bind", "settle", "dead_letter")
TIMEOUT = 0.05
QUICK = BreakerSettings(
    pause=0.005, longest_pause=0.01, urgent_pause=0.005, confirm=0.02, spread=0.0
)


class Link(FaultyMemory):
    """The way to the store; nothing of a process that is dead arrives there."""

    dead = False

    async def _reach(self, verb: Any, call: Callable[[], Awaitable[Any]]) -> Any:
        if self.dead:
            await asyncio.sleep(3600)
        answer = await super()._reach(verb, call)
        if self.dead:
            await asyncio.sleep(3600)
        return answer


class Process:
    """Opened on a directory; `kill_at` says at which of its journal's next steps it dies."""

    def __init__(self, store: MemoryManager, directory: Path, retries: Retries | None = None):
        self.link = Link(store)
        self.directory = directory
        self.died = asyncio.Event()
        self.left: Path | None = None
        self.guard = GuardedMemory(
            self.link,
            timeout=TIMEOUT,
            retries=retries or Retries(attempts=2, pause=0.001),
            breaker=Breaker(QUICK),
        )
        self._exits = AsyncExitStack()
        self._steps_left = -1
        self._dies_before = False

    async def start(self) -> None:
        opening = Journal.open(self.directory, target=TARGET, medium="persistent")
        self.journal = await self._exits.enter_async_context(opening)
        for name in STEPS:
            setattr(self.journal, name, self._tapped(getattr(self.journal, name)))
        self.memory = FallbackMemory(self.guard, journal=self.journal, guard=self.guard, drain=0)
        await self._exits.enter_async_context(self.memory)

    def kill_at(self, step: int, *, before: bool) -> None:
        """Die at this step from now on, 0 being the next, before or after it is on the disk."""
        self._steps_left, self._dies_before = step, before

    def kill(self) -> Path:
        """What is left on the disk of who is killed now."""
        if self.left is None:
            self.left = self.directory.with_name(f"{self.directory.name}+")
            shutil.copytree(self.directory, self.left)
            self.link.dead = True
            self.died.set()
        return self.left

    async def end(self) -> None:
        await self._exits.aclose()

    async def until_normal(self) -> None:
        """Until all that waited is in the store."""
        self.link.heal()
        async with asyncio.timeout(20):
            while self.memory.status().state is not State.NORMAL:  # noqa: ASYNC110 -- polled
                await asyncio.sleep(0.002)

    def _tapped(self, step: Callable[..., Awaitable[Any]]) -> Callable[..., Awaitable[Any]]:
        async def tapped(*args: Any, **options: Any) -> Any:
            await self._die_if(before=True)
            result = await step(*args, **options)
            await self._die_if(before=False)
            return result

        return tapped

    async def _die_if(self, *, before: bool) -> None:
        if self._steps_left == 0 and before == self._dies_before:
            self.kill()
        if before == self._dies_before:
            self._steps_left -= 1
        if self.link.dead:
            await asyncio.sleep(3600)
