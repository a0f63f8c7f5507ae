"""Counts, sums and averages, computed by Firestore."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ...codec.document import is_expired
from ...matching import measured
from ...operations import Billed, Count, Measure, Revision, Totals
from ...queries import Query
from ...record import EXPIRATION
from ...resilience.deadline import Deadline
from ...values import utc_now
from .calls import Calls
from .names import Names
from .query import add_expired, aggregation, field_path, measurable
from .read import whole_rows


class Totalling:
    """The aggregation requests of one call, all as of `as_of`, or else of the first one's time."""

    def __init__(
        self,
        calls: Calls,
        names: Names,
        query: Query[Any],
        deadline: Deadline,
        *,
        as_of: Revision | None = None,
    ) -> None:
        self._calls = calls
        self._query = query
        self._parent = names.parent(query.namespace)
        self._message = measurable(query, names.collection(query))
        self._deadline = deadline
        self._now = utc_now()
        self._as_of: Revision | None = as_of
        self._reads = 0

    async def totals(self, measures: Sequence[Measure]) -> Totals:
        """Every measure, of what has not expired."""
        expired = await self._expired()
        if expired and not all(isinstance(measure, Count) for measure in measures):
            return await self._summed(measures)
        values: dict[str, float | None] = {}
        for measure in measures:
            value = await self._ask(self._message, measure)
            values[measure.name] = value - expired if expired and value is not None else value
        return Totals(values, self._as_of, Billed(reads=self._reads))

    async def _expired(self) -> float:
        """How many of the documents that match count as absent."""
        if not self._query.hides_expired:
            return 0
        message = type(self._message)()
        message.CopyFrom(self._message)
        add_expired(message, self._now)
        return await self._ask(message, Count()) or 0

    async def _ask(self, message: Any, measure: Measure) -> float | None:
        copy = type(message)()
        copy.CopyFrom(message)
        request = aggregation(copy, measure)
        value, self._as_of = await self._calls.aggregate(
            self._parent, request, self._deadline, as_of=self._as_of
        )
        # Billed by index entries, of which only a count tells the number.
        entries = value or 0 if isinstance(measure, Count) else 0
        self._reads += max(1, -(-int(entries) // 1000))
        return value

    async def _summed(self, measures: Sequence[Measure]) -> Totals:
        """Sums over the living only, which Firestore cannot tell while expired ones remain."""
        message = self._message
        fields = {EXPIRATION, *(m.of for m in measures if not isinstance(m, Count))}
        for path in sorted(fields):
            message.select.fields.add().field_path = field_path(path)
        documents = await self._calls.query(
            self._parent, message, self._deadline, as_of=self._as_of
        )
        rows = await whole_rows(self._calls, documents, self._deadline)
        living = [r.document for r in rows.values() if not is_expired(r.document, self._now)]
        reads = self._reads + max(1, documents.answers)
        return Totals(measured(measures, living), self._as_of, Billed(reads=reads))
