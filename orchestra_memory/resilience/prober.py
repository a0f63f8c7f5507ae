"""Finds out when a dependency is back, and has caught up before calls go to it again."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final

from ..errors import Unavailable
from .breaker import Breaker, State

PATIENCE: Final = 1.0
"""Seconds for one probe: what takes longer to answer nothing is not back yet."""
LOOK: Final = 1.0
"""Longest sleep while a breaker is open: a call refused meanwhile makes the next probe come sooner.
"""


def never() -> bool:
    """What is asked whether there is something to catch up, where there never is."""
    return False


class Prober:
    """The one who probes what a breaker keeps calls from, and closes it again.

    ``probe`` asks the dependency, within so many seconds, and says whether it answered.
    ``catch_up`` makes up for what it missed, once it answers; it raises ``Unavailable`` where it is
    gone again. ``urgent`` says whether there is something to make up for: probes come sooner then.

    `run` it in a task of its own, for as long as the breaker is in use.
    """

    def __init__(
        self,
        breaker: Breaker,
        probe: Callable[[float], Awaitable[bool]],
        *,
        catch_up: Callable[[], Awaitable[None]],
        urgent: Callable[[], bool] = never,
        patience: float = PATIENCE,
    ) -> None:
        self._breaker = breaker
        self._probe = probe
        self._catch_up = catch_up
        self._urgent = urgent
        self._patience = patience
        self._wake = asyncio.Event()

    def __repr__(self) -> str:
        return f"<Prober of {self._breaker!r}>"

    async def run(self) -> None:
        """Probe whenever it is due, until cancelled."""
        self._breaker.hooks.append(self._wake.set)
        try:
            while True:
                self._wake.clear()
                await self._step()
        finally:
            self._breaker.hooks.remove(self._wake.set)

    async def _step(self) -> None:
        match self._breaker.state:
            case State.CLOSED:
                await self._wake.wait()
            case State.DRAINING:
                await self._drain()
            case State.OPEN | State.HALF_OPEN:
                await self._try()

    async def _try(self) -> None:
        wait = self._breaker.probe_in(urgent=self._urgent())
        if wait > 0:
            await self._sleep(min(wait, LOOK))
        elif self._breaker.probe(urgent=self._urgent()):
            await self._ask()

    async def _ask(self) -> None:
        try:
            answered = await self._probe(self._patience)
        except BaseException:
            self._breaker.abandoned()
            raise
        self._breaker.probed(answered=answered)

    async def _drain(self) -> None:
        try:
            await self._catch_up()
        except Unavailable:
            self._breaker.probed(answered=False)
        else:
            self._breaker.drained()

    async def _sleep(self, seconds: float) -> None:
        try:
            async with asyncio.timeout(seconds):
                await self._wake.wait()
        except TimeoutError:
            pass
