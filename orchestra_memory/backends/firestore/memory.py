"""Firestore, spoken to in its own messages through Google's generated client."""

from __future__ import annotations

import time
from collections.abc import AsyncGenerator, AsyncIterator, Mapping, Sequence
from contextlib import aclosing, asynccontextmanager
from copy import copy
from typing import TYPE_CHECKING, Any, Final, TypeVar

from ...codec.document import is_expired
from ...errors import OrchestraMemoryError, Unavailable
from ...health import Health, Status
from ...models import SystemState
from ...moments import StillMemory
from ...operations import (
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
    Stored,
    Totals,
)
from ...protocol import MemoryManager
from ...queries import Query
from ...record import Record, spec_of
from ...resilience.deadline import Deadline
from ...resilience.ramp import Ramp
from ...resilience.retry import Attempts, Retries, resumed
from ...scanning import PAGES_BEFORE_READING_AHEAD
from ...slices import mapped
from ...values import utc_now
from ..batches import address_of
from ..rows import stored_of
from .calls import Calls, Documents
from .commits import Commits
from .finding import Finding
from .names import Names
from .paging import streamed
from .read import whole_rows
from .totals import Totalling

if TYPE_CHECKING:
    from google.cloud.firestore_v1.async_client import AsyncClient

R = TypeVar("R", bound=Record)

FOR_A_CACHE: Final = ("use", "refresh")
"""Modes of ``Options.cache`` whose answers are kept; absence is kept only with its time."""

FREEZE_SECONDS: Final = 5.0
"""Seconds for asking the store what time it is."""


class FirestoreMemory(MemoryManager):
    """Keeps records in Firestore.

    `client` is a ready ``google.cloud.firestore.AsyncClient``; it is never closed here. Where more
    calls are under way than one connection carries, others are opened beside the client's own, for
    :meth:`aclose` to close. While Firestore refuses connections, a client of your own pauses for up
    to two minutes before it tries again, where that of :func:`open_memory` does about every second.
    ``collections`` renames collections: ``{"memory_items": "chat_items"}``. Chunks of a bulk write
    are tried again where that is safe; for single calls :class:`GuardedMemory` does so. ``ramp``
    holds bulk writes to 500 operations a second at first and half as many more every five minutes,
    as Firestore asks of traffic to collections that are new.

    A single record is read by Firestore's request for one document, which takes less than one for
    several but does not tell its time: ``Snapshot.as_of`` is ``None``. A layer that keeps answers,
    and so must know as of when something is absent, says so by ``Options(cache="use")`` or
    ``"refresh"``; then the time is told.
    """

    def __init__(
        self,
        client: AsyncClient,
        *,
        collections: Mapping[str, str] | None = None,
        ramp: bool = False,
    ) -> None:
        self._calls = Calls(client)
        self._names = Names(self._calls.database, collections or {})
        self._as_of: Revision | None = None
        self._retries = Retries()
        self._commits = Commits(self._calls, self._names, Ramp() if ramp else None)

    def __repr__(self) -> str:
        return f"<FirestoreMemory {self._calls.database}>"

    async def aclose(self) -> None:
        """Close what was opened beside the client; the client is its owner's to close."""
        await self._calls.aclose()

    async def read(self, refs: Sequence[Ref[R]], *, options: Options = DEFAULT) -> Snapshot[R]:
        now = utc_now()
        deadline = Deadline.after(options.timeout)
        names = await mapped(self._name_of, refs)
        documents = await self._documents(names, options, deadline)
        # What is asked for twice is answered once, and so belongs to neither place alone.
        owned = documents.answers == len(names)
        rows = await whole_rows(self._calls, documents, deadline)
        take = rows.pop if owned else rows.get

        def found(asked: tuple[Ref[R], str]) -> Stored[R] | None:
            ref, name = asked
            row = take(name, None)
            if row is None or is_expired(row.document, now):
                return None
            return stored_of(ref, row, owned=owned)

        items = await mapped(found, zip(refs, names, strict=True))
        return Snapshot(tuple(items), documents.as_of, Billed(reads=documents.answers))

    async def write(self, ops: Sequence[Op], *, options: Options = DEFAULT) -> Receipt:
        return await self._commits.write(ops, options)

    async def find(self, query: Query[R], *, options: Options = DEFAULT) -> Page[R]:
        deadline = Deadline.after(options.timeout)
        finding = Finding(self._calls, self._names, query, deadline, as_of=self._as_of)
        return await finding.page(options)

    def pages(self, query: Query[R], *, options: Options = DEFAULT) -> AsyncGenerator[Page[R]]:
        """After two pages the rest comes in one answer, continued where it breaks off."""

        def attempts() -> Attempts:
            return Attempts(self._retries, Deadline.after(options.timeout), repeatable=True)

        return resumed(lambda rest: self._pages(rest, options), query, attempts)

    async def _pages(self, query: Query[R], options: Options) -> AsyncGenerator[Page[R]]:
        for _ in range(PAGES_BEFORE_READING_AHEAD):
            page = await self.find(query, options=options)
            yield page
            if page.cursor is None:
                return
            query = query.with_(after=page.cursor)
        rest = streamed(self._calls, self._names, query, options, as_of=self._as_of)
        async with aclosing(rest) as pages:
            async for page in pages:
                yield page

    async def aggregate(
        self, query: Query[Any], measures: Sequence[Measure], *, options: Options = DEFAULT
    ) -> Totals:
        deadline = Deadline.after(options.timeout)
        totalling = Totalling(self._calls, self._names, query, deadline, as_of=self._as_of)
        return await totalling.totals(measures)

    @asynccontextmanager
    async def frozen(self, as_of: Revision | None = None) -> AsyncIterator[MemoryManager]:
        """As :meth:`~orchestra_memory.moments.Freezable.frozen` says."""
        still = copy(self)
        still._as_of = await self._now() if as_of is None else as_of
        yield StillMemory(still)

    async def _now(self) -> Revision | None:
        """The store's own time, which only an answer tells, be it that nothing is there."""
        name = self._names.document((None, spec_of(SystemState).collection, "no such state"))
        return (await self._calls.get([name], Deadline.after(FREEZE_SECONDS))).as_of

    async def health(self) -> Health:
        started = time.perf_counter()
        try:
            await self._calls.ping(Deadline())
        except OrchestraMemoryError as error:
            latency, answered = time.perf_counter() - started, not isinstance(error, Unavailable)
            return Health("firestore", Status.DOWN, str(error), latency, answered=answered)
        detail = self._calls.database
        return Health("firestore", Status.OK, detail, time.perf_counter() - started)

    def _name_of(self, ref: Ref[Any]) -> str:
        return self._names.document(address_of(ref))

    async def _documents(self, names: list[str], options: Options, deadline: Deadline) -> Documents:
        if len(names) == 1 and self._as_of is None and options.cache not in FOR_A_CACHE:
            return await self._calls.get_one(names[0], deadline)
        return await self._calls.get(names, deadline, as_of=self._as_of)
