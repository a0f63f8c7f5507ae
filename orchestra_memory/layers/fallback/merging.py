"""Pages of what a store finds and of what queued writes make of it, by the rules of all stores."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any, Final, Generic, TypeAlias, TypeVar

from ...backends.rows import Row, Shown, page_of, room, served_before, sought
from ...codec.cursor import decode_cursor
from ...codec.document import is_expired
from ...errors import CorruptRecord
from ...matching import matcher
from ...operations import FREE, Options, Page, Ref, Source, Stored
from ...queries import MAX_NEIGHBOURS, MAX_PAGE_SIZE, Query
from ...record import Record
from ...slices import sliced
from ..sourced import SourcedRow, row_of
from .overlay import (
    UNKNOWN,
    Unknown,
    Waiting,
    lacks,
    overlaid,
    stands_alone,
    stays_in_place,
    texts_of,
)
from .queued import Queued

R = TypeVar("R", bound=Record)
Documents: TypeAlias = Mapping[Ref[Any], Row | Unknown | None]
"""What documents are after the queued writes, as far as that is known; ``None`` if absent."""

SPARE: Final = 20
"""Records asked for beyond a page at most, as those with queued writes are taken out of it."""


@dataclass(frozen=True, slots=True)
class Changes:
    """What queued writes make of what a query may find.

    ``rows`` are documents as they are after these writes, ``replaced`` the keys of those and of
    the ones that are gone: what the store says of them does not count. ``patched`` are the writes
    to documents that the query finds as before, by key. ``complete`` is false where it cannot be
    told of a document what it is.
    """

    rows: Sequence[Row] = ()
    replaced: frozenset[str] = frozenset()
    patched: Mapping[str, Sequence[Queued]] = field(default_factory=dict[str, Sequence[Queued]])
    complete: bool = True


async def changes_of(
    query: Query[Any],
    queued: Waiting,
    now: datetime,
    documents: Callable[[Sequence[Ref[Any]]], Awaitable[Documents]],
) -> Changes:
    """What the writes make of their documents.

    `documents` is asked for those that are only patched, where that may change what is found.
    """
    texts = texts_of(query)
    patched: dict[str, Sequence[Queued]] = {}
    lacking: list[Ref[Any]] = []
    after: dict[Ref[Any], Row | Unknown | None] = {}
    async for ref, waiting in sliced(queued.items()):
        if stands_alone(waiting):
            is_out = bool(texts) and lacks(texts, waiting)
            after[ref] = None if is_out else overlaid(ref, UNKNOWN, waiting, now)
        elif stays_in_place(query, waiting):
            patched[ref.key] = waiting
        else:
            lacking.append(ref)
    if lacking:
        after.update(await documents(lacking))
    if query.include_expired:
        # What is absent to a read may be there for the query.
        for ref in [ref for ref in lacking if after[ref] is None]:
            del after[ref]
            patched[ref.key] = queued[ref]
    return Changes(
        rows=[row for row in after.values() if isinstance(row, Row)],
        replaced=frozenset(ref.key for ref in after),
        patched=patched,
        complete=UNKNOWN not in after.values(),
    )


class Merging(Generic[R]):
    """A page in the making: ask the store what is `asked`, `take` that, then have the `page`.

    Raises ``InvalidQuery`` for a foreign cursor.
    """

    def __init__(self, query: Query[R], changes: Changes, options: Options, now: datetime) -> None:
        position = decode_cursor(query)
        self.patched: dict[Ref[R], Sequence[Queued]] = {}
        """What was taken that waiting writes go over, and these."""
        self._query = query
        self._changes = changes
        self._options = options
        self._now = now
        self._served = served_before(position)
        self._size = room(query, position)
        self._found = sought(query, position, self._size)
        self._matches = matcher(query)
        self._origins: dict[str, Stored[R] | Row] = {}
        self._missing = self._size + self._tells_whether_more_follow()
        self._after: str | None = query.after
        self._is_exhausted = self._size == 0
        self._is_complete = changes.complete
        self._billed = FREE
        self._corrupt: list[CorruptRecord] = []

    def _tells_whether_more_follow(self) -> bool:
        limit = self._query.limit
        return self._query.nearest is None and (limit is None or self._served + self._size < limit)

    @property
    def asked(self) -> Query[R] | None:
        """What the store is to be asked next, ``None`` if it has told enough."""
        if self._is_exhausted or self._missing <= 0:
            return None
        spare = len(self._changes.replaced)
        if self._query.nearest is not None:
            most = min(self._size + spare, MAX_NEIGHBOURS)
            return self._query.with_(limit=most, page_size=most)
        size = min(self._missing + min(spare, SPARE), MAX_PAGE_SIZE)
        return self._query.with_(limit=None, page_size=size, after=self._after)

    async def take(self, asked: Query[R], page: Page[R]) -> None:
        """Take in what the store found when it was `asked`."""
        self._after = page.cursor
        self._is_exhausted = page.cursor is None
        self._billed += page.billed
        self._corrupt += page.corrupt
        async for item in sliced(page.items):
            if item.record.key not in self._changes.replaced:
                self._take_one(item)
        was_cut_off = self._query.nearest is not None and len(page.items) == asked.page_size
        if not page.complete or (was_cut_off and self._missing > 0):
            self._is_complete = False

    def _take_one(self, item: Stored[R]) -> None:
        ref = Ref(self._query.model, item.record.key, self._query.namespace)
        row: Row = row_of(ref, item)
        self._missing -= 1
        waiting = self._changes.patched.get(ref.key)
        if waiting is None:
            self._enter(row, item)
            return
        self.patched[ref] = waiting
        after = overlaid(ref, row, waiting, self._now)
        if isinstance(after, Row):
            self._enter(after, after)

    async def add(self, rows: Iterable[Row]) -> None:
        """Take in these documents, where the query finds them."""
        async for row in sliced(rows):
            if self._matches(row.document) and not self._hides(row):
                self._enter(row, row)

    def _hides(self, row: Row) -> bool:
        return self._query.hides_expired and is_expired(row.document, self._now)

    def _enter(self, row: Row, origin: Stored[R] | Row) -> None:
        # What moves while a store is asked for more may come twice.
        if row.stored_id not in self._origins:
            self._origins[row.stored_id] = origin
            self._found.add(row)

    async def page(self, source: Source) -> Page[R]:
        """The page of all that was taken in, and of what the changes add."""
        await self.add(self._changes.rows)
        found = self._found.rows()
        rows, more = found[: self._size], len(found) > self._size
        shown = Shown(self._query, self._options)
        async for row in sliced(rows):
            self._show(row, shown)
        page = page_of(
            self._query,
            self._served,
            rows,
            more=more,
            as_of=None,
            billed=self._billed,
            shown=shown,
        )
        corrupt = (*self._corrupt, *page.corrupt)
        return replace(page, complete=self._is_complete, source=source, corrupt=corrupt)

    def _show(self, row: Row, shown: Shown[R]) -> None:
        origin = self._origins[row.stored_id]
        if isinstance(origin, Stored):
            shown.items.append(origin)
            return
        count = len(shown.items)
        shown.add(row)
        if len(shown.items) > count and isinstance(origin, SourcedRow):
            shown.items[-1] = replace(shown.items[-1], source=origin.source, age=origin.age)
