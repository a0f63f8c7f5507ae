"""Stores for going through many events: one that bills as Firestore does, and a patient one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Final, TypeVar

from anyio import CapacityLimiter

from orchestra_memory import Count, MemoryManager, MeteredMemory, Options, Query, Record
from orchestra_memory.operations import DEFAULT, Billed, Measure, Page, Totals

R = TypeVar("R", bound=Record)

ENTRIES_A_READ: Final = 1_000
PATIENCE: Final = 600.0
"""Seconds of one aggregation: the emulator has no index, and goes through all events for each."""
AT_ONCE: Final = 2


class ByRule(MeteredMemory):
    """Over a store that bills nothing: reads as Firestore's published rule counts them.

    That is one for each document of an answer, with one that is read ahead to know whether there
    are more, and for up to 1,000 index entries of each aggregation; at least one for each query.
    """

    async def find(self, query: Query[R], *, options: Options = DEFAULT) -> Page[R]:
        page = await super().find(query, options=options)
        return replace(page, billed=Billed(reads=len(page.items) + 1))

    async def aggregate(
        self, query: Query[Any], measures: Sequence[Measure], *, options: Options = DEFAULT
    ) -> Totals:
        totals = await super().aggregate(query, [*measures, Count("entries")], options=options)
        entries = int(totals["entries"] or 0)
        # The library asks for each measure by itself.
        each = max(1, -(-entries // ENTRIES_A_READ))
        values = {measure.name: totals[measure.name] for measure in measures}
        return Totals(values, totals.as_of, Billed(reads=len(measures) * each))


class Patient(MeteredMemory):
    """Lets aggregations take as long as they do on the emulator, a few at a time.

    More at once would each take so long that the emulator cuts the connection, which is silent
    meanwhile but for its pings.
    """

    def __init__(self, inner: MemoryManager) -> None:
        super().__init__(inner)
        self._limit = CapacityLimiter(AT_ONCE)

    async def aggregate(
        self, query: Query[Any], measures: Sequence[Measure], *, options: Options = DEFAULT
    ) -> Totals:
        patient = replace(options, timeout=PATIENCE)
        async with self._limit:
            return await super().aggregate(query, measures, options=patient)
