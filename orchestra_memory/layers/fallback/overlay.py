"""What queued writes make of a document, on top of what is known of it."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from enum import Enum
from typing import Any, Final, Literal, TypeAlias, TypeVar

from ...backends.rows import Row
from ...codec.document import Document, decode, encode, is_expired, patched
from ...codec.ids import stored_id
from ...operations import Delete, Op, Patch, Put, Ref, Revision, Source, Stored
from ...queries import Query
from ...record import Record
from ...values import to_micros
from ..sourced import SourcedRow, row_of
from .markers import Marker
from .queued import Queued

R = TypeVar("R", bound=Record)


class Knowledge(Enum):
    """Whether anything is known of a document: being absent is something."""

    UNKNOWN = "unknown"


UNKNOWN: Final = Knowledge.UNKNOWN
Unknown: TypeAlias = Literal[Knowledge.UNKNOWN]

Waiting: TypeAlias = Mapping[Ref[Any], Sequence[Queued]]
"""What waits, by document, in the order of replay."""


def overlaid(
    ref: Ref[Any], base: Row | Unknown | None, queued: Sequence[Queued], now: datetime
) -> Row | Unknown | None:
    """The document as it is when these writes are applied to `base`, be it expired or not.

    Whether their preconditions hold is for the replay to find out: until then, what was
    acknowledged is shown. The row is a `SourcedRow` with the revision of the last write, and as old
    as that, or as what it builds on.
    """
    if not queued:
        return base
    builds_on = not stands_alone(queued)
    document = base.document if isinstance(base, Row) else base
    for op in _decisive(queued):
        document = _after(op, document)
    if document is None or document is UNKNOWN:
        return document
    age = age_of(queued[-1], now)
    if builds_on and isinstance(base, SourcedRow):
        age = max(age, base.age)
    return SourcedRow(
        stored_id(ref.key), document, queued[-1].revision, source=Source.JOURNAL, age=age
    )


def stands_alone(queued: Sequence[Queued]) -> bool:
    """Whether these writes tell by themselves what the document is after them."""
    return any(not isinstance(item.op, Patch) for item in queued)


def _decisive(queued: Sequence[Queued]) -> list[Op]:
    """The last write that needs nothing beneath it, if there is one, and what follows it."""
    ops: list[Op] = []
    for item in reversed(queued):
        ops.append(item.op)
        if not isinstance(item.op, Patch):
            break
    return ops[::-1]


def _after(op: Op, document: Document | Unknown | None) -> Document | Unknown | None:
    match op:
        case Put():
            return encode(op.record)
        case Delete():
            return None
        case Patch():
            if document is UNKNOWN:
                return UNKNOWN
            if document is None:
                return None if op.or_create is None else patched(encode(op.or_create), op)
            return patched(document, op)


def age_of(item: Queued, now: datetime) -> float:
    """Seconds since it was queued; none where the clock was set back."""
    return max(0, to_micros(now) - item.at) / 1e6


def _waited(item: Queued, now: datetime) -> float:
    """The same at least, in spite of a clock that was set, or that was another process' and off."""
    return max(age_of(item, now), time.monotonic() - item.since)


def shown(
    ref: Ref[R], stored: Stored[R] | Unknown | None, queued: Sequence[Queued], now: datetime
) -> Stored[R] | Unknown | None:
    """The answer to a read, where `stored` is what is known without the queued writes."""
    if not queued:
        return stored
    row = laid_over(ref, stored, queued, now)
    if not isinstance(row, SourcedRow):
        return None if row is None else UNKNOWN
    if is_expired(row.document, now):
        return None
    return Stored(decode(ref, row.document), row.revision, row.source, row.age)


def laid_over(
    ref: Ref[Any], stored: Stored[Any] | Unknown | None, queued: Sequence[Queued], now: datetime
) -> Row | Unknown | None:
    """The document after the queued writes, where `stored` is what was read of it."""
    base = row_of(ref, stored) if isinstance(stored, Stored) else stored
    return overlaid(ref, base, queued, now)


def stays_in_place(query: Query[Any], queued: Sequence[Queued]) -> bool:
    """Whether a query finds the document as if these writes were not, if it does at all.

    So it is where none of them changes a field that the query looks at, nor could create it.
    """
    looked_at = fields_of(query)
    return not commits_of(queued) and all(
        isinstance(item.op, Patch)
        and item.op.or_create is None
        and looked_at.isdisjoint(_changed_by(item.op))
        for item in queued
    )


def texts_of(query: Query[Any]) -> dict[str, str]:
    """The fields that must have a certain text for the query to find a document."""
    return {
        condition.field: condition.value
        for condition in query.where
        if condition.operator == "==" and type(condition.value) is str
    }


def lacks(texts: Mapping[str, str], queued: Sequence[Queued]) -> bool:
    """Whether these writes surely give the document another text; that is told in little time."""
    first, *patches = _decisive(queued)
    if not isinstance(first, Put):
        return False
    values = first.record.__dict__
    other = {
        name
        for name, text in texts.items()
        if type(values.get(name)) is str and values[name] != text
    }
    return bool(other) and not any(
        isinstance(op, Patch) and not other.isdisjoint(_changed_by(op)) for op in patches
    )


def fields_of(query: Query[Any]) -> frozenset[str]:
    """The top-level fields that decide whether, and where, a query finds a document."""
    paths = [condition.field for condition in query.where]
    paths += [order.field for order in query.order_by]
    if query.nearest is not None:
        paths.append(query.nearest.field)
    return frozenset(map(_top, paths))


def _changed_by(patch: Patch) -> set[str]:
    parts = (patch.set, patch.increment, patch.add, patch.remove, patch.unset)
    return {_top(path) for part in parts for path in part}


def _top(path: str) -> str:
    return path.split(".", maxsplit=1)[0]


def counts(item: Queued) -> bool:
    """Whether the document shows when this write is applied to it twice."""
    return isinstance(item.op, Patch) and bool(item.op.increment)


def may_hold(revision: Revision, age: float, queued: Sequence[Queued], now: datetime) -> bool:
    """Whether a copy may have a write that counts in it already, which would then count twice.

    It has none that was decided on the copy or on a later one, nor one that was never sent, or
    queued after the copy was seen, `age` seconds ago; unless that was sent before it was queued.
    """
    for item in queued:
        if item.basis.revision is not None and revision <= item.basis.revision:
            return False
        was_sent = item.commit is not None or item.basis.in_doubt
        if counts(item) and was_sent and (item.basis.in_doubt or age <= _waited(item, now)):
            return True
    return False


def was_sent_since(before: Sequence[Queued], after: Sequence[Queued]) -> bool:
    """Whether a write that counts may have been applied after what waited was looked up.

    It is bound to a commit before it is sent. Of one that was bound then already, the commit's
    marker tells.
    """
    unbound = {item.number for item in after if item.commit is None}
    return any(
        item.commit is None and counts(item) and item.number not in unbound for item in before
    )


def commits_of(queued: Iterable[Queued]) -> set[str]:
    """The commits by which writes that count may have been applied already."""
    return {item.commit for item in queued if item.commit is not None and counts(item)}


def not_applied(queued: Sequence[Queued], markers: Mapping[str, Marker]) -> Sequence[Queued]:
    """Those of the writes that their commits, of which there are these markers, did not apply.

    What was queued before one that is applied is done as well, asked for or not.
    """
    for place in reversed(range(len(queued))):
        item = queued[place]
        marker = markers.get(item.commit or "")
        if marker is not None and not marker.split and item.id not in marker.refused:
            return queued[place + 1 :]
    return queued
