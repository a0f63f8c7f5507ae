"""Operations committed: in one request, or in chunks side by side."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from typing import Final

import anyio

from ...bulk import cause_of, write_chunks
from ...codec.document import is_expired
from ...codec.firestore.decode import decode_micros
from ...errors import DeadlineExceeded, InvalidBatch, OrchestraMemoryError, PartialWrite
from ...operations import FREE, Billed, Delete, Op, Options, Receipt
from ...record import EXPIRATION
from ...resilience.concurrency import Concurrency
from ...resilience.deadline import Deadline
from ...resilience.ramp import Ramp
from ...resilience.retry import Retries, RetryBudget, may_repeat, retried
from ...slices import mapped
from ..batches import MAX_OPERATIONS, Address, check_atomic, cut, stopped
from ..rows import PreconditionFailed, conflict
from .calls import Calls
from .errors import TooBig
from .names import Names
from .read import whole_rows
from .write import (
    Item,
    Seen,
    Step,
    Writes,
    conditional,
    failed,
    plan,
    prepare,
)

Chunk = Sequence[Item]

ATTEMPTS: Final = 5
"""Commits tried while the state that preconditions met keeps changing."""
BULK_ATTEMPTS: Final = 8
"""Commits of one chunk while Firestore refuses more load, which meanwhile becomes less."""
BULK_PAUSE: Final = 0.1
"""Seconds that the first pause between them lasts at most."""
MANY: Final = 100
"""Operations that take so long to encode that it matters which are sent first."""


class Commits:
    """The writing half of a :class:`FirestoreMemory`."""

    def __init__(self, calls: Calls, names: Names, ramp: Ramp | None) -> None:
        self._calls = calls
        self._names = names
        self._ramp = ramp
        self._retries = Retries(BULK_ATTEMPTS, BULK_PAUSE, RetryBudget(limit=BULK_ATTEMPTS * 8))
        self._concurrency = Concurrency()
        self._encoding = anyio.Lock()

    async def write(self, ops: Sequence[Op], options: Options) -> Receipt:
        deadline = Deadline.after(options.timeout)
        if options.atomic is False:
            write = partial(self._write_some, deadline)
            return await (write(ops) if len(ops) <= MAX_OPERATIONS else write_chunks(ops, write))
        prepared = await self._prepared(ops)
        check_atomic(prepared)
        if not prepared:
            return Receipt((), None)
        try:
            return await self._commit(prepared, deadline)
        except TooBig as error:
            raise _too_big(prepared) from error

    async def _prepared(self, ops: Sequence[Op]) -> list[Item]:
        if len(ops) < MANY:
            return await mapped(prepare, ops)
        # One chunk is encoded at a time, so that the first is under way while others follow.
        async with self._encoding:
            return await mapped(prepare, ops)

    async def _write_some(self, deadline: Deadline, ops: Sequence[Op]) -> Receipt:
        """Operations that may take several commits, being large, but mostly take one."""
        chunks = list(cut(await self._prepared(ops)))
        receipts: list[Receipt] = []
        try:
            for chunk in chunks:
                receipts.append(await self._commit_in_turn(chunk, deadline))
        except OrchestraMemoryError as error:
            if len(chunks) == 1:
                raise
            raise stopped(chunks, range(len(receipts)), error) from cause_of(error)
        return together(receipts)

    async def _commit_in_turn(self, chunk: Chunk, deadline: Deadline) -> Receipt:
        if self._ramp is not None:
            pause = self._ramp.pause(len(chunk), time.monotonic())
            if not deadline.allows(pause):
                raise DeadlineExceeded("the ramp allows no more in this time", operation="write")
            await anyio.sleep(pause)

        async def attempt() -> Receipt:
            async with self._concurrency.slot(telling=2 * len(chunk) > MAX_OPERATIONS):
                return await self._commit(chunk, deadline)

        try:
            return await retried(
                attempt,
                policy=self._retries,
                deadline=deadline,
                repeatable=may_repeat(item.op for item in chunk),
            )
        except TooBig as error:
            if len(chunk) == 1:
                raise _too_big(chunk) from error
        return await self._commit_halves(chunk, deadline)

    async def _commit_halves(self, chunk: Chunk, deadline: Deadline) -> Receipt:
        """Firestore counts index entries too, of which only it knows the number."""
        middle = len(chunk) // 2
        halves = chunk[:middle], chunk[middle:]
        receipts: list[Receipt] = []
        try:
            for half in halves:
                receipts.append(await self._commit_in_turn(half, deadline))
        except OrchestraMemoryError as error:
            if not receipts and not isinstance(error, PartialWrite):
                raise
            raise stopped(halves, range(len(receipts)), error) from cause_of(error)
        return together(receipts)

    async def _commit(self, chunk: Chunk, deadline: Deadline) -> Receipt:
        """One commit. What its preconditions met is read only when they did not hold."""
        seen: dict[Address, Seen] = {}
        looked = FREE
        for _ in range(ATTEMPTS):
            steps, impossible = plan(chunk, seen)
            try:
                if not impossible:
                    receipt = await self._send(steps, deadline)
                    return replace(receipt, billed=receipt.billed + looked) if seen else receipt
            except PreconditionFailed:
                pass
            seen, billed = await self._look(conditional(chunk), deadline)
            looked += billed
            refused = {id(item) for item in (*failed(conditional(chunk), seen), *impossible)}
            if refused:
                raise conflict([item for item in chunk if id(item) in refused])
        raise conflict(conditional(chunk))

    async def _send(self, steps: Sequence[Step], deadline: Deadline) -> Receipt:
        writes = Writes()
        places = [writes.add(step, self._names.document(step.item.address)) for step in steps]
        response = await self._calls.commit(writes.messages, deadline)
        times = [decode_micros(result.update_time) for result in response.write_results]
        revisions = tuple(
            None if isinstance(step.item.op, Delete) else times[place]
            for step, place in zip(steps, places, strict=True)
        )
        return Receipt(revisions, decode_micros(response.commit_time), billed=writes.billed)

    async def _look(self, items: Chunk, deadline: Deadline) -> tuple[dict[Address, Seen], Billed]:
        """Presence, revision and expiry of what these operations are about."""
        addresses = {self._names.document(item.address): item.address for item in items}
        documents = await self._calls.get(addresses, deadline, fields=[EXPIRATION])
        rows = await whole_rows(self._calls, documents, deadline)
        seen = dict.fromkeys(addresses.values(), Seen(None))
        for name, row in rows.items():
            seen[addresses[name]] = Seen(row.revision, is_expired(row.document))
        return seen, Billed(reads=documents.answers)


def together(receipts: Sequence[Receipt]) -> Receipt:
    """One receipt for the commits of a write."""
    return Receipt(
        tuple(revision for receipt in receipts for revision in receipt.revisions),
        max((receipt.version or 0 for receipt in receipts), default=None),
        billed=sum((receipt.billed for receipt in receipts), Billed()),
    )


def _too_big(chunk: Chunk) -> InvalidBatch:
    return InvalidBatch(
        f"Firestore finds {len(chunk):,} operations too big for one transaction, as it counts "
        "their index entries; write fewer at once, or declare fields unindexed",
        bound="index entries",
    )
