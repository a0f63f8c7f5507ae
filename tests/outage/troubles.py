"""The parts of a run, and what goes wrong with them."""

from __future__ import annotations

import asyncio
import json
import random
import resource
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

from orchestra_memory.testing.faults import EmulatorService, FaultProxy, RedisService, Service
from orchestra_memory.values import to_micros, utc_now

from ..children import Child, Launch
from .job import Job
from .ledger import Ledger
from .schedule import Death, Trouble

REMEMBERED = 200
"""Facts that a life is given to read again."""
ROOM = 8 * 1024
"""Bytes that a full disk takes yet."""
CLOCKS = (0.0, 0.0, 0.0, -60.0, 60.0, -3600.0)
"""Seconds by which the clock of a life is off, or is set anew."""
QUIET = 0.3
"""Seconds for which nobody reaches an emulator before it is exported."""


class Slot:
    """A place for one worker after another, with ways of its own to the store and to Redis."""

    def __init__(
        self,
        job: Job,
        home: Path,
        ledger: Ledger,
        *,
        store: FaultProxy,
        redis: FaultProxy,
        launch: Launch,
    ) -> None:
        self.number: int = job.slot
        self.store = store
        self.redis = redis
        self.journal = Path(job.journal)
        self.journal.mkdir(exist_ok=True)
        self.kills: Counter[str] = Counter()
        self._job = job
        self._home = home
        self._ledger = ledger
        self._launch = launch
        self._chance = random.Random(f"{job.seed}/slot/{job.slot}")
        self._lives = 0
        self._file = (home / f"ledger-{job.slot}.jsonl").open("ab")
        self._child: Child | None = None
        self._changing = asyncio.Lock()

    @property
    def pid(self) -> int | None:
        return self._child.pid if self._child else None

    async def start(self) -> None:
        """The next life begins."""
        job = self._next_job()
        file = self._home / f"{job.name}.json"
        file.write_text(json.dumps(asdict(job)))
        log = self._home / f"worker-{self.number}.log"
        self._child = Child("tests.outage.worker", file, self._hear, log=log, launch=self._launch)
        await self._child.start()
        self._child.say()

    def _next_job(self) -> Job:
        self._lives += 1
        facts = [*self._ledger.facts.get(self.number, {}).items()]
        if self._job.shared:
            facts = []
        chosen = self._chance.sample(facts, min(len(facts), REMEMBERED))
        return replace(
            self._job,
            life=self._lives,
            clock=self._chance.choice(CLOCKS),
            jump=self._chance.choice(CLOCKS),
            jump_after=0.2 + 3 * self._chance.random(),
            facts=dict(chosen),
        )

    def _hear(self, line: bytes) -> None:
        self._file.write(line)
        self._ledger.hear(self.number, line)

    async def die(self, death: Death, *, is_wrong: Callable[[], bool]) -> None:
        """As it is told, and live again."""
        async with self._changing:
            if self._child is None or self._child.pid is None:
                return
            when = "degraded" if is_wrong() else "replaying"
            if not self._ledger.left.get(self.number):
                when = "idle"
            match death.kind:
                case "leave":
                    self.say("over", "leave")
                    await self._child.ended()
                    self.kills["left"] += 1
                case "full":
                    self._fill_disk()
                    await asyncio.sleep(0.5)
                    await self._child.kill()
                    self.kills["disk full"] += 1
                case _:
                    await self._child.kill()
                    self.kills[when] += 1
            self._ledger.left.pop(self.number, None)
            await self.start()

    def _fill_disk(self) -> None:
        """From now on no file of the worker gets larger than its largest is, and a bit."""
        assert self.pid is not None
        sizes = [path.stat().st_size for path in self.journal.iterdir()]
        most = max(sizes, default=0) + ROOM
        resource.prlimit(self.pid, resource.RLIMIT_FSIZE, (most, resource.RLIM_INFINITY))

    def say(self, *lines: str) -> None:
        if self._child is not None:
            for line in lines:
                self._child.say(line)

    async def leave(self, seconds: float) -> int | None:
        """Let it end, and tell its exit code."""
        async with self._changing:
            assert self._child is not None
            self.say("leave")
            async with asyncio.timeout(seconds):
                return await self._child.ended()

    async def close(self) -> None:
        if self._child is not None:
            await self._child.kill()
        self._file.close()


@dataclass(frozen=True)
class Outage:
    """From when to when nobody reached the store; in these slots all was well before."""

    begin: int
    end: int
    slots: tuple[int, ...]


@dataclass
class Told:
    """What was done, and when on the clock that all share."""

    counts: Counter[str] = field(default_factory=Counter[str])
    outages: list[Outage] = field(default_factory=list[Outage])
    imports: list[tuple[int, int]] = field(default_factory=list[tuple[int, int]])
    """Begin and end of imports, in microseconds since 1970."""


class Troublemaker:
    """Carries out a schedule."""

    def __init__(
        self,
        slots: Sequence[Slot],
        store: Service,
        redis: RedisService,
        *,
        ledger: Ledger,
        keep: Sequence[str] = (),
        seed: str,
    ) -> None:
        self.told = Told()
        self._slots = slots
        self._store = store
        self._redis = redis
        self._ledger = ledger
        self._keep = keep
        self._chance = random.Random(f"{seed}/troubles")
        self._is_wrong = False

    async def run(self, troubles: Sequence[Trouble]) -> None:
        """One after another; deaths may come after the trouble they belong to."""
        async with asyncio.TaskGroup() as deaths:
            for trouble in troubles:
                await asyncio.sleep(trouble.rest)
                for death in trouble.deaths:
                    deaths.create_task(self._die(death))
                await self._disturb(trouble)

    async def _die(self, death: Death) -> None:
        await asyncio.sleep(death.after)
        slot = self._slots[death.slot]
        await slot.die(death, is_wrong=lambda: self._is_wrong)

    async def _disturb(self, trouble: Trouble) -> None:
        for where, kind in (("store", trouble.store), ("redis", trouble.redis)):
            if kind is not None:
                self.told.counts[f"{where} {kind}"] += 1
        calm = tuple(slot.number for slot in self._slots if self._ledger.left.get(slot.number) == 0)
        begin = time.monotonic_ns()
        self._is_wrong = True
        await self._spoil_all(trouble)
        self._is_wrong = False
        if trouble.is_outage:
            self.told.outages.append(Outage(begin, time.monotonic_ns(), calm))

    async def _spoil_all(self, trouble: Trouble) -> None:
        slots = self._slots if trouble.slot is None else [self._slots[trouble.slot]]
        async with asyncio.TaskGroup() as both:
            if trouble.store is not None:
                ways = [slot.store for slot in slots]
                both.create_task(self._fault(trouble.store, ways, self._store, trouble.seconds))
            if trouble.redis is not None:
                ways = [slot.redis for slot in slots]
                both.create_task(self._fault(trouble.redis, ways, self._redis, trouble.seconds))

    async def _fault(
        self, kind: str, ways: Sequence[FaultProxy], server: Service, seconds: float
    ) -> None:
        if kind == "hang":
            server.stop()
            await asyncio.sleep(seconds)
            server.resume()
        elif kind == "restart":
            await self._restart(server, ways, seconds)
        else:
            for way in ways:
                self._spoil(way, kind)
            await asyncio.sleep(seconds)
        for way in ways:
            await way.heal()

    async def _restart(self, server: Service, ways: Sequence[FaultProxy], seconds: float) -> None:
        if isinstance(server, EmulatorService):
            # What it commits after it was exported would be lost.
            for way in ways:
                way.refuse()
                way.drop()
            await asyncio.sleep(QUIET)
            begin = to_micros(utc_now())
            await server.restart(keep=self._keep)
            self.told.imports.append((begin, to_micros(utc_now())))
        else:
            server.kill()
            await asyncio.sleep(seconds)
            await server.restart()

    def _spoil(self, way: FaultProxy, kind: str) -> None:
        chance = self._chance
        match kind:
            case "refuse":
                way.refuse()
                way.drop()
            case "hole":
                way.hold()
            case "mute":
                way.answers.hold()
            case "slow":
                way.requests.delay = way.answers.delay = 0.02 + 0.3 * chance.random()
            case "narrow":
                way.answers.rate = 20_000
            case "cut":
                way.answers.cut_after(*(chance.choice((3, 20, 100, 700)) for _ in range(30)))
            case "lost":
                way.answers.cut_after(*(chance.choice((0, 0, 300)) for _ in range(30)))
            case _:
                raise ValueError(kind)
