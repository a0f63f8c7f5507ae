"""Counting by spans of time: halves of halves, so that where there is nothing nothing is asked."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from math import ceil
from typing import Final

from ..errors import InvalidQuery

MOST: Final = 1_000
"""Buckets of one answer."""


@dataclass(frozen=True, slots=True)
class Timeline:
    """A span of time in buckets of one length; the last one may be shorter."""

    start: datetime
    end: datetime
    every: timedelta

    def __post_init__(self) -> None:
        if self.every <= timedelta() or self.end <= self.start:
            raise InvalidQuery("a span of time ends after its start, and its buckets have a length")
        if len(self) > MOST:
            raise InvalidQuery(f"{len(self):,} buckets, at most {MOST:,}; take longer ones")

    def __len__(self) -> int:
        return ceil((self.end - self.start) / self.every)

    def edge(self, number: int) -> datetime:
        """Where the bucket of this number starts; of the last but one, where all ends."""
        return min(self.end, self.start + number * self.every)

    @property
    def starts(self) -> tuple[datetime, ...]:
        return tuple(self.edge(number) for number in range(len(self)))


@dataclass(frozen=True, slots=True)
class Half:
    """The first half of consecutive buckets of a row, of which it is to be told what is in it."""

    row: int
    first: int
    middle: int
    last: int
    total: int


class Buckets:
    """Counts in rows of buckets, from their totals and what is told of halves.

    While there are :meth:`halves`, :meth:`tell` how much is in each of them.
    """

    def __init__(self, totals: Sequence[int], size: int) -> None:
        self.counts: list[list[int]] = [[0] * size for _ in totals]
        self._halves: list[Half] = []
        for row, total in enumerate(totals):
            self._enter(row, 0, size, total)

    def halves(self) -> list[Half]:
        return self._halves

    def tell(self, counts: Sequence[int]) -> None:
        """What is in each of the halves; the rest is in the other ones."""
        told, self._halves = list(zip(self._halves, counts, strict=True)), []
        for half, count in told:
            # More may have come, or gone, since the whole was counted.
            left = min(count, half.total)
            self._enter(half.row, half.first, half.middle, left)
            self._enter(half.row, half.middle, half.last, half.total - left)

    def _enter(self, row: int, first: int, last: int, total: int) -> None:
        if last - first == 1:
            self.counts[row][first] = total
        elif total:
            self._halves.append(Half(row, first, (first + last) // 2, last, total))
