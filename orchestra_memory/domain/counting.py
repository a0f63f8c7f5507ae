"""Asking a store for figures: several at a time, none by reading records one after another."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Final, TypeAlias

import anyio

from ..operations import FREE, Billed, Count, Measure, Options, Totals
from ..protocol import MemoryManager
from ..queries import Query
from .bulk import first

IN_FLIGHT: Final = 4
"""Requests under way at once."""
ENTRIES_A_READ: Final = 1_000
"""Index entries of an aggregation that Firestore bills as one read."""
TIMEOUT: Final = 60.0
"""Seconds of one question: going through many index entries takes longer than a single operation
may, and after so many Firestore gives an aggregation up by itself."""

Asked: TypeAlias = tuple[Query[Any], Sequence[Measure], int]
"""A query, what to measure, and about how many records match, if that is known; else 0."""


@dataclass(frozen=True, slots=True)
class Values:
    """Different values of a field, in their order; not ``complete`` if there are more."""

    found: tuple[str, ...]
    complete: bool


class Counting:
    """Figures of a memory; ``billed`` is what it took to get them.

    ``options`` are those of each question: past the cache, and with `timeout` seconds to answer.
    """

    def __init__(self, memory: MemoryManager, *, timeout: float = TIMEOUT) -> None:
        self.billed: Billed = FREE
        self.options: Options = Options(timeout=timeout, cache="bypass")
        self._memory = memory

    async def counts(self, queries: Iterable[Query[Any]]) -> list[int]:
        """How many records match, for each query. Raises ``Unavailable`` in an outage."""
        totals = await self.totals([(query, (Count(),), 0) for query in queries])
        return [int(each["count"] or 0) for each in totals]

    async def totals(self, asked: Sequence[Asked]) -> list[Totals]:
        """What was asked for, in that order. Raises ``Unavailable`` in an outage."""
        found: dict[int, Totals] = {}
        failures: list[Exception] = []
        left = iter(enumerate(asked))

        async def work() -> None:
            for place, each in left:
                try:
                    found[place] = await self._ask(*each)
                except Exception as error:  # noqa: BLE001 -- raised when the others have ended
                    failures.append(error)
                    group.cancel_scope.cancel()

        async with anyio.create_task_group() as group:
            for _ in range(min(IN_FLIGHT, len(asked))):
                group.start_soon(work)
        if failures:
            raise failures[0]
        return [found[place] for place in range(len(asked))]

    async def _ask(self, query: Query[Any], measures: Sequence[Measure], about: int) -> Totals:
        totals = await self._memory.aggregate(query, measures, options=self.options)
        # Stores cannot tell how many entries a sum went through.
        least = len(measures) * max(1, -(-about // ENTRIES_A_READ)) if about else 0
        self.billed += Billed(reads=max(totals.billed.reads, least))
        return totals

    async def values(self, next_: Callable[[str], Query[Any]], *, most: int) -> Values:
        """The different texts in a field, at most so many: each costs a read, however many have it.

        `next_` is the query for the record with the next text, which it orders by.
        """
        found: list[str] = []
        while (text := await self.value(next_(found[-1] if found else ""))) is not None:
            if len(found) == most:
                return Values(tuple(found), complete=False)
            found.append(text)
        return Values(tuple(found), complete=True)

    async def value(self, query: Query[Any]) -> str | None:
        """The text in the field that `query` orders by, in its first record, if there is one."""
        page = await self._memory.find(query, options=self.options)
        self.billed += page.billed
        record = first(page, query)
        return None if record is None else str(getattr(record, query.order_by[0].field))
