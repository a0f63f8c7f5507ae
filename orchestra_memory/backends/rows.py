"""What a store that evaluates operations itself keeps, and the rules by which it changes."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from math import isnan
from typing import Any, Final, Generic, TypeVar

from ..codec.cursor import Position, encode_cursor
from ..codec.document import Document, decode, is_expired, key_in, patched
from ..codec.ids import key_of_stored
from ..codec.size import checked_size
from ..errors import Conflict, CorruptRecord, InvalidRecord
from ..matching import Ordering, distance_from, position_key, value_at
from ..operations import (
    ABSENT,
    PRESENT,
    Billed,
    Delete,
    Op,
    Options,
    Page,
    Patch,
    Ref,
    Revision,
    Source,
    Stored,
)
from ..queries import Query
from ..record import Record, timed_by_store
from ..values import Vector
from .batches import Address, Prepared, PreparedAs, record_of

R = TypeVar("R", bound=Record)


@dataclass(slots=True)
class Row:
    """A stored document; nobody changes it in place.

    ``fault`` is what keeps it from being a record, where the store itself found it damaged.
    """

    stored_id: str
    document: Document
    revision: Revision
    distance: float | None = None
    fault: CorruptRecord | None = None


_SORTED_AT_ONCE: Final = 256
"""Rows that are sorted before any are dropped: few enough not to be felt."""


class PreconditionFailed(Exception):
    """An operation's ``expect`` does not hold."""


def decided(
    chunk: Sequence[Prepared],
    current: Callable[[Address], Row | None],
    now: datetime,
    revision: Revision,
) -> dict[Address, Row | None]:
    """What the chunk makes of the documents it touches; ``None`` for what it removes.

    Nothing is changed yet, and `current` is asked only for what an operation depends on. Raises
    ``Conflict``, naming every operation whose precondition fails.
    """
    changed: dict[Address, Row | None] = {}
    failed: list[Prepared] = []
    for item in chunk:
        if item.address in changed:
            row = changed[item.address]
        else:
            row = current(item.address) if _depends(item.op) else None
        try:
            document = applied(item, row, now)
        except PreconditionFailed:
            failed.append(item)
            continue
        changed[item.address] = (
            None if document is None else Row(item.address[2], document, revision)
        )
    if failed:
        raise conflict(failed)
    return changed


def _depends(op: Op) -> bool:
    """Whether what is stored matters to the operation."""
    return op.expect is not None or isinstance(op, Patch)


def revisions_of(
    chunk: Sequence[Prepared], changed: dict[Address, Row | None], revision: Revision
) -> list[Revision | None]:
    """One for each operation; ``None`` for deletes, and for what a later one deleted."""
    return [
        None if isinstance(item.op, Delete) or changed[item.address] is None else revision
        for item in chunk
    ]


def applied(item: Prepared, row: Row | None, now: datetime) -> Document | None:
    """The document after the operation, ``None`` if it is gone; may share values with it.

    Raises ``PreconditionFailed``.
    """
    op = item.op
    if isinstance(op, Patch):
        return _after_patch(op, _stored_at(now, item), row, now)
    _check(op.expect, row, now)
    return None if isinstance(op, Delete) else _stored_at(now, item)


def _stored_at(now: datetime, item: Prepared) -> Document | None:
    """What is put, with the time of the commit where it is left to the store."""
    record = record_of(item.op)
    name = None if record is None else timed_by_store(record)
    if name is None or item.document is None:
        return item.document
    return {**item.document, name: now}


def _after_patch(
    patch: Patch, created: Document | None, row: Row | None, now: datetime
) -> Document:
    if row is None and created is not None and patch.expect is PRESENT:
        return patched(created, patch)
    _check(patch.expect, row, now)
    if row is None:
        raise PreconditionFailed
    document = patched(row.document, patch)
    checked_size(patch.ref.model, document)
    return document


def _check(expect: Any, row: Row | None, now: datetime) -> None:
    if expect is None:
        return
    if expect is ABSENT:
        holds = row is None or is_expired(row.document, now)
    elif expect is PRESENT:
        holds = row is not None
    else:
        holds = row is not None and row.revision == expect
    if not holds:
        raise PreconditionFailed


def conflict(failed: Sequence[PreparedAs[Any]]) -> Conflict:
    refs = list(dict.fromkeys(item.op.ref for item in failed))
    return Conflict(
        f"{len(failed)} of the operations expected another state than is stored (first: "
        f"{refs[0].collection}/{refs[0].key}); read again and decide anew",
        refs=refs,
        operation="write",
    )


def stored_of(ref: Ref[R], row: Row, *, owned: bool = False) -> Stored[R]:
    """The row as a record; a row that is `owned`, which nobody else holds, is used up for it."""
    if row.fault is not None:
        raise row.fault
    record = decode(ref, row.document, owned=owned)
    return Stored(record, row.revision, Source.PRIMARY, 0.0, row.distance)


class Shown(Generic[R]):
    """The rows of a page as records; where the caller asks for it, apart from those that fail.

    Of rows that are `owned`, which nobody else holds, what the query orders by is left.
    """

    def __init__(self, query: Query[R], options: Options, *, owned: bool = False) -> None:
        self.items: list[Stored[R]] = []
        self.corrupt: list[CorruptRecord] = []
        self._query = query
        self._owned = owned
        self._skip = options.corrupt == "skip"

    def add(self, row: Row) -> None:
        try:
            self.items.append(stored_of(ref_of(self._query, row), row, owned=self._owned))
        except CorruptRecord as error:
            if not self._skip:
                raise
            # What it was raised from would keep the stored document alive.
            error.__context__ = None
            self.corrupt.append(error.with_traceback(None))


def ref_of(query: Query[R], row: Row) -> Ref[R]:
    key = key_of_stored(row.stored_id)
    if key is None:
        try:
            key = key_in(query.model, row.document)
        except InvalidRecord:
            key = row.stored_id
    return Ref(query.model, key, query.namespace)


def served_before(position: Position | None) -> int:
    """How many records the pages up to this position held."""
    return 0 if position is None else position.served


def room(query: Query[Any], position: Position | None) -> int:
    """How many records the next page may hold."""
    served = served_before(position)
    if query.limit is None:
        return query.page_size
    return max(0, min(query.page_size, query.limit - served))


def page_of(
    query: Query[R],
    served: int,
    rows: list[Row],
    *,
    more: bool,
    as_of: Revision | None,
    billed: Billed,
    shown: Shown[R],
) -> Page[R]:
    """The page of what is `shown` of its `rows`, behind so many records that were served.

    `more` says that others follow them.
    """
    served += len(rows)
    ends = not more or not rows or (query.limit is not None and served >= query.limit)
    cursor = None if ends else encode_cursor(query, position_of(query, rows[-1], served))
    return Page(
        tuple(shown.items), cursor, as_of=as_of, billed=billed, corrupt=tuple(shown.corrupt)
    )


def position_of(query: Query[Any], row: Row, served: int) -> Position:
    values = tuple(value_at(row.document, order.field) for order in query.order_by)
    return Position(values, row.stored_id, served)


class _First:
    """The first `count`, one or more, of many rows by their keys; few are ever sorted at once."""

    def __init__(self, ordering: Ordering, count: int) -> None:
        self._ordering = ordering
        self._count = count
        self._kept: list[tuple[Any, Row]] = []
        self._last: Any = None

    def add(self, key: Any, row: Row) -> None:
        if self._last is not None and not self._ordering.before(key, self._last):
            return
        self._kept.append((key, row))
        if len(self._kept) >= 2 * self._count + _SORTED_AT_ONCE:
            self._sort()
            self._last = self._kept[-1][0]

    def rows(self) -> list[Row]:
        """What was found, in order."""
        self._sort()
        return [row for _, row in self._kept]

    def _sort(self) -> None:
        self._ordering.sort(self._kept)
        del self._kept[self._count :]


class FirstRows:
    """The first `count` rows behind a position."""

    def __init__(self, query: Query[Any], position: Position | None, count: int) -> None:
        self._fields = [order.field for order in query.order_by]
        self._ordering = Ordering(query.order_by)
        self._start = position and self._key(position.values, position.stored_id)
        self._first = _First(self._ordering, count)

    def add(self, row: Row) -> None:
        document = row.document
        key = self._key([value_at(document, field) for field in self._fields], row.stored_id)
        if self._start is None or self._ordering.before(self._start, key):
            self._first.add(key, row)

    def rows(self) -> list[Row]:
        """What was found, in order."""
        return self._first.rows()

    def _key(self, values: Iterable[Any], stored_id: str) -> Any:
        return self._ordering.key(position_key(values, stored_id))


class NearestRows:
    """The `count` rows nearest to what `query` looks for, nearest first."""

    def __init__(self, query: Query[Any], count: int) -> None:
        assert query.nearest is not None
        self._nearest = query.nearest
        self._distance = distance_from(query.nearest.vector, query.nearest.metric)
        self._first = _First(Ordering(()), count)

    def add(self, row: Row) -> None:
        """Take the row into account, if it has such a vector."""
        vector = value_at(row.document, self._nearest.field)
        if type(vector) is Vector and len(vector) == len(self._nearest.vector):
            away = self._distance(vector)
            found = Row(row.stored_id, row.document, row.revision, away)
            self._first.add(self._rank(away, row.stored_id), found)

    def rows(self) -> list[Row]:
        """What was found, in order."""
        return self._first.rows()

    def _rank(self, away: float, stored_id: str) -> tuple[bool, float, str]:
        """Nearest first; what has no distance last."""
        if isnan(away):
            return True, 0.0, stored_id
        return False, -away if self._nearest.metric == "dot_product" else away, stored_id


def sought(query: Query[Any], position: Position | None, size: int) -> FirstRows | NearestRows:
    """Where to add all rows that match, to have those of the page, and of one more if need be."""
    if query.nearest is not None:
        return NearestRows(query, size)
    return FirstRows(query, position, size + 1)
