"""Writes while the store is away: many at once, with commits of the journal that they share."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from tempfile import TemporaryDirectory
from typing import Any, Final, TypeAlias

from orchestra_memory import LocalMemory
from orchestra_memory.resilience.journal import Draft, Journal, VolatileJournal
from orchestra_memory.testing.faults import FaultyMemory

from ..compare import compared
from ..measure import timed
from ..order import rotated
from ..records import Job, sessions
from ..result import Report
from ..summary import Spread
from . import stacks
from .appending import MEDIUM, TARGET
from .outages import journalled
from .turns import Turn, Turns, ratio

TASK: Final = "put while away"
OURS: Final = "fallback, journal"
UNSHARED: Final = "fallback, journal, a commit for each write"
VOLATILE: Final = "fallback, no journal"

Journals: TypeAlias = Callable[[], AbstractAsyncContextManager[Journal | VolatileJournal]]


class Unshared(Journal):
    """A journal whose writers wait for each other: no two of them share a commit."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self._alone = asyncio.Lock()

    async def append(self, drafts: Sequence[Draft], *, batch: str | None = None) -> list[int]:
        async with self._alone:
            return await super().append(drafts, batch=batch)


async def measured(writes: int, unshared: int, rounds: int, report: Report) -> Turns:
    """Put so many records, each by a call of its own; ``unshared`` where none shares a commit.

    Raises ``WrongData`` for a record that is not read as it was put, also while the store is away.
    """
    report(f"writes while the store is away: {rounds} rounds")
    found = Turns()
    (job,) = sessions(1, writes)
    ways: list[tuple[str, Journals, int]] = [
        (OURS, lambda: kept(Journal), writes),
        (UNSHARED, lambda: kept(Unshared), unshared),
        (VOLATILE, in_memory, writes),
    ]
    for number in range(rounds + 1):
        for way, journals, count in rotated(ways, number):
            turn = await _turn(way, journals, job[:count], number)
            found.add(turn, compared=count)
    return found


async def _turn(way: str, journals: Journals, job: Job, number: int) -> Turn:
    store = FaultyMemory(LocalMemory())
    store.fail()
    async with journals() as journal, stacks.opened(store, journal) as stack:
        stack.breaker.trip()
        _, cost = await timed(journalled(stack.memory, job), None)
        compared(f"{way}: put while away", [job], [await stacks.read_back(stack.memory, job)])
        # Else they would wait for a process that comes after this one.
        await journal.settle(entry.number for entry in await journal.pending())
    return Turn(TASK, way, number, len(job), cost)


@asynccontextmanager
async def kept(kind: type[Journal] = Journal) -> AsyncIterator[Journal]:
    """A journal in a folder of its own."""
    with TemporaryDirectory(prefix="journal-") as folder:
        async with kind.open(folder, target=TARGET, medium=MEDIUM) as journal:
            yield journal


@asynccontextmanager
async def in_memory() -> AsyncIterator[VolatileJournal]:
    """No disk at all: such writes are lost with the process."""
    yield VolatileJournal(target=TARGET)


def figures(part: str, found: Turns) -> dict[str, Spread]:
    """What promises are about."""
    ways = found.tasks()[TASK]
    return {
        f"{part}.{TASK}.per_second": Spread.of([turn.speed for turn in ways[OURS]]),
        f"{part}.{TASK}.speed": ratio(ways, OURS, UNSHARED),
    }
