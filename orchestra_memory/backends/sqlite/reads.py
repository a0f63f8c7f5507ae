"""What is asked of the file, on a reader's thread and in one snapshot each."""

from __future__ import annotations

import sqlite3
from collections.abc import Generator, Iterator, Sequence
from contextlib import closing, contextmanager
from datetime import datetime
from typing import Any, TypeVar

from ...codec.bytes import loads
from ...codec.cursor import Position
from ...codec.document import Document
from ...errors import CorruptRecord, StorageError
from ...fieldpaths import split_path
from ...matching import matches, measured
from ...operations import Billed, Count, Measure, Page, Ref, Revision, Snapshot, Totals
from ...queries import Query
from ...record import Record
from ...slices import paced
from ...values import to_micros
from ..batches import Address, address_of
from ..rows import FirstRows, Row, nearest_rows, page_of, ref_of, room, stored_of
from .errors import translated
from .query import Selection, matching, page

R = TypeVar("R", bound=Record)

_AT = "FROM documents WHERE namespace = ? AND collection = ? AND id = ?"
_ROW = f"SELECT id, revision, document {_AT}"
_LIVING_ROW = f"{_ROW} AND (expires IS NULL OR expires > ?)"


def stored_revision(connection: sqlite3.Connection) -> Revision:
    row = connection.execute("SELECT value FROM meta WHERE name = 'revision'").fetchone()
    if row is None:
        raise StorageError("the database file: it has lost its revision; restore a copy")
    return int(row[0])


@contextmanager
def snapshot(connection: sqlite3.Connection, operation: str) -> Iterator[Revision]:
    """A transaction in which the file stands still, and the revision it stands at."""
    with translated(operation):
        connection.execute("BEGIN")
        try:
            yield stored_revision(connection)
        finally:
            connection.rollback()


def row_at(connection: sqlite3.Connection, address: Address) -> Row | None:
    namespace, collection, stored_id = address
    found = connection.execute(_ROW, (namespace or "", collection, stored_id)).fetchone()
    return None if found is None else _row(collection, found)


def _living_row(connection: sqlite3.Connection, address: Address, now: int) -> Row | None:
    namespace, collection, stored_id = address
    found = connection.execute(
        _LIVING_ROW, (namespace or "", collection, stored_id, now)
    ).fetchone()
    return None if found is None else _row(collection, found)


def _row(collection: str, found: tuple[str, int, str]) -> Row:
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
    with snapshot(connection, "read") as as_of:
        micros = to_micros(now)
        rows = [_living_row(connection, address_of(ref), micros) for ref in paced(refs)]
    items = tuple(
        None if row is None else stored_of(ref, row)
        for ref, row in paced(zip(refs, rows, strict=True))
    )
    return Snapshot(items, as_of, Billed(reads=len(items)))


def find_page(
    connection: sqlite3.Connection, query: Query[R], position: Position | None, now: datetime
) -> Page[R]:
    size = room(query, position)
    with snapshot(connection, "find") as as_of:
        rows = _page_rows(connection, query, position, now)
    billed = Billed(reads=max(1, min(size, len(rows))))
    shown, more = rows[:size], len(rows) > size
    items = [stored_of(ref_of(query, row), row) for row in paced(shown)]
    return page_of(query, position, shown, more=more, as_of=as_of, billed=billed, items=items)


def _page_rows(
    connection: sqlite3.Connection, query: Query[Any], position: Position | None, now: datetime
) -> list[Row]:
    """The rows of the page, and at least one more if there is one."""
    size = room(query, position)
    selection = page(query, position, now)
    ordered = query.nearest is None and selection.order is not None
    with closing(_selected(connection, query, selection, size + 1 if ordered else None)) as rows:
        if query.nearest is not None:
            return nearest_rows(query, rows, size)
        if ordered:
            return list(rows)
        first = FirstRows(query, position, size + 1)
        for row in rows:
            first.add(row)
        return first.rows()


def _selected(
    connection: sqlite3.Connection,
    query: Query[Any],
    selection: Selection,
    count: int | None = None,
) -> Generator[Row, None, None]:
    """Rows that do match, at most `count`."""
    exact = selection.where.exact
    columns = "id, revision, document"
    cursor = connection.execute(*selection.select(columns, count if exact else None))
    try:
        for found in paced(cursor):
            row = _row(query.spec.collection, found)
            if exact or matches(row.document, query):
                yield row
                if count is not None:
                    count -= 1
                    if count == 0:
                        return
    finally:
        cursor.close()


def aggregate_all(
    connection: sqlite3.Connection, query: Query[Any], measures: Sequence[Measure], now: datetime
) -> Totals:
    selection = matching(query, now)
    with snapshot(connection, "aggregate") as as_of:
        if selection.where.exact and all(isinstance(measure, Count) for measure in measures):
            (count,) = connection.execute(*selection.select("COUNT(*)")).fetchone()
            values: dict[str, float | None] = {measure.name: count for measure in measures}
        else:
            with closing(_selected(connection, query, selection)) as rows:
                documents = list(_slimmed(rows, measures))
            count, values = len(documents), measured(measures, documents)
    return Totals(values, as_of, Billed(reads=max(1, -(-count // 1000))))


def _slimmed(rows: Iterator[Row], measures: Sequence[Measure]) -> Iterator[Document]:
    """Documents with nothing but the measured fields: there may be many."""
    names = {split_path(measure.of)[0] for measure in measures if not isinstance(measure, Count)}
    for row in rows:
        yield {name: row.document[name] for name in names & row.document.keys()}
