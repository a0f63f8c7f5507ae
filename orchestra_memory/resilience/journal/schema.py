"""The file: how it is opened, what tables it has, and what its header says.

``user_version`` is the format. Whatever a later format looks like, the header table and the mark of
the application stay as they are, so that an older release can tell what it must leave alone.
"""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Final

FORMAT: Final = 1
"""The version of the file's layout, and of what an entry's checksum covers."""
APPLICATION_ID: Final = 0x6F6D6A6C
"""Marks the file as a journal of ours: ``omjl``."""
BUSY_SECONDS: Final = 5.0
"""How long to wait for somebody who looks into the file with another tool."""
LOG_PAGES: Final = 4_096
"""Pages of 4 KiB in SQLite's log before they are moved to the file; each time costs an fsync."""

_TABLES: Final = (
    "CREATE TABLE header (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID",
    """CREATE TABLE entries (
        number INTEGER PRIMARY KEY,
        id TEXT NOT NULL,
        namespace TEXT,
        collection TEXT NOT NULL,
        key TEXT NOT NULL,
        at INTEGER NOT NULL,
        checksum INTEGER NOT NULL,
        body BLOB NOT NULL,
        reason TEXT,
        batch TEXT
    )""",
)


@dataclass(frozen=True, slots=True)
class Header:
    """What a journal says of itself; ``created`` in microseconds since 1970."""

    format: int
    target: str
    created: int
    library: str


class Unreadable(Exception):
    """The file is no journal, or is too damaged to say what it is; the message says which."""


def create(path: Path, target: str, now: int) -> sqlite3.Connection:
    """Make the tables in an empty file, and return the connection that writes to it."""
    connection = _connect(path, "rw")
    try:
        (mode,) = connection.execute("PRAGMA journal_mode = WAL").fetchone()
        if mode != "wal":
            raise sqlite3.OperationalError("no shared memory for a log; a local disk is needed")
        # FULL: what is acknowledged is on the disk, not only out of this process.
        connection.execute("PRAGMA synchronous = FULL")
        # On macOS, fsync alone leaves it in the disk's own cache.
        connection.execute("PRAGMA fullfsync = ON")
        connection.execute(f"PRAGMA wal_autocheckpoint = {LOG_PAGES}")
        connection.execute(f"PRAGMA journal_size_limit = {LOG_PAGES * 4_096}")
        _make_tables(connection, target, now)
    except BaseException:
        connection.close()
        raise
    return connection


def open_to_read(path: Path, *, alone: bool) -> sqlite3.Connection:
    """A connection that changes nothing, not even by closing; `alone` if nobody else has one."""
    log = Path(f"{path}-wal")
    # SQLite would make an empty log for a file that has none.
    settled = alone and not (log.exists() and log.stat().st_size)
    return _connect(path, "ro&immutable=1" if settled else "ro")


def read_header(connection: sqlite3.Connection) -> Header | None:
    """The header; ``None`` if the file was made, but nothing was ever written to it.

    Raises ``Unreadable``.
    """
    try:
        (application,) = connection.execute("PRAGMA application_id").fetchone()
        (file_format,) = connection.execute("PRAGMA user_version").fetchone()
        (tables,) = connection.execute("SELECT COUNT(*) FROM sqlite_master").fetchone()
        if (application, file_format, tables) == (0, 0, 0):
            return None
        if application != APPLICATION_ID:
            raise Unreadable("a SQLite database of another application")
        said = dict(connection.execute("SELECT name, value FROM header"))
        return Header(file_format, said["target"], int(said["created"]), said["library"])
    except (sqlite3.Error, KeyError, ValueError, TypeError) as error:
        raise Unreadable(f"its header cannot be read ({type(error).__name__})") from error


def _connect(path: Path, mode: str) -> sqlite3.Connection:
    connection = sqlite3.connect(
        f"{path.absolute().as_uri()}?mode={mode}",
        uri=True,
        timeout=BUSY_SECONDS,
        isolation_level=None,
        check_same_thread=False,
    )
    connection.text_factory = _text
    return connection


def _text(data: bytes) -> str:
    # Damaged text must not end the reading of what is sound: its checksum tells.
    return data.decode(errors="replace")


def _make_tables(connection: sqlite3.Connection, target: str, now: int) -> None:
    header = {"target": target, "created": str(now), "library": version("orchestra-memory")}
    connection.execute("BEGIN IMMEDIATE")
    for statement in _TABLES:
        connection.execute(statement)
    connection.executemany("INSERT INTO header VALUES (?, ?)", header.items())
    connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
    connection.execute(f"PRAGMA user_version = {FORMAT}")
    connection.execute("COMMIT")
