"""Journals seen from outside: what their headers say, and what they hold. Nothing is changed."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from ...slices import paced
from .entries import Entry, Row, as_dead_letter, entry_of, is_intact
from .files import Lock, databases, holder, lock_of
from .schema import FORMAT, Header, Unreadable, open_to_read, read_header
from .status import JournalFile
from .table import every_row

_COUNTS = """
    SELECT COUNT(*) - COUNT(reason), COUNT(reason), COALESCE(SUM(LENGTH(body)), 0),
        MIN(CASE WHEN reason IS NULL THEN at END)
    FROM entries
"""


@dataclass(frozen=True, slots=True)
class Contents:
    """A journal and its rows, the damaged ones as dead letters; ``intact`` says which are none."""

    file: JournalFile
    rows: list[Row]
    intact: list[bool]


def look_into(directory: Path, target: str | None) -> list[JournalFile]:
    """Every journal in a directory; blocks. Nothing in them is changed."""
    return [_looked_into(path, target) for path in databases(directory)]


def read(path: Path) -> tuple[JournalFile, list[Entry]]:
    """A journal and all it holds, in order; blocks. Nothing in it is changed.

    Damaged entries are among it, with what can be read of them. What cannot be read has none, and a
    ``refusal``.
    """
    with _left_in_place(path) as found:
        if found.refusal is not None:
            return found, []
        contents = contents_of(found, None)
    pairs = zip(contents.rows, contents.intact, strict=True)
    return contents.file, [entry_of(row, intact=intact) for row, intact in paced(pairs)]


def _looked_into(path: Path, target: str | None) -> JournalFile:
    with _left_in_place(path) as found:
        return found if found.refusal is not None else _counted(found, target)


@contextmanager
def _left_in_place(path: Path) -> Iterator[JournalFile]:
    """The journal; if nobody has it open, nobody takes it over meanwhile."""
    found = JournalFile(path, living=False, holder=holder(path))
    try:
        lock = Lock.take(lock_of(path))
    except OSError as error:
        yield replace(found, refusal=no_lock(error))
        return
    try:
        yield replace(found, living=lock is None)
    finally:
        if lock is not None:
            # Whoever asks about a journal that is gone must not leave a lock behind.
            lock.release(remove=not path.exists())


def _counted(found: JournalFile, target: str | None) -> JournalFile:
    found, connection = _opened(found, target)
    if connection is None:
        return found
    with closing(connection):
        try:
            entries, dead, size, oldest = connection.execute(_COUNTS).fetchone()
        except sqlite3.Error:
            return replace(found, damaged=True)
    return replace(found, entries=entries, dead_letters=dead, bytes=size, oldest=oldest)


def _opened(
    found: JournalFile, target: str | None
) -> tuple[JournalFile, sqlite3.Connection | None]:
    """What its header says, and a connection if it has entries that are for us."""
    connection: sqlite3.Connection | None = None
    try:
        connection = open_to_read(found.path, alone=not found.living)
        header = read_header(connection)
    except (sqlite3.Error, OSError, Unreadable) as error:
        if connection is not None:
            connection.close()
        why = str(error) if isinstance(error, Unreadable) else "its file cannot be opened"
        return replace(found, refusal=why), None
    if header is not None:
        found = replace(
            found,
            refusal=_refusal(header, target),
            format=header.format,
            target=header.target,
            library=header.library,
            created=header.created,
        )
    if header is None or found.refusal is not None:
        connection.close()
        return found, None
    return found, connection


def contents_of(found: JournalFile, target: str | None) -> Contents:
    """All it holds, unless it cannot be read or is for another target."""
    found, connection = _opened(found, target)
    if connection is None:
        return Contents(found, [], [])
    with closing(connection):
        try:
            rows, whole = every_row(connection)
        except sqlite3.Error as error:
            why = f"it cannot be read now ({type(error).__name__})"
            return Contents(replace(found, refusal=why), [], [])
    intact = [is_intact(row) for row in paced(rows)]
    rows = [row if sound else as_dead_letter(row) for row, sound in zip(rows, intact, strict=True)]
    return Contents(_described(found, rows, whole=whole), rows, intact)


def _described(found: JournalFile, rows: Sequence[Row], *, whole: bool) -> JournalFile:
    waiting = [row for row in rows if row.reason is None]
    return replace(
        found,
        damaged=not whole,
        entries=len(waiting),
        dead_letters=len(rows) - len(waiting),
        bytes=sum(len(row.body) for row in rows),
        oldest=min((row.at for row in waiting), default=None),
    )


def _refusal(header: Header, target: str | None) -> str | None:
    if header.format > FORMAT:
        return (
            f"written in format {header.format} by release {header.library}, this one knows "
            f"{FORMAT}; upgrade orchestra-memory"
        )
    if target is not None and header.target != target:
        return f"its entries are for {header.target}"
    return None


def no_lock(error: OSError) -> str:
    return f"its lock cannot be opened ({type(error).__name__}); does it belong to another user?"
