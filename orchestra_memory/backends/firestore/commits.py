"""Operations committed: in one request, or in chunks side by side."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from ...codec.document import is_expired
from ...codec.firestore.decode import decode_micros
from ...codec.firestore.messages import CommitRequest
from ...operations import Billed, Delete, Op, Options, Receipt
from ...record import EXPIRATION
from ...resilience.deadline import Deadline
from ...resilience.retry import Retries, may_repeat, retried
from ...slices import sliced
from ..batches import Address, Prepared, chunks_for, prepare_all
from ..chunked import commit_chunks
from ..rows import PreconditionFailed, conflict
from .calls import Calls
from .names import Names
from .read import whole_rows
from .write import Seen, Step, add_writes, conditional, contradictions, failed, plan

CHUNKS_IN_FLIGHT: Final = 4
"""Commits under way at once for one bulk write; more gave nothing on one channel."""
ATTEMPTS: Final = 5
"""Commits tried while the state that preconditions met keeps changing."""


class Commits:
    """The writing half of a :class:`FirestoreMemory`."""

    def __init__(self, calls: Calls, names: Names) -> None:
        self._calls = calls
        self._names = names
        self._retries = Retries()

    async def write(self, ops: Sequence[Op], options: Options) -> Receipt:
        deadline = Deadline.after(options.timeout)
        chunks = chunks_for(await prepare_all(ops), atomic=options.atomic)
        if len(chunks) == 1:
            return await self._commit(chunks[0], deadline)

        async def commit(chunk: Sequence[Prepared]) -> Receipt:
            return await retried(
                lambda: self._commit(chunk, deadline),
                policy=self._retries,
                deadline=deadline,
                repeatable=may_repeat(item.op for item in chunk),
            )

        return together(await commit_chunks(chunks, commit, in_flight=CHUNKS_IN_FLIGHT))

    async def _commit(self, chunk: Sequence[Prepared], deadline: Deadline) -> Receipt:
        """One commit. What its preconditions met is read only when they did not hold."""
        impossible = contradictions(chunk)
        seen: dict[Address, Seen] = {}
        for _ in range(ATTEMPTS):
            try:
                if not impossible:
                    return await self._send(plan(chunk, seen), deadline)
            except PreconditionFailed:
                pass
            seen = await self._look(conditional(chunk), deadline)
            refused = {id(item) for item in (*failed(conditional(chunk), seen), *impossible)}
            if refused:
                raise conflict([item for item in chunk if id(item) in refused])
        raise conflict(conditional(chunk))

    async def _send(self, steps: Sequence[Step], deadline: Deadline) -> Receipt:
        request = CommitRequest()
        places = [
            add_writes(request.writes, step, self._names.document(step.item.address))
            async for step in sliced(steps)
        ]
        response = await self._calls.commit(request, deadline)
        results = response.write_results
        revisions = tuple(
            None if isinstance(step.item.op, Delete) else decode_micros(results[place].update_time)
            for step, place in zip(steps, places, strict=True)
        )
        deletes = sum(1 for write in request.writes if write.HasField("delete"))
        billed = Billed(writes=len(request.writes) - deletes, deletes=deletes)
        return Receipt(revisions, decode_micros(response.commit_time), billed=billed)

    async def _look(self, items: Sequence[Prepared], deadline: Deadline) -> dict[Address, Seen]:
        """Presence, revision and expiry of what these operations are about."""
        addresses = {self._names.document(item.address): item.address for item in items}
        documents = await self._calls.get(addresses, deadline, fields=[EXPIRATION])
        rows = await whole_rows(self._calls, documents, deadline)
        seen = {
            addresses[name]: Seen(row.revision, is_expired(row.document))
            for name, row in rows.items()
        }
        return {address: seen.get(address, Seen(None)) for address in addresses.values()}


def together(receipts: Sequence[Receipt]) -> Receipt:
    """One receipt for the chunks of a write."""
    return Receipt(
        tuple(revision for receipt in receipts for revision in receipt.revisions),
        max((receipt.version or 0 for receipt in receipts), default=None),
        billed=sum((receipt.billed for receipt in receipts), Billed()),
    )
