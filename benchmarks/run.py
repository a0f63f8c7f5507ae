"""Runs the ways in turns, and compares what every one of them stored or read with the records."""

from __future__ import annotations

import itertools
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Final

import anyio
import psutil
from google.auth.credentials import AnonymousCredentials
from google.cloud.firestore import AsyncClient

from orchestra_memory.backends.firestore.access import close_client
from orchestra_memory.testing.emulator import Emulator

from .compare import compared
from .measure import measured
from .records import Job, sessions
from .turns import Cost, Outcome, Turn
from .ways import (
    WAYS,
    Store,
    Way,
    batches_in_flight,
    get_all_in_flight,
    get_many,
    put_many,
)

MAX_JOBS: Final = 200
"""Jobs in one turn, however small they are."""
IDLE_SECONDS: Final = 0.25


@dataclass(frozen=True, slots=True)
class Plan:
    """What is run: each turn repeats jobs of one size until it has handled enough records.

    ``embedding`` is how many numbers each record's vector has, 0 for none.
    """

    sizes: tuple[int, ...]
    rounds: int
    records_per_turn: int = 800
    embedding: int = 0

    def jobs(self, size: int) -> int:
        return max(1, min(MAX_JOBS, self.records_per_turn // size))


Report = Callable[[str], None]


class Bench:
    """What has been measured with one emulator, which ``FIRESTORE_EMULATOR_HOST`` must name."""

    def __init__(self, emulator: Emulator, report: Report) -> None:
        self._server = None if emulator.pid is None else psutil.Process(emulator.pid)
        self._report = report
        self._numbers = itertools.count()
        self._turns: list[Turn] = []
        self._idle: list[Cost] = []
        self._compared = 0

    async def run(self, plan: Plan) -> Outcome:
        # The largest first, which leaves the server warm for the small ones.
        for size in sorted(plan.sizes, reverse=True):
            # A project for each size: the emulator's queries slow down with what others stored.
            async with opened(f"benchmark-{size}") as client:
                await self._size(plan, size, client)
        return Outcome(self._turns, self._idle, self._compared)

    async def _size(self, plan: Plan, size: int, client: AsyncClient) -> None:
        jobs = sessions(plan.jobs(size), size, embedding=plan.embedding)
        ours, by_hand = Store(client, "read_by_us"), Store(client, "read_by_hand")
        for job in jobs:
            await put_many(ours, job)
            await batches_in_flight(by_hand, job)
        for number in range(plan.rounds + 1):
            self._report(f"{size:,} records, " + (f"round {number}" if number else "warm-up"))
            await self._round(number, jobs, ours, by_hand)

    async def _round(self, number: int, jobs: Sequence[Job], ours: Store, by_hand: Store) -> None:
        _, idle = await measured(anyio.sleep(IDLE_SECONDS), self._server)
        if number:
            self._idle.append(idle)
        for way in ways_for(len(jobs[0])):
            if way.task == "write":
                cost = await self._write(way, jobs, ours.client)
            else:
                cost = await self._read(way, jobs, ours if way.ours else by_hand)
            if number:
                self._turns.append(_turn(way, jobs, number, cost))

    async def _write(self, way: Way, jobs: Sequence[Job], client: AsyncClient) -> Cost:
        store = Store(client, f"written_{next(self._numbers)}")
        _, cost = await measured(run_jobs(way, store, jobs), self._server)
        # Each side's writing is read by the other side.
        reader = get_all_in_flight if way.ours else get_many
        self._compare(way, jobs, [await reader(store, job) for job in jobs])
        return cost

    async def _read(self, way: Way, jobs: Sequence[Job], store: Store) -> Cost:
        found, cost = await measured(run_jobs(way, store, jobs), self._server)
        self._compare(way, jobs, found)
        return cost

    def _compare(self, way: Way, jobs: Sequence[Job], found: Sequence[Job]) -> None:
        self._compared += compared(f"{way.task}, {way.name}", jobs, found)


async def run_jobs(way: Way, store: Store, jobs: Iterable[Job]) -> list[Job]:
    return [await way.run(store, job) for job in jobs]


def ways_for(size: int) -> list[Way]:
    return [way for way in WAYS if way.takes(size)]


def _turn(way: Way, jobs: Sequence[Job], number: int, cost: Cost) -> Turn:
    records = sum(map(len, jobs))
    return Turn(way.task, way.name, way.ours, len(jobs[0]), number, records, cost)


@asynccontextmanager
async def opened(project: str) -> AsyncIterator[AsyncClient]:
    credentials = AnonymousCredentials()  # type: ignore[no-untyped-call] # google-auth has no types
    client = AsyncClient(project, credentials=credentials)
    try:
        yield client
    finally:
        await close_client(client)
