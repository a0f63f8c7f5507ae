"""How a store with an outage fallback fares, decided from what its parts say."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import TypeAlias

from ...operations import Durability
from ...resilience import breaker
from ...resilience.journal import JournalStatus


class State(StrEnum):
    """What callers get, best first.

    ``NORMAL``: the store answers. ``CACHE_BYPASSED``: it does, more slowly, as the cache does not.
    ``RECOVERING``: it is back, but does not have all writes of the outage yet. ``DEGRADED``: it
    does not answer; reads come from what is known, and writes wait.
    """

    NORMAL = "normal"
    CACHE_BYPASSED = "cache bypassed"
    RECOVERING = "recovering"
    DEGRADED = "degraded"


@dataclass(frozen=True, slots=True)
class Standing:
    """A state, and since when, in seconds since 1970."""

    state: State
    since: float

    def moved(self, state: State, now: float) -> Standing:
        """The standing from `now` on; the same where nothing has changed."""
        return self if state is self.state else Standing(state, now)


@dataclass(frozen=True, slots=True)
class Transition:
    """From one state into another: ``waiting`` writes wait then, ``error`` is the last failure."""

    before: Standing
    after: Standing
    waiting: int
    error: str

    def __str__(self) -> str:
        error = f" ({self.error})" if self.error and self.after.state is State.DEGRADED else ""
        seconds = max(0.0, self.after.since - self.before.since)
        return (
            f"{self.after.state} after {seconds:.1f} s {self.before.state}, "
            f"{counted(self.waiting, 'waits', 'wait')}{error}"
        )


def counted(writes: int, singular: str, plural: str) -> str:
    """How many writes do what."""
    return f"1 write {singular}" if writes == 1 else f"{writes:,} writes {plural}"


Hook: TypeAlias = Callable[[Transition], None]


@dataclass(frozen=True, slots=True)
class FallbackStatus:
    """What an operator is told.

    ``since`` is when this state began, in seconds since 1970. ``waiting`` writes wait for replay,
    the first since ``oldest``, in microseconds since 1970; ``durability`` is what that is worth.
    ``dead_letters`` are out of replay until somebody looks at them. ``error`` is the last failure
    of the store, or why the replay does not go on, in words.
    """

    state: State
    since: float
    waiting: int
    oldest: int | None
    dead_letters: int
    durability: Durability
    error: str
    journal: JournalStatus


def state_of(primary: breaker.State, waiting: int, *, bypassed: bool) -> State:
    """The state, by that of the breaker above the store and by how many writes wait for it."""
    if primary in {breaker.State.OPEN, breaker.State.HALF_OPEN}:
        return State.DEGRADED
    if primary is breaker.State.DRAINING or waiting:
        return State.RECOVERING
    return State.CACHE_BYPASSED if bypassed else State.NORMAL
