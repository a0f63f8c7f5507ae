"""What a store that evaluates operations itself keeps, and the rules by which it changes."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from heapq import nsmallest
from math import isnan
from typing import Any, Final, Generic, TypeVar

from ..codec.cursor import Position, encode_cursor
from ..codec.document import Document, decode, is_expired, key_in, patched
from ..codec.ids import key_of_stored
from ..codec.size import checked_size
from ..errors import Conflict, CorruptRecord, InvalidRecord
from ..matching import comparer, distance, position_key, value_at
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
from ..queries import Nearest, Query
from ..record import Record
from ..values import Vector
from .batches import Address, Prepared, PreparedAs

R = TypeVar("R", bound=Record)


@dataclass(frozen=True, slots=True)
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
        return _after_patch(op, item.document, row, now)
    _check(op.expect, row, now)
    return None if isinstance(op, Delete) else item.document


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


def stored_of(ref: Ref[R], row: Row) -> Stored[R]:
    if row.fault is not None:
        raise row.fault
    record = decode(ref, row.document)
    return Stored(record, row.revision, Source.PRIMARY, 0.0, row.distance)


class Shown(Generic[R]):
    """The rows of a page as records; where the caller asks for it, apart from those that fail."""

    def __init__(self, query: Query[R], options: Options) -> None:
        self.items: list[Stored[R]] = []
        self.corrupt: list[CorruptRecord] = []
        self._query = query
        self._skip = options.corrupt == "skip"

    def add(self, row: Row) -> None:
        try:
            self.items.append(stored_of(ref_of(self._query, row), row))
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


def room(query: Query[Any], position: Position | None) -> int:
    """How many records the next page may hold."""
    served = position.served if position else 0
    if query.limit is None:
        return query.page_size
    return max(0, min(query.page_size, query.limit - served))


def page_of(
    query: Query[R],
    position: Position | None,
    rows: list[Row],
    *,
    more: bool,
    as_of: Revision | None,
    billed: Billed,
    shown: Shown[R],
) -> Page[R]:
    """The page of what is `shown` of its `rows`; `more` says that others follow them."""
    served = (position.served if position else 0) + len(rows)
    ends = not more or not rows or (query.limit is not None and served >= query.limit)
    cursor = None if ends else encode_cursor(query, position_of(query, rows[-1], served))
    return Page(
        tuple(shown.items), cursor, as_of=as_of, billed=billed, corrupt=tuple(shown.corrupt)
    )


def position_of(query: Query[Any], row: Row, served: int) -> Position:
    values = tuple(value_at(row.document, order.field) for order in query.order_by)
    return Position(values, row.stored_id, served)


class FirstRows:
    """The first `count` rows behind a position, found without ever sorting many at once."""

    def __init__(self, query: Query[Any], position: Position | None, count: int) -> None:
        self._query = query
        self._order = comparer(query.order_by)
        self._start = None if position is None else self._order(_key(position))
        self._count = count
        self._kept: list[tuple[Any, Row]] = []

    def add(self, row: Row) -> None:
        key = self._order(_key(position_of(self._query, row, 0)))
        if self._start is not None and not self._start < key:
            return
        self._kept.append((key, row))
        if len(self._kept) >= 2 * self._count + _SORTED_AT_ONCE:
            self._sort()

    def rows(self) -> list[Row]:
        """What was found, in order."""
        self._sort()
        return [row for _, row in self._kept]

    def _sort(self) -> None:
        self._kept.sort(key=lambda pair: pair[0])
        del self._kept[self._count :]


def _key(position: Position) -> tuple[str, ...]:
    return position_key(position.values, position.stored_id)


def nearest_rows(query: Query[Any], rows: Iterable[Row], count: int) -> list[Row]:
    """The `count` rows nearest to what `query` looks for, nearest first."""
    nearest = query.nearest
    assert nearest is not None
    return nsmallest(count, _measured(nearest, rows), key=lambda row: _rank(row, nearest.metric))


def _measured(nearest: Nearest, rows: Iterable[Row]) -> Iterator[Row]:
    """Rows with their distances, less those that have none."""
    for row in rows:
        vector = value_at(row.document, nearest.field)
        if type(vector) is Vector and len(vector) == len(nearest.vector):
            away = distance(vector, nearest.vector, nearest.metric)
            yield Row(row.stored_id, row.document, row.revision, away)


def _rank(row: Row, metric: str) -> tuple[bool, float, str]:
    """Nearest first; what has no distance last."""
    away = row.distance or 0.0
    return isnan(away), -away if metric == "dot_product" else away, row.stored_id
