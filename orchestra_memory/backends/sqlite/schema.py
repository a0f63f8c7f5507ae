"""The file: how it is opened, what tables it has, and which versions of it are understood.

One row is one document. ``document`` is its typed JSON, readable in any SQLite shell; ``keys``
holds, for each field a query may name, text that orders as the field's values do. Indexes lie over
those keys.
"""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from datetime import datetime, timedelta
from hashlib import sha256
from pathlib import Path
from typing import Final

from ...errors import ConfigurationError
from ...record import RecordSpec
from ...values import to_micros
from .errors import is_locked
from .query import identifier, key_column, literal

FORMAT: Final = 1
"""The version of the file's layout, kept as its ``user_version``."""
APPLICATION_ID: Final = 0x6F6D656D
"""Marks the file as ours to ``file(1)`` and to us: ``omem``."""
BUSY_SECONDS: Final = 5.0
"""How long to wait for another process's lock."""
PURGE_AFTER: Final = timedelta(days=1)
"""How long an expired document stays; as with Firestore's TTL policy, about a day."""
PURGE_LIMIT: Final = 10_000
"""Documents purged at one opening, so that it does not take long."""

# A row of 1 to 3 KB fits a page of 8 KiB, but not a cell of a table WITHOUT ROWID, which takes at
# most a quarter page: such a table took twice the time to write and to page through.
_TABLES = """
    CREATE TABLE IF NOT EXISTS meta (name TEXT PRIMARY KEY, value INTEGER NOT NULL) WITHOUT ROWID;
    CREATE TABLE IF NOT EXISTS documents (
        namespace TEXT NOT NULL,
        collection TEXT NOT NULL,
        id TEXT NOT NULL,
        revision INTEGER NOT NULL,
        expires INTEGER,
        keys TEXT NOT NULL,
        document TEXT NOT NULL,
        UNIQUE (namespace, collection, id)
    );
    CREATE INDEX IF NOT EXISTS documents_living ON documents (namespace, collection, expires);
    CREATE INDEX IF NOT EXISTS documents_expires ON documents (expires) WHERE expires IS NOT NULL;
    INSERT OR IGNORE INTO meta VALUES ('revision', 0);
"""


def connect(path: Path, *, reading: bool) -> sqlite3.Connection:
    """A connection that waits for locks; only one that writes creates the file."""
    connection = sqlite3.connect(
        f"{path.absolute().as_uri()}?mode={'rw' if reading else 'rwc'}",
        uri=True,
        timeout=BUSY_SECONDS,
        isolation_level=None,
        check_same_thread=False,
        cached_statements=256,
    )
    try:
        # FULL: a commit is acknowledged as COMMITTED, so it must be on the disk by then. With
        # NORMAL, WAL commits survive the process but not a power cut. Group commit pays for it.
        connection.execute("PRAGMA synchronous = FULL")
        connection.execute(f"PRAGMA query_only = {int(reading)}")
        connection.execute(f"PRAGMA cache_size = -{8_192 if reading else 32_768}")
    except BaseException:
        connection.close()
        raise
    return connection


def prepare_file(connection: sqlite3.Connection, name: str) -> None:
    """Create what a new file needs. Raises ``ConfigurationError`` for a file of no use to us."""
    new = is_new(connection, name)
    if new:
        connection.execute("PRAGMA page_size = 8192")
    _use_wal(connection, name)
    # 64 MiB of log: the pages of an index change over and over, and move to the file but once.
    connection.execute("PRAGMA wal_autocheckpoint = 8192")
    connection.execute("PRAGMA journal_size_limit = 67108864")
    if new:
        with transaction(connection):
            for statement in _TABLES.split(";"):
                connection.execute(statement)
            connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
            connection.execute(f"PRAGMA user_version = {FORMAT}")


def store_id(path: Path) -> int:
    """A random number that tells this file from one made later at the same path."""
    with closing(connect(path, reading=False)) as connection:
        ask = "SELECT value FROM meta WHERE name = 'store'"
        found = connection.execute(ask).fetchone()
        if found is None:
            connection.execute("INSERT OR IGNORE INTO meta VALUES ('store', random())")
            found = connection.execute(ask).fetchone()
    return int(found[0])


def is_new(connection: sqlite3.Connection, name: str) -> bool:
    """Whether the file is empty; ``ConfigurationError`` if another's, or of a later format."""
    # In one transaction: another process may be making the file just now.
    connection.execute("BEGIN")
    try:
        (tables,) = connection.execute("SELECT COUNT(*) FROM sqlite_master").fetchone()
        (application,) = connection.execute("PRAGMA application_id").fetchone()
        (version,) = connection.execute("PRAGMA user_version").fetchone()
    finally:
        connection.rollback()
    if application == 0 and version == 0 and tables == 0:
        return True
    if application != APPLICATION_ID:
        raise ConfigurationError(
            f"{name}: a SQLite database of another application; choose another path"
        )
    if version > FORMAT:
        raise ConfigurationError(
            f"{name}: written in format {version} by a later release, this one knows {FORMAT}; "
            "upgrade orchestra-memory"
        )
    return False


def _use_wal(connection: sqlite3.Connection, name: str) -> None:
    give_up = time.monotonic() + BUSY_SECONDS
    while True:
        # SQLite does not wait by itself when two processes switch a new file at once.
        try:
            (mode,) = connection.execute("PRAGMA journal_mode = WAL").fetchone()
            break
        except sqlite3.OperationalError as error:
            if not is_locked(error) or time.monotonic() > give_up:
                raise
            time.sleep(0.01)
    if mode != "wal":
        raise ConfigurationError(
            f"{name}: its file system has no shared memory for SQLite's WAL; choose a local disk"
        )


@contextmanager
def transaction(connection: sqlite3.Connection) -> Iterator[None]:
    """Holds the write lock from the start, so that nothing read in it can grow stale."""
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield
        connection.execute("COMMIT")
    finally:
        connection.rollback()


def purge(connection: sqlite3.Connection, now: datetime) -> int:
    """Remove documents expired for more than a day; returns how many."""
    before = to_micros(now - PURGE_AFTER)
    expired = "SELECT rowid FROM documents WHERE expires < ? LIMIT ?"
    if connection.execute(expired, (before, 1)).fetchone() is None:
        return 0
    with transaction(connection):
        sql = f"DELETE FROM documents WHERE rowid IN ({expired})"
        count = connection.execute(sql, (before, PURGE_LIMIT)).rowcount
        connection.execute("UPDATE meta SET value = value + 1 WHERE name = 'revision'")
    return count


def create_indexes(connection: sqlite3.Connection, specs: Sequence[RecordSpec]) -> None:
    """The indexes that these record types declare, where the file lacks them."""
    wanted = {name: sql for spec in specs for name, sql in index_statements(spec)}
    found = connection.execute("SELECT name FROM sqlite_master WHERE type = 'index'")
    missing = wanted.keys() - {name for (name,) in found}
    if missing:
        with transaction(connection):
            for name in sorted(missing):
                connection.execute(wanted[name])


def index_statements(spec: RecordSpec) -> Iterator[tuple[str, str]]:
    """Names and statements of the indexes of one collection."""
    for fields in dict.fromkeys([*spec.indexes, *spec.scopes]):
        columns = [_index_column(field) for field in fields]
        label = f"{spec.collection}({','.join(fields)})"
        # SQLite takes names that differ by case only for the same.
        name = f"{label} {sha256(label.encode()).hexdigest()[:8]}"
        if None not in columns:
            tie = "id DESC" if fields[-1].startswith("-") else "id"
            listed = ", ".join(["namespace", *filter(None, columns), tie])
            yield (
                name,
                f"CREATE INDEX IF NOT EXISTS {identifier(name)} ON documents ({listed}) "
                f"WHERE collection = {literal(spec.collection)}",
            )


def _index_column(field: str) -> str | None:
    column = key_column(field.removeprefix("-"))
    return f"{column} DESC" if column and field.startswith("-") else column
