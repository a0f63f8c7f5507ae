"""Writes: fence what they touch, write below, then tell the cache what became of it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

import anyio

from ...codec.document import Document
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
    Unauthenticated,
)
from ...operations import FREE, Billed, Durability, Op, Options, Receipt, Ref, Stored
from ...resilience.deadline import Deadline
from ...slices import mapped, sliced
from .below import Below, remaining
from .entries import row_in
from .outcome import (
    Outcome,
    Work,
    by_key,
    fence_seconds,
    moved_by,
    put_documents,
    scopes_by_key,
    steps_if_refused,
    told_scopes,
)
from .scopes import Scope, scopes_of
from .scripts import Found, Intended
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
        moved, billed = await self._moved(ops, options)
        work = Work(ops, moved, is_one_commit=options.atomic is not False)
        async for place in sliced(range(len(ops))):
            work.touch(place)
        targets, token = work.targets(), self._link.token()
        intended = await self._fenced(targets, token, len(ops), options)
        left = remaining(options, deadline)
        receipt, documents = await self._committed(work, targets, token, intended, left)
        if receipt.durability is Durability.COMMITTED:
            by_scope = dict(zip(work.scopes, (intended or [])[len(work.last) :], strict=False))
            outcome = Outcome(work, receipt, documents, by_scope, self._policies)
            told = await self._told(outcome.steps(), token)
            receipt = replace(receipt, cache_invalidation="done" if told else "pending")
        return replace(receipt, billed=receipt.billed + billed) if billed != FREE else receipt

    async def _moved(
        self, ops: Sequence[Op], options: Options
    ) -> tuple[dict[Ref[Any], list[Scope]], Billed]:
        """The scopes of records that patches move: from their ids, the cache, or below."""
        refs = dict.fromkeys([op.ref async for op in sliced(ops) if moved_by(op)])
        moved = {ref: scopes for ref in refs if (scopes := scopes_by_key(ref)) is not None}
        if left := [ref for ref in refs if ref not in moved]:
            moved |= await self._cached_scopes(left)
            left = [ref for ref in left if ref not in moved]
        if not left:
            return moved, FREE
        options = replace(options, cache="bypass")
        try:
            snapshot = await self._below.read(left, options)
        except (CorruptRecord, SchemaTooNew):
            # What is no record is in no window either.
            return moved, FREE
        billed = snapshot.billed
        for ref, living in zip(left, snapshot.items, strict=True):
            stored, spent = (living, FREE) if living else await self._expired(ref, options)
            billed += spent
            if stored is not None:
                moved[ref] = scopes_of(ref, told_scopes(stored.record))
        return moved, billed

    async def _expired(self, ref: Ref[Any], options: Options) -> tuple[Stored[Any] | None, Billed]:
        """The record if it is stored all the same: a patch may give it more time."""
        query = by_key(ref)
        if query is None:
            return None, FREE
        try:
            page = await self._below.find(query, options)
        except (CorruptRecord, SchemaTooNew):
            return None, FREE
        return next(iter(page.items), None), page.billed

    async def _cached_scopes(self, refs: Sequence[Ref[Any]]) -> dict[Ref[Any], list[Scope]]:
        try:
            replies = await self._link.read(refs, mode="peek")
        except CacheUnavailable:
            return {}
        rows = (
            (ref, row_in(ref, reply.payload))
            for ref, reply in zip(refs, replies, strict=True)
            if isinstance(reply, Found)
        )
        return {
            ref: scopes_of(ref, row.document) async for ref, row in sliced(rows) if row is not None
        }

    async def _fenced(
        self, targets: Sequence[Target], token: str, count: int, options: Options
    ) -> list[Intended] | None:
        """What was there as the fences were raised, ``None`` if they could not be."""
        seconds = fence_seconds(count, options.timeout)
        try:
            return await self._link.intend(targets, token=token, seconds=seconds)
        except CacheUnavailable:
            if self._strict:
                raise
            return None

    async def _committed(
        self,
        work: Work,
        targets: Sequence[Target],
        token: str,
        intended: Sequence[Intended] | None,
        options: Options,
    ) -> tuple[Receipt, dict[int, Document]]:
        """The receipt from below, and what was put.

        A write in doubt is told to nobody: its fences keep readers away until they fall by
        themselves. Where there are none, its entries are dropped as soon as Redis is back.
        """
        try:
            documents = put_documents(work)
            return await self._inner.write(work.ops, options=options), documents
        except REFUSALS:
            if intended is not None:
                await self._told(steps_if_refused(targets, intended, self._policies), token)
            raise
        except BaseException:
            if intended is None:
                self._link.remember((target, 0) for target in targets)
            raise

    async def _told(self, steps: Iterator[Step], token: str) -> bool:
        """Whether Redis was told; if not, it will be before anything is read from it again."""
        # What was acknowledged below must be told, whoever still waits for it.
        with anyio.CancelScope(shield=True):
            try:
                await self._link.publish(await mapped(_itself, steps), token=token)
            except CacheUnavailable:
                return False
        return True


def _itself(step: Step) -> Step:
    return step
