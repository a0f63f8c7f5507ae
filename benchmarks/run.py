"""Runs the ways in turns, and compares what every one of them stored or read with the records."""

from __future__ import annotations

import itertools
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from typing import Any, Final

import anyio
import psutil
from google.cloud.firestore import AsyncClient

from .by_hand import batches_in_flight, get_all_in_flight
from .compare import compared
from .measure import timed, watched
from .null import forget
from .order import there_and_back
from .ours import get_many, put_many
from .records import Job, sessions
from .result import Report
from .store import Store, Way, Ways, opened
from .turns import Outcome, Seen, Turn
from .ways import WRITING

MAX_JOBS: Final = 200
"""Jobs in one turn, however small they are."""
IDLE_SECONDS: Final = 1.0


@dataclass(frozen=True, slots=True)
class Backend:
    """A server to be measured.

    ``address`` is how the ways reach it, ``near`` how it is filled and read back. ``pid`` is its
    process where it runs here, ``forgets`` that it can drop what it was given.
    """

    address: str
    near: str
    pid: int | None = None
    forgets: bool = False


@dataclass(frozen=True, slots=True)
class Load:
    """So many timed and watched rounds with jobs of one size; of all tasks if none is named."""

    size: int
    rounds: int
    watched: int = 0
    tasks: Sequence[str] | None = None

    def takes(self, way: Way) -> bool:
        return way.takes(self.size) and (self.tasks is None or way.task in self.tasks)


@dataclass(frozen=True, slots=True)
class Plan:
    """What is run. Each turn repeats jobs of its load's size until it has handled enough records.

    ``embedding`` is how many numbers each record's vector has, 0 for none. ``warm_up`` is the
    size of the jobs in the round before the first, which is not counted.
    """

    ways: Ways
    loads: Sequence[Load]
    embedding: int = 0
    records_per_turn: int = 800
    warm_up: int = 1_000

    def jobs(self, size: int) -> int:
        return max(1, min(MAX_JOBS, self.records_per_turn // size))


@dataclass(frozen=True, slots=True)
class _Scene:
    """What the turns of one load share: the jobs, and what each side reads them from."""

    jobs: Sequence[Job]
    client: AsyncClient
    near: AsyncClient
    by_us: Store
    by_hand: Store

    def to_read(self, way: Way) -> Store:
        return self.by_hand if way.side == "by hand" else self.by_us


class Bench:
    """What has been measured with one backend."""

    def __init__(self, backend: Backend, report: Report) -> None:
        self._backend = backend
        self._server = None if backend.pid is None else psutil.Process(backend.pid)
        self._report = report
        self._numbers = itertools.count()
        self._turns: list[Turn] = []
        self._idle: list[Seen] = []
        self._compared = 0

    async def run(self, plan: Plan) -> Outcome:
        self._report("warm-up")
        await self._load(plan, Load(plan.warm_up, rounds=1))
        self._turns.clear()
        for load in plan.loads:
            await self._load(plan, load)
        return Outcome(self._turns, self._idle, self._compared)

    async def _load(self, plan: Plan, load: Load) -> None:
        jobs = sessions(plan.jobs(load.size), load.size, embedding=plan.embedding)
        ways = [way for way in plan.ways if load.takes(way)]
        rounds = load.rounds + load.watched
        # A project for each load: the emulator's queries slow down with what others stored.
        async with self._scene(f"load-{next(self._numbers)}", jobs) as scene:
            for number in range(1, rounds + 1):
                self._report(f"{load.size:,} records, round {number} of {rounds}")
                watch = number > load.rounds
                if watch:
                    _, idle = await watched(anyio.sleep(IDLE_SECONDS))
                    self._idle.append(idle)
                for way in there_and_back(ways, number):
                    await self._turn(way, scene, number, watch=watch)

    @asynccontextmanager
    async def _scene(self, project: str, jobs: Sequence[Job]) -> AsyncIterator[_Scene]:
        async with (
            opened(project, self._backend.address) as client,
            opened(project, self._backend.near) as near,
        ):
            by_us, by_hand = Store(client, "read_by_us"), Store(client, "read_by_hand")
            for job in jobs:
                await put_many(by_us.seen_by(near), job)
                await batches_in_flight(by_hand.seen_by(near), job)
            yield _Scene(jobs, client, near, by_us, by_hand)

    async def _turn(self, way: Way, scene: _Scene, number: int, *, watch: bool) -> None:
        writes = way.task in WRITING
        written = Store(scene.client, f"written_{next(self._numbers)}")
        store = written if writes else scene.to_read(way)
        given = [way.prepare(store, job) for job in scene.jobs]
        turn = Turn(way.task, way.name, way.side, len(scene.jobs[0]), number, _size(scene.jobs))
        if watch:
            answers, seen = await watched(_run(way, store, given))
            self._turns.append(replace(turn, seen=seen))
        else:
            answers, cost = await timed(_run(way, store, given), self._server)
            self._turns.append(replace(turn, cost=cost))
        if writes:
            found = await self._read_back(way, store.seen_by(scene.near), scene.jobs)
        else:
            found = [way.finish(store, answer) for answer in answers]
        self._compared += compared(f"{way.task}, {way.name}", scene.jobs, found)

    async def _read_back(self, way: Way, store: Store, jobs: Sequence[Job]) -> list[Job]:
        # Each side's writing is read by the other side.
        reader = get_all_in_flight if way.side == "ours" else get_many
        found = [await reader(store, job) for job in jobs]
        if self._backend.forgets:
            await forget(store)
        return found


async def _run(way: Way, store: Store, given: Sequence[Any]) -> list[Any]:
    return [await way.run(store, prepared) for prepared in given]


def _size(jobs: Sequence[Job]) -> int:
    return sum(map(len, jobs))
