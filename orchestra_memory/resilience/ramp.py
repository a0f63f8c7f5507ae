"""The 500/50/5 rule: how fast traffic to new collections may grow.

https://cloud.google.com/firestore/docs/best-practices#ramping_up_traffic
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

RATE: Final = 500.0
"""Operations a second to begin with."""
GROWTH: Final = 1.5
PERIOD: Final = 300.0
"""Seconds after which the rate may grow by half."""
PERIODS: Final = 50.0
"""Times it grows; by then it is far beyond what anything can send."""


@dataclass(slots=True)
class Ramp:
    """Hands out the time at which operations may begin, by the clock its callers read."""

    began: float | None = None
    free_at: float = 0.0

    def rate(self, now: float) -> float:
        """Operations a second that are allowed at this time."""
        began = now if self.began is None else self.began
        return float(RATE * GROWTH ** min(PERIODS, (now - began) // PERIOD))

    def pause(self, operations: int, now: float) -> float:
        """Seconds to wait before so many operations begin; they count as begun."""
        if self.began is None:
            self.began = now
        start = max(self.free_at, now)
        self.free_at = start + operations / self.rate(now)
        return start - now
