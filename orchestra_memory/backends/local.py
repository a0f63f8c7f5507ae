"""Memory in the process: the model every other store is compared with."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Sequence
from datetime import datetime
from typing import Any, TypeVar

import anyio.lowlevel

from ..codec.cursor import decode_cursor
from ..codec.document import is_expired
from ..errors import OrchestraMemoryError
from ..health import Health, Status
from ..matching import matches, measured
from ..operations import DEFAULT, Billed, Measure, Op, Options, Page, Receipt, Ref, Snapshot, Totals
from ..protocol import MemoryManager
from ..queries import Query
from ..record import Record
from ..slices import sliced
from ..values import copied, utc_now
from .batches import (
    Address,
    Prepared,
    address_of,
    chunks_for,
    partial_write,
    prepare_all,
)
from .rows import (
    FirstRows,
    Row,
    decided,
    nearest_rows,
    page_of,
    ref_of,
    revisions_of,
    room,
    stored_of,
)

R = TypeVar("R", bound=Record)


class LocalMemory(MemoryManager):
    """Keeps records in the process; they are gone when it ends.

    ``clock`` tells the time by which records expire; the system's by default.
    """

    def __init__(self, *, clock: Callable[[], datetime] = utc_now) -> None:
        self._clock = clock
        self._revision = 0
        self._collections: dict[tuple[str | None, str], dict[str, Row]] = {}

    def __repr__(self) -> str:
        total = sum(map(len, self._collections.values()))
        return f"<LocalMemory {total} records, revision {self._revision}>"

    async def read(self, refs: Sequence[Ref[R]], *, options: Options = DEFAULT) -> Snapshot[R]:
        await anyio.lowlevel.checkpoint()
        as_of, now = self._revision, self._clock()
        rows = [self._row(address_of(ref)) for ref in refs]
        items = [
            None if row is None or is_expired(row.document, now) else stored_of(ref, row)
            async for ref, row in sliced(zip(refs, rows, strict=True))
        ]
        return Snapshot(tuple(items), as_of, Billed(reads=len(items)))

    async def write(self, ops: Sequence[Op], *, options: Options = DEFAULT) -> Receipt:
        chunks = chunks_for(await prepare_all(ops), atomic=options.atomic)
        revisions: list[int | None] = []
        for number, chunk in enumerate(chunks):
            try:
                revisions += self._commit(chunk)
            except OrchestraMemoryError as error:
                if len(chunks) == 1:
                    raise
                raise partial_write(chunks, range(number), error) from error
            await anyio.lowlevel.checkpoint()
        deletes = revisions.count(None)
        billed = Billed(writes=len(revisions) - deletes, deletes=deletes)
        return Receipt(tuple(revisions), self._revision, billed=billed)

    async def find(self, query: Query[R], *, options: Options = DEFAULT) -> Page[R]:
        await anyio.lowlevel.checkpoint()
        position, as_of = decode_cursor(query), self._revision
        size = room(query, position)
        if query.nearest is None:
            first = FirstRows(query, position, size + 1)
            async for row in self._matching(query):
                first.add(row)
            rows = first.rows()
        else:
            rows = nearest_rows(query, [row async for row in self._matching(query)], size)
        billed = Billed(reads=max(1, min(size, len(rows))))
        shown, more = rows[:size], len(rows) > size
        items = [stored_of(ref_of(query, row), row) async for row in sliced(shown)]
        return page_of(query, position, shown, more=more, as_of=as_of, billed=billed, items=items)

    async def aggregate(
        self, query: Query[Any], measures: Sequence[Measure], *, options: Options = DEFAULT
    ) -> Totals:
        await anyio.lowlevel.checkpoint()
        as_of = self._revision
        documents = [row.document async for row in self._matching(query.unordered)]
        billed = Billed(reads=max(1, -(-len(documents) // 1000)))
        return Totals(measured(measures, documents), as_of, billed)

    async def health(self) -> Health:
        total = sum(map(len, self._collections.values()))
        return Health("local", Status.OK, f"{total} records in the process", 0.0)

    def _row(self, address: Address) -> Row | None:
        namespace, collection, stored_id = address
        return self._collections.get((namespace, collection), {}).get(stored_id)

    def _commit(self, chunk: Sequence[Prepared]) -> list[int | None]:
        """All of it or nothing, without giving up the event loop."""
        revision = self._revision + 1
        changed = decided(chunk, self._row, self._clock(), revision)
        for (namespace, collection, stored_id), row in changed.items():
            rows = self._collections.setdefault((namespace, collection), {})
            if row is None:
                rows.pop(stored_id, None)
            else:
                rows[stored_id] = Row(stored_id, copied(row.document), revision)
        self._revision = revision
        return revisions_of(chunk, changed, revision)

    async def _matching(self, query: Query[Any]) -> AsyncIterator[Row]:
        now = self._clock()
        rows = list(self._collections.get((query.namespace, query.spec.collection), {}).values())
        async for row in sliced(rows):
            if query.hides_expired and is_expired(row.document, now):
                continue
            if matches(row.document, query):
                yield row
