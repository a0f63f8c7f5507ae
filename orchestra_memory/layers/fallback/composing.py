"""What goes into one commit: queued writes, each with a precondition that spares reading first."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise
from typing import Final, TypeAlias

from ...codec.document import decode, encode, patched
from ...operations import (
    ABSENT,
    PRESENT,
    Delete,
    Expect,
    Op,
    Patch,
    Put,
    Receipt,
    Revision,
)
from ...resilience.journal import DocumentKey
from .merge import is_commuting
from .queued import PROVISIONAL, Queued


@dataclass(frozen=True, slots=True)
class Base:
    """What a document is known to be as a write comes to it: a revision, or absent, or neither."""

    revision: Revision | None = None
    absent: bool = False


UNKNOWN: Final = Base()


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of a queued write: how it left its document, unless it was refused."""

    base: Base
    refused: bool = False


REFUSED: Final = Outcome(UNKNOWN, refused=True)

Outcomes: TypeAlias = Mapping[str, Outcome]
"""By the ids of the writes."""


@dataclass(slots=True)
class Composition:
    """A commit: operations on the documents, and what it keeps of versions that lose.

    ``refused`` are the ids of writes that are not applied. ``last`` has the place of the last
    operation on each document, ``found`` how documents are on which there is none. ``written`` has
    the id of the last write to each; ``unsure`` are those documents that may have more in them than
    the writes say.
    """

    ops: list[Op] = field(default_factory=list[Op])
    kept: list[Put] = field(default_factory=list[Put])
    refused: list[str] = field(default_factory=list[str])
    last: dict[DocumentKey, int] = field(default_factory=dict[DocumentKey, int])
    found: dict[DocumentKey, Base] = field(default_factory=dict[DocumentKey, Base])
    written: dict[DocumentKey, str] = field(default_factory=dict[DocumentKey, str])
    unsure: set[DocumentKey] = field(default_factory=set[DocumentKey])

    def add(self, items: Sequence[Queued], ops: Sequence[Op], *, sure: bool) -> None:
        """Put in what becomes of the writes to one document."""
        document = items[-1].document
        self.written[document] = items[-1].id
        if ops:
            self.ops += ops
            self.last[document] = len(self.ops) - 1
        if not sure:
            self.unsure.add(document)

    def left(self, document: DocumentKey, receipt: Receipt) -> Base:
        """How the commit left a document."""
        place = self.last.get(document)
        if document in self.unsure:
            return UNKNOWN
        if place is None:
            return self.found.get(document, UNKNOWN)
        if isinstance(self.ops[place], Delete):
            return Base(absent=True)
        return Base(receipt.revisions[place])

    def otherwise(self) -> dict[str, Revision | None]:
        """What the marker has to say of how documents were left, by the ids of the last writes."""
        return {
            item: None if document in self.unsure else self.found.get(document, UNKNOWN).revision
            for document, item in self.written.items()
            if document in self.unsure or document not in self.last
        }


def base_of(item: Queued, outcomes: Outcomes) -> Outcome:
    """What a write builds on: the outcome of another that waited, or what was known before."""
    after = item.basis.after
    if after is None:
        return Outcome(Base(item.basis.revision, item.basis.absent))
    return outcomes.get(after, Outcome(UNKNOWN))


def by_document(items: Sequence[Queued]) -> dict[DocumentKey, list[Queued]]:
    """The writes of a commit for each document, in their order."""
    found: dict[DocumentKey, list[Queued]] = {}
    for item in items:
        found.setdefault(item.document, []).append(item)
    return found


def is_blind(items: Sequence[Queued], outcomes: Outcomes) -> bool:
    """Whether no precondition could tell that the document has changed, so that it must be read."""
    first = items[0]
    if len(items) > 1 and any(is_stranger(item, before) for before, item in pairwise(items)):
        return True
    if _base(first, outcomes) != (None, False):
        return False
    if first.basis.after is not None or isinstance(first.op, Patch):
        return not all(map(_goes_blind, items))
    return first.op.expect is PRESENT


def is_stranger(item: Queued, before: Queued) -> bool:
    """Whether a write does not build on the one before it, and minds that this is there."""
    return isinstance(item.op.expect, int) and item.basis.after != before.id


def _goes_blind(item: Queued) -> bool:
    """Whether it does not matter to a write what else has become of its document."""
    op = item.op
    if not isinstance(op, Patch) or isinstance(op.expect, int):
        return False
    return is_commuting(op) or item.basis.fields is None


def sent(items: Sequence[Queued], outcomes: Outcomes) -> list[Op]:
    """The writes to one document, the first with a precondition that tells if it has changed."""
    first, *others = items
    alone = all(_goes_blind(item) for item in others)
    ops = [_first(first, *_base(first, outcomes), alone=alone)]
    return ops + [unconditional(item.op) for item in others] if others else ops


def _base(item: Queued, outcomes: Outcomes) -> tuple[Revision | None, bool]:
    """The same as `base_of`, in a fraction of the time: the revision, and whether it is absent."""
    basis = item.basis
    if basis.after is None:
        return basis.revision, basis.absent
    base = base_of(item, outcomes).base
    return base.revision, base.absent


def _first(item: Queued, revision: Revision | None, absent: bool, *, alone: bool) -> Op:
    op, expect = item.op, item.op.expect
    if isinstance(expect, int):
        return expecting(op, revision) if expect >= PROVISIONAL else op
    if isinstance(op, Patch):
        return _first_patch(op, revision, absent, alone=alone)
    if expect is ABSENT:
        return op
    if revision is not None:
        return expecting(op, revision)
    # Nothing known counts as absent: if it is not, that is found out, and looked at.
    return expecting(op, ABSENT) if expect is None else op


def _first_patch(patch: Patch, revision: Revision | None, absent: bool, *, alone: bool) -> Op:
    if alone and is_commuting(patch):
        return patch
    if absent and patch.or_create is not None:
        return created(patch)
    return patch if revision is None else expecting(patch, revision)


def is_sure(ops: Sequence[Op]) -> bool:
    """Whether a document is what these make of what was known, if they are applied."""
    return ops[0].expect not in (None, PRESENT)


def expecting(op: Op, expect: Expect) -> Op:
    """The same operation under another precondition."""
    match op:
        case Put():
            return Put(op.record, expect, op.namespace)
        case Delete():
            return Delete(op.ref, expect)
        case Patch():
            return replace(op, expect=PRESENT if expect in (None, ABSENT) else expect)


def unconditional(op: Op) -> Op:
    """The same operation behind another one of the same commit, whose outcome is known."""
    if op.expect is None or (isinstance(op, Patch) and op.expect is PRESENT):
        return op
    return expecting(op, None)


def created(patch: Patch) -> Put:
    """What a patch makes of a document that is not there."""
    assert patch.or_create is not None
    document = patched(encode(patch.or_create), patch)
    return Put(decode(patch.ref, document, owned=True), ABSENT, patch.ref.namespace)
