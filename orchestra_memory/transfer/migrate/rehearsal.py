"""What a dry run would have created so far, on the disk: it may be any number of records."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Sequence

from .ledger import Created


class Rehearsal:
    """Digests by type and id, in a file of SQLite's own that goes with it."""

    def __init__(self) -> None:
        self._database = sqlite3.connect("", check_same_thread=False, isolation_level=None)
        self._database.execute(
            "CREATE TABLE created (type TEXT, key TEXT, digest TEXT, PRIMARY KEY (type, key)) "
            "WITHOUT ROWID"
        )

    def close(self) -> None:
        self._database.close()

    def create(self, created: Sequence[Created]) -> None:
        with self._database:
            self._database.execute("BEGIN")
            self._database.executemany("INSERT OR IGNORE INTO created VALUES (?, ?, ?)", created)

    def held(self, keys: Iterable[tuple[str, str]]) -> dict[tuple[str, str], str]:
        """The digests of those of `keys` that were created."""
        found: dict[tuple[str, str], str] = {}
        for key in keys:
            row = self._database.execute(
                "SELECT digest FROM created WHERE type = ? AND key = ?", key
            ).fetchone()
            if row is not None:
                found[key] = row[0]
        return found
