"""The one protocol: five verbs every store and every layer answers, and the sugar over them."""

from __future__ import annotations

import random
from abc import abstractmethod
from collections.abc import AsyncGenerator, AsyncIterable, Callable, Iterable, Sequence
from dataclasses import replace
from functools import partial
from itertools import repeat
from math import inf
from typing import Any, Protocol, TypeVar

import anyio

from .bulk import write_many
from .errors import Conflict, CorruptRecord, InvalidQuery, InvalidRecord
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
from .scanning import paged, scanned
from .slices import mapped, sliced
from .values import same

R = TypeVar("R", bound=Record)

UPDATE_DEADLINE = 10.0
"""Seconds for which ``update`` keeps trying against other writers."""
UPDATE_PAUSE = 0.1
"""Longest pause between two tries of ``update``, in seconds; the real one is random below it."""


class MemoryManager(Protocol):
    """Keeps records. Local, SQLite, Firestore and every layer around them are one of these.

    An implementation overrides the five abstract verbs; everything else is written here, once.
    """

    @abstractmethod
    async def read(self, refs: Sequence[Ref[R]], *, options: Options = DEFAULT) -> Snapshot[R]:
        """The records at `refs`, in that order, as of one moment, in one round trip.

        Raises ``Unavailable`` when the store does not answer; what is absent is ``None``, and what
        does not fit its record type is always ``CorruptRecord``.
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
        """One page of the records that match.

        Raises ``CorruptRecord`` for a document that does not fit its record type, unless
        ``Options(corrupt="skip")`` lets it be left out.
        """
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
        refs = await mapped(Ref, repeat(model), keys)
        return (await self.read(refs, options=options)).records

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
        revisions. A deadline bounds the waiting for them too, and a generator is closed when the
        write ends early. Raises ``PartialWrite`` if some chunks fail; if there is only one, its own
        error.
        """
        chunks = _Chunks(self, self._own(options))
        to_op = Put if expect is None else partial(Put, expect=expect)
        return await write_many(records, to_op, chunks.write, end=chunks.end)

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
        return await write_many(
            keys, lambda key: Delete(Ref(model, key)), chunks.write, end=chunks.end
        )

    def pages(self, query: Query[R], *, options: Options = DEFAULT) -> AsyncGenerator[Page[R]]:
        """All pages of a query, one after another.

        Who reads on gets larger ones, up to 5,000 records or about 16 MiB of them, each fetched
        while the one before is used; so who leaves early has read little. ``Options.timeout`` is
        the deadline of one page. Errors are those of :meth:`find`.
        """
        return paged(lambda page: self.find(page, options=options), query)

    def scan(
        self,
        query: Query[R],
        *,
        partial: bool = False,
        on_corrupt: Callable[[CorruptRecord], object] | None = None,
        options: Options = DEFAULT,
    ) -> AsyncGenerator[R]:
        """Every record that matches, from one of its :meth:`pages` after another.

        Raises ``Unavailable`` after an incomplete page, unless `partial` says that what is there
        will do, and ``CorruptRecord`` before the page with a document that does not fit its record
        type, unless there is `on_corrupt`: it is called with the error, and the scan goes on.
        """
        if on_corrupt is not None:
            options = replace(options, corrupt="skip")
        return scanned(self.pages(query, options=options), partial=partial, on_corrupt=on_corrupt)

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
        seconds = inf if options.timeout is None else options.timeout
        self.end = anyio.current_time() + seconds

    async def write(self, ops: Sequence[Op]) -> Receipt:
        options = self._options
        if self.end < inf:
            options = replace(options, timeout=max(0.0, self.end - anyio.current_time()))
        return await self._memory.write(ops, options=options)


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

    def pages(self, query: Query[R], *, options: Options = DEFAULT) -> AsyncGenerator[Page[R]]:
        return self._inner.pages(self._bind_query(query), options=options.over(self._options))

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
