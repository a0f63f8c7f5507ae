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
import random
import shutil
import sys
import tempfile
import time
from collections import Counter
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import AsyncExitStack, ExitStack, asynccontextmanager, contextmanager, suppress
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

from redis.asyncio import Redis

from orchestra_memory.testing import emulator, redis_server
from orchestra_memory.testing.faults import FaultProxy, kill, stopped

from .histories import Checker, Verdict, read_history
from .soak_worker import Job

ROOT = Path(__file__).parents[2]
PROCESSES = 3
TTL = 2.0
LIFE = 1.1 * TTL + 1.0
"""Seconds an entry lives at most, and a fill is under way at most: held up on the way, by a paused
process and by a Redis that hangs."""
GRACE = 30.0
"""Seconds a process may take to start, and to end once it should."""
WAYS = {"cut": 12, "drop": 2, "narrow": 2, "late": 1, "refuse": 1, "hold": 1}
"""What happens to connections, and how often: the last three have a process do without Redis for
more than a second, in which its cache is not tested."""
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


@dataclass
class Troubles:
    """What has gone wrong so far, and when Redis lost what it held."""

    counts: Counter[str] = field(default_factory=Counter[str])
    losses: list[tuple[int, int]] = field(default_factory=list[tuple[int, int]])

    @contextmanager
    def losing(self) -> Iterator[None]:
        begin = time.monotonic_ns()
        yield
        self.losses.append((begin, time.monotonic_ns()))


class Server:
    """A Redis that can be killed, and comes back empty on the same port."""

    def __init__(self) -> None:
        self._running = ExitStack()
        self.port = 0
        self.pid: int | None = None

    def start(self) -> None:
        running = self._running.enter_context(redis_server.start(port=self.port, own=True))
        self.port = redis_server.parse_url(running.url).port
        self.pid = running.pid

    def close(self) -> None:
        self._running.close()

    async def restart(self) -> None:
        if self.pid is not None:
            kill(self.pid)
        await asyncio.to_thread(self._again)

    def _again(self) -> None:
        self._running.close()
        self.start()


class Worker:
    """One process of the soak, and the next one in its place if it is killed."""

    def __init__(self, number: int, proxy: FaultProxy, home: Path, job: Job) -> None:
        self.proxy = proxy
        self._number = number
        self._home = home
        self._job = job
        self._lives = 0
        self._end = 0.0
        self._process: asyncio.subprocess.Process | None = None
        self._is_settled = asyncio.Event()

    @property
    def pid(self) -> int | None:
        """Of the process that runs, if one does."""
        process = self._process
        return process.pid if process is not None and process.returncode is None else None

    async def start(self) -> None:
        """Start a process, and wait until it is ready."""
        self._lives += 1
        job = self._next_job()
        file = self._home / f"{job.name}.json"
        file.write_text(json.dumps(asdict(job)))
        self._process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", f"{__package__}.soak_worker", str(file)),
            cwd=ROOT,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
        )
        assert self._process.stdout is not None
        async with asyncio.timeout(GRACE):
            said = await self._process.stdout.readline()
        if said != b"ready\n":
            raise RuntimeError(f"{job.name} did not start")

    def go(self) -> None:
        """Let it begin."""
        assert self._process is not None
        assert self._process.stdin is not None
        self._end = self._end or time.monotonic() + self._job.seconds
        self._process.stdin.write(b"\n")
        self._is_settled.set()

    async def replace(self) -> None:
        """Kill the process without notice, and start another."""
        if self.pid is None or self._process is None:
            return
        self._is_settled.clear()
        kill(self.pid)
        await self._process.wait()
        await self.start()
        self.go()

    async def ended(self) -> None:
        """Wait for the end of the last process. Raises if it was no good one."""
        process = None
        while process is not self._process and self._process is not None:
            process = self._process
            code = await process.wait()
            await self._is_settled.wait()
            if code != 0 and process is self._process:
                raise RuntimeError(f"process {self._number} failed")

    async def close(self) -> None:
        if self._process is not None:
            with suppress(ProcessLookupError):
                self._process.kill()
            await self._process.wait()

    def _next_job(self) -> Job:
        name = f"p{self._number}-{self._lives}"
        left = self._end - time.monotonic() if self._end else self._job.seconds
        return replace(
            self._job,
            name=name,
            seed=f"{self._job.seed}/{name}",
            redis=f"redis://{self.proxy.host}:{self.proxy.port}/0",
            log=str(self._home / f"{name}.log"),
            seconds=max(0.0, left),
        )


class Chaos:
    """Lets things go wrong at random, one at a time at each place, and repairs them again."""

    def __init__(
        self, seed: str, server: Server, workers: Sequence[Worker], plan: Plan, troubles: Troubles
    ) -> None:
        self._chance = random.Random(seed)
        self._server = server
        self._workers = workers
        self._pause = 1 / plan.unrest
        self._troubles = troubles
        self.is_over = False

    async def run(self) -> None:
        """Until it ``is_over``; then all is repaired."""
        async with asyncio.TaskGroup() as tasks:
            for worker in self._workers:
                tasks.create_task(self._trouble(worker.proxy))
            tasks.create_task(self._trouble_redis())
            tasks.create_task(self._trouble_processes())

    async def _trouble(self, proxy: FaultProxy) -> None:
        while not await self._rest(0.4):
            kind = self._chance.choices(tuple(WAYS), tuple(WAYS.values()))[0]
            self._troubles.counts[kind] += 1
            await self._disturb(proxy, kind)
            await proxy.heal()

    async def _disturb(self, proxy: FaultProxy, kind: str) -> None:
        chance, seconds = self._chance, 0.4 * self._chance.random()
        match kind:
            case "cut":
                way = chance.choice((proxy.requests, proxy.answers, proxy.answers))
                way.cut_after(*(chance.choice((0, 3, 50, 500)) for _ in range(2)))
            case "drop":
                proxy.drop()
                seconds = 0
            case "refuse":
                proxy.refuse()
                proxy.drop()
            case "hold":
                for way in chance.choice(
                    ((proxy.requests, proxy.answers), (proxy.answers,), (proxy.requests,))
                ):
                    way.hold()
            case "late":
                proxy.requests.delay = proxy.answers.delay = 0.03 * chance.random()
            case "narrow":
                proxy.answers.rate = 20_000
        await asyncio.sleep(seconds)

    async def _trouble_redis(self) -> None:
        async with Redis(port=self._server.port) as redis:
            while not await self._rest(0.5):
                kind = self._chance.choice((*["evict"] * 8, "flush", "hang", "restart"))
                self._troubles.counts[kind] += 1
                await self._disturb_redis(redis, kind)

    async def _disturb_redis(self, redis: Redis, kind: str) -> None:
        match kind:
            case "evict":
                with self._troubles.losing():
                    for _ in range(3):
                        key = await redis.randomkey()
                        if key is not None:
                            await redis.delete(key)
            case "flush":
                with self._troubles.losing():
                    await redis.flushall()
            case "hang" if self._server.pid is not None:
                with stopped(self._server.pid):
                    await asyncio.sleep(0.2 * self._chance.random())
            case "restart":
                with self._troubles.losing():
                    await self._server.restart()
                await redis.aclose()

    async def _trouble_processes(self) -> None:
        while not await self._rest(2.0):
            worker = self._chance.choice(self._workers)
            kind = self._chance.choice(("pause", "pause", "pause", "die"))
            self._troubles.counts[kind] += 1
            if kind == "die":
                await worker.replace()
            elif worker.pid is not None:
                with stopped(worker.pid):
                    await asyncio.sleep(0.3 * self._chance.random())

    async def _rest(self, seconds: float) -> bool:
        """Whether it is over by the end of a pause of about so many seconds."""
        left = 2 * seconds * self._pause * self._chance.random()
        while left > 0 and not self.is_over:
            await asyncio.sleep(min(left, 0.05))
            left -= 0.05
        return self.is_over


@asynccontextmanager
async def workers_of(
    server: Server, plan: Plan, job: Job, home: Path
) -> AsyncIterator[list[Worker]]:
    async with AsyncExitStack() as stack:
        workers: list[Worker] = []
        for number in range(PROCESSES):
            proxy = await stack.enter_async_context(FaultProxy("127.0.0.1", server.port))
            workers.append(Worker(number, proxy, home, job))
            stack.push_async_callback(workers[-1].close)
        async with asyncio.TaskGroup() as tasks:
            for worker in workers:
                tasks.create_task(worker.start())
        yield workers


async def soaked(seed: int, mode: str, plan: Plan, server: Server) -> tuple[Verdict, Troubles]:
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
            chaos = Chaos(f"{seed}/{mode}", server, workers, plan, troubles)
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
def served(plan: Plan) -> Iterator[Server]:
    with ExitStack() as stack:
        if plan.store == "firestore":
            os.environ[emulator.VARIABLE] = stack.enter_context(emulator.start()).host
        server = Server()
        server.start()
        stack.callback(server.close)
        yield server


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
