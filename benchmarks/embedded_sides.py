"""The embedded stores, each doing the same tasks: two of the library's, and one by hand.

What is written by hand is plain ``sqlite3`` in a thread: a table with the record as JSON, the
columns that are searched, and an index. It does less than the library does: it keeps no revisions,
takes no conditions, and shows what has expired.
"""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, closing
from datetime import datetime
from pathlib import Path
from typing import Final, Protocol, TypeVar

from orchestra_memory import Count, LocalMemory, MemoryItem, MemoryManager, Query, SqliteMemory
from orchestra_memory.domain.conversations import Conversations

from .records import Job

T = TypeVar("T")

PAGE: Final = 50
"""Records in one page of history."""


class Side(Protocol):
    """One embedded store. A task's work is the same on every side."""

    async def put_many(self, records: Job) -> None: ...
    async def put(self, record: MemoryItem) -> None: ...
    async def get(self, key: str) -> MemoryItem | None: ...
    async def get_many(self, keys: Sequence[str]) -> Sequence[MemoryItem | None]: ...
    async def history(self, user: str, session: str) -> Job:
        """The newest :data:`PAGE` records of a session, newest first."""
        ...

    async def session(self, user: str, session: str) -> Job:
        """All records of a session, newest first."""
        ...

    async def everything(self) -> Job:
        """All records, in any order."""
        ...

    async def count(self, user: str, session: str) -> int: ...
    async def count_all(self) -> int: ...


class Ours:
    """A memory of the library."""

    def __init__(self, memory: MemoryManager) -> None:
        self._memory = memory
        self._conversations = Conversations(memory)

    async def put_many(self, records: Job) -> None:
        await self._memory.put_many(records)

    async def put(self, record: MemoryItem) -> None:
        await self._memory.put(record)

    async def get(self, key: str) -> MemoryItem | None:
        return await self._memory.get(MemoryItem, key)

    async def get_many(self, keys: Sequence[str]) -> Sequence[MemoryItem | None]:
        return await self._memory.get_many(MemoryItem, keys)

    async def history(self, user: str, session: str) -> Job:
        page = await self._conversations.history(user, session_id=session, page_size=PAGE)
        return [item.record for item in page.items]

    async def session(self, user: str, session: str) -> Job:
        return [item async for item in self._conversations.scan(user, session_id=session)]

    async def everything(self) -> Job:
        return [item async for item in self._memory.scan(Query(MemoryItem))]

    async def count(self, user: str, session: str) -> int:
        return await self._conversations.count(user, session_id=session)

    async def count_all(self) -> int:
        totals = await self._memory.aggregate(Query(MemoryItem), [Count("n")])
        return int(totals["n"] or 0)


_TABLE: Final = """
    CREATE TABLE items (
        id TEXT PRIMARY KEY, user_id TEXT NOT NULL, session_id TEXT, timestamp TEXT NOT NULL,
        document TEXT NOT NULL
    );
    CREATE INDEX items_by_time ON items (user_id, session_id, timestamp DESC);
"""
_INSERT: Final = "INSERT OR REPLACE INTO items VALUES (?, ?, ?, ?, ?)"
_OF_SESSION: Final = (
    "SELECT document FROM items WHERE user_id = ? AND session_id = ? ORDER BY timestamp DESC"
)
_COUNT_OF_SESSION: Final = "SELECT COUNT(*) FROM items WHERE user_id = ? AND session_id = ?"


class ByHand:
    """A connection, and the thread in which it is used."""

    def __init__(self, connection: sqlite3.Connection, thread: ThreadPoolExecutor) -> None:
        self._connection = connection
        self._thread = thread

    async def put_many(self, records: Job) -> None:
        await self._run(lambda: self._insert(records))

    async def put(self, record: MemoryItem) -> None:
        await self._run(lambda: self._insert([record]))

    async def get(self, key: str) -> MemoryItem | None:
        found = await self._select("SELECT document FROM items WHERE id = ?", key)
        return found[0] if found else None

    async def get_many(self, keys: Sequence[str]) -> Sequence[MemoryItem | None]:
        marks = ", ".join("?" * len(keys))
        found = await self._select(f"SELECT document FROM items WHERE id IN ({marks})", *keys)
        by_key = {record.id: record for record in found}
        return [by_key.get(key) for key in keys]

    async def history(self, user: str, session: str) -> Job:
        return await self._select(f"{_OF_SESSION} LIMIT ?", user, session, PAGE)

    async def session(self, user: str, session: str) -> Job:
        return await self._select(_OF_SESSION, user, session)

    async def everything(self) -> Job:
        return await self._select("SELECT document FROM items")

    async def count(self, user: str, session: str) -> int:
        return await self._number(_COUNT_OF_SESSION, user, session)

    async def count_all(self) -> int:
        return await self._number("SELECT COUNT(*) FROM items")

    def _insert(self, records: Iterable[MemoryItem]) -> None:
        with self._connection:
            self._connection.executemany(_INSERT, map(_row, records))

    async def _select(self, sql: str, *values: object) -> list[MemoryItem]:
        return await self._run(lambda: [_record(row) for row in self._rows(sql, values)])

    async def _number(self, sql: str, *values: object) -> int:
        return await self._run(lambda: int(next(self._rows(sql, values))[0]))

    def _rows(self, sql: str, values: Sequence[object]) -> sqlite3.Cursor:
        return self._connection.execute(sql, values)

    async def _run(self, work: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._thread, work)


def _row(record: MemoryItem) -> tuple[str, str, str | None, str, str]:
    time = _sortable(record.timestamp)
    return record.id, record.user_id, record.session_id, time, record.model_dump_json()


def _sortable(time: datetime) -> str:
    return time.isoformat(timespec="microseconds")


def _record(row: tuple[str]) -> MemoryItem:
    return MemoryItem.model_validate_json(row[0])


@asynccontextmanager
async def opened_sqlite(path: Path) -> AsyncIterator[Side]:
    async with SqliteMemory.open(path) as memory:
        yield Ours(memory)


@asynccontextmanager
async def opened_local(path: Path) -> AsyncIterator[Side]:
    del path  # it keeps nothing on the disk
    yield Ours(LocalMemory())


@asynccontextmanager
async def opened_by_hand(path: Path) -> AsyncIterator[Side]:
    with (
        ThreadPoolExecutor(1) as thread,
        closing(sqlite3.connect(path, check_same_thread=False)) as connection,
    ):
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = FULL")
        connection.executescript(_TABLE)
        yield ByHand(connection, thread)
