"""The journal's writers side by side: commits that they share, and one commit for each write."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractAsyncContextManager, closing, contextmanager
from itertools import cycle, islice
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final, TypeAlias

from orchestra_memory import Put
from orchestra_memory.codec.operations import encode_operation
from orchestra_memory.layers.fallback.queued import document_of
from orchestra_memory.resilience.journal import Draft, Journal

from ..compare import WrongData
from ..gathering import AT_ONCE
from ..measure import fresh
from ..order import rotated
from ..records import sessions
from ..result import Report
from ..summary import Spread
from ..turns import Cost
from .moments import Moment
from .turns import Turn, Turns, ratio

TASK: Final = "append"
OURS: Final = f"Journal, {AT_ONCE} writers"
ALONE: Final = "Journal, 1 writer"
BY_HAND: Final = f"sqlite3, a commit for each write, {AT_ONCE} writers"
LOOP: Final = "sqlite3, a commit for each write, a loop"
TABLE: Final = "CREATE TABLE entries (number INTEGER PRIMARY KEY, id TEXT, key TEXT, body BLOB)"
INSERT: Final = "INSERT INTO entries (id, key, body) VALUES (?, ?, ?)"
SELECT: Final = "SELECT id, body FROM entries"
SAMPLES: Final = 400
"""Different records that entries are made of."""

TARGET: Final = "benchmark"
MEDIUM: Final = "persistent"
"""What a journal takes its disk for, whatever that is: so it is acknowledged as ``JOURNALED``."""

Bodies: TypeAlias = Mapping[str, bytes]
Append: TypeAlias = Callable[[Path, Sequence[Draft]], Awaitable[tuple[Cost, Bodies]]]
"""Brings all of it to the disk in a folder; what is found there by id."""


async def measured(entries: int, alone: int, rounds: int, report: Report) -> Turns:
    """Bring entries to the disk: so many by writers who share commits, and ``alone`` others.

    Raises ``WrongData`` for one that is not there as it was given.
    """
    report(f"entries of a journal: {rounds} rounds")
    found = Turns()
    ways: list[tuple[str, Append, int]] = [
        (OURS, by_many, entries),
        (ALONE, by_one, alone),
        (BY_HAND, by_hand, alone),
        (LOOP, by_loop, alone),
    ]
    for number in range(rounds + 1):
        for way, append, count in rotated(ways, number):
            some = drafts(count)
            with TemporaryDirectory(prefix="journal-") as folder, fresh():
                cost, bodies = await append(Path(folder), some)
            if bodies != {draft.id: draft.body for draft in some}:
                raise WrongData(f"{way}: what is on the disk is not what was given")
            found.add(Turn(TASK, way, number, count, cost), compared=count)
    return found


def drafts(count: int) -> list[Draft]:
    """Puts of sample records, as they are journalled."""
    (job,) = sessions(1, min(count, SAMPLES))
    made = [(Put(record), encode_operation(Put(record))) for record in job]
    return [Draft(document_of(op.ref), body) for op, body in islice(cycle(made), count)]


async def by_many(folder: Path, some: Sequence[Draft]) -> tuple[Cost, Bodies]:
    """Each writer appends one entry after another."""

    async def write(own: Sequence[Draft]) -> None:
        for draft in own:
            await journal.append([draft])

    async with opened(folder) as journal:
        before = Moment.now()
        await asyncio.gather(*(write(some[first::AT_ONCE]) for first in range(AT_ONCE)))
        return before.until(Moment.now()), await _bodies(journal)


async def by_one(folder: Path, some: Sequence[Draft]) -> tuple[Cost, Bodies]:
    """There is nobody to share a commit with."""
    async with opened(folder) as journal:
        before = Moment.now()
        for draft in some:
            await journal.append([draft])
        return before.until(Moment.now()), await _bodies(journal)


async def by_hand(folder: Path, some: Sequence[Draft]) -> tuple[Cost, Bodies]:
    """As many writers, who hand their writes to a thread, one by one."""
    loop = asyncio.get_running_loop()

    async def write(own: Sequence[Draft]) -> None:
        for draft in own:
            await loop.run_in_executor(thread, insert, connection, draft)

    with ThreadPoolExecutor(1) as thread, by_hand_opened(folder) as connection:
        before = Moment.now()
        await asyncio.gather(*(write(some[first::AT_ONCE]) for first in range(AT_ONCE)))
        return before.until(Moment.now()), dict(connection.execute(SELECT))


async def by_loop(folder: Path, some: Sequence[Draft]) -> tuple[Cost, Bodies]:
    """A loop that serves nobody: what the disk can do with a commit for each write."""
    with by_hand_opened(folder) as connection:
        before = Moment.now()
        for draft in some:
            insert(connection, draft)
        return before.until(Moment.now()), dict(connection.execute(SELECT))


def insert(connection: sqlite3.Connection, draft: Draft) -> None:
    connection.execute(INSERT, (draft.id, draft.document.key, draft.body))


@contextmanager
def by_hand_opened(folder: Path) -> Iterator[sqlite3.Connection]:
    """A file with the settings of a journal's."""
    path = folder / "by_hand.db"
    with closing(
        sqlite3.connect(path, isolation_level=None, check_same_thread=False)
    ) as connection:
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = FULL")
        connection.execute(TABLE)
        yield connection


def opened(folder: Path) -> AbstractAsyncContextManager[Journal]:
    """A journal of nobody else."""
    return Journal.open(folder, target=TARGET, medium=MEDIUM)


async def _bodies(journal: Journal) -> Bodies:
    entries = await journal.pending()
    # Else they would stay for a process that comes after this one.
    await journal.settle(entry.number for entry in entries)
    return {entry.id: entry.body for entry in entries}


def figures(part: str, found: Turns) -> dict[str, Spread]:
    """What promises are about: how many times as fast as the better way that serves writers, and
    has a commit for each of their writes."""
    ways = found.tasks()[TASK]
    ratios = [ratio(ways, OURS, other) for other in (ALONE, BY_HAND)]
    return {f"{part}.{TASK}.speed": min(ratios, key=lambda found: found.median)}
