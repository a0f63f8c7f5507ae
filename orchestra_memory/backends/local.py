"""Memory in the process: the model every other store is compared with."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from datetime import datetime
from functools import partial
from typing import Any, Final, TypeVar

import anyio.lowlevel

from ..bulk import write_chunks
from ..codec.cursor import decode_cursor
from ..codec.document import is_expired
from ..errors import OrchestraMemoryError
from ..health import Health, Status
from ..matching import Measuring, matcher
from ..moments import StillMemory, check_is_now
from ..operations import (
    DEFAULT,
    Billed,
    Measure,
    Op,
    Options,
    Page,
    Receipt,
    Ref,
    Revision,
    Snapshot,
    Totals,
)
from ..protocol import MemoryManager
from ..queries import Query
from ..record import Record, spec_of
from ..slices import mapped, sliced
from ..values import copied, utc_now
from .batches import (
    MAX_OPERATIONS,
    Address,
    Prepared,
    address_of,
    chunks_for,
    prepare,
    stopped,
)
from .rows import Row, Shown, decided, page_of, revisions_of, room, served_before, sought, stored_of

R = TypeVar("R", bound=Record)

_AT_ONCE: Final = 20
"""Rows looked at without a pause: few enough not to be felt, even where they are compared by large
vectors."""


class LocalMemory(MemoryManager):
    """Keeps records in the process; they are gone when it ends.

    ``clock`` tells the time by which records expire, and that of commits; the system's by default.
    """

    def __init__(self, *, clock: Callable[[], datetime] = utc_now) -> None:
        self._clock = clock
        self._revision = 0
        self._collections: dict[tuple[str | None, str], _Collection] = {}

    def __repr__(self) -> str:
        return f"<LocalMemory {self._total} records, revision {self._revision}>"

    async def read(self, refs: Sequence[Ref[R]], *, options: Options = DEFAULT) -> Snapshot[R]:
        await anyio.lowlevel.checkpoint()
        addresses = await mapped(address_of, refs)
        as_of, now = self._revision, self._clock()
        rows = list(map(self._row, addresses))
        items = [
            None if row is None or is_expired(row.document, now) else stored_of(ref, row)
            async for ref, row in sliced(zip(refs, rows, strict=True))
        ]
        return Snapshot(tuple(items), as_of, Billed(reads=len(items)))

    async def write(self, ops: Sequence[Op], *, options: Options = DEFAULT) -> Receipt:
        if options.atomic is False and len(ops) > MAX_OPERATIONS:
            return await write_chunks(ops, partial(self._write, atomic=False))
        return await self._write(ops, atomic=options.atomic)

    async def _write(self, ops: Sequence[Op], *, atomic: bool | None) -> Receipt:
        chunks = chunks_for(await mapped(prepare, ops), atomic=atomic)
        revisions: list[int | None] = []
        version = self._revision
        for number, chunk in enumerate(chunks):
            try:
                revisions += self._commit(chunk)
            except OrchestraMemoryError as error:
                if len(chunks) == 1:
                    raise
                raise stopped(chunks, range(number), error) from error
            version = self._revision
            await anyio.lowlevel.checkpoint()
        deletes = revisions.count(None)
        billed = Billed(writes=len(revisions) - deletes, deletes=deletes)
        return Receipt(tuple(revisions), version, billed=billed)

    async def find(self, query: Query[R], *, options: Options = DEFAULT) -> Page[R]:
        await anyio.lowlevel.checkpoint()
        position, as_of = decode_cursor(query), self._revision
        size = room(query, position)
        found = sought(query, position, size)
        async for matching in self._matching(query):
            for row in matching:
                found.add(row)
        rows = found.rows()
        billed = Billed(reads=max(1, min(size, len(rows))))
        more, shown = len(rows) > size, Shown(query, options)
        async for row in sliced(rows[:size]):
            shown.add(row)
        return page_of(
            query,
            served_before(position),
            rows[:size],
            more=more,
            as_of=as_of,
            billed=billed,
            shown=shown,
        )

    async def aggregate(
        self, query: Query[Any], measures: Sequence[Measure], *, options: Options = DEFAULT
    ) -> Totals:
        await anyio.lowlevel.checkpoint()
        as_of, totals = self._revision, Measuring(measures)
        async for matching in self._matching(query.unordered):
            for row in matching:
                totals.add(row.document)
        billed = Billed(reads=max(1, -(-totals.count // 1000)))
        return Totals(totals.values(), as_of, billed)

    async def health(self) -> Health:
        return Health("local", Status.OK, f"{self._total} records in the process", 0.0)

    @asynccontextmanager
    async def frozen(self, as_of: Revision | None = None) -> AsyncIterator[MemoryManager]:
        """As :meth:`~orchestra_memory.moments.Freezable.frozen` says."""
        check_is_now(as_of, self._revision)
        now = self._clock()
        still = LocalMemory(clock=lambda: now)
        still._revision = self._revision
        for place, collection in self._collections.items():
            still._collections[place] = collection.still()
        yield StillMemory(still)

    @property
    def _total(self) -> int:
        return sum(len(collection.rows) for collection in self._collections.values())

    def _row(self, address: Address) -> Row | None:
        namespace, name, stored_id = address
        collection = self._collections.get((namespace, name))
        return None if collection is None else collection.rows.get(stored_id)

    def _commit(self, chunk: Sequence[Prepared]) -> list[int | None]:
        """All of it or nothing, without giving up the event loop."""
        revision = self._revision + 1
        changed = decided(chunk, self._row, self._clock(), revision)
        for item in chunk:
            namespace, name, _ = item.address
            collection = self._collections.setdefault((namespace, name), _Collection())
            collection.index(item.op.ref.model)
        for (namespace, name, stored_id), row in changed.items():
            if row is not None:
                row.document = copied(row.document)
            self._collections[namespace, name].replace(stored_id, row)
        self._revision = revision
        return revisions_of(chunk, changed, revision)

    async def _matching(self, query: Query[Any]) -> AsyncIterator[list[Row]]:
        """The rows that match, a few at a time."""
        collection = self._collections.get((query.namespace, query.spec.collection))
        rows = [] if collection is None else collection.candidates(query)
        matches, now = matcher(query), self._clock() if query.hides_expired else None
        async for start in sliced(range(0, len(rows), _AT_ONCE)):
            yield [
                row
                for row in rows[start : start + _AT_ONCE]
                if matches(row.document) and (now is None or not is_expired(row.document, now))
            ]


class _Collection:
    """The rows of one collection by id, and by each text in a field that makes a scope."""

    def __init__(self) -> None:
        self.rows: dict[str, Row] = {}
        self._models: set[type[Record]] = set()
        self._holders: dict[str, dict[str, dict[str, Row]]] = {}

    def still(self) -> _Collection:
        """The rows as they are now: what changes is replaced, and they are not."""
        copy = _Collection()
        copy.rows = self.rows.copy()
        return copy

    def index(self, model: type[Record]) -> None:
        """Keep rows by the scopes of this record type from now on, too."""
        if model in self._models:
            return
        self._models.add(model)
        for field in spec_of(model).scope_fields - self._holders.keys():
            self._holders[field] = {}
            for row in self.rows.values():
                self._hold(field, row)

    def replace(self, stored_id: str, row: Row | None) -> None:
        """Keep this row in place of the one that is there, if there is one."""
        old = self.rows.pop(stored_id, None)
        for field in self._holders:
            if old is not None:
                self._drop(field, old)
            if row is not None:
                self._hold(field, row)
        if row is not None:
            self.rows[stored_id] = row

    def candidates(self, query: Query[Any]) -> list[Row]:
        """Rows among which are all that match; they may change while these are looked at."""
        fewest = self.rows
        for condition in query.where:
            if condition.operator == "==" and type(condition.value) is str:
                rows = self._holders.get(condition.field, {}).get(condition.value, {})
                if condition.field in self._holders and len(rows) < len(fewest):
                    fewest = rows
        return list(fewest.values())

    def _hold(self, field: str, row: Row) -> None:
        value = row.document.get(field)
        if type(value) is str:
            self._holders[field].setdefault(value, {})[row.stored_id] = row

    def _drop(self, field: str, row: Row) -> None:
        value = row.document.get(field)
        if type(value) is str:
            holders = self._holders[field]
            del holders[value][row.stored_id]
            if not holders[value]:
                del holders[value]
