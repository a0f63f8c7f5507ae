"""Whether the system may go on: asked of the store, at most once a second."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Final, Literal, TypeAlias, get_args

import anyio

from ..errors import ConfigurationError, EmergencyStopped, Overloaded, Unavailable
from ..models import GLOBAL_CONFIG, SystemState
from ..operations import Options
from ..protocol import MemoryManager

log: Final = logging.getLogger("orchestra_memory.system")

OnUnknown: TypeAlias = Literal["continue", "stop"]
"""What to do where the store does not tell whether the system was stopped."""

FRESH: Final = 1.0
"""Seconds for which an answer is taken for the state of things."""
_AS_STORED: Final = Options(cache="bypass", max_age=FRESH)


@dataclass(frozen=True, slots=True)
class Seen:
    """What was last told, ``asked`` by the clock; ``known`` is false if the store did not answer.

    Then the rest is what it had told before.
    """

    asked: float
    stopped: bool
    reason: str | None
    known: bool = True


_NOTHING: Final = Seen(asked=float("-inf"), stopped=False, reason=None)


class EmergencyGuard:
    """Tells whether the system kept in `memory` is stopped; ``clock`` tells seconds."""

    def __init__(
        self, memory: MemoryManager, *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._memory = memory
        self._clock = clock
        self._seen = _NOTHING
        self._asking = anyio.Lock()

    def forget(self) -> None:
        """Ask the store the next time, however lately it was asked."""
        self._seen = replace(self._seen, asked=_NOTHING.asked)

    async def check(self, on_unknown: OnUnknown) -> None:
        """Raise ``EmergencyStopped`` if the system is, or may be, to do nothing more."""
        if on_unknown not in get_args(OnUnknown):
            raise ConfigurationError('on_unknown must be "continue" or "stop"')
        if not self._is_fresh():
            async with self._asking:
                # Whoever waited for another one's question has its answer.
                if not self._is_fresh():
                    await self._ask()
        refuse(self._seen, on_unknown)

    def _is_fresh(self) -> bool:
        return self._clock() - self._seen.asked < FRESH

    async def _ask(self) -> None:
        asked, before = self._clock(), self._seen
        try:
            stored = await self._memory.get(SystemState, GLOBAL_CONFIG, options=_AS_STORED)
        except (Unavailable, Overloaded):
            # Waiting for a dead store counts: the next call is not to wait for it again at once.
            self._seen = replace(before, asked=self._clock(), known=False)
            if before.known:
                log.warning("whether the system is stopped cannot be told: the store is away")
            return
        state = stored or SystemState()
        self._seen = Seen(asked, state.emergency_stop, state.emergency_reason)
        if not before.known:
            log.info("whether the system is stopped is known again")


def refuse(seen: Seen, on_unknown: OnUnknown) -> None:
    """Raise ``EmergencyStopped`` unless what was seen lets the system go on."""
    if seen.stopped:
        raise EmergencyStopped(
            "the system was stopped in an emergency; it goes on after system.resume()",
            reason=seen.reason,
            known=seen.known,
        )
    if not seen.known and on_unknown == "stop":
        raise EmergencyStopped(
            "the store does not tell whether the system is stopped, and unknown counts as stopped; "
            "try again when it answers",
            known=False,
        )
