"""What a store that evaluates operations itself keeps, and the rules by which it changes."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any, TypeVar

from ..codec.cursor import Position, encode_cursor
from ..codec.document import Document, decode, is_expired, key_in, patched
from ..codec.ids import key_of_stored
from ..codec.size import check_size, fields_size
from ..errors import Conflict, InvalidRecord
from ..matching import value_at
from ..operations import (
    ABSENT,
    PRESENT,
    Billed,
    Delete,
    Page,
    Patch,
    Put,
    Ref,
    Revision,
    Source,
    Stored,
)
from ..queries import Query
from ..record import Record
from .batches import Prepared

R = TypeVar("R", bound=Record)


@dataclass(frozen=True, slots=True)
class Row:
    """A stored document; nobody changes it in place."""

    stored_id: str
    document: Document
    revision: Revision
    distance: float | None = None


class PreconditionFailed(Exception):
    """An operation's ``expect`` does not hold."""


def applied(item: Prepared, row: Row | None, now: datetime) -> Document | None:
    """The document after the operation, ``None`` if it is gone; shares free JSON with the operation.

    Raises ``PreconditionFailed``.
    """
    op = item.op
    match op:
        case Put():
            _check(op.expect, row, now)
            return item.document
        case Patch():
            return _after_patch(op, item.document, row, now)
        case Delete():
            _check(op.expect, row, now)
            return None


def _after_patch(
    patch: Patch, created: Document | None, row: Row | None, now: datetime
) -> Document:
    if row is None and created is not None and patch.expect is PRESENT:
        return patched(created, patch)
    _check(patch.expect, row, now)
    if row is None:
        raise PreconditionFailed
    document = patched(row.document, patch)
    size = fields_size(document)
    check_size(patch.ref.model, document, size)
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


def conflict(failed: list[Prepared]) -> Conflict:
    refs = [item.op.ref for item in failed]
    return Conflict(
        f"{len(refs)} of the operations expected another state than is stored (first: "
        f"{refs[0].collection}/{refs[0].key}); read again and decide anew",
        refs=refs,
        operation="write",
    )


def stored_of(ref: Ref[R], row: Row) -> Stored[R]:
    record = decode(ref, row.document)
    return Stored(record, row.revision, Source.PRIMARY, 0.0, row.distance)


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
) -> Page[R]:
    """The page that `rows` make; `more` says that others follow them."""
    items = tuple(stored_of(ref_of(query, row), row) for row in rows)
    served = (position.served if position else 0) + len(rows)
    ends = not more or not rows or (query.limit is not None and served >= query.limit)
    cursor = None if ends else encode_cursor(query, position_of(query, rows[-1], served))
    return Page(items, cursor, as_of=as_of, billed=billed)


def position_of(query: Query[Any], row: Row, served: int) -> Position:
    values = tuple(value_at(row.document, order.field) for order in query.order_by)
    return Position(values, row.stored_id, served)
