"""When a call is made again, and after how long: decided in plain functions."""

from __future__ import annotations

import random
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterable
from contextlib import aclosing
from dataclasses import dataclass, field
from typing import Final, TypeVar

import anyio

from ..errors import BreakerOpen, DeadlineExceeded, Overloaded, Unavailable
from ..operations import PRESENT, Op, Page, Patch
from ..queries import Query
from ..record import Record
from .deadline import Deadline

R = TypeVar("R", bound=Record)
T = TypeVar("T")

BUDGET_RATIO: Final = 0.1
"""Retries per call that the budget earns: in an outage, load grows by a tenth at most."""
BUDGET_LIMIT: Final = 10.0
"""Retries that can be saved up."""


@dataclass
class RetryBudget:
    """Retries are paid from what calls have earned, so that retries never become the load."""

    limit: float = BUDGET_LIMIT
    tokens: float = field(init=False)

    def __post_init__(self) -> None:
        self.tokens = self.limit

    def earn(self, work: float = 1) -> None:
        """Note that `work` was done: so many calls, or as much as so many calls."""
        self.tokens = min(self.limit, self.tokens + BUDGET_RATIO * work)

    def spend(self) -> bool:
        """Whether a retry can be afforded; it is paid for if so."""
        if self.tokens < 1:
            return False
        self.tokens -= 1
        return True


@dataclass(frozen=True)
class Retries:
    """How often, and how far apart.

    ``attempts`` counts the first one: 3 by default. Pauses are random between nothing and a bound
    that starts at ``pause`` seconds and doubles (full jitter,
    https://aws.amazon.com/blogs/architecture/exponential-backoff-and-jitter/).
    """

    attempts: int = 3
    pause: float = 0.05
    budget: RetryBudget = field(default_factory=RetryBudget)

    def pause_after(self, attempt: int) -> float:
        return random.uniform(0, self.pause * 2 ** (attempt - 1))


def may_repeat(ops: Iterable[Op]) -> bool:
    """Whether applying these twice leaves the same as applying them once."""
    return all(_may_repeat(op) for op in ops)


def _may_repeat(op: Op) -> bool:
    if isinstance(op, Patch):
        return op.expect is PRESENT and not op.increment
    return op.expect is None


def is_safe(error: Exception, *, repeatable: bool) -> bool:
    """Whether the failed call can be made again without being applied twice."""
    if isinstance(error, Overloaded):
        return True
    if isinstance(error, DeadlineExceeded | BreakerOpen):
        return False
    return isinstance(error, Unavailable) and (repeatable or not error.ambiguous)


class Attempts:
    """The attempts at one call, each made after the failure of the one before."""

    def __init__(self, policy: Retries, deadline: Deadline, *, repeatable: bool) -> None:
        self._policy = policy
        self._deadline = deadline
        self._repeatable = repeatable
        self._attempt = 1
        policy.budget.earn()

    def progressed(self, work: int) -> None:
        """An attempt did as much as so many calls before it failed: count from there on."""
        if work:
            self._attempt = 1
            self._policy.budget.earn(work)

    async def pause(self, error: Exception) -> None:
        """Wait until the next attempt may be made; raises `error` if none may."""
        seconds = self._policy.pause_after(self._attempt)
        if (
            self._attempt >= self._policy.attempts
            or not is_safe(error, repeatable=self._repeatable)
            or not self._deadline.allows(seconds)
            or not self._policy.budget.spend()
        ):
            raise error
        self._attempt += 1
        await anyio.sleep(seconds)


async def retried(
    call: Callable[[], Awaitable[T]], *, policy: Retries, deadline: Deadline, repeatable: bool
) -> T:
    """The answer of `call`, made again after failures that are safe to repeat."""
    attempts = Attempts(policy, deadline, repeatable=repeatable)
    while True:
        try:
            return await call()
        except (Unavailable, Overloaded) as error:
            await attempts.pause(error)


async def resumed(
    pages: Callable[[Query[R]], AsyncGenerator[Page[R]]],
    query: Query[R],
    attempts: Callable[[], Attempts],
) -> AsyncGenerator[Page[R]]:
    """All pages of `query`; where they break off they are asked for anew behind the last one."""
    left = attempts()
    while True:
        try:
            async with aclosing(pages(query)) as rest:
                async for page in rest:
                    yield page
                    left = attempts()
                    if page.cursor is not None:
                        query = query.with_(after=page.cursor)
        except (Unavailable, Overloaded) as error:
            await left.pause(error)
        else:
            return
