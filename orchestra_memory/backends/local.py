"""Memory in the process: the model every other store is compared with."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from datetime import datetime
from math import isnan
from typing import Any, TypeVar

import anyio.lowlevel

from ..codec.cursor import Position, decode_cursor
from ..codec.document import copied, is_expired
from ..errors import StorageError
from ..health import Health, Status
from ..matching import comparer, distance, matches, measured, position_key, value_at
from ..operations import DEFAULT, Billed, Measure, Op, Options, Page, Receipt, Ref, Snapshot, Totals
from ..protocol import MemoryManager
from ..queries import Query
from ..record import Record
from ..values import Vector, utc_now
from .batches import (
    SLICE_SECONDS,
    Address,
    Prepared,
    address_of,
    chunks_for,
    partial_write,
    prepare_all,
)
from .rows import (
    PreconditionFailed,
    Row,
    applied,
    conflict,
    page_of,
    position_of,
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
            except StorageError as error:
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
        rows = [row async for row in self._matching(query)]
        if query.nearest is None:
            rows = _after(query, position, rows)
        else:
            rows = _nearest(query, rows)
        size = room(query, position)
        billed = Billed(reads=max(1, min(size, len(rows))))
        return page_of(
            query, position, rows[:size], more=len(rows) > size, as_of=as_of, billed=billed
        )

    async def aggregate(
        self, query: Query[Any], measures: Sequence[Measure], *, options: Options = DEFAULT
    ) -> Totals:
        await anyio.lowlevel.checkpoint()
        as_of = self._revision
        documents = [row.document async for row in self._matching(query)]
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
        now, revision = self._clock(), self._revision + 1
        changed: dict[Address, Row | None] = {}
        failed: list[Prepared] = []
        for item in chunk:
            row = changed[item.address] if item.address in changed else self._row(item.address)
            try:
                document = applied(item, row, now)
            except PreconditionFailed:
                failed.append(item)
                continue
            stored_id = item.address[2]
            changed[item.address] = document and Row(stored_id, copied(document), revision)
        if failed:
            raise conflict(failed)
        for (namespace, collection, stored_id), row in changed.items():
            rows = self._collections.setdefault((namespace, collection), {})
            if row is None:
                rows.pop(stored_id, None)
            else:
                rows[stored_id] = row
        self._revision = revision
        return [revision if changed[item.address] is not None else None for item in chunk]

    async def _matching(self, query: Query[Any]) -> AsyncIterator[Row]:
        now = self._clock()
        rows = list(self._collections.get((query.namespace, query.spec.collection), {}).values())
        async for row in sliced(rows):
            if query.hides_expired and is_expired(row.document, now):
                continue
            if matches(row.document, query):
                yield row


T = TypeVar("T")


async def sliced(items: Iterable[T]) -> AsyncIterator[T]:
    """The items, with pauses in which the event loop can turn."""
    slice_end = time.monotonic() + SLICE_SECONDS
    for item in items:
        yield item
        if time.monotonic() > slice_end:
            await anyio.lowlevel.checkpoint()
            slice_end = time.monotonic() + SLICE_SECONDS


def _after(query: Query[Any], position: Position | None, rows: list[Row]) -> list[Row]:
    """Rows in order, from behind the position."""
    order = comparer(query.order_by)
    keyed = [(order(_key(position_of(query, row, 0))), row) for row in rows]
    if position is not None:
        start = order(_key(position))
        keyed = [(key, row) for key, row in keyed if start < key]
    keyed.sort(key=lambda pair: pair[0])
    return [row for _, row in keyed]


def _key(position: Position) -> tuple[str, ...]:
    return position_key(position.values, position.stored_id)


def _nearest(query: Query[Any], rows: list[Row]) -> list[Row]:
    nearest = query.nearest
    assert nearest is not None  # noqa: S101
    found: list[Row] = []
    for row in rows:
        vector = value_at(row.document, nearest.field)
        if type(vector) is Vector and len(vector) == len(nearest.vector):
            away = distance(vector, nearest.vector, nearest.metric)
            found.append(Row(row.stored_id, row.document, row.revision, away))
    found.sort(key=lambda row: (*_rank(row.distance or 0.0, nearest.metric), row.stored_id))
    return found


def _rank(away: float, metric: str) -> tuple[bool, float]:
    """Nearest first; what has no distance last."""
    return isnan(away), -away if metric == "dot_product" else away
