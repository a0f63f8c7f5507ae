"""Versions that lost: kept in the store, beside the document that they were versions of."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Any, Final, Literal, TypeAlias

from ...codec.bytes import dumps
from ...codec.document import encode
from ...codec.operations import encode_operation
from ...errors import InvalidRecord
from ...operations import Put, Ref, Revision, Stored
from ...record import Record
from ...values import UtcDatetime
from .queued import Queued

Side: TypeAlias = Literal["local", "remote"]
Reason: TypeAlias = Literal["overwritten", "refused", "merged"]

MergePolicy: TypeAlias = Callable[[Any, Any], Record]
ConflictPolicy: TypeAlias = Literal["dead_letter", "keep_remote", "keep_local"] | MergePolicy
"""What becomes of a queued write whose document somebody else has changed: it is refused and kept
for somebody to decide, or gives way, or goes first, or both become the one record that a function
of the local and the remote record returns."""
DEFAULT_POLICY: Final = "dead_letter"
DELETED: Final = "null"
"""The `Conflicted.document` of a version that was a deletion."""


class Conflicted(Record, collection="conflicts", large=("document",)):
    """A version that lost, in the namespace of its document.

    ``side`` is whose it is: of a write that waited here (``local``), or of the store (``remote``).
    ``reason`` is why it lost: the other one was put in its place (``overwritten``), both were made
    one (``merged``), or nothing could decide, and it waits for somebody who does (``refused``).
    ``model`` names the record type. ``document`` is JSON text: of the store's version the document
    as stored, ``null`` where somebody had deleted it; of a local one the operation, in the form
    that journals keep. ``revision`` is the store's at that time, ``None`` where it had no such
    document.
    """

    id: str
    collection: str
    document_key: str
    model: str
    at: UtcDatetime
    reason: Reason
    side: Side
    document: str
    revision: int | None = None


def kept_remote(item: Queued, remote: Stored[Any] | None, reason: Reason, now: datetime) -> Put:
    """The operation that keeps the store's version which this write puts away.

    ``None`` is that of somebody who deleted it. Raises ``InvalidRecord`` if it is too large to be
    kept as text.
    """
    if remote is None:
        return _kept(item, "remote", reason, DELETED, None, now)
    try:
        text = dumps(encode(remote.record))
    except ValueError:
        # The original error shows the value.
        ref = item.op.ref
        raise InvalidRecord(
            f"{ref.collection}/{ref.key}: a vector of the stored version holds NaN or infinity, "
            "which no text tells; leave it out there",
            model=ref.model.__name__,
        ) from None
    return _kept(item, "remote", reason, text, remote.revision, now)


def kept_local(item: Queued, revision: Revision | None, reason: Reason, now: datetime) -> Put:
    """The operation that keeps a write instead of applying it, or beside what it was merged into.

    Raises ``InvalidRecord`` if it is too large to be kept as text.
    """
    text = encode_operation(item.op, item.basis).decode()
    return _kept(item, "local", reason, text, revision, now)


def _kept(
    item: Queued, side: Side, reason: Reason, text: str, revision: Revision | None, now: datetime
) -> Put:
    ref: Ref[Any] = item.op.ref
    record = Conflicted(
        # Told by the write, so that what is kept twice is there once.
        id=f"{item.id}-{side}",
        collection=ref.collection,
        document_key=ref.key,
        model=ref.model.__name__,
        at=now,
        reason=reason,
        side=side,
        document=text,
        revision=revision,
    )
    return Put(record, namespace=ref.namespace)
