"""How much is under way at once, found out by how the store takes it."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from math import inf
from typing import Final

import anyio

from ..errors import Overloaded

START: Final = 4.0
"""Requests at once before anything is known."""
MOST: Final = 8.0
LEAST: Final = 1.0
SLOW: Final = 4.0
"""So many times the quickest answer tells that requests queue rather than travel."""
FORGETTING: Final = 1.01
"""What each answer adds to the quickest one known, so that a changed network is noticed."""
EASED: Final = 0.9
HALVED: Final = 0.5


@dataclass(slots=True)
class Allowance:
    """Additive increase and multiplicative decrease (Chiu and Jain, 1989). Times in seconds."""

    allowed: float = START
    quickest: float = inf
    lowered: float = -inf

    def answered(self, began: float, ended: float) -> None:
        """A request was answered: a quick answer allows more, a slow one somewhat less."""
        took = ended - began
        self.quickest = min(self.quickest * FORGETTING, took)
        if took > self.quickest * SLOW:
            self._lower(EASED, began, ended)
        else:
            self.allowed = min(MOST, self.allowed + 1 / self.allowed)

    def refused(self, began: float, ended: float) -> None:
        """A request was refused because the store has too much to do."""
        self._lower(HALVED, began, ended)

    def _lower(self, factor: float, began: float, ended: float) -> None:
        # Requests that were under way when it was last lowered tell nothing of the lower one.
        if began >= self.lowered:
            self.allowed = max(LEAST, self.allowed * factor)
            self.lowered = ended


class Concurrency:
    """Lets in as many as the store has shown to take."""

    def __init__(self) -> None:
        self._allowance = Allowance()
        self._limiter = anyio.CapacityLimiter(int(START))

    @property
    def allowed(self) -> int:
        return int(self._allowance.allowed)

    @asynccontextmanager
    async def slot(self, *, telling: bool = True) -> AsyncIterator[None]:
        """Wait for a turn, and learn from how what is done in it ends.

        A request that is not `telling`, being small, is no measure of how quick an answer can be.
        """
        async with self._limiter:
            began = time.monotonic()
            try:
                yield
            except Overloaded:
                self._allowance.refused(began, time.monotonic())
                raise
            else:
                if telling:
                    self._allowance.answered(began, time.monotonic())
            finally:
                self._limiter.total_tokens = self.allowed
