"""`python -m tests.cached.soak`: processes under load, a real Redis, and all that goes wrong.

Three processes share a store and a Redis, each through a proxy of its own. What they did and saw is
checked in the order of the store's versions: in ``strict`` mode nothing older than acknowledged may
be seen, in ``available`` mode only while the writer is cut off, for the life of an entry at most. A
cache-aside over the same parts has to be caught. Fails when anything is violated.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import shutil
import sys
import tempfile
from collections import Counter
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import AsyncExitStack, ExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path

from orchestra_memory.testing import emulator
from orchestra_memory.testing.faults import FaultProxy, RedisService

from .histories import Checker, Verdict, read_history
from .soak_troubles import Chaos, Troubles, Worker
from .soak_worker import Job

PROCESSES = 3
TTL = 2.0
LIFE = 1.1 * TTL + 1.0
"""Seconds an entry lives at most, and a fill is under way at most: held up on the way, by a paused
process and by a Redis that hangs."""
GRACE = 30.0
"""Seconds a process may take to start, and to end once it should."""
MODES = ("strict", "available")
NAIVE = "naive"


@dataclass(frozen=True)
class Plan:
    """How much is done for each seed: so many operations, in so many seconds at most."""

    seconds: float
    operations: int
    store: str = "sqlite"
    unrest: float = 1.0
    """How often something goes wrong, over how often by default."""
    keep: Path | None = None
    """Where the records of violated seeds are kept."""


@asynccontextmanager
async def workers_of(
    server: RedisService, plan: Plan, job: Job, home: Path
) -> AsyncIterator[list[Worker]]:
    async with AsyncExitStack() as stack:
        workers: list[Worker] = []
        for number in range(PROCESSES):
            proxy = await stack.enter_async_context(FaultProxy(*server.address))
            workers.append(Worker(number, proxy, home, job))
            stack.push_async_callback(workers[-1].close)
        async with asyncio.TaskGroup() as tasks:
            for worker in workers:
                tasks.create_task(worker.start())
        yield workers


async def soaked(
    seed: int, mode: str, plan: Plan, server: RedisService
) -> tuple[Verdict, Troubles]:
    """What came of one seed."""
    troubles = Troubles()
    with tempfile.TemporaryDirectory(prefix="soak-", dir=_fast_directory()) as folder:
        home = Path(folder)
        store = f"sqlite:{home / 'store.db'}"
        if plan.store == "firestore":
            store = f"firestore:soak-{mode}-{seed}-{os.getpid()}"
        operations = plan.operations // PROCESSES
        job = Job("", mode, store, "", f"{seed}", "", plan.seconds, operations, ttl=TTL)
        async with workers_of(server, plan, job, home) as workers:
            chaos = Chaos(f"{seed}/{mode}", server, workers, plan.unrest, troubles)
            async with asyncio.timeout(plan.seconds + GRACE), asyncio.TaskGroup() as tasks:
                tasks.create_task(chaos.run())
                for worker in workers:
                    worker.go()
                await asyncio.gather(*(worker.ended() for worker in workers))
                chaos.is_over = True
        verdict = judged(home, mode, troubles)
        if plan.keep is not None and verdict.violations and mode != NAIVE:
            shutil.copytree(home, plan.keep / f"{mode}-{seed}", dirs_exist_ok=True)
    return verdict, troubles


def judged(home: Path, mode: str, troubles: Troubles) -> Verdict:
    """What the records in this folder show."""
    history = read_history(sorted(home.glob("*.log")), troubles.losses)
    (home / "losses.json").write_text(json.dumps(troubles.losses))
    return Checker(history, strict=mode == "strict", life=LIFE).verdict()


def _fast_directory() -> str | None:
    """Where the pace of a disk does not matter, if there is such a place."""
    return "/dev/shm" if Path("/dev/shm").is_dir() else None


@contextmanager
def served(plan: Plan) -> Iterator[RedisService]:
    with ExitStack() as stack:
        if plan.store == "firestore":
            running = stack.enter_context(emulator.start())
            os.environ[emulator.VARIABLE] = running.host
            stack.callback(os.environ.pop, emulator.VARIABLE)
        yield stack.enter_context(RedisService())


HEADER = (
    f"{'mode':<10}{'seed':>5}{'operations':>12}{'values':>9}{'hits':>8}"
    f"{'pending':>9}{'older':>7}{'oldest':>9}{'violations':>12}  troubles"
)


def line_of(mode: str, seed: str, verdict: Verdict, counts: Counter[str]) -> str:
    share = verdict.cached / max(1, verdict.asked)
    troubles = ", ".join(f"{number} {kind}" for kind, number in sorted(counts.items()))
    return (
        f"{mode:<10}{seed:>5}{verdict.operations:>12,}{verdict.values:>9,}{share:>8.0%}"
        f"{verdict.pending:>9,}{verdict.older:>7,}{verdict.oldest:>7.2f} s"
        f"{len(verdict.violations):>12,}  {troubles}"
    )


def soak(seeds: Sequence[int], modes: Sequence[str], plan: Plan) -> dict[str, Verdict]:
    """All seeds in all modes, and a scoreboard as they come."""
    totals = {mode: Verdict() for mode in modes}
    print(HEADER)
    with served(plan) as server:
        for mode in modes:
            troubles: Counter[str] = Counter()
            for seed in seeds:
                verdict, those = asyncio.run(soaked(seed, mode, plan, server))
                totals[mode] += verdict
                troubles += those.counts
                print(line_of(mode, str(seed), verdict, those.counts), flush=True)
                if mode != NAIVE:
                    print(*verdict.violations[:10], sep="\n", end="\n" * bool(verdict.violations))
            print(line_of(mode, "all", totals[mode], troubles), flush=True)
    return totals


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.cached.soak", description=__doc__)
    parser.add_argument("--seeds", type=int, default=20, help="how many, or with --first which")
    parser.add_argument("--first", type=int, default=1, help="the first seed")
    parser.add_argument("--seconds", type=float, default=20.0, help="for each seed, at most")
    parser.add_argument("--operations", type=int, default=21_000, help="for each seed, at most")
    parser.add_argument("--modes", nargs="+", choices=MODES, default=MODES)
    parser.add_argument("--store", choices=("sqlite", "firestore"), default="sqlite")
    parser.add_argument("--unrest", type=float, default=1.0, help="1 for the usual")
    parser.add_argument("--keep", type=Path, help="where to keep the records of violated seeds")
    given = parser.parse_args(arguments)
    plan = Plan(given.seconds, given.operations, given.store, given.unrest, given.keep)
    seeds = range(given.first, given.first + given.seeds)
    naive = soak(seeds[:1], [NAIVE], plan)[NAIVE]
    totals = soak(seeds, given.modes, plan)
    print(f"the naive cache was caught {len(naive.violations):,} times")
    is_sound = all(not verdict.violations for verdict in totals.values())
    return 0 if is_sound and naive.violations else 1


if __name__ == "__main__":
    sys.exit(main())
