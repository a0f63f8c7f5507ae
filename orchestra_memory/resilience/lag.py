"""Timeouts that know how far the event loop falls behind."""

from __future__ import annotations

import asyncio
from types import TracebackType
from typing import Final

TURNS: Final = 8
"""Turns of the loop between the end of the time and that of the wait, which take microseconds where
nothing else is to be done: where much is, an answer that came in time takes several to arrive."""


class LagTolerantTimeout:
    """Ends a wait ``timeout`` seconds after it began, or was taken up again.

    It is taken up again, once, where the loop fell behind by more than half of the time: an answer
    may be there already, and whether there is one says nothing yet. ``lagged`` says that the loop
    fell behind in the end, too. It does what `asyncio.timeout` does, but awaits nothing by itself.
    """

    __slots__ = (
        "_again",
        "_began",
        "_cancelling",
        "_is_over",
        "_lag",
        "_task",
        "_timeout",
        "_timer",
        "_turns",
        "_until",
        "lagged",
    )

    def __init__(self, lag: LoopLag, timeout: float) -> None:
        self.lagged: bool = False
        self._again = True
        self._is_over = False
        self._lag = lag
        self._timeout = timeout
        self._turns = TURNS
        self._timer: asyncio.Handle

    def __enter__(self) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._task = task
        self._cancelling = task.cancelling()
        self._began = self._lag.begin()
        loop = asyncio.get_running_loop()
        self._until = loop.time() + self._timeout
        self._timer = loop.call_at(self._until, self._due)

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._timer.cancel()
        self._lag.end()
        if (
            self._is_over
            and self._task.uncancel() <= self._cancelling
            and kind is asyncio.CancelledError
        ):
            raise TimeoutError from error

    def _due(self) -> None:
        loop = asyncio.get_running_loop()
        now = loop.time()
        behind = max(now - self._until, self._lag.total - self._began)
        self.lagged = behind > self._timeout / 2
        if self.lagged and self._again:
            self._again = False
            self._began = self._lag.total
            self._until = now + self._timeout
            self._timer = loop.call_at(self._until, self._due)
        else:
            self._timer = loop.call_soon(self._turn)

    def _turn(self) -> None:
        if self._turns:
            self._turns -= 1
            self._timer = asyncio.get_running_loop().call_soon(self._turn)
        else:
            self._is_over = True
            self._task.cancel()


class LoopLag:
    """Adds up how late a timer fires that is due every ``every`` seconds.

    A timer that is late shows how long other work kept the loop from taking an answer.
    """

    __slots__ = ("_due", "_every", "_timer", "_waiting", "total")

    def __init__(self, every: float) -> None:
        self.total: float = 0.0
        self._every = every
        self._due = 0.0
        self._waiting = 0
        self._timer: asyncio.TimerHandle | None = None

    def begin(self) -> float:
        """Somebody waits from now on; the seconds of lag so far, to compare with later."""
        self._waiting += 1
        if self._timer is None:
            self._arm()
        return self.total

    def end(self) -> None:
        """One fewer waits."""
        self._waiting -= 1

    def stop(self) -> None:
        """Measure no more until somebody waits again."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _arm(self) -> None:
        loop = asyncio.get_running_loop()
        self._due = loop.time() + self._every
        self._timer = loop.call_at(self._due, self._tick)

    def _tick(self) -> None:
        self.total += asyncio.get_running_loop().time() - self._due
        if self._waiting:
            self._arm()
        else:
            self._timer = None
