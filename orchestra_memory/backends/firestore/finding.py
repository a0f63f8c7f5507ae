"""One page of a query, filled up where expired documents leave gaps."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Generic, TypeVar

from ...codec.cursor import Position, decode_cursor
from ...codec.document import is_expired
from ...operations import Billed, Options, Page, Revision
from ...queries import MAX_NEIGHBOURS, Query
from ...record import Record
from ...resilience.deadline import Deadline
from ...slices import mapped
from ...values import utc_now
from ..rows import Row, Shown, page_of, position_of, room, served_before
from .calls import Behind, Calls
from .names import Names
from .query import add_nearest, start_after, structured
from .read import whole_rows

R = TypeVar("R", bound=Record)


def sent(names: Names, query: Query[Any], position: Position | None) -> Any:
    """The ``StructuredQuery`` of all that is behind a position."""
    message = structured(query, names.collection(query))
    if position is not None:
        begin_behind(message, names, query, position)
    return message


def begin_behind(message: Any, names: Names, query: Query[Any], position: Position) -> None:
    address = (query.namespace, query.spec.collection, position.stored_id)
    start_after(message, position, names.document(address))


def further(query: Query[Any], position: Position | None, size: int) -> int:
    """Rows beyond a page of this size that tell whether more follow: none where its limit ends."""
    return 0 if size and served_before(position) + size == query.limit else 1


def living(query: Query[Any], rows: Iterable[Row]) -> list[Row]:
    """The rows without those that count as absent."""
    now = utc_now()
    return [row for row in rows if not (query.hides_expired and is_expired(row.document, now))]


class Finding(Generic[R]):
    """The requests for one page, all as of `as_of`, or else of the first one's time."""

    def __init__(
        self,
        calls: Calls,
        names: Names,
        query: Query[R],
        deadline: Deadline,
        *,
        as_of: Revision | None = None,
    ) -> None:
        self._calls = calls
        self._names = names
        self._query = query
        self._parent = names.parent(query.namespace)
        self._deadline = deadline
        self._moment = as_of
        self._as_of: Revision | None = as_of
        self._read = 0

    async def page(self, options: Options) -> Page[R]:
        """Raises ``CorruptRecord`` unless the options have it skipped."""
        query = self._query
        position = decode_cursor(query)
        size = room(query, position)
        if query.nearest is not None:
            rows = (await self._nearest(size))[:size]
            more = False
        else:
            rows = await self._behind(position, size + further(query, position, size))
            more = len(rows) > size
            del rows[size:]
        shown = Shown(query, options, owned=True)
        await mapped(shown.add, rows)
        return page_of(
            query,
            served_before(position),
            rows,
            more=more,
            as_of=self._as_of,
            billed=Billed(reads=max(1, self._read)),
            shown=shown,
        )

    async def _behind(self, position: Position | None, wanted: int) -> list[Row]:
        """Up to `wanted` living rows behind the position."""
        found: list[Row] = []
        message = sent(self._names, self._query, position)
        while True:
            asked = wanted - len(found)
            message.limit.value = asked
            rows = await self._rows(message, self._go_on)
            found += living(self._query, rows)
            if len(rows) < asked or len(found) >= wanted:
                return found
            self._go_on(message, rows[-1])

    async def _nearest(self, wanted: int) -> list[Row]:
        """At least `wanted` living rows, nearest first, if there are as many."""
        asked = wanted
        while True:
            message = structured(self._query, self._names.collection(self._query))
            add_nearest(message, self._query, asked)
            # It begins anew each time, and so need not be as of the same time.
            self._as_of = self._moment
            rows = await self._rows(message)
            found = living(self._query, rows)
            if len(found) >= wanted or len(rows) < asked or asked == MAX_NEIGHBOURS:
                return found
            asked = min(MAX_NEIGHBOURS, asked * 2)

    async def _rows(self, message: Any, behind: Behind | None = None) -> list[Row]:
        documents = await self._calls.query(
            self._parent, message, self._deadline, as_of=self._as_of, behind=behind
        )
        rows = await whole_rows(self._calls, documents, self._deadline)
        self._as_of = documents.as_of
        self._read += documents.answers
        return list(rows.values())

    def _go_on(self, message: Any, row: Row) -> None:
        begin_behind(message, self._names, self._query, position_of(self._query, row, 0))
