"""Writes: fence what they touch, write below, then tell the cache what became of it."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

from ...errors import (
    CacheUnavailable,
    Conflict,
    CorruptRecord,
    DurabilityUnavailable,
    InvalidBatch,
    InvalidQuery,
    InvalidRecord,
    PermissionDenied,
    SchemaTooNew,
    StorageError,
    Unauthenticated,
)
from ...operations import FREE, Billed, Durability, Op, Options, Patch, Receipt, Ref
from ...resilience.deadline import Deadline, remaining
from ...slices import mapped, sliced
from .below import Below
from .entries import row_in
from .outcome import (
    Moves,
    Outcome,
    Work,
    fence_seconds,
    moved_by,
    steps_if_refused,
)
from .replies import Found, Intended, Published
from .scopes import scopes_of
from .steps import Step, Target

if TYPE_CHECKING:
    from ...protocol import MemoryManager
    from .link import Link
    from .policy import Policies

REFUSALS: Final = (
    Conflict,
    InvalidRecord,
    InvalidBatch,
    InvalidQuery,
    PermissionDenied,
    Unauthenticated,
    DurabilityUnavailable,
)
"""After these nothing was written. Not so after an outage or an overload, which may have come of
another attempt than the first."""


class Writer:
    """Writes through the cache. `strict` refuses what cannot be fenced."""

    def __init__(
        self, inner: MemoryManager, below: Below, link: Link, policies: Policies, *, strict: bool
    ) -> None:
        self._inner = inner
        self._below = below
        self._link = link
        self._policies = policies
        self._strict = strict

    async def write(self, ops: Sequence[Op], options: Options) -> Receipt:
        if not ops:
            return await self._inner.write(ops, options=options)
        deadline = Deadline.after(options.timeout)
        patches = [op for op in ops if isinstance(op, Patch)]
        moves = await self._moves(patches) if patches else None
        work = Work(ops, moves.scopes if moves else {}, is_one_commit=options.atomic is not False)
        await mapped(work.touch, range(len(ops)))
        targets, token = work.targets(), self._link.token()
        intended = await self._fenced(targets, token, work, options)
        outcome = Outcome(work, intended, self._policies)
        receipt = await self._committed(outcome, targets, token, remaining(options, deadline))
        if receipt.durability is not Durability.COMMITTED:
            return receipt
        published = await self._told(outcome.steps(receipt), token)
        told, billed = published is not None, receipt.billed
        if moves and (unsure := moves.unsure(targets, intended, published)):
            scopes_told, more = await self._scopes_told(unsure, outcome, receipt, deadline)
            told, billed = told and scopes_told, billed + more
        return replace(receipt, cache_invalidation="done" if told else "pending", billed=billed)

    async def _moves(self, patches: Sequence[Patch]) -> Moves:
        """The scopes of records that patches move, as far as their ids or the cache tell."""
        moved = await mapped(moved_by, patches)
        moves = Moves(
            dict.fromkeys([op.ref for op, moves in zip(patches, moved, strict=True) if moves])
        )
        if not moves.refs:
            return moves
        moves.take_scopes_of_keys()
        left = moves.unknown()
        try:
            replies = await self._link.read(left, mode="peek") if left else []
        except CacheUnavailable:
            return moves
        async for ref, reply in sliced(zip(left, replies, strict=True)):
            row = row_in(ref, reply.payload) if isinstance(reply, Found) else None
            if row is not None:
                moves.scopes[ref] = scopes_of(ref, row.document)
                moves.versions[ref] = row.revision
        return moves

    async def _scopes_told(
        self, refs: Sequence[Ref[Any]], outcome: Outcome, receipt: Receipt, deadline: Deadline
    ) -> tuple[bool, Billed]:
        """Drop the lists of the scopes in which records stand behind the patches that moved them.

        Only what is stored now tells for sure: another writer may have put a record into another
        scope since it was looked at. What is not there by now is in no list.
        """
        options = Options(timeout=deadline.left(), cache="bypass")
        try:
            snapshot = await self._below.read(refs, options)
        except (CorruptRecord, SchemaTooNew):
            # What is no record is in no list either.
            return True, FREE
        except StorageError:
            self._link.forget({ref.namespace for ref in refs})
            return False, FREE
        items = zip(refs, snapshot.items, strict=True)
        found = ((ref, stored.record) for ref, stored in items if stored is not None)
        steps = outcome.drops(receipt, found)
        return await self._told(steps, self._link.token()) is not None, snapshot.billed

    async def _fenced(
        self, targets: Sequence[Target], token: str, work: Work, options: Options
    ) -> list[Intended] | None:
        """What was there as the fences were raised, ``None`` if they could not be."""
        seconds = fence_seconds(len(work.ops), options.timeout)
        meanwhile = work.prepare_early if work.is_small else None
        try:
            return await self._link.intend(
                targets, token=token, seconds=seconds, meanwhile=meanwhile
            )
        except CacheUnavailable:
            if self._strict:
                raise
            return None

    async def _committed(
        self, outcome: Outcome, targets: Sequence[Target], token: str, options: Options
    ) -> Receipt:
        """The receipt from below.

        A write in doubt is told to nobody: its fences keep readers away until they fall by
        themselves. Where there are none, its entries are dropped as soon as Redis is back.
        """
        work, intended = outcome.work, outcome.intended
        try:
            work.prepare()
            if work.is_small:
                # While the store is at it; where it is done before, this does no harm.
                asyncio.get_running_loop().call_soon(outcome.decide)
            return await self._inner.write(work.ops, options=options)
        except REFUSALS:
            if intended is not None:
                await self._told(steps_if_refused(targets, intended), token)
            raise
        except BaseException:
            if intended is None:
                self._link.remember((target, 0) for target in targets)
            raise

    async def _told(self, steps: Iterator[Step], token: str) -> list[Published] | None:
        """What Redis says of it; if it cannot be told now, it will be before it is read again."""
        try:
            return await self._link.publish(await mapped(_itself, steps), token=token)
        except CacheUnavailable:
            return None


def _itself(step: Step) -> Step:
    return step
