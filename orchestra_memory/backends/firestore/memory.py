"""Firestore, spoken to in its own messages through Google's generated client."""

from __future__ import annotations

import time
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import aclosing
from typing import TYPE_CHECKING, Any, Final, TypeVar

from ...codec.cursor import Position, decode_cursor
from ...codec.document import is_expired
from ...errors import OrchestraMemoryError
from ...health import Health, Status
from ...matching import measured
from ...operations import (
    DEFAULT,
    Billed,
    Count,
    Measure,
    Op,
    Options,
    Page,
    Receipt,
    Ref,
    Revision,
    Snapshot,
    Stored,
    Totals,
)
from ...protocol import MemoryManager
from ...queries import MAX_NEIGHBOURS, Query
from ...record import EXPIRATION, Record
from ...resilience.deadline import Deadline
from ...resilience.ramp import Ramp
from ...resilience.retry import Attempts, Retries, resumed
from ...scanning import PAGES_BEFORE_READING_AHEAD
from ...slices import mapped
from ...values import utc_now
from ..batches import address_of
from ..rows import Row, Shown, page_of, position_of, room, served_before, stored_of
from .calls import Calls, Documents
from .commits import Commits
from .names import Names
from .paging import streamed
from .query import (
    add_expired,
    add_nearest,
    aggregation,
    field_path,
    measurable,
    start_after,
    structured,
)
from .read import whole_rows

if TYPE_CHECKING:
    from google.cloud.firestore_v1.async_client import AsyncClient

R = TypeVar("R", bound=Record)

FOR_A_CACHE: Final = ("use", "refresh")
"""Modes of ``Options.cache`` whose answers are kept; absence is kept only with its time."""


class FirestoreMemory(MemoryManager):
    """Keeps records in Firestore.

    `client` is a ready ``google.cloud.firestore.AsyncClient``; it is never closed here. Where more
    calls are under way than one connection carries, others are opened beside the client's own, for
    :meth:`aclose` to close.
    ``collections`` renames collections: ``{"memory_items": "chat_items"}``. Chunks of a bulk write
    are tried again where that is safe; for single calls :class:`GuardedMemory` does so. ``ramp``
    holds bulk writes to 500 operations a second at first and half as many more every five minutes,
    as Firestore asks of traffic to collections that are new.

    A single record is read by Firestore's request for one document, which takes less than one for
    several but does not tell its time: ``Snapshot.as_of`` is ``None``. A layer that keeps answers,
    and so must know as of when something is absent, says so by ``Options(cache="use")`` or
    ``"refresh"``; then the time is told.
    """

    def __init__(
        self,
        client: AsyncClient,
        *,
        collections: Mapping[str, str] | None = None,
        ramp: bool = False,
    ) -> None:
        self._calls = Calls(client)
        self._names = Names(self._calls.database, collections or {})
        self._retries = Retries()
        self._commits = Commits(self._calls, self._names, Ramp() if ramp else None)

    def __repr__(self) -> str:
        return f"<FirestoreMemory {self._calls.database}>"

    async def aclose(self) -> None:
        """Close what was opened beside the client; the client is its owner's to close."""
        await self._calls.aclose()

    async def read(self, refs: Sequence[Ref[R]], *, options: Options = DEFAULT) -> Snapshot[R]:
        now = utc_now()
        deadline = Deadline.after(options.timeout)
        names = await mapped(self._name_of, refs)
        documents = await self._documents(names, options, deadline)
        # What is asked for twice is answered once, and so belongs to neither place alone.
        owned = documents.answers == len(names)
        rows = await whole_rows(self._calls, documents, deadline)
        take = rows.pop if owned else rows.get

        def found(asked: tuple[Ref[R], str]) -> Stored[R] | None:
            ref, name = asked
            row = take(name, None)
            if row is None or is_expired(row.document, now):
                return None
            return stored_of(ref, row, owned=owned)

        items = await mapped(found, zip(refs, names, strict=True))
        return Snapshot(tuple(items), documents.as_of, Billed(reads=documents.answers))

    async def write(self, ops: Sequence[Op], *, options: Options = DEFAULT) -> Receipt:
        return await self._commits.write(ops, options)

    async def find(self, query: Query[R], *, options: Options = DEFAULT) -> Page[R]:
        deadline = Deadline.after(options.timeout)
        if query.nearest is not None:
            return await self._find_nearest(query, options, deadline)
        position = decode_cursor(query)
        size = room(query, position)
        rows, as_of, read = await self._filled(query, position, size + 1, deadline)
        more, billed, shown = (
            len(rows) > size,
            Billed(reads=max(1, read)),
            Shown(query, options, owned=True),
        )
        await mapped(shown.add, rows[:size])
        return page_of(
            query,
            served_before(position),
            rows[:size],
            more=more,
            as_of=as_of,
            billed=billed,
            shown=shown,
        )

    def pages(self, query: Query[R], *, options: Options = DEFAULT) -> AsyncGenerator[Page[R]]:
        """After two pages the rest comes in one answer, continued where it breaks off."""

        def attempts() -> Attempts:
            return Attempts(self._retries, Deadline.after(options.timeout), repeatable=True)

        return resumed(lambda rest: self._pages(rest, options), query, attempts)

    async def _pages(self, query: Query[R], options: Options) -> AsyncGenerator[Page[R]]:
        for _ in range(PAGES_BEFORE_READING_AHEAD):
            page = await self.find(query, options=options)
            yield page
            if page.cursor is None:
                return
            query = query.with_(after=page.cursor)
        async with aclosing(streamed(self._calls, self._names, query, options)) as pages:
            async for page in pages:
                yield page

    async def aggregate(
        self, query: Query[Any], measures: Sequence[Measure], *, options: Options = DEFAULT
    ) -> Totals:
        sent = self._names.parent(query.namespace), measurable(query, self._names.collection(query))
        totals = _Totals(self._calls, query, sent, Deadline.after(options.timeout))
        expired = await totals.expired()
        if expired and not all(isinstance(measure, Count) for measure in measures):
            return await totals.streamed(measures)
        values: dict[str, float | None] = {}
        for measure in measures:
            value = await totals.of(measure)
            values[measure.name] = value - expired if expired and value is not None else value
        return Totals(values, totals.as_of, Billed(reads=totals.reads))

    async def health(self) -> Health:
        started = time.perf_counter()
        try:
            await self._calls.get([self._names.document((None, "health", "probe"))], Deadline())
        except OrchestraMemoryError as error:
            return Health("firestore", Status.DOWN, str(error), time.perf_counter() - started)
        detail = self._calls.database
        return Health("firestore", Status.OK, detail, time.perf_counter() - started)

    def _name_of(self, ref: Ref[Any]) -> str:
        return self._names.document(address_of(ref))

    async def _documents(self, names: list[str], options: Options, deadline: Deadline) -> Documents:
        if len(names) == 1 and options.cache not in FOR_A_CACHE:
            return await self._calls.get_one(names[0], deadline)
        return await self._calls.get(names, deadline)

    async def _filled(
        self, query: Query[Any], position: Position | None, wanted: int, deadline: Deadline
    ) -> tuple[list[Row], Revision | None, int]:
        """Up to `wanted` living rows behind the position, and how many documents were read."""
        now, as_of, read = utc_now(), None, 0
        living: list[Row] = []
        message, parent = (
            structured(query, self._names.collection(query)),
            self._names.parent(query.namespace),
        )
        if position is not None:
            self._start_after(message, query, position)

        def behind(message: Any, row: Row) -> None:
            self._start_after(message, query, position_of(query, row, 0))

        while True:
            asked = wanted - len(living)
            message.limit.value = asked
            documents = await self._calls.query(
                parent, message, deadline, as_of=as_of, behind=behind
            )
            rows = list((await whole_rows(self._calls, documents, deadline)).values())
            as_of, read = documents.as_of, read + documents.answers
            living += [r for r in rows if not (query.hides_expired and is_expired(r.document, now))]
            if len(rows) < asked or len(living) >= wanted:
                return living, as_of, read
            behind(message, rows[-1])

    def _start_after(self, message: Any, query: Query[Any], position: Position) -> None:
        address = (query.namespace, query.spec.collection, position.stored_id)
        start_after(message, position, self._names.document(address))

    async def _find_nearest(self, query: Query[R], options: Options, deadline: Deadline) -> Page[R]:
        now, size, read = utc_now(), room(query, None), 0
        asked = size
        while True:
            message = structured(query, self._names.collection(query))
            add_nearest(message, query, asked)
            documents = await self._calls.query(
                self._names.parent(query.namespace), message, deadline
            )
            rows = list((await whole_rows(self._calls, documents, deadline)).values())
            living = [r for r in rows if not (query.hides_expired and is_expired(r.document, now))]
            read += documents.answers
            if len(living) >= size or len(rows) < asked or asked == MAX_NEIGHBOURS:
                break
            asked = min(MAX_NEIGHBOURS, asked * 2)
        as_of, billed, shown = (
            documents.as_of,
            Billed(reads=max(1, read)),
            Shown(query, options, owned=True),
        )
        await mapped(shown.add, living[:size])
        return page_of(query, 0, living[:size], more=False, as_of=as_of, billed=billed, shown=shown)


_Sent = tuple[str, Any]
"""The parent path and the ``StructuredQuery`` of a query."""


class _Totals:
    """The aggregation requests of one call, all as of the first one's time."""

    def __init__(self, calls: Calls, query: Query[Any], sent: _Sent, deadline: Deadline) -> None:
        self._calls = calls
        self._query = query
        self._parent, self._message = sent
        self._deadline = deadline
        self._now = utc_now()
        self.as_of: Revision | None = None
        self.reads = 0

    async def of(self, measure: Measure) -> float | None:
        return await self._ask(self._message, measure)

    async def expired(self) -> float:
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
        value, self.as_of = await self._calls.aggregate(
            self._parent, request, self._deadline, as_of=self.as_of
        )
        # Billed by index entries, of which only a count tells the number.
        entries = value or 0 if isinstance(measure, Count) else 0
        self.reads += max(1, -(-int(entries) // 1000))
        return value

    async def streamed(self, measures: Sequence[Measure]) -> Totals:
        """Sums over the living only, which Firestore cannot tell while expired ones remain."""
        message = self._message
        fields = {EXPIRATION, *(m.of for m in measures if not isinstance(m, Count))}
        for path in sorted(fields):
            message.select.fields.add().field_path = field_path(path)
        documents = await self._calls.query(self._parent, message, self._deadline, as_of=self.as_of)
        rows = await whole_rows(self._calls, documents, self._deadline)
        living = [r.document for r in rows.values() if not is_expired(r.document, self._now)]
        reads = self.reads + max(1, len(rows))
        return Totals(measured(measures, living), self.as_of, Billed(reads=reads))
