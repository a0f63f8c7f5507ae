"""What is done with the rows of a journal, each on a connection and its thread."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain, groupby, islice
from json import dumps
from typing import Final, NamedTuple

from ...slices import paced
from .entries import Entry, Row, entry_of, is_intact, seal_of

ROWS_AT_ONCE: Final = 32
"""Rows that SQLite is given together; in between, other threads get their turn."""

_DAMAGE: Final = frozenset({sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB})
_COLUMNS = ", ".join(Row._fields)
_INSERT = f"INSERT INTO entries ({_COLUMNS}) VALUES ({', '.join('?' * len(Row._fields))})"
_ALL = f"SELECT {_COLUMNS} FROM entries ORDER BY number"
_SELECT = f"SELECT {_COLUMNS} FROM entries WHERE number = ?"
_THESE = "number IN (SELECT value FROM json_each(?))"
_DELETE = f"DELETE FROM entries WHERE {_THESE}"
_SET_REASON = "UPDATE entries SET reason = ? WHERE number = ?"
_SET_BATCH = f"""
    UPDATE entries SET batch = ?, checksum = (checksum & {0xFFFF_FFFF}) | ? WHERE {_THESE}
"""


@dataclass(frozen=True, slots=True)
class Found:
    """Entries in the order asked for, and the numbers of those that cannot be read."""

    entries: list[Entry]
    damaged: list[int]


class Change(NamedTuple):
    """SQL, and the rows of values to execute it with; they may be made as they are asked for."""

    sql: str
    rows: Iterable[tuple[object, ...]]


def insertion(rows: Iterable[tuple[object, ...]]) -> Change:
    """Of each row, the values that `Row` names."""
    return Change(_INSERT, rows)


def deletion(numbers: Sequence[int]) -> Change:
    # One statement for all: after each, a thread has to wait until a busy one lets it go on.
    return Change(_DELETE, [(dumps(numbers),)])


def new_reason(number: int, reason: str | None) -> Change:
    return Change(_SET_REASON, [(reason, number)])


def new_batch(numbers: Sequence[int], batch: str) -> Change:
    return Change(_SET_BATCH, [(batch, seal_of(batch), dumps(numbers))])


def execute(connection: sqlite3.Connection, changes: Iterable[Change]) -> None:
    """Do all of it in order; what needs the same SQL and comes in a row costs as one change."""
    for sql, alike in groupby(changes, lambda change: change.sql):
        rows = chain.from_iterable(change.rows for change in alike)
        for some in paced(_some_at_once(rows)):
            connection.executemany(sql, some)


def _some_at_once(rows: Iterator[tuple[object, ...]]) -> Iterator[list[tuple[object, ...]]]:
    # Plain tuples: the values of any other kind are looked up one by one, which takes long.
    while some := [tuple(row) for row in islice(rows, ROWS_AT_ONCE)]:
        yield some


def select(connection: sqlite3.Connection, numbers: Sequence[int]) -> Found:
    """The entries with these numbers that are in the file. Dead letters need not be intact."""
    found = Found([], [])
    for number in paced(numbers):
        try:
            values = connection.execute(_SELECT, (number,)).fetchone()
        except sqlite3.Error:
            # One by one, so that a damaged page takes only its own entries with it.
            found.damaged.append(number)
            continue
        if values is not None:
            _sort(Row(*values), found)
    return found


def _sort(row: Row, found: Found) -> None:
    intact = is_intact(row)
    if intact or row.reason is not None:
        found.entries.append(entry_of(row, intact=intact))
    else:
        found.damaged.append(row.number)


def every_row(connection: sqlite3.Connection) -> tuple[list[Row], bool]:
    """All rows in order, and whether that is all there were.

    Where a damaged page stops the way through, what lies behind it is read from the end. Raises
    ``sqlite3.Error`` for what may pass.
    """
    rows, whole = _rows(connection, _ALL)
    if not whole:
        last = rows[-1].number if rows else None
        behind, _ = _rows(connection, f"{_ALL} DESC")
        rows += [row for row in reversed(behind) if last is None or row.number > last]
    return rows, whole


def _rows(connection: sqlite3.Connection, sql: str) -> tuple[list[Row], bool]:
    rows: list[Row] = []
    try:
        for values in paced(connection.execute(sql)):
            rows.append(Row(*values))
    except sqlite3.Error as error:
        if getattr(error, "sqlite_errorcode", 0) & 0xFF not in _DAMAGE:
            raise
        return rows, False
    return rows, True
