"""What the tests of the journal share."""

from __future__ import annotations

import shutil
import sqlite3
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager, closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from orchestra_memory.resilience.journal import DocumentKey, Draft, Entry, Event, Journal
from orchestra_memory.values import to_micros

TARGET = "firestore://demo/(default)"
NOW = datetime(2026, 5, 5, tzinfo=UTC)
MEMORY = next((path for path in ("/dev/shm",) if Path(path).is_dir()), None)
"""Where files cost no fsync, for tests that make many and are not about the disk."""


class Clock:
    def __init__(self) -> None:
        self.now = NOW

    def __call__(self) -> datetime:
        return self.now

    def move(self, **by: float) -> None:
        self.now += timedelta(**by)

    @property
    def micros(self) -> int:
        return to_micros(self.now)


def document(key: str = "a") -> DocumentKey:
    return DocumentKey(None, "notes", key)


def draft(body: str = "x", key: str = "a", **fields: Any) -> Draft:
    return Draft(document(key), body.encode(), **fields)


@asynccontextmanager
async def opened(
    directory: Path,
    *,
    target: str = TARGET,
    events: list[Event] | None = None,
    **options: Any,
) -> AsyncIterator[Journal]:
    hooks = [] if events is None else [events.append]
    async with Journal.open(directory, target=target, hooks=hooks, **options) as journal:
        yield journal


def crashed(source: Path, copy: Path) -> Path:
    """The directory as the disk has it now: what a process killed at this moment leaves."""
    shutil.copytree(source, copy)
    return copy


async def left_behind(directory: Path, drafts: Iterable[Draft], **options: Any) -> Path:
    """The path of a journal with these entries, whose process is gone."""
    async with opened(directory, **options) as journal:
        await journal.append([*drafts])
        return journal.path


def bodies(entries: Iterable[Entry]) -> list[str]:
    return [entry.body.decode() for entry in entries]


def altered(path: Path, *statements: str) -> None:
    """Do something to a journal's file behind its back."""
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        for statement in statements:
            connection.execute(statement)


def log_size(journal: Journal, directory: Path | None = None) -> int:
    """Bytes in SQLite's log beside the journal's file, or beside its copy in a directory."""
    path = journal.path if directory is None else directory / journal.path.name
    return Path(f"{path}-wal").stat().st_size


def names(directory: Path) -> set[str]:
    return {path.name for path in directory.iterdir()}


def contents(directory: Path) -> dict[str, bytes]:
    """Every file of a directory."""
    # SQLite makes the shared memory of a log anew whenever it looks.
    found = (path for path in directory.iterdir() if not path.name.endswith("-shm"))
    return {path.name: path.read_bytes() for path in found}
