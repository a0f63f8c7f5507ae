"""When a fallback changed its state: waited for, and told by two clocks."""

from __future__ import annotations

import asyncio
import time
from typing import NamedTuple

from orchestra_memory.layers.fallback.states import State, Transition

from ..turns import Cost


class Moment(NamedTuple):
    """Seconds by the clock, and of this process's processor time."""

    at: float
    cpu: float

    @classmethod
    def now(cls) -> Moment:
        return cls(time.perf_counter(), time.process_time())

    def until(self, end: Moment) -> Cost:
        """What passed from this moment to a later one."""
        return Cost(end.at - self.at, end.cpu - self.cpu, None)


class Moments:
    """A hook of a `FallbackMemory` that notes when each of its states began."""

    def __init__(self) -> None:
        self._seen: list[tuple[State, Moment]] = []
        self._changed = asyncio.Event()

    def __call__(self, transition: Transition) -> None:
        self._seen.append((transition.after.state, Moment.now()))
        self._changed.set()

    async def first(self, state: State, *, since: Moment, patience: float) -> Moment:
        """When it first was in this state, waited for if need be.

        Raises ``TimeoutError`` after so many seconds of ``patience``.
        """
        async with asyncio.timeout(patience):
            while True:
                for seen, moment in self._seen:
                    if seen is state and moment.at >= since.at:
                        return moment
                self._changed.clear()
                await self._changed.wait()
