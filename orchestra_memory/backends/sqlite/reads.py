"""What is asked of the file, on a reader's thread and in one snapshot each."""

from __future__ import annotations

import sqlite3
from collections.abc import Generator, Iterable, Iterator, Sequence
from contextlib import closing, contextmanager
from datetime import datetime
from itertools import islice
from typing import Any, Final, TypeVar

from ...codec.bytes import loads
from ...codec.cursor import Position
from ...codec.document import Document
from ...errors import CorruptRecord, StorageError
from ...matching import Measuring, matcher
from ...operations import Billed, Count, Measure, Options, Page, Ref, Revision, Snapshot, Totals
from ...queries import Query
from ...record import Record
from ...slices import paced
from ...values import to_micros
from ..batches import Address, address_of
from ..rows import Row, Shown, page_of, room, served_before, sought, stored_of
from .errors import translated
from .query import Selection, matching, page

R = TypeVar("R", bound=Record)

_PLACE = "FROM documents WHERE namespace = ? AND collection = ?"
_COLUMNS = "id, revision, document"
_ROWS = f"SELECT {_COLUMNS} {_PLACE}"
_ROW = f"{_ROWS} AND id = ?"
_LIVES = "(expires IS NULL OR expires > ?)"
_LIVING = f"{_ROWS} AND {_LIVES} AND id IN ({{}})"
_REVISION = "SELECT value FROM meta WHERE name = 'revision'"
_LIVING_ONE = f"SELECT {_COLUMNS}, ({_REVISION}) {_PLACE} AND {_LIVES} AND id = ?"
_IDS_AT_ONCE: Final = 128
"""Ids in one statement: with more, SQLite saves little more."""
_EXPIRED = f"SELECT TRUE {_PLACE} AND expires <= ? LIMIT 1"


def stored_revision(connection: sqlite3.Connection) -> Revision:
    row = connection.execute(_REVISION).fetchone()
    if row is None:
        raise StorageError("the database file: it has lost its revision; restore a copy")
    return int(row[0])


@contextmanager
def snapshot(connection: sqlite3.Connection, operation: str) -> Iterator[Revision]:
    """A transaction in which the file stands still, and the revision it stands at."""
    with translated(operation):
        if connection.in_transaction:
            # It stands still already, for whoever began that.
            yield stored_revision(connection)
            return
        connection.execute("BEGIN")
        try:
            yield stored_revision(connection)
        finally:
            connection.rollback()


def row_at(connection: sqlite3.Connection, address: Address) -> Row | None:
    namespace, collection, stored_id = address
    found = connection.execute(_ROW, (namespace or "", collection, stored_id)).fetchone()
    return None if found is None else _row(collection, found)


def _row(collection: str, found: Iterable[Any]) -> Row:
    stored_id, revision, text = found
    return Row(stored_id, _document(collection, stored_id, text), revision)


def _document(collection: str, stored_id: str, text: str) -> Document:
    try:
        document: Document = loads(text)
    except ValueError as error:
        raise CorruptRecord(
            f"{collection}/{stored_id}: what is stored is no document ({error})",
            collection=collection,
            key=stored_id,
        ) from None
    return document


def read_refs(connection: sqlite3.Connection, refs: Sequence[Ref[R]], now: datetime) -> Snapshot[R]:
    if len(refs) == 1 and (found := _read_one(connection, refs[0], now)) is not None:
        return found
    addresses = [address_of(ref) for ref in paced(refs)]
    asked = set(addresses)
    with snapshot(connection, "read") as as_of:
        rows = _living_rows(connection, asked, to_micros(now))
    owned = len(asked) == len(addresses)
    items = tuple(
        None if (row := rows.get(address)) is None else stored_of(ref, row, owned=owned)
        for ref, address in paced(zip(refs, addresses, strict=True))
    )
    return Snapshot(items, as_of, Billed(reads=len(items)))


def _read_one(connection: sqlite3.Connection, ref: Ref[R], now: datetime) -> Snapshot[R] | None:
    """The record with the revision of the file, if both are there.

    One statement sees one state of the file, in less time than a transaction of several.
    """
    namespace, collection, stored_id = address_of(ref)
    with translated("read"):
        values = namespace or "", collection, to_micros(now), stored_id
        found = connection.execute(_LIVING_ONE, values).fetchone()
    if found is None or found[-1] is None:
        return None
    *columns, as_of = found
    stored = stored_of(ref, _row(collection, columns), owned=True)
    return Snapshot((stored,), as_of, Billed(reads=1))


def _living_rows(
    connection: sqlite3.Connection, addresses: Iterable[Address], now: int
) -> dict[Address, Row]:
    ids: dict[tuple[str | None, str], list[str]] = {}
    for namespace, collection, stored_id in addresses:
        ids.setdefault((namespace, collection), []).append(stored_id)
    return {
        (namespace, collection, row.stored_id): row
        for (namespace, collection), wanted in ids.items()
        for row in _rows_of(connection, (namespace, collection), wanted, now)
    }


def _rows_of(
    connection: sqlite3.Connection,
    place: tuple[str | None, str],
    ids: list[str],
    now: int,
) -> Iterator[Row]:
    """Those of the rows that live, in no order."""
    namespace, collection = place
    for start in range(0, len(ids), _IDS_AT_ONCE):
        batch = ids[start : start + _IDS_AT_ONCE]
        # Filled up with one that is there already, so that there are but a few statements.
        size = 1 << (len(batch) - 1).bit_length()
        batch += batch[:1] * (size - len(batch))
        sql = _LIVING.format(", ".join("?" * size))
        found = connection.execute(sql, (namespace or "", collection, now, *batch))
        yield from (_row(collection, row) for row in paced(found))


def find_page(
    connection: sqlite3.Connection,
    query: Query[R],
    position: Position | None,
    now: datetime,
    options: Options,
) -> Page[R]:
    size = room(query, position)
    with snapshot(connection, "find") as as_of:
        rows = _page_rows(connection, query, position, now)
    billed = Billed(reads=max(1, min(size, len(rows))))
    more, shown = len(rows) > size, Shown(query, options, owned=True)
    for row in paced(rows[:size]):
        shown.add(row)
    served = served_before(position)
    return page_of(query, served, rows[:size], more=more, as_of=as_of, billed=billed, shown=shown)


def _page_rows(
    connection: sqlite3.Connection, query: Query[Any], position: Position | None, now: datetime
) -> list[Row]:
    """The rows of the page, and at least one more if there is one."""
    size = room(query, position)
    selection = page(query, position, now)
    if query.nearest is None and selection.order is not None:
        with closing(_selected(connection, query, selection, size + 1)) as rows:
            return list(islice(rows, size + 1))
    found = sought(query, position, size)
    with closing(_selected(connection, query, selection)) as rows:
        for row in rows:
            found.add(row)
    return found.rows()


def _selected(
    connection: sqlite3.Connection,
    query: Query[Any],
    selection: Selection,
    limit: int | None = None,
) -> Generator[Row, None, None]:
    """Rows that do match, and at most `limit` if SQL can tell which."""
    exact = selection.where.exact
    statement = selection.select(_COLUMNS, limit if exact else None)
    matches = matcher(query)
    with closing(connection.execute(*statement)) as cursor:
        for found in paced(cursor):
            row = _row(query.spec.collection, found)
            if exact or matches(row.document):
                yield row


def aggregate_all(
    connection: sqlite3.Connection, query: Query[Any], measures: Sequence[Measure], now: datetime
) -> Totals:
    query = query.unordered
    with snapshot(connection, "aggregate") as as_of:
        selection = matching(query, _expiring(connection, query, now))
        totals = Measuring(measures)
        if selection.where.exact and all(isinstance(measure, Count) for measure in measures):
            (totals.count,) = connection.execute(*selection.select("COUNT(*)")).fetchone()
        else:
            with closing(_selected(connection, query, selection)) as rows:
                for row in rows:
                    totals.add(row.document)
    return Totals(totals.values(), as_of, Billed(reads=max(1, -(-totals.count // 1000))))


def _expiring(connection: sqlite3.Connection, query: Query[Any], now: datetime) -> datetime | None:
    """`now`, if any document of the collection has expired by then.

    If none has, documents need not be asked, and an index can do without them.
    """
    if not query.hides_expired:
        return None
    place = query.namespace or "", query.spec.collection
    found = connection.execute(_EXPIRED, (*place, to_micros(now))).fetchone()
    return None if found is None else now
