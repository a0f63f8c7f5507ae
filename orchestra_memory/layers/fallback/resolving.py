"""What becomes of queued writes to one document that is not as they expected it."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Final, TypeAlias

from ...codec.document import Document, decode, encode, patched
from ...operations import ABSENT, PRESENT, Delete, Expect, Op, Patch, Put, Stored
from ...record import EXPIRATION, Record, timed_by_store
from ...values import same
from .composing import Base, Composition, Outcome, created, expecting, is_stranger, unconditional
from .conflicts import DEFAULT_POLICY, ConflictPolicy, MergePolicy, Reason, kept_local, kept_remote
from .merge import fingerprint, is_apart, merged, unlike
from .queued import Queued

log: Final = logging.getLogger("orchestra_memory.fallback")

Policies: TypeAlias = Mapping[type[Record], ConflictPolicy]


class Resolution:
    """The writes to one document, decided one after another, given what the store has of it.

    ``ops`` are to be written, the first under the precondition that the store still has that;
    ``kept`` is what loses, ``refused`` the ids of writes that are not applied.
    """

    def __init__(
        self, remote: Stored[Any] | None, base: Outcome, policies: Policies, now: datetime
    ) -> None:
        self.ops: list[Op] = []
        self.kept: list[Put] = []
        self.refused: list[str] = []
        self._remote = remote
        self._base = base
        self._document = None if remote is None else encode(remote.record)
        self._is_ours = not base.refused and _is_unchanged(remote, base.base)
        self._policies = policies
        self._now = now
        self._overwritten = False
        self._before: Queued | None = None

    def decide_all(self, items: Sequence[Queued], composition: Composition) -> None:
        """Put into a commit what becomes of these writes."""
        for item in items:
            self.decide(item)
        composition.add(items, self.ops, sure=self._is_ours)
        composition.found[items[0].document] = self._found()
        composition.kept += self.kept
        composition.refused += self.refused

    def _found(self) -> Base:
        """How the store has the document."""
        return Base(absent=True) if self._remote is None else Base(self._remote.revision)

    def decide(self, item: Queued) -> None:
        """Take the next write into account."""
        if isinstance(item.op.expect, int) and self._was_refused(item):
            self._by_policy(item)
        elif self._is_ours and self._is_known(item) and self._is_possible(item.op):
            self._write(item.op)
        else:
            self._contested(item)
        self._before = item

    def _was_refused(self, item: Queued) -> bool:
        """Whether what it builds on was not applied."""
        return (self._before is None and self._base.refused) or item.basis.after in self.refused

    def _is_known(self, item: Queued) -> bool:
        """Whether it knew of the write before it, or does not mind."""
        return self._before is None or not is_stranger(item, self._before)

    def _is_possible(self, op: Op) -> bool:
        if op.expect is PRESENT and self._document is None:
            return isinstance(op, Patch) and op.or_create is not None
        return op.expect is not ABSENT or self._document is None

    def _contested(self, item: Queued) -> None:
        """Decide a write to a document that somebody else has changed, or may have."""
        match item.op:
            case Put():
                self._put(item, item.op)
            case Delete():
                self._delete(item, item.op)
            case Patch():
                self._patch(item, item.op)

    def _put(self, item: Queued, put: Put) -> None:
        if self._is_there(put):
            self._is_ours = True
        elif self._document is not None and _was_created(item):
            # It was applied, and others have changed it since.
            self._is_ours = False
        elif put.expect is None or (put.expect is PRESENT and self._document is not None):
            self._overwrite(item, put)
        elif put.expect is ABSENT and self._document is None:
            self._write(put)
        elif isinstance(put.expect, int) and (both := self._merged(item, put)) is not None:
            self._write_over(Put(both, namespace=put.namespace))
        else:
            self._by_policy(item)

    def _is_there(self, put: Put) -> bool:
        if self._document is None:
            return False
        document, timed = encode(put.record), timed_by_store(put.record)
        if timed is not None:
            document[timed] = self._document.get(timed)
        return same(self._document, document)

    def _merged(self, item: Queued, put: Put) -> Record | None:
        return None if self._document is None else merged(put, item.basis.fields, self._document)

    def _delete(self, item: Queued, delete: Delete) -> None:
        if self._document is None and delete.expect is not PRESENT:
            self._is_ours = True
        elif delete.expect is None or (delete.expect is PRESENT and self._document is not None):
            self._overwrite(item, delete)
        else:
            self._by_policy(item)

    def _patch(self, item: Queued, patch: Patch) -> None:
        if self._has_left(item):
            self._is_ours = True
            return
        if self._document is None:
            fits = patch.or_create is not None and patch.expect is PRESENT
        else:
            fits = is_apart(patch, item.basis.fields, self._document)
        if fits:
            self._write_over(patch)
        else:
            self._by_policy(item)

    def _has_left(self, item: Queued) -> bool:
        """Whether the document is just what a write that was in doubt was to make of it."""
        result = item.basis.result
        if result is None or self._document is None:
            return False
        return fingerprint(self._document) == result

    def _by_policy(self, item: Queued) -> None:
        policy = self._policies.get(item.op.ref.model, DEFAULT_POLICY)
        is_lost = self._document is None and isinstance(item.op, Patch)
        if policy == "keep_local" and not is_lost:
            self._overwrite(item, item.op)
        elif policy == "keep_remote":
            self._refuse(item, "overwritten")
        elif not callable(policy) or not self._merge_by(policy, item):
            self._refuse(item, "refused")

    def _merge_by(self, policy: MergePolicy, item: Queued) -> bool:
        """Write what the function makes of both; false if it cannot."""
        local, remote = self._local(item.op), self._current(item.op)
        if local is None or remote is None:
            return False
        result = _result(policy, local, remote)
        if result is None:
            return False
        if unlike(result, remote):
            self._keep_remote(item, "merged")
        if unlike(result, local):
            self.kept.append(kept_local(item, self._found().revision, "merged", self._now))
        self._write_over(Put(result, namespace=item.op.ref.namespace))
        return True

    def _local(self, op: Op) -> Record | None:
        if isinstance(op, Put):
            return op.record
        if isinstance(op, Delete) or self._document is None:
            return None
        return decode(op.ref, patched(self._document, op), owned=True)

    def _current(self, op: Op) -> Record | None:
        return None if self._document is None else decode(op.ref, self._document)

    def _refuse(self, item: Queued, reason: Reason) -> None:
        self.refused.append(item.id)
        self.kept.append(kept_local(item, self._found().revision, reason, self._now))
        self._is_ours = False

    def _overwrite(self, item: Queued, op: Op) -> None:
        self._keep_remote(item, "overwritten")
        if isinstance(op, Patch):
            self._write_over(op)
        else:
            self._write(op)

    def _write_over(self, op: Op) -> None:
        """Write what leaves something of others in the document."""
        self._write(op)
        self._is_ours = False

    def _keep_remote(self, item: Queued, reason: Reason) -> None:
        # Only the store's own version: what stands there after a first write is ours.
        is_told = self._remote is not None or self._brings_back(item.op)
        if is_told and not self._overwritten and not self._is_ours:
            self._overwritten = True
            self.kept.append(kept_remote(item, self._remote, reason, self._now))

    def _brings_back(self, op: Op) -> bool:
        """Whether somebody took away what was known to be there, and this puts it back."""
        if not isinstance(op, Put) or self._base.base.revision is None:
            return False
        # What lives for a time only may have been taken away by its end.
        return getattr(op.record, EXPIRATION, None) is None

    def _write(self, op: Op) -> None:
        if isinstance(op, Patch) and self._document is None:
            op = created(op)
        after = _after(op, self._document)
        if not (after is None and self._document is None):
            self.ops.append(unconditional(op) if self.ops else expecting(op, self._expected()))
        self._document, self._is_ours = after, True

    def _expected(self) -> Expect:
        return ABSENT if self._remote is None else self._remote.revision


def _after(op: Op, document: Document | None) -> Document | None:
    match op:
        case Put():
            return encode(op.record)
        case Delete():
            return None
        case Patch():
            assert document is not None
            return patched(document, op)


def _is_unchanged(remote: Stored[Any] | None, base: Base) -> bool:
    """Whether the store has what was known: a write that changed nothing kept its revision."""
    if remote is None:
        return base.absent
    return base.revision is not None and remote.revision <= base.revision


def _was_created(item: Queued) -> bool:
    """Whether it was sent before, and nobody else can have created what is there."""
    basis = item.basis
    return item.op.expect is ABSENT and basis.in_doubt and basis.absent


def _result(policy: MergePolicy, local: Record, remote: Record) -> Record | None:
    """What a user's function makes of two records; ``None`` if that cannot be stored."""
    try:
        result = policy(local, remote)
    except Exception:
        log.exception("the conflict policy of %s failed: the write is kept", type(local).__name__)
        return None
    if type(result) is not type(local) or result.key != local.key:
        log.error(
            "the conflict policy of %s returned %s, or another id: the write is kept",
            type(local).__name__,
            type(result).__name__,
        )
        return None
    return result
