"""What is done with the rows of a journal, each on a connection and its thread."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from ...slices import paced
from .entries import Entry, Row, entry_of, is_intact, seal_of

_DAMAGE: Final = frozenset({sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB})
_COLUMNS = ", ".join(Row._fields)
_INSERT = f"INSERT INTO entries ({_COLUMNS}) VALUES ({', '.join('?' * len(Row._fields))})"
_ALL = f"SELECT {_COLUMNS} FROM entries ORDER BY number"
_SELECT = f"SELECT {_COLUMNS} FROM entries WHERE number = ?"
_DELETE = "DELETE FROM entries WHERE number = ?"
_SET_REASON = "UPDATE entries SET reason = ? WHERE number = ?"
_SET_BATCH = f"""
    UPDATE entries SET batch = ?, checksum = (checksum & {0xFFFF_FFFF}) | ? WHERE number = ?
"""


@dataclass(frozen=True, slots=True)
class Found:
    """Entries in the order asked for, and the numbers of those that cannot be read."""

    entries: list[Entry]
    damaged: list[int]


def insert(connection: sqlite3.Connection, rows: Iterable[Row]) -> None:
    """`rows` are made one by one, while SQLite takes the last: other threads run in between."""
    connection.executemany(_INSERT, paced(rows))


def delete(connection: sqlite3.Connection, numbers: Iterable[int]) -> None:
    connection.executemany(_DELETE, paced((number,) for number in numbers))


def set_reason(connection: sqlite3.Connection, number: int, reason: str | None) -> None:
    connection.execute(_SET_REASON, (reason, number))


def set_batch(connection: sqlite3.Connection, numbers: Iterable[int], batch: str) -> None:
    seal = seal_of(batch)
    connection.executemany(_SET_BATCH, paced((batch, seal, number) for number in numbers))


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
