"""Chunks of operations committed together, each whole for itself."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cache, partial
from typing import Final

from ...codec.bytes import dumps
from ...codec.document import SCHEMA_VERSION, Document
from ...errors import OrchestraMemoryError
from ...operations import Revision
from ...record import EXPIRATION, Record, spec_of
from ...slices import paced
from ...values import to_micros
from ..batches import Address, Prepared
from ..rows import Row, decided, revisions_of
from .errors import storage_error
from .query import keys_text
from .reads import row_at, stored_revision

_UPSERT = """
    INSERT INTO documents (namespace, collection, id, revision, expires, keys, document)
    VALUES (?, ?, ?, ?, ?, ?, ?)
    ON CONFLICT (namespace, collection, id) DO UPDATE SET
        revision = excluded.revision, expires = excluded.expires,
        keys = excluded.keys, document = excluded.document
"""
_DELETE = "DELETE FROM documents WHERE namespace = ? AND collection = ? AND id = ?"

GROUP_SECONDS: Final = 0.5
"""How long chunks join a commit. A large one writes each page of an index once, not many times; but
other writes, and other processes, wait for it."""

Chunk = Sequence[Prepared]
Changed = dict[Address, Row | None]
Store = Callable[[sqlite3.Connection, Chunk, Changed], None]
Values = tuple[str, str, str, int, int | None, str, str]


@dataclass(frozen=True, slots=True)
class Job:
    """Chunks to commit in order, until one fails or time is up; `now` is when."""

    chunks: Sequence[Chunk]
    now: datetime

    @property
    def operations(self) -> int:
        return sum(map(len, self.chunks))


@dataclass(frozen=True, slots=True)
class Outcome:
    """Revisions for each chunk that is stored, and what the next one met.

    Without an error, chunks that are left had no time; they are another job's.
    """

    revisions: tuple[list[Revision | None], ...]
    version: Revision
    error: OrchestraMemoryError | None = None


def commit_group(
    connection: sqlite3.Connection, take: Callable[[], Sequence[Job]]
) -> list[Outcome]:
    """One transaction for all jobs; what one job meets does not touch the others.

    Jobs are taken once the write lock is held: what is given up before leaves nothing behind, and
    what arrives before shares the commit.
    """
    jobs: Sequence[Job] = ()
    begun, applied = False, False
    outcomes: list[Outcome] = []
    try:
        connection.execute("BEGIN IMMEDIATE")
        begun, jobs = True, take()
        outcomes = _apply_jobs(connection, jobs)
        applied = True
        connection.execute("COMMIT")
    except sqlite3.Error as error:
        jobs = jobs if begun else take()
        return [Outcome((), 0, storage_error(error, "write", ambiguous=applied)) for _ in jobs]
    finally:
        connection.rollback()
    return outcomes


def _apply_jobs(connection: sqlite3.Connection, jobs: Sequence[Job]) -> list[Outcome]:
    try:
        return _apply_all(connection, jobs, _store)
    except sqlite3.Error:
        # What ends the whole transaction, such as a full disk, is everybody's failure.
        if not connection.in_transaction:
            raise
    # It is one chunk's: again, so that the others do not share it. At once it would cost too much:
    # a savepoint copies every page changed after it, and a single put takes a third more time.
    connection.execute("ROLLBACK")
    connection.execute("BEGIN IMMEDIATE")
    return _apply_all(connection, jobs, _store_apart)


def _apply_all(connection: sqlite3.Connection, jobs: Sequence[Job], store: Store) -> list[Outcome]:
    before = revision = stored_revision(connection)
    until = time.monotonic() + GROUP_SECONDS
    outcomes: list[Outcome] = []
    for job in jobs:
        outcomes.append(_apply(partial(_apply_chunk, connection, store), job, revision, until))
        revision = outcomes[-1].version
    if revision != before:
        connection.execute("UPDATE meta SET value = ? WHERE name = 'revision'", (revision,))
    return outcomes


def _apply(
    apply: Callable[[Chunk, datetime, Revision], list[Revision | None]],
    job: Job,
    revision: Revision,
    until: float,
) -> Outcome:
    """At least the first of the job's chunks, and more while there is time."""
    done: list[list[Revision | None]] = []
    for chunk in job.chunks:
        if done and time.monotonic() > until:
            break
        try:
            done.append(apply(chunk, job.now, revision + 1))
        except OrchestraMemoryError as error:
            return Outcome(tuple(done), revision, error)
        revision += 1
    return Outcome(tuple(done), revision)


def _apply_chunk(
    connection: sqlite3.Connection,
    store: Store,
    chunk: Chunk,
    now: datetime,
    revision: Revision,
) -> list[Revision | None]:
    def current(address: Address) -> Row | None:
        return row_at(connection, address)

    changed = decided(chunk, current, now, revision)
    store(connection, chunk, changed)
    return revisions_of(chunk, changed, revision)


def _store(connection: sqlite3.Connection, chunk: Chunk, changed: Changed) -> None:
    connection.executemany(_DELETE, _deleted(changed))
    connection.executemany(_UPSERT, _upserted(chunk, changed))


def _store_apart(connection: sqlite3.Connection, chunk: Chunk, changed: Changed) -> None:
    """All of the chunk or nothing of it, whatever becomes of it."""
    connection.execute("SAVEPOINT chunk")
    try:
        _store(connection, chunk, changed)
    except sqlite3.Error as error:
        if not connection.in_transaction:
            raise
        connection.execute("ROLLBACK TO chunk")
        raise storage_error(error, "write") from error
    finally:
        if connection.in_transaction:
            connection.execute("RELEASE chunk")


def _deleted(changed: Changed) -> Iterator[tuple[str, str, str]]:
    for (namespace, collection, stored_id), row in changed.items():
        if row is None:
            yield namespace or "", collection, stored_id


def _upserted(chunk: Chunk, changed: Changed) -> Iterator[Values]:
    """Made one by one, while SQLite takes the last: the interpreter lock is free in between."""
    left_out = {item.address: _left_out(item.op.ref.model) for item in chunk}
    for address, row in paced(changed.items()):
        if row is not None:
            yield _values(address, row, left_out[address])


@cache
def _left_out(model: type[Record]) -> frozenset[str]:
    """Fields that no query names."""
    return spec_of(model).large | {SCHEMA_VERSION}


def _values(address: Address, row: Row, left_out: frozenset[str]) -> Values:
    namespace, collection, stored_id = address
    return (
        namespace or "",
        collection,
        stored_id,
        row.revision,
        _expires(row.document),
        keys_text(row.document, left_out),
        dumps(row.document),
    )


def _expires(document: Document) -> int | None:
    expiration = document.get(EXPIRATION)
    return to_micros(expiration) if isinstance(expiration, datetime) else None
