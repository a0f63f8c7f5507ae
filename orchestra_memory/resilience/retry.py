"""When a call is made again, and after how long: decided in plain functions."""

from __future__ import annotations

import random
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass, field
from typing import Final, TypeVar

import anyio

from ..errors import DeadlineExceeded, Overloaded, Unavailable
from ..operations import PRESENT, Op, Patch
from .deadline import Deadline

T = TypeVar("T")

BUDGET_RATIO: Final = 0.1
"""Retries per call that the budget earns: in an outage, load grows by a tenth at most."""
BUDGET_LIMIT: Final = 10.0
"""Retries that can be saved up."""


@dataclass
class RetryBudget:
    """Retries are paid from what calls have earned, so that retries never become the load."""

    tokens: float = BUDGET_LIMIT

    def earn(self) -> None:
        self.tokens = min(BUDGET_LIMIT, self.tokens + BUDGET_RATIO)

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
    if isinstance(error, DeadlineExceeded):
        return False
    return isinstance(error, Unavailable) and (repeatable or not error.ambiguous)


async def retried(
    call: Callable[[], Awaitable[T]], *, policy: Retries, deadline: Deadline, repeatable: bool
) -> T:
    """The answer of `call`, made again after failures that are safe to repeat."""
    policy.budget.earn()
    attempt = 1
    while True:
        try:
            return await call()
        except (Unavailable, Overloaded) as error:
            pause = policy.pause_after(attempt)
            if (
                attempt >= policy.attempts
                or not is_safe(error, repeatable=repeatable)
                or not deadline.allows(pause)
                or not policy.budget.spend()
            ):
                raise
        attempt += 1
        await anyio.sleep(pause)
