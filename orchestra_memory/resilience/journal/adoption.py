"""Journals whose process has died: looked into, and taken over under their lock.

Taking one over is a commit like any other, to which its entries are copied; once that is on the
disk, its files are removed. A crash in between leaves both, and the next one to take over finds
entries with the same ids.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import replace
from pathlib import Path

from .bounds import Held, Ledger, held_of
from .entries import Row, as_dead_letter, is_intact
from .files import Lock, databases, holder, lock_of, put_aside, remove
from .schema import FORMAT, Header, Unreadable, open_to_read, read_header
from .status import JournalFile
from .table import every_row, insert

NO_ROOM = "there is no room for it until some of what is here is replayed"
_COUNTS = """
    SELECT COUNT(*) - COUNT(reason), COUNT(reason), COALESCE(SUM(LENGTH(body)), 0),
        MIN(CASE WHEN reason IS NULL THEN at END)
    FROM entries
"""


def look_into(directory: Path, target: str) -> list[JournalFile]:
    """Every journal in a directory; blocks. Nothing in them is changed."""
    return [_looked_into(path, target) for path in databases(directory)]


def _looked_into(path: Path, target: str) -> JournalFile:
    found = JournalFile(path, living=False, holder=holder(path))
    try:
        lock = Lock.take(lock_of(path))
    except OSError as error:
        return replace(found, refusal=_no_lock(error))
    try:
        return _counted(replace(found, living=lock is None), target)
    finally:
        if lock is not None:
            lock.release()


def _counted(found: JournalFile, target: str) -> JournalFile:
    found, connection = _opened(found, target)
    if connection is None:
        return found
    with closing(connection):
        try:
            entries, dead, size, oldest = connection.execute(_COUNTS).fetchone()
        except sqlite3.Error:
            return replace(found, damaged=True)
    return replace(found, entries=entries, dead_letters=dead, bytes=size, oldest=oldest)


def _opened(found: JournalFile, target: str) -> tuple[JournalFile, sqlite3.Connection | None]:
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


def _refusal(header: Header, target: str) -> str | None:
    if header.format > FORMAT:
        return (
            f"written in format {header.format} by release {header.library}, this one knows "
            f"{FORMAT}; upgrade orchestra-memory"
        )
    if header.target != target:
        return f"its entries are for {header.target}"
    return None


def _no_lock(error: OSError) -> str:
    return f"its lock cannot be opened ({type(error).__name__}); does it belong to another user?"


class Taking:
    """One journal being taken over: copied within a commit, finished after it."""

    def __init__(self, path: Path, target: str, ledger: Ledger, numbers: Iterator[int]) -> None:
        self.file: JournalFile = JournalFile(path, living=False, holder=holder(path))
        self.held: list[tuple[Held, bool]] = []
        """What was copied, and whether each is a dead letter."""
        self.damaged: int = 0
        self._target = target
        self._ledger = ledger
        self._numbers = numbers
        self._lock: Lock | None = None

    @property
    def left(self) -> bool:
        """Whether it stays where it is, although nobody else has it open."""
        return self.file.refusal is not None and not self.file.living

    def copy(self, connection: sqlite3.Connection) -> None:
        """Lock it, and copy what it holds to the connection's file."""
        try:
            self._lock = Lock.take(lock_of(self.file.path))
        except OSError as error:
            self.file = replace(self.file, refusal=_no_lock(error))
            return
        if self._lock is None or not self.file.path.exists():
            self.file = replace(self.file, living=True)
            return
        rows = [row for row in self._rows() if row.id not in self._ledger.ids]
        if not self._ledger.fits(rows):
            self.file = replace(self.file, refusal=NO_ROOM)
            return
        rows = [row._replace(number=next(self._numbers)) for row in rows]
        insert(connection, rows)
        self.held = [(held_of(row), row.reason is not None) for row in rows]

    def _rows(self) -> list[Row]:
        self.file, connection = _opened(self.file, self._target)
        if connection is None:
            return []
        with closing(connection):
            try:
                rows, whole = every_row(connection)
            except sqlite3.Error as error:
                why = f"it cannot be read now ({type(error).__name__})"
                self.file = replace(self.file, refusal=why)
                return []
        intact = [is_intact(row) for row in rows]
        self.damaged = intact.count(False)
        rows = [
            row if sound else as_dead_letter(row) for row, sound in zip(rows, intact, strict=True)
        ]
        self.file = _described(self.file, rows, whole=whole)
        return rows

    def finish(self, *, committed: bool) -> None:
        """Remove what was copied, if the commit is on the disk, and let go of the lock."""
        if self._lock is None:
            return
        if not committed or self.left:
            self._lock.release()
            return
        try:
            (put_aside if self.file.damaged else remove)(self.file.path)
            self._lock.release(remove=True)
        except OSError as error:
            # The lock stays with this process: what it took over, nobody else must.
            why = f"taken over, but its files cannot be removed ({type(error).__name__})"
            self.file = replace(self.file, refusal=why)
