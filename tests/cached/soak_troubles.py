"""The parts of a soak, and what goes wrong with them."""

from __future__ import annotations

import asyncio
import json
import random
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

from redis.asyncio import Redis

from orchestra_memory.testing.faults import FaultProxy, RedisService, stopped

from ..children import Child
from .soak_worker import Job

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


class Worker:
    """One process of the soak, and the next one in its place if it is killed."""

    def __init__(self, number: int, proxy: FaultProxy, home: Path, job: Job) -> None:
        self.proxy = proxy
        self._number = number
        self._home = home
        self._job = job
        self._lives = 0
        self._end = 0.0
        self._child: Child | None = None
        self._is_settled = asyncio.Event()

    @property
    def pid(self) -> int | None:
        """Of the process that runs, if one does."""
        return self._child.pid if self._child else None

    async def start(self) -> None:
        """Start a process, and wait until it is ready."""
        self._lives += 1
        job = self._next_job()
        file = self._home / f"{job.name}.json"
        file.write_text(json.dumps(asdict(job)))
        self._child = Child(f"{__package__}.soak_worker", file)
        await self._child.start()

    def go(self) -> None:
        """Let it begin."""
        assert self._child is not None
        self._end = self._end or time.monotonic() + self._job.seconds
        self._child.say()
        self._is_settled.set()

    async def replace(self) -> None:
        """Kill the process without notice, and start another."""
        if self.pid is None or self._child is None:
            return
        self._is_settled.clear()
        await self._child.kill()
        await self.start()
        self.go()

    async def ended(self) -> None:
        """Wait for the end of the last process. Raises if it was no good one."""
        child = None
        while child is not self._child and self._child is not None:
            child = self._child
            code = await child.ended()
            await self._is_settled.wait()
            if code != 0 and child is self._child:
                raise RuntimeError(f"process {self._number} failed")

    async def close(self) -> None:
        if self._child is not None:
            await self._child.kill()

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
        server: RedisService,
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
            case "hang":
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
