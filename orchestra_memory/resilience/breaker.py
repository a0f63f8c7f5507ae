"""When to stop asking a dependency that does not answer, and when to ask it again.

Decided in plain functions of events and a clock; whoever makes the calls tells what came of them.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from math import inf
from typing import Final

_PARTS: Final = 10


class State(StrEnum):
    """What a breaker lets through: all calls, none, one probe, or only what has to catch up."""

    CLOSED = "closed"
    OPEN = "open"
    HALF_OPEN = "half-open"
    DRAINING = "draining"


class Missed(StrEnum):
    """What a missed deadline leads to.

    ``CONFIRM`` asks for a probe at once, within ``BreakerSettings.confirm``, the outcome of which
    is told to `Breaker.confirmed`.
    """

    COUNTED = "counted"
    OPENED = "opened"
    CONFIRM = "confirm"


@dataclass(frozen=True, slots=True)
class BreakerSettings:
    """When a breaker opens, and for how long. Times in seconds, shares between 0 and 1.

    ``consecutive`` failures in a row open it: 5, as a connection that broke fails only the few
    calls on it. So does a share of ``failures`` (0.5) among at least ``least`` (20) calls within
    ``window`` (10 s): a dependency that answers now and then never fails in a row.

    A share of ``slow_calls`` (0.8) that took longer than ``slow`` opens it, too. ``slow`` is
    ``None`` by default, since only who waits for an answer knows what is slow.

    A missed deadline opens it at once if ``confirm`` is 0, as by default: one caller has waited in
    full, the next ones need not. Where doing without the dependency costs more than a further
    look, ``confirm`` is how long a probe may take that has to fail first.

    It stays open for ``pause`` (1 s), doubled with every probe that fails and when it opens again
    within ``window``, up to ``longest_pause`` (30 s), by chance up to ``spread`` (a quarter) more
    or less so that many processes do not come back together. It is no longer than ``urgent_pause``
    (2 s) while there is something to catch up, or where a call was refused within the last
    ``wanted`` (60 s): who is waiting should not wait half a minute for what is back.

    ``successes`` probes in a row close it: 2, as what is starting may answer once.
    """

    consecutive: int = 5
    failures: float = 0.5
    least: int = 20
    window: float = 10.0
    slow: float | None = None
    slow_calls: float = 0.8
    confirm: float = 0.0
    pause: float = 1.0
    longest_pause: float = 30.0
    spread: float = 0.25
    urgent_pause: float = 2.0
    wanted: float = 60.0
    successes: int = 2


class Breaker:
    """Counts what became of calls, and says whether the next one may be made.

    Of each call, tell when it began by ``clock`` and how it ended: `succeeded`, `failed`, or
    `missed` its deadline. Tell nothing of a call that its caller cancelled, that was refused for a
    reason of its own (a conflict, a missing permission), or that the process was too busy to wait
    for. Calls that began before the present state did are not counted.

    Once open, one prober at a time is let through: `probe` is true for it, and it tells `probed`
    or `abandoned`. After enough successes there is time to catch up, until `drained`.

    Those in ``hooks`` are called each time its state has changed, and should not raise.
    """

    def __init__(
        self,
        settings: BreakerSettings | None = None,
        *,
        clock: Callable[[], float] = time.monotonic,
        chance: Callable[[], float] = random.random,
    ) -> None:
        self.settings: BreakerSettings = settings or BreakerSettings()
        self.state: State = State.CLOSED
        self.since: float = clock()
        self.clock = clock
        self.hooks: list[Callable[[], None]] = []
        self._chance = chance
        self._calls = _Calls(self.settings.window)
        self._in_a_row = 0
        self._openings = 0
        self._pause = 0.0
        self._probing = False
        self._good_probes = 0
        self._confirming = False
        self._refused = -inf

    def __repr__(self) -> str:
        return f"<Breaker {self.state.value}, {self._in_a_row} failures in a row>"

    def allows(self) -> bool:
        """Whether a call may be made. A refusal is remembered: the next probe is wanted sooner."""
        if self.state is State.CLOSED:
            return True
        self._refused = self.clock()
        return False

    def succeeded(self, began: float) -> bool:
        """A call was answered; true if it was one slow call too many, and the breaker opened."""
        if not self._counts(began):
            return False
        self._in_a_row = 0
        slow, now = self.settings.slow, self.clock()
        if slow is None or now - began <= slow:
            self._calls.add(now)
            return False
        self._calls.add(now, slow=1)
        return self._open_if(self._calls.slow_share(now, self.settings) >= self.settings.slow_calls)

    def failed(self, began: float) -> bool:
        """A call was not answered as it should be; true if that opened the breaker."""
        if not self._counts(began):
            return False
        now = self.clock()
        self._in_a_row += 1
        self._calls.add(now, failed=1)
        return self._open_if(
            self._in_a_row >= self.settings.consecutive
            or self._calls.failed_share(now, self.settings) >= self.settings.failures
        )

    def missed(self, began: float) -> Missed:
        """A call was not answered within its whole deadline."""
        if not self._counts(began):
            return Missed.COUNTED
        if self.failed(began) or self._open_if(self.settings.confirm == 0):
            return Missed.OPENED
        if self._confirming:
            return Missed.COUNTED
        self._confirming = True
        return Missed.CONFIRM

    def confirmed(self, *, answered: bool) -> bool:
        """How the probe after a missed deadline ended; true if that opened the breaker."""
        self._confirming = False
        return self._open_if(self.state is State.CLOSED and not answered)

    def trip(self) -> bool:
        """Open it for a reason the owner knows; false if it was not closed."""
        return self._open_if(self.state is State.CLOSED)

    def catch_up(self) -> bool:
        """Let nothing through until `drained`: there is something to catch up first."""
        if self.state is not State.CLOSED:
            return False
        self._enter(State.DRAINING)
        return True

    def probe_in(self, *, urgent: bool = False) -> float:
        """Seconds until the next probe may be made, infinite where none is to be made."""
        if self._probing or self.state in {State.CLOSED, State.DRAINING}:
            return inf
        if self.state is State.HALF_OPEN:
            return 0.0
        now, pause = self.clock(), self._pause
        if urgent or now - self._refused <= self.settings.wanted:
            pause = min(pause, self.settings.urgent_pause)
        return max(0.0, self.since + pause - now)

    def probe(self, *, urgent: bool = False) -> bool:
        """Whether the asker is to probe now: true for one at a time, once the pause is over."""
        if self.probe_in(urgent=urgent) > 0:
            return False
        self._probing = True
        if self.state is not State.HALF_OPEN:
            self._enter(State.HALF_OPEN)
        return True

    def probed(self, *, answered: bool) -> bool:
        """How a probe, or the catching up, went; true if it is time to catch up now."""
        self._probing = False
        if self.state not in {State.HALF_OPEN, State.DRAINING}:
            return False
        if not answered:
            self._open()
            return False
        self._good_probes += 1
        if self.state is State.DRAINING or self._good_probes < self.settings.successes:
            return False
        self._enter(State.DRAINING)
        return True

    def abandoned(self) -> None:
        """The prober was cancelled and knows nothing; another may probe at once."""
        self._probing = False

    def drained(self) -> None:
        """All is caught up: calls may be made again."""
        self._enter(State.CLOSED)

    def _counts(self, began: float) -> bool:
        return self.state is State.CLOSED and began >= self.since

    def _open_if(self, reason: bool) -> bool:
        if reason:
            self._open()
        return reason

    def _open(self) -> None:
        settings = self.settings
        if self.state is State.CLOSED and self.clock() - self.since >= settings.window:
            self._openings = 0
        doubled = settings.pause * 2.0 ** min(self._openings, 30)
        spread = 1 + settings.spread * (2 * self._chance() - 1)
        self._openings += 1
        self._pause = min(doubled, settings.longest_pause) * spread
        self._enter(State.OPEN)

    def _enter(self, state: State) -> None:
        self.state = state
        self.since = self.clock()
        self._in_a_row = 0
        self._good_probes = self._good_probes if state is State.HALF_OPEN else 0
        self._confirming = False
        self._calls = _Calls(self.settings.window)
        for hook in self.hooks:
            hook()


class _Calls:
    """Calls of the last seconds, forgotten a tenth of the window at a time."""

    __slots__ = ("_parts", "_width")

    def __init__(self, window: float) -> None:
        self._width = window / _PARTS
        self._parts = [_Part() for _ in range(_PARTS)]

    def add(self, now: float, *, failed: int = 0, slow: int = 0) -> None:
        number = int(now / self._width)
        part = self._parts[number % _PARTS]
        if part.number != number:
            part.number, part.calls, part.failed, part.slow = number, 0, 0, 0
        part.calls += 1
        part.failed += failed
        part.slow += slow

    def failed_share(self, now: float, settings: BreakerSettings) -> float:
        return self._share(now, settings.least, [part.failed for part in self._parts])

    def slow_share(self, now: float, settings: BreakerSettings) -> float:
        return self._share(now, settings.least, [part.slow for part in self._parts])

    def _share(self, now: float, least: int, counted: list[int]) -> float:
        """The share of calls that are counted; none where there were too few to tell."""
        first = int(now / self._width) - _PARTS
        recent = [n for n, part in enumerate(self._parts) if part.number > first]
        calls = sum(self._parts[n].calls for n in recent)
        return sum(counted[n] for n in recent) / calls if calls >= max(least, 1) else 0.0


@dataclass(slots=True)
class _Part:
    number: int = -1
    calls: int = 0
    failed: int = 0
    slow: int = 0
