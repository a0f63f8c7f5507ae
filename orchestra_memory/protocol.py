"""The one protocol: five verbs every store and every layer answers, and the sugar over them."""

from __future__ import annotations

import asyncio
import random
from abc import abstractmethod
from collections.abc import AsyncIterable, AsyncIterator, Callable, Iterable, Sequence
from dataclasses import replace
from functools import partial
from typing import Any, Protocol, TypeVar

import anyio

from .bulk import write_many
from .errors import Conflict, InvalidQuery, InvalidRecord, Unavailable
from .health import Health
from .operations import (
    ABSENT,
    DEFAULT,
    Delete,
    Expect,
    Measure,
    Op,
    Options,
    Page,
    Patch,
    Put,
    Receipt,
    Ref,
    Snapshot,
    Totals,
    checked_namespace,
)
from .queries import Query
from .record import Record
from .slices import sliced
from .values import same

R = TypeVar("R", bound=Record)

UPDATE_DEADLINE = 10.0
"""Seconds for which ``update`` keeps trying against other writers."""
UPDATE_PAUSE = 0.1
"""Longest pause between two tries of ``update``, in seconds; the real one is random below it."""


SCAN_PAGE_SIZE = 2_000
"""Records to which the pages of a scan grow."""
PAGES_BEFORE_READING_AHEAD = 2
"""Pages of a scan after which its reader is taken to want them all."""


class MemoryManager(Protocol):
    """Keeps records. Local, SQLite, Firestore and every layer around them are one of these.

    An implementation overrides the five abstract verbs; everything else is written here, once.
    """

    @abstractmethod
    async def read(self, refs: Sequence[Ref[R]], *, options: Options = DEFAULT) -> Snapshot[R]:
        """The records at `refs`, in that order, as of one moment, in one round trip.

        Raises ``Unavailable`` when the store does not answer; what is absent is ``None``.
        """
        ...

    @abstractmethod
    async def write(self, ops: Sequence[Op], *, options: Options = DEFAULT) -> Receipt:
        """Apply all of `ops`, or none.

        With ``Options(atomic=False)`` they go in chunks, each whole, and operations on one record
        keep their order. Raises ``InvalidBatch`` beyond 400 operations or 3 MiB encoded in one
        atomic write, ``Conflict`` where a precondition fails, ``PartialWrite`` where chunks did.
        """
        ...

    @abstractmethod
    async def find(self, query: Query[R], *, options: Options = DEFAULT) -> Page[R]:
        """One page of the records that match."""
        ...

    @abstractmethod
    async def aggregate(
        self, query: Query[Any], measures: Sequence[Measure], *, options: Options = DEFAULT
    ) -> Totals:
        """Counts, sums and averages over all records that match, computed by the store.

        Order, limit and cursor of the query do not matter to it.
        """
        ...

    @abstractmethod
    async def health(self) -> Health:
        """The state of this store, and of what it stands on. Never raises for an outage."""
        ...

    async def get(self, model: type[R], key: str, *, options: Options = DEFAULT) -> R | None:
        """The record with this id, ``None`` if there is none."""
        (stored,) = await self.read([Ref(model, key)], options=options)
        return None if stored is None else stored.record

    async def get_many(
        self, model: type[R], keys: Iterable[str], *, options: Options = DEFAULT
    ) -> list[R | None]:
        """The records with these ids, in their order, ``None`` where there is none."""
        snapshot = await self.read([Ref(model, key) for key in keys], options=options)
        return snapshot.records

    async def put(
        self, record: Record, *, expect: Expect = None, options: Options = DEFAULT
    ) -> Receipt:
        """Store the record, over whatever was there unless `expect` says otherwise."""
        return await self.write([Put(record, expect=expect)], options=options)

    async def put_many(
        self,
        records: Iterable[Record] | AsyncIterable[Record],
        *,
        expect: Expect = None,
        options: Options = DEFAULT,
    ) -> Receipt:
        """Store any number of records, in chunks of up to 400, several under way at once.

        Puts of one record keep their order. Iterators, which may be asynchronous and endless, are
        taken from as chunks are stored, so that memory stays flat; the receipt then tells no
        revisions. Raises ``PartialWrite`` if some chunks fail; if there is only one, its own error.
        """
        chunks = _Chunks(self, self._own(options))
        return await write_many(records, partial(Put, expect=expect), chunks.write)

    async def update(
        self,
        model: type[R],
        key: str,
        change: Callable[[R], R],
        *,
        or_create: R | None = None,
        options: Options = DEFAULT,
    ) -> R:
        """Read, change, and write back if nobody else wrote in between; else again, for 10 s.

        `change` must not have effects of its own: it may be called several times. Returns the
        record as written. Raises ``Conflict`` when the record is absent and there is no
        `or_create`, or when others kept winning.
        """
        ref = Ref(model, key)
        deadline = anyio.current_time() + (options.timeout or UPDATE_DEADLINE)
        while True:
            try:
                return await self._update_once(ref, change, or_create, options)
            except Conflict as conflict:
                if not conflict.refs or anyio.current_time() >= deadline:
                    raise
            options = replace(options, cache="bypass")
            await anyio.sleep(random.uniform(0, UPDATE_PAUSE))

    async def _update_once(
        self, ref: Ref[R], change: Callable[[R], R], or_create: R | None, options: Options
    ) -> R:
        (stored,) = await self.read([ref], options=options)
        current = stored.record if stored else or_create
        if current is None:
            raise Conflict(
                f"{ref.model.__name__}: nothing to update under this id; give or_create, or put it",
                operation="update",
            )
        changed = change(current)
        if type(changed) is not ref.model or changed.key != ref.key:
            raise InvalidRecord(
                f"{ref.model.__name__}: the change returned {type(changed).__name__}, or another "
                "id; return record.evolve(...)",
                model=ref.model.__name__,
            )
        if stored and changed == current and same(dict(changed), dict(current)):
            return changed
        expect: Expect = stored.revision if stored else ABSENT
        await self.write([Put(changed, expect=expect)], options=options)
        return changed

    async def delete(
        self, model: type[Record], key: str, *, expect: Expect = None, options: Options = DEFAULT
    ) -> Receipt:
        """Remove the record; removing the absent succeeds."""
        return await self.write([Delete(Ref(model, key), expect=expect)], options=options)

    async def delete_many(
        self,
        model: type[Record],
        keys: Iterable[str] | AsyncIterable[str],
        *,
        options: Options = DEFAULT,
    ) -> Receipt:
        """Remove any number of records, as :meth:`put_many` stores them."""
        chunks = _Chunks(self, self._own(options))
        return await write_many(keys, lambda key: Delete(Ref(model, key)), chunks.write)

    async def scan(
        self, query: Query[R], *, partial: bool = False, options: Options = DEFAULT
    ) -> AsyncIterator[R]:
        """Every record that matches, page after page.

        Who reads on gets larger pages, up to 2,000 records, each fetched while the one before is
        used; so a scan that is left early has read little.
        Raises ``Unavailable`` after an incomplete page, unless `partial` says that what is there
        will do.
        """
        pages = 0
        upcoming: asyncio.Task[Page[R]] | None = None
        try:
            while True:
                page = await (upcoming or self.find(query, options=options))
                upcoming, pages = None, pages + 1
                if page.cursor is not None:
                    query = query.with_(after=page.cursor, page_size=_next_size(query, pages))
                    if pages > PAGES_BEFORE_READING_AHEAD:
                        upcoming = asyncio.create_task(self.find(query, options=options))
                for item in page.items:
                    yield item.record
                _check_complete(page, query, partial=partial)
                if page.cursor is None:
                    return
        finally:
            if upcoming is not None:
                upcoming.cancel()
                await asyncio.gather(upcoming, return_exceptions=True)

    def _own(self, options: Options) -> Options:
        """A call's options, with what this memory is bound to."""
        return options

    def with_options(self, *, namespace: str | None = None, **options: Any) -> MemoryManager:
        """The same memory, every call made with these :class:`Options` and in this namespace."""
        return MemoryView(self, Options(**options), checked_namespace(namespace))


class _Chunks:
    """The writes one call is made of. They share its deadline, if it has one."""

    def __init__(self, memory: MemoryManager, options: Options) -> None:
        self._memory = memory
        self._options = Options(atomic=False).over(options)
        self._end = options.timeout and anyio.current_time() + options.timeout

    async def write(self, ops: Sequence[Op]) -> Receipt:
        options = self._options
        if self._end is not None:
            options = replace(options, timeout=max(0.0, self._end - anyio.current_time()))
        return await self._memory.write(ops, options=options)


def _next_size(query: Query[Any], pages: int) -> int:
    if pages < PAGES_BEFORE_READING_AHEAD:
        return query.page_size
    return max(query.page_size, min(SCAN_PAGE_SIZE, query.page_size * 4))


def _check_complete(page: Page[Any], query: Query[Any], *, partial: bool) -> None:
    if not page.complete and not partial:
        raise Unavailable(
            "an outage hides part of the answer; scan(partial=True) takes what is there",
            operation="scan",
            collection=query.spec.collection,
        )


class MemoryView(MemoryManager):
    """A memory seen through fixed options and, perhaps, inside one namespace."""

    def __init__(self, inner: MemoryManager, options: Options, namespace: str | None) -> None:
        self._inner = inner
        self._options = options
        self._namespace = namespace

    def __repr__(self) -> str:
        return f"<MemoryView namespace={self._namespace!r} {self._options} of {self._inner!r}>"

    async def read(self, refs: Sequence[Ref[R]], *, options: Options = DEFAULT) -> Snapshot[R]:
        bound = [self._bind(ref) async for ref in sliced(refs)]
        return await self._inner.read(bound, options=options.over(self._options))

    async def write(self, ops: Sequence[Op], *, options: Options = DEFAULT) -> Receipt:
        bound = [self._bind_op(op) async for op in sliced(ops)]
        return await self._inner.write(bound, options=options.over(self._options))

    async def find(self, query: Query[R], *, options: Options = DEFAULT) -> Page[R]:
        return await self._inner.find(self._bind_query(query), options=options.over(self._options))

    async def aggregate(
        self, query: Query[Any], measures: Sequence[Measure], *, options: Options = DEFAULT
    ) -> Totals:
        return await self._inner.aggregate(
            self._bind_query(query), measures, options=options.over(self._options)
        )

    async def health(self) -> Health:
        return await self._inner.health()

    def _own(self, options: Options) -> Options:
        return options.over(self._options)

    def with_options(self, *, namespace: str | None = None, **options: Any) -> MemoryManager:
        merged = Options(**options).over(self._options)
        return MemoryView(self._inner, merged, self._joined(namespace))

    def _joined(self, namespace: str | None) -> str | None:
        checked_namespace(namespace)
        if self._namespace is None or namespace in (None, self._namespace):
            return self._namespace or namespace
        raise InvalidQuery(
            "this memory is bound to another namespace; take a view of the memory it was made from",
            field="namespace",
        )

    def _bind(self, ref: Ref[R]) -> Ref[R]:
        return (
            ref if self._namespace is None else Ref(ref.model, ref.key, self._joined(ref.namespace))
        )

    def _bind_op(self, op: Op) -> Op:
        if self._namespace is None:
            return op
        if isinstance(op, Put):
            return Put(op.record, op.expect, self._joined(op.namespace))
        if isinstance(op, Patch):
            return replace(op, ref=self._bind(op.ref))
        return Delete(self._bind(op.ref), op.expect)

    def _bind_query(self, query: Query[R]) -> Query[R]:
        if self._namespace is None:
            return query
        return query.with_(namespace=self._joined(query.namespace))
