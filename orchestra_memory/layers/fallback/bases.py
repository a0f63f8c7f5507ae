"""What is known of a document as a write to it is queued, and whether that speaks against it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from ...backends.rows import Row
from ...codec.document import Document, decode, encode, is_expired, patched
from ...codec.operations import NO_BASIS, Basis
from ...errors import Conflict, CorruptRecord, SchemaTooNew
from ...operations import ABSENT, PRESENT, Op, Patch, Put, Ref
from ...record import Record, spec_of
from ...resilience.journal import DocumentKey
from ...values import to_micros
from .composing import Base
from .merge import changed_fields, fingerprint, patched_fields
from .overlay import UNKNOWN, Unknown, may_hold, overlaid
from .queue import Queue
from .queued import PROVISIONAL, Queued, document_of
from .standby import Standby


@dataclass(frozen=True, slots=True)
class Seen:
    """A document as this process sees it: with the writes that wait, and those before in a write.

    ``last`` is the last that waits. ``is_ours`` if any of these decides what it is.
    """

    row: Row | Unknown | None
    last: Queued | None
    is_ours: bool


@dataclass(slots=True)
class Decision:
    """Decides the operations of one write that is to be queued, one after another."""

    queue: Queue
    standby: Standby
    now: datetime
    in_doubt: bool = False
    _mine: dict[DocumentKey, list[Queued]] = field(default_factory=dict[DocumentKey, list[Queued]])
    _failed: list[Ref[Record]] = field(default_factory=list[Ref[Record]])

    def basis(self, op: Op) -> Basis:
        """What `op` builds on; that it fails is told by `check`."""
        document = document_of(op.ref)
        mine = self._mine.setdefault(document, [])
        seen = self._seen(op.ref, mine)
        if _is_contradicted(op, seen, behind_others=bool(mine), now=self.now):
            self._failed.append(op.ref)
        mine.append(Queued("", 0, op, NO_BASIS, to_micros(self.now), None))
        return self._basis(op, seen)

    def check(self) -> None:
        """Raises ``Conflict`` for operations that what waits before them speaks against."""
        if self._failed:
            raise conflict(self._failed)

    def _seen(self, ref: Ref[Any], mine: Sequence[Queued]) -> Seen:
        queued = self.queue.of(ref)
        known = self.standby.get(ref)
        if self.queue.unknown() and self.queue.is_blocked(ref):
            return Seen(UNKNOWN, None, is_ours=False)
        if known is not None and may_hold(*self.standby.latest(ref), queued, self.now):
            known = None
        base = UNKNOWN if known is None else known.row
        row = overlaid(ref, base, [*queued, *mine], self.now)
        return Seen(row, queued[-1] if queued else None, bool(queued or mine))

    def _basis(self, op: Op, seen: Seen) -> Basis:
        fields, doubt = _fields(op, self._began_with(op, seen)), self.in_doubt
        if seen.last is not None:
            if (left := self._left_by(seen.last)) is not None:
                return Basis(left.revision, absent=left.absent, fields=fields, in_doubt=doubt)
            absent = seen.row is None
            return Basis(absent=absent, after=seen.last.id, fields=fields, in_doubt=doubt)
        if isinstance(op.expect, int):
            return Basis(op.expect, fields=fields, in_doubt=doubt)
        absent = seen.row is None or has_own_random_id(op)
        revision = seen.row.revision if isinstance(seen.row, Row) and not seen.is_ours else None
        result = _result(op, seen) if doubt else None
        return Basis(revision, absent=absent, fields=fields, in_doubt=doubt, result=result)

    def _left_by(self, item: Queued) -> Base | None:
        """How a write that is being forgotten left its document: soon nobody could tell."""
        return next((left for told in self.queue.leaving if (left := told(item))), None)

    def _began_with(self, op: Op, seen: Seen) -> Document | None:
        """What a write was decided on: a put on what its caller was shown, which it names."""
        row = seen.row if isinstance(seen.row, Row) else None
        if not isinstance(op, Put):
            return None if row is None else row.document
        if not isinstance(op.expect, int):
            return None
        shown = self.standby.shown.get(op.ref, op.expect)
        if shown is None and row is not None and row.revision == op.expect:
            return row.document
        return shown


def conflict(refs: Sequence[Ref[Record]]) -> Conflict:
    return Conflict(
        f"{len(refs)} of the operations expected another state than writes that still wait for "
        f"the store leave (first: {refs[0].collection}/{refs[0].key}); read again and decide anew",
        refs=list(dict.fromkeys(refs)),
        operation="write",
    )


def is_provisional(op: Op) -> bool:
    """Whether a revision is expected that a queued write showed."""
    return isinstance(op.expect, int) and op.expect >= PROVISIONAL


def has_own_random_id(op: Op) -> bool:
    """Whether a record is put under an id that was made at random for it: nobody else has it."""
    if not isinstance(op, Put):
        return False
    record = op.record
    names = spec_of(type(record)).key
    return (
        len(names) == 1
        and type(record).model_fields[names[0]].default_factory is not None
        and names[0] not in record.model_fields_set
    )


def _is_contradicted(op: Op, seen: Seen, *, behind_others: bool, now: datetime) -> bool:
    expect = op.expect
    if isinstance(expect, int):
        return behind_others or _is_outdated(expect, seen)
    if not seen.is_ours or seen.row is UNKNOWN:
        return False
    if expect is ABSENT:
        return isinstance(seen.row, Row) and not is_expired(seen.row.document, now)
    creates = isinstance(op, Patch) and op.or_create is not None
    return expect is PRESENT and seen.row is None and not creates


def _is_outdated(expect: int, seen: Seen) -> bool:
    if seen.last is not None or expect >= PROVISIONAL:
        return seen.last is None or expect != seen.last.revision
    return isinstance(seen.row, Row) and seen.row.revision > expect


def _fields(op: Op, before: Document | None) -> Document | None:
    """The values in `before` of what an operation changes; ``None`` if they are not known."""
    if before is None:
        return None
    if isinstance(op, Patch):
        return patched_fields(op, before)
    if isinstance(op, Put):
        try:
            return changed_fields(encode(decode(op.ref, before)), encode(op.record))
        except (CorruptRecord, SchemaTooNew):
            return None
    return None


def _result(op: Op, seen: Seen) -> str | None:
    """The fingerprint of what a patch leaves that does no more if it was applied already."""
    if not isinstance(op, Patch) or op.increment or not isinstance(seen.row, Row):
        return None
    return fingerprint(patched(seen.row.document, op))
