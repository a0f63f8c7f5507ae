"""Memory in one SQLite file: durable, queryable, and there without a server."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, closing
from copy import copy
from datetime import datetime
from functools import partial
from os import PathLike
from pathlib import Path
from typing import Any, Final, Self, TypeVar

import anyio
import anyio.to_thread

from ...bulk import write_chunks
from ...codec.cursor import decode_cursor
from ...errors import OrchestraMemoryError, StorageError, Unavailable
from ...health import Health, Status
from ...moments import StillMemory, check_is_now
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
    Totals,
)
from ...protocol import MemoryManager
from ...queries import Query
from ...record import Record, spec_of
from ...slices import mapped
from ...values import utc_now
from ..batches import MAX_OPERATIONS, Prepared, chunks_for, prepare, stopped
from .commit import Job, Outcome
from .errors import translated, translated_at_open
from .reads import aggregate_all, find_page, read_refs, snapshot, stored_revision
from .schema import connect, create_indexes, is_new, prepare_file, purge
from .threads import Readers, Writer

R = TypeVar("R", bound=Record)

READERS: Final = 4
"""Threads that read."""


class SqliteMemory(MemoryManager):
    """Keeps records in one file, which several processes may use at the same time.

    Get one by :meth:`open`. What is acknowledged is on the disk.
    """

    def __init__(
        self, path: Path, writer: Writer, readers: Readers, *, clock: Callable[[], datetime]
    ) -> None:
        self._path = path
        self._writer = writer
        self._readers = readers
        self._clock = clock
        self._identity = _identity(path)
        self._indexed: set[type[Record]] = set()

    @classmethod
    @asynccontextmanager
    async def open(
        cls, path: str | PathLike[str], *, clock: Callable[[], datetime] = utc_now
    ) -> AsyncIterator[Self]:
        """The memory in the file at `path`, which is created, with its directory, if need be.

        ``clock`` tells the time by which records expire; the system's by default. Raises
        ``ConfigurationError`` for a file that is not ours, damaged, or of a later format, and
        ``Unavailable`` while another process keeps it locked.
        """
        file = _absolute(path)
        async with AsyncExitStack() as stack:
            connections = await anyio.to_thread.run_sync(_opened, file, clock())
            writer, readers = Writer(connections[0]), Readers(connections[1:])
            stack.push_async_callback(_closed, writer, readers)
            yield cls(file, writer, readers, clock=clock)

    def __repr__(self) -> str:
        writer = self._writer
        return (
            f"<SqliteMemory {self._path.name!r} {writer.jobs} writes in {writer.commits} commits>"
        )

    async def read(self, refs: Sequence[Ref[R]], *, options: Options = DEFAULT) -> Snapshot[R]:
        return await self._readers.run(partial(read_refs, refs=refs, now=self._clock()))

    async def write(self, ops: Sequence[Op], *, options: Options = DEFAULT) -> Receipt:
        if options.atomic is False and len(ops) > MAX_OPERATIONS:
            return await write_chunks(ops, partial(self._write, atomic=False))
        return await self._write(ops, atomic=options.atomic)

    async def _write(self, ops: Sequence[Op], *, atomic: bool | None) -> Receipt:
        chunks = chunks_for(await mapped(prepare, ops), atomic=atomic)
        revisions: list[int | None] = []
        version: int | None = None
        start = 0
        while start < len(chunks):
            outcome = await self._commit(chunks, start)
            start += len(outcome.revisions)
            revisions += [revision for done in outcome.revisions for revision in done]
            version = outcome.version
        if version is None:
            version = await self._readers.run(_revision)
        deletes = revisions.count(None)
        billed = Billed(writes=len(revisions) - deletes, deletes=deletes)
        return Receipt(tuple(revisions), version, billed=billed)

    async def find(self, query: Query[R], *, options: Options = DEFAULT) -> Page[R]:
        position = decode_cursor(query)
        await self._index({query.model})
        return await self._readers.run(
            partial(find_page, query=query, position=position, now=self._clock(), options=options)
        )

    async def aggregate(
        self, query: Query[Any], measures: Sequence[Measure], *, options: Options = DEFAULT
    ) -> Totals:
        await self._index({query.model})
        return await self._readers.run(
            partial(aggregate_all, query=query, measures=measures, now=self._clock())
        )

    @asynccontextmanager
    async def frozen(self, as_of: Revision | None = None) -> AsyncIterator[MemoryManager]:
        """As :meth:`~orchestra_memory.moments.Freezable.frozen` says.

        Meanwhile the log beside the file keeps all that is written, and grows.
        """
        now = self._clock()
        connection = await anyio.to_thread.run_sync(_standing_still, self._path)
        still = copy(self)
        still._clock = lambda: now
        still._readers = Readers([connection])
        try:
            check_is_now(as_of, await still._readers.run(_revision))
            yield StillMemory(still)
        finally:
            with anyio.CancelScope(shield=True):
                await anyio.to_thread.run_sync(still._readers.close)

    async def health(self) -> Health:
        started = time.perf_counter()
        try:
            probe = partial(_probed, path=self._path, identity=self._identity)
            size = await self._readers.run(probe)
        except (OrchestraMemoryError, OSError) as error:
            reason = error.strerror if isinstance(error, OSError) else str(error)
            answered = not isinstance(error, Unavailable)
            detail = f"{self._path.name}: {reason}"
            return Health("sqlite", Status.DOWN, detail, answered=answered)
        latency = time.perf_counter() - started
        return Health("sqlite", Status.OK, f"{self._path.name}: {size:,} bytes", latency)

    async def _commit(self, chunks: Sequence[Sequence[Prepared]], start: int) -> Outcome:
        left = chunks[start:]
        try:
            await self._index({item.op.ref.model for chunk in left for item in chunk})
            outcome = await self._writer.commit(Job(left, self._clock()))
        except StorageError as error:
            outcome = Outcome((), 0, error)
        if outcome.error is None:
            return outcome
        if len(chunks) == 1:
            raise outcome.error
        done = range(start + len(outcome.revisions))
        raise stopped(chunks, done, outcome.error) from outcome.error

    async def _index(self, models: Iterable[type[Record]]) -> None:
        """The indexes of record types that this memory meets for the first time."""
        new = [model for model in models if model not in self._indexed]
        if new:
            await self._writer.run(partial(_indexed, models=new))
            self._indexed.update(new)


def _opened(path: Path, now: datetime) -> list[sqlite3.Connection]:
    """A connection that writes, and those that read."""
    connections: list[sqlite3.Connection] = []
    try:
        with translated_at_open(path.name):
            path.parent.mkdir(parents=True, exist_ok=True)
            connections.append(connect(path, reading=False))
            prepare_file(connections[0], path.name)
            purge(connections[0], now)
            connections.extend(connect(path, reading=True) for _ in range(READERS))
    except BaseException:
        for connection in connections:
            connection.close()
        raise
    return connections


async def _closed(writer: Writer, readers: Readers) -> None:
    with anyio.CancelScope(shield=True):
        await anyio.to_thread.run_sync(readers.close)
        # The last: it moves what is in the log to the file.
        await anyio.to_thread.run_sync(writer.close)


def _standing_still(path: Path) -> sqlite3.Connection:
    """A connection in a transaction that sees the file as it is now until it is closed."""
    connection = connect(path, reading=True)
    try:
        with translated("freeze"):
            connection.execute("BEGIN")
            # It begins with the first statement that reads.
            stored_revision(connection)
    except BaseException:
        connection.close()
        raise
    return connection


def _revision(connection: sqlite3.Connection) -> int:
    with translated("write"):
        return stored_revision(connection)


def _indexed(connection: sqlite3.Connection, models: Iterable[type[Record]]) -> None:
    with translated("index"):
        create_indexes(connection, [spec_of(model) for model in models])


def _absolute(path: str | PathLike[str]) -> Path:
    """Fixed now: the working directory may change while the file is open."""
    return Path(path).absolute()


def _identity(path: Path) -> tuple[int, int]:
    found = path.stat()
    return found.st_dev, found.st_ino


def _probed(connection: sqlite3.Connection, path: Path, identity: tuple[int, int]) -> int:
    """The size of the file, which is read through the open connection and through a new one."""
    if _identity(path) != identity:
        raise StorageError("another file has taken its place; open it anew")
    with snapshot(connection, "health"), closing(connect(path, reading=True)) as probe:
        if is_new(probe, "the file"):
            raise StorageError("it was emptied; restore a copy")
        stored_revision(probe)
        (pages,) = probe.execute("PRAGMA page_count").fetchone()
        (page_size,) = probe.execute("PRAGMA page_size").fetchone()
    return int(pages * page_size)
