"""Tells a breaker what became of the calls to one dependency."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from types import TracebackType
from typing import Final

from ..errors import BreakerOpen, DeadlineExceeded, PartialWrite, Unavailable
from .breaker import Breaker, Missed
from .lag import LoopLag

LAG_EVERY: Final = 0.05
"""Seconds between two looks at how far the event loop is behind, while somebody waits."""


class Watch:
    """Counts answers, failures and missed deadlines for a breaker.

    ``probe`` is asked within ``BreakerSettings.confirm`` seconds where a missed deadline leaves it
    open whether the dependency answers at all; it says whether it did.

    A deadline of which the event loop was behind for more than half says nothing of the dependency
    and is only counted, in ``lags``. ``error`` is the last failure, in words.
    """

    def __init__(self, breaker: Breaker, probe: Callable[[float], Awaitable[bool]]) -> None:
        self.breaker: Breaker = breaker
        self.error: str = ""
        self.lags: int = 0
        self._probe = probe
        self._lag = LoopLag(LAG_EVERY)
        self._looking: asyncio.Task[None] | None = None

    def call(self, timeout: float, *, short: bool) -> Watched:
        """The block that one call takes place in.

        ``timeout`` is its whole deadline in seconds. ``short`` says that its caller left it less
        time than calls have by themselves: when that is over, it is looked into, but not counted.
        """
        return Watched(self, self._lag, timeout, short=short)

    def ended_with(self, error: Exception, call: Watched) -> None:
        """What a call has raised: what it says of the dependency is told to the breaker."""
        failure = error.__cause__ if isinstance(error, PartialWrite) else error
        if not isinstance(failure, Unavailable) or isinstance(failure, BreakerOpen):
            return
        self.error = f"{type(failure).__name__}: {failure}"
        if not isinstance(failure, DeadlineExceeded):
            self.breaker.failed(call.began)
        elif call.lagged:
            self.lags += 1
        elif self._is_in_doubt(call):
            self._look()

    def _is_in_doubt(self, call: Watched) -> bool:
        """Whether the missed deadline has to be looked into."""
        if call.short and self.breaker.settings.confirm > 0:
            return True
        return self.breaker.missed(call.began) is Missed.CONFIRM

    def _look(self) -> None:
        if self._looking is None:
            # Kept here, as the loop itself holds tasks weakly.
            self._looking = asyncio.create_task(self._confirm())

    async def _confirm(self) -> None:
        seconds = self.breaker.settings.confirm
        began = self._lag.begin()
        try:
            answered = await self._probe(seconds)
            behind = self._lag.total - began > seconds / 2
            self.breaker.confirmed(answered=answered or behind)
        finally:
            self._lag.end()
            self._looking = None


class Watched:
    """One call: in its block, however that ends."""

    __slots__ = ("_behind", "_lag", "_timeout", "_watch", "began", "lagged", "short")

    def __init__(self, watch: Watch, lag: LoopLag, timeout: float, *, short: bool) -> None:
        self.began: float = watch.breaker.clock()
        self.lagged: bool = False
        self.short: bool = short
        self._watch = watch
        self._lag = lag
        self._timeout = timeout

    def __enter__(self) -> None:
        self._behind = self._lag.begin()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._lag.end()
        if error is None:
            self._watch.breaker.succeeded(self.began)
        elif isinstance(error, Exception):
            self.lagged = self._lag.total - self._behind > self._timeout / 2
            self._watch.ended_with(error, self)
