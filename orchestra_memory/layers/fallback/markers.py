"""Markers: documents that say in the store itself which commits were made."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Final

from ...operations import ABSENT, Op, Patch, Put, Receipt
from ...record import MARKERS, Record
from ...resilience.journal.entries import random_id
from ...values import UtcDatetime

RETENTION: Final = timedelta(days=8)
"""How long markers are kept: the week for which a journal keeps a write, and one day."""
_WHOLE: Final = "w"


class Marker(Record, collection=MARKERS, unindexed=("at", "expiration", "refused", "left")):
    """Made by the commit of which it has the id: where it is, that commit need not be made again.

    ``refused`` are the ids of queued writes whose fate it was to be kept among the conflicts
    instead of being applied. ``split`` says that nothing was applied, and never will be by this
    commit: its writes go on in others.

    What the commit wrote has no later revision than its marker, and what others wrote after it has.
    ``left`` says, by the id of the last write, of which documents that does not tell how they were
    left: the revision that was found there and not written over, or ``None`` where something of
    others may be in it. It is ``None`` itself where each write was sent as it is.
    """

    id: str
    at: UtcDatetime
    expiration: UtcDatetime
    refused: tuple[str, ...] = ()
    split: bool = False
    left: dict[str, int | None] | None = None


def commit_id(count: int, *, whole: bool) -> str:
    """A new id for a commit of so many writes; a `whole` one must not be split."""
    return f"{random_id()}-{count}{_WHOLE if whole else ''}"


def is_whole(commit: str) -> bool:
    """Whether all writes of this commit are to be applied together or not at all."""
    return commit.endswith(_WHOLE)


def count_in(commit: str) -> int:
    """How many writes were bound to this commit."""
    return int(commit.rpartition("-")[2].removesuffix(_WHOLE))


def mark(
    commit: str,
    now: datetime,
    *,
    refused: Sequence[str] = (),
    split: bool = False,
    left: Mapping[str, int | None] | None = None,
) -> Put:
    """The operation that can be in one commit of this id only."""
    marker = Marker(
        id=commit,
        at=now,
        expiration=now + RETENTION,
        refused=tuple(refused),
        split=split,
        left=None if left is None else dict(left),
    )
    return Put(marker, expect=ABSENT)


def needs_marker(ops: Sequence[Op]) -> bool:
    """Whether it could not be seen otherwise that these were applied, and doing it twice differs.

    So it is of increments, unless a revision is expected: that holds only once.
    """
    return any(
        isinstance(op, Patch) and op.increment and not isinstance(op.expect, int) for op in ops
    )


def without_marker(receipt: Receipt) -> Receipt:
    """The receipt of a write to which a marker was added, as of the write alone; but billed."""
    return Receipt(
        receipt.revisions[:-1],
        receipt.version,
        receipt.durability,
        receipt.cache_invalidation,
        receipt.billed,
        receipt.count - 1,
    )
