"""A memory as it stood at one moment: what only some stores can show."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any, Protocol, TypeVar, runtime_checkable

from .errors import InvalidBatch, InvalidQuery
from .health import Health
from .operations import (
    DEFAULT,
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
from .protocol import MemoryManager
from .queries import Query
from .record import Record

R = TypeVar("R", bound=Record)


@runtime_checkable
class Freezable(Protocol):
    """A memory that can be looked at while it stands still."""

    def frozen(self, as_of: Revision | None = None) -> AbstractAsyncContextManager[MemoryManager]:
        """All records as of one moment, whatever is written meanwhile; it takes no writes.

        The moment is now, or `as_of`, on the store's clock: Firestore, whose clock counts
        microseconds, shows any moment of the last hour and, with point-in-time recovery, every
        whole minute of the last seven days. Embedded stores keep nothing of the past, and raise
        ``InvalidQuery`` for another moment than now.
        """
        ...


class StillMemory(MemoryManager):
    """Shows what is in a memory that nobody changes any more, and refuses writes."""

    def __init__(self, inner: MemoryManager) -> None:
        self._inner = inner

    def __repr__(self) -> str:
        return f"<StillMemory of {self._inner!r}>"

    async def read(self, refs: Sequence[Ref[R]], *, options: Options = DEFAULT) -> Snapshot[R]:
        return await self._inner.read(refs, options=options)

    async def write(self, ops: Sequence[Op], *, options: Options = DEFAULT) -> Receipt:
        raise InvalidBatch(
            "a memory as of one moment takes no writes; write to the one it was taken of",
            bound="operations",
        )

    async def find(self, query: Query[R], *, options: Options = DEFAULT) -> Page[R]:
        return await self._inner.find(query, options=options)

    def pages(self, query: Query[R], *, options: Options = DEFAULT) -> AsyncGenerator[Page[R]]:
        return self._inner.pages(query, options=options)

    async def aggregate(
        self, query: Query[Any], measures: Sequence[Measure], *, options: Options = DEFAULT
    ) -> Totals:
        return await self._inner.aggregate(query, measures, options=options)

    async def health(self) -> Health:
        return await self._inner.health()


class FrozenView:
    """Stands still as another does, and shows it through these options and this namespace."""

    def __init__(self, store: Freezable, namespace: str | None, options: Mapping[str, Any]) -> None:
        self._store = store
        self._namespace = namespace
        self._options = options

    @asynccontextmanager
    async def frozen(self, as_of: Revision | None = None) -> AsyncIterator[MemoryManager]:
        async with self._store.frozen(as_of) as still:
            yield still.with_options(namespace=self._namespace, **self._options)


def check_is_now(as_of: Revision | None, now: Revision) -> None:
    """Raise ``InvalidQuery`` if a store without a past is asked for it."""
    if as_of is not None and as_of != now:
        raise InvalidQuery(
            "this store keeps nothing of the past, and has changed since; leave out as_of",
            field="as_of",
        )
