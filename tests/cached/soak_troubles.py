"""The parts of a soak, and what goes wrong with them."""

from __future__ import annotations

import asyncio
import json
import random
import sys
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

from redis.asyncio import Redis

from orchestra_memory.testing import redis_server
from orchestra_memory.testing.faults import FaultProxy, kill, stopped

from .soak_worker import Job

ROOT = Path(__file__).parents[2]
START = 30.0
"""Seconds a process may take to start."""
WAYS = {"cut": 12, "drop": 2, "narrow": 2, "late": 1, "refuse": 1, "hold": 1}
"""What happens to connections, and how often: the last three have a process do without Redis for
more than a second, in which its cache is not tested."""


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
        async with asyncio.timeout(START):
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
    """Lets things go wrong at random, one at a time at each place, and repairs them again.

    ``unrest`` is how often, over how often by default.
    """

    def __init__(
        self,
        seed: str,
        server: Server,
        workers: Sequence[Worker],
        unrest: float,
        troubles: Troubles,
    ) -> None:
        self._chance = random.Random(seed)
        self._server = server
        self._workers = workers
        self._pause = 1 / unrest
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
