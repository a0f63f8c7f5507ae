"""Writes: to the store while it answers, else to the queue; and what became of each is said."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Iterable, Iterator, Sequence
from dataclasses import replace
from typing import Any, Final

from ...backends.batches import check_atomic, cut, prepare
from ...bulk import cause_of, partial_write
from ...codec.operations import Basis
from ...errors import (
    Conflict,
    DurabilityUnavailable,
    InvalidBatch,
    InvalidRecord,
    OrchestraMemoryError,
    PartialWrite,
    Unavailable,
)
from ...intake import CHUNK
from ...operations import ABSENT, FREE, Durability, Expect, Op, Options, Receipt
from ...protocol import MemoryManager
from ...resilience.journal import DocumentKey
from ...resilience.retry import may_repeat
from ...slices import mapped
from ...values import utc_now
from .bases import Decision, conflict, has_own_random_id, is_provisional
from .markers import commit_id, mark, needs_marker, without_marker
from .queue import Queue
from .queued import document_of
from .standby import Standby
from .turns import Turns

_ORDER: Final = tuple(Durability)


class Writer:
    """Writes to `primary`, or to `queue` where it does not answer, or must not be asked yet.

    ``healthy`` says whether the store is to be asked. ``min_durability`` refuses what is kept less
    safely, where a call says nothing. ``journal_first`` queues everything before it is sent.
    """

    def __init__(
        self,
        primary: MemoryManager,
        queue: Queue,
        standby: Standby,
        *,
        healthy: Callable[[], bool],
        min_durability: Durability,
        journal_first: bool = False,
    ) -> None:
        self._primary = primary
        self._queue = queue
        self._standby = standby
        self._healthy = healthy
        self._min_durability = min_durability
        self._journal_first = journal_first
        self._turns = Turns()

    async def write(self, ops: Sequence[Op], options: Options) -> Receipt:
        if not ops:
            return Receipt((), None)
        self._check_provisional(ops)
        committed_only = self._wanted(options) is Durability.COMMITTED
        held = self._queue.holds_one_of(ops)
        if committed_only and held:
            raise DurabilityUnavailable(
                "earlier writes to the same records still wait for the store, so that this one "
                "cannot be committed yet; try again, or accept Durability.JOURNALED",
                operation="write",
            )
        first = self._journal_first and not committed_only
        if not (held or first) and (committed_only or self._healthy()):
            return await self._commit(ops, options)
        return await self._keep(ops, options)

    def _wanted(self, options: Options) -> Durability:
        return options.min_durability or self._min_durability

    def _check_provisional(self, ops: Sequence[Op]) -> None:
        """What a write showed that has been replayed by now, no store knows."""
        gone = [op.ref for op in ops if is_provisional(op) and not self._waits(op.expect)]
        if gone:
            raise conflict(gone)

    def _waits(self, revision: Expect) -> bool:
        return isinstance(revision, int) and self._queue.find_provisional(revision) is not None

    def _commit(self, ops: Sequence[Op], options: Options) -> Coroutine[Any, Any, Receipt]:
        if options.exactly_once is False or not needs_marker(ops):
            return self._sent(ops, options)
        if options.atomic is False:
            return self._commit_in_chunks(ops, options)
        return self._sent_marked(ops, options)

    async def _commit_in_chunks(self, ops: Sequence[Op], options: Options) -> Receipt:
        """Commit some after others, each chunk with a marker of its own."""
        whole = replace(options, atomic=None)
        chunks = [[item.op for item in chunk] for chunk in cut(await mapped(prepare, ops))]
        receipts: list[Receipt] = []
        for number, chunk in enumerate(chunks):
            try:
                receipts.append(await self._sent_marked(chunk, whole))
            except OrchestraMemoryError as error:
                if not receipts:
                    raise
                stored, rest = ([*_flat(part)] for part in (chunks[:number], chunks[number:]))
                raise partial_write(stored, rest, cause_of(error)) from error
        return _together(receipts)

    async def _sent_marked(self, ops: Sequence[Op], options: Options) -> Receipt:
        commit = commit_id(len(ops), whole=len(ops) > 1)
        return await self._sent(ops, options, commit)

    async def _sent(
        self, ops: Sequence[Op], options: Options, commit: str | None = None
    ) -> Receipt:
        """What the store says of it, or the queue if the store does not answer."""
        sent = ops if commit is None else [*ops, mark(commit, utc_now())]
        try:
            receipt = await self._primary.write(sent, options=options)
        except Unavailable as error:
            return await self._degraded(ops, options, error, commit)
        except PartialWrite as error:
            return await self._degraded_in_part(ops, options, error)
        except (Conflict, InvalidRecord, InvalidBatch):
            # A copy that misled somebody once would mislead again.
            self._standby.forget(op.ref for op in ops if op.expect is not None)
            raise
        except BaseException:
            self._forget(ops)
            raise
        if commit is not None:
            receipt = without_marker(receipt)
        self._standby.wrote(ops, receipt)
        return receipt

    async def _degraded(
        self, ops: Sequence[Op], options: Options, error: Unavailable, commit: str | None
    ) -> Receipt:
        """Queue what the store did not answer to, if that can still be done exactly once."""
        is_clear = not error.ambiguous or commit is not None or all(map(_may_be_sent_again, ops))
        if self._wanted(options) is Durability.COMMITTED or not is_clear:
            if error.ambiguous:
                self._forget(ops)
            raise error
        sent = commit if error.ambiguous else None
        try:
            return await self._keep(ops, options, sent, in_doubt=error.ambiguous)
        except OrchestraMemoryError as refused:
            if not error.ambiguous:
                raise refused from error
            # That it was not accepted would be saying too much.
            self._forget(ops)
            raise error from refused

    async def _degraded_in_part(
        self, ops: Sequence[Op], options: Options, error: PartialWrite
    ) -> Receipt:
        self._forget(ops)
        cause = error.__cause__
        if not isinstance(cause, Unavailable):
            raise error
        try:
            receipt = await self._degraded(error.remaining, options, cause, None)
        except OrchestraMemoryError as refused:
            raise error from refused
        return _unknown(len(ops), receipt.durability)

    async def _keep(
        self,
        ops: Sequence[Op],
        options: Options,
        commit: str | None = None,
        *,
        in_doubt: bool = False,
    ) -> Receipt:
        """Queue it, if that is as safe as is wanted."""
        durability = self._queue.durability
        if _ORDER.index(durability) < _ORDER.index(self._wanted(options)):
            raise DurabilityUnavailable(
                f"the store does not answer, and what is kept here is {durability.value} only; "
                "accept that by min_durability, or try again",
                operation="write",
            )
        self._check_creations(ops, options)
        prepared = await mapped(prepare, ops)
        if options.atomic is False:
            await self._keep_each(ops, in_doubt=in_doubt)
        else:
            check_atomic(prepared)
            if commit is None and len(ops) > 1:
                commit = commit_id(len(ops), whole=True)
            await self._append(ops, commit, in_doubt=in_doubt)
        return _unknown(len(ops), durability)

    def _check_creations(self, ops: Sequence[Op], options: Options) -> None:
        """Refuse what would be acknowledged as new while nobody can know whether it is."""
        asked_for = options.min_durability in (Durability.JOURNALED, Durability.VOLATILE)
        if asked_for or all(op.expect is not ABSENT or has_own_random_id(op) for op in ops):
            return
        raise DurabilityUnavailable(
            "the store does not answer, so that nobody knows whether there is such a record "
            "already; leave the id to the record, or accept Durability.JOURNALED by "
            "Options(min_durability=...)",
            operation="write",
        )

    async def _keep_each(self, ops: Sequence[Op], *, in_doubt: bool) -> None:
        kept = 0
        for batch in _batches(ops):
            try:
                await self._append(batch, None, in_doubt=in_doubt)
            except OrchestraMemoryError as error:
                if not kept:
                    raise
                raise partial_write(ops[:kept], ops[kept:], error) from error
            kept += len(batch)

    async def _append(self, ops: Sequence[Op], commit: str | None, *, in_doubt: bool) -> None:
        # What is on its way to the disk is not seen yet, and would not be built on.
        async with self._turns.turn({document_of(op.ref) for op in ops}):
            decision = Decision(self._queue, self._standby, utc_now(), in_doubt)
            based: list[tuple[Op, Basis]] = [(op, decision.basis(op)) for op in ops]
            decision.check()
            await self._queue.append(based, commit=commit)

    def _forget(self, ops: Iterable[Op]) -> None:
        self._standby.forget(op.ref for op in ops)


def _may_be_sent_again(op: Op) -> bool:
    """Whether it leaves the same if it was applied already, or then fails."""
    return may_repeat([op]) or (op.expect is ABSENT and has_own_random_id(op))


def _batches(ops: Sequence[Op]) -> Iterator[Sequence[Op]]:
    """Consecutive operations on different documents, so that each knows of those before it."""
    start = 0
    touched: set[DocumentKey] = set()
    for place, op in enumerate(ops):
        document = document_of(op.ref)
        if document in touched or len(touched) == CHUNK:
            yield ops[start:place]
            start = place
            touched.clear()
        touched.add(document)
    yield ops[start:]


def _flat(chunks: Iterable[Sequence[Op]]) -> Iterator[Op]:
    return (op for chunk in chunks for op in chunk)


def _unknown(count: int, durability: Durability) -> Receipt:
    """The receipt of what has no revisions yet."""
    return Receipt((None,) * count, None, durability)


def _together(receipts: Sequence[Receipt]) -> Receipt:
    """One receipt for the chunks of a write: as safe, and as well told, as the least of them."""
    return Receipt(
        tuple(revision for receipt in receipts for revision in receipt.revisions),
        max((receipt.version or 0 for receipt in receipts), default=0) or None,
        min((receipt.durability for receipt in receipts), key=_ORDER.index),
        "pending"
        if any(r.cache_invalidation == "pending" for r in receipts)
        else receipts[-1].cache_invalidation,
        sum((receipt.billed for receipt in receipts), FREE),
    )
