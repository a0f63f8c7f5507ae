"""A store that bills as Firestore does."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from orchestra_memory import Count, MeteredMemory, Options, Query
from orchestra_memory.operations import DEFAULT, Billed, Measure, Totals

ENTRIES_A_READ: Final = 1_000


class ByRule(MeteredMemory):
    """Over a store that bills nothing: aggregations as Firestore's published rule counts them.

    That is a read for up to 1,000 index entries of each, and at least one.
    """

    async def aggregate(
        self, query: Query[Any], measures: Sequence[Measure], *, options: Options = DEFAULT
    ) -> Totals:
        totals = await super().aggregate(query, [*measures, Count("entries")], options=options)
        # The library asks for each measure by itself.
        reads = len(measures) * reads_of(int(totals["entries"] or 0))
        values = {measure.name: totals[measure.name] for measure in measures}
        return Totals(values, totals.as_of, Billed(reads=reads))


def reads_of(entries: int) -> int:
    """What an aggregation that goes through so many index entries is billed."""
    return max(1, -(-entries // ENTRIES_A_READ))
