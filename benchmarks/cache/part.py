"""The part of a run that measures the cache: servers, records, and everything in turn."""

from __future__ import annotations

import asyncio
import os
import secrets
from collections.abc import Iterator
from contextlib import AsyncExitStack, ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from google.cloud.firestore import AsyncClient

from orchestra_memory.layers.cached.connect import connect
from orchestra_memory.testing import redis_server
from orchestra_memory.testing.redis_server import RedisServer
from orchestra_memory.testing.service import ServiceMissing

from .. import environment, server
from ..by_hand import batches_in_flight
from ..peers import bench as peers
from ..peers.cached_item import REDIS
from ..peers.catalogue import CACHES
from ..peers.turns import Result as PeersResult
from ..records import Job, sessions
from ..result import Report, Result, Skipped
from ..store import Store, opened
from . import by_hand, herd, outage, report, stacks, tasks, writing, zipf
from .report import Outcome
from .tasks import Amounts
from .ways import Bench
from .zipf import Workload

if TYPE_CHECKING:
    from redis.asyncio import Redis

    from .stacks import Stack

PART: Final = "cache"
RECORDS: Final = 100
"""Records in each session."""
SEEDING: Final = 120.0
"""Seconds for what is stored beforehand."""
AMOUNTS: Final = Amounts()
WORKLOAD: Final = Workload()
BESIDE: Final = peers.Plan(rounds=5, single=peers.Size(1, 200))
"""How other caches are measured."""


@dataclass(frozen=True, slots=True)
class Plan:
    """How often everything is done. ``sessions`` are stored; a herd comes for each of ``herds``."""

    rounds: int = 20
    sessions: int = 20
    amounts: Amounts = AMOUNTS
    talks: int = 8
    puts: int = 50
    outages: int = 5
    herds: tuple[int, ...] = (1, 3) * 4
    workload: Workload = WORKLOAD
    peers: peers.Plan = BESIDE


QUICK: Final = Plan(
    rounds=2,
    sessions=3,
    amounts=Amounts(get=20, slow=5, read=2, history=5, talk=5),
    talks=1,
    puts=10,
    outages=1,
    herds=(1, 2),
    workload=Workload(200, 300, 300, (zipf.SETTINGS[0], zipf.SETTINGS[3])),
    peers=peers.Plan(rounds=1, single=peers.Size(1, 20)),
)


@dataclass(frozen=True, slots=True)
class Servers:
    """A Redis of our own, which may be emptied and stopped, and the emulator.

    ``project`` is one of this run alone: the emulator may keep what others stored.
    """

    redis: RedisServer
    emulator: str
    project: str = field(default_factory=lambda: f"cache-{secrets.token_hex(4)}")


def run(quick: bool, tell: Report) -> Result:
    """Everything of the cache, as a part of a run."""
    plan = QUICK if quick else Plan()
    try:
        with ExitStack() as stack:
            redis = stack.enter_context(redis_server.start(own=True))
            emulator = stack.enter_context(server.started())
            servers = Servers(redis, emulator.host)
            outcome = asyncio.run(measured(servers, plan, tell))
            facts = environment.emulator_facts(emulator)
    except ServiceMissing as error:
        raise Skipped(str(error)) from error
    return report.result(PART, outcome, plan, facts, quick=quick)


async def measured(servers: Servers, plan: Plan, tell: Report) -> Outcome:
    """Everything, one after another."""
    async with AsyncExitStack() as opened_here:
        redis = await opened_here.enter_async_context(connect(servers.redis.url))
        client = opened(servers.project, servers.emulator)
        firestore = await opened_here.enter_async_context(client)
        place = Place(servers, plan, tell, redis, firestore)
        bench = await place.calls()
        prices = [await place.price_over_local(), await place.price_over_firestore()]
        outages = await place.outages()
        herds = await place.herds()
        rates = await place.rates()
        about = await redis.info("server")
    found = await asyncio.to_thread(_beside_others, servers, plan, tell)
    return Outcome(bench, prices, outages, herds, rates, found, about["redis_version"])


@dataclass(frozen=True, slots=True)
class Place:
    """Where everything is measured."""

    servers: Servers
    plan: Plan
    tell: Report
    redis: Redis
    firestore: AsyncClient

    async def calls(self) -> Bench:
        """Reads, one after another, and a conversation that goes on."""
        plan, bench = self.plan, Bench(self.tell)
        jobs = sessions(plan.sessions, RECORDS)
        records = [record for job in jobs for record in job]
        async with (
            by_hand.clients(self.servers.redis.url) as hand,
            stacks.over_firestore(self.redis, self.firestore, "calls") as stack,
            stacks.over_local(self.redis, "calls") as local,
        ):
            await hand.untimed.put_all(records)
            await local.plain.put_many(records)
            store = await self._seeded("calls", records)
            for each in (stack, local):
                await tasks.warm(each.cached, jobs)
            await bench.run(tasks.get(stack, hand, store, records, plan.amounts), plan.rounds)
            await bench.run(tasks.get(local, hand, None, records, plan.amounts), plan.rounds)
            await bench.run(tasks.read(stack, hand, records, plan.amounts), plan.rounds)
            await bench.run(tasks.history(stack, store, jobs, plan.amounts), plan.rounds)
            await self._talk(bench)
        return bench

    async def _talk(self, bench: Bench) -> None:
        plan = self.plan
        (job,) = sessions(1, tasks.TALK + (plan.talks + 1) * plan.amounts.talk)
        first = job[: tasks.TALK]
        async with (
            stacks.over_firestore(self.redis, self.firestore, "talk_cached") as cached,
            stacks.over_firestore(self.redis, self.firestore, "talk_uncached") as uncached,
        ):
            await cached.cached.put_many(first)
            await uncached.plain.put_many(first)
            store = await self._seeded("talk_by_hand", first)
            await bench.run(tasks.talk(cached, uncached, store, job, plan.amounts), plan.talks)

    async def _seeded(self, collection: str, records: Job) -> Store:
        """The records for us in a collection, and by hand in one of its own."""
        store = Store(self.firestore, f"{collection}_by_hand")
        await self._put(collection, records)
        await batches_in_flight(store, records)
        return store

    async def _put(self, collection: str, records: Job) -> None:
        # A server that has just been started takes its time.
        memory = Store(self.firestore, collection).memory.with_options(timeout=SEEDING)
        await memory.put_many(records)

    async def price_over_local(self) -> writing.Prices:
        async with (
            stacks.over_local(self.redis, "put_cached") as cached,
            stacks.over_local(self.redis, "put_uncached") as uncached,
        ):
            return await self._price("local", (cached, uncached))

    async def price_over_firestore(self) -> writing.Prices:
        async with (
            stacks.over_firestore(self.redis, self.firestore, "put_cached") as cached,
            stacks.over_firestore(self.redis, self.firestore, "put_uncached") as uncached,
        ):
            return await self._price("Firestore", (cached, uncached))

    async def _price(self, store: str, both: tuple[Stack, Stack]) -> writing.Prices:
        (job,) = sessions(1, self.plan.puts)
        return await writing.measured(store, both, self.redis, job, self.plan.rounds, self.tell)

    async def outages(self) -> outage.Outages | None:
        """``None`` where Redis is not a process of ours."""
        pid = self.servers.redis.pid
        if pid is None:
            return None
        (job,) = sessions(1, self.plan.puts)
        async with stacks.over_firestore(self.redis, self.firestore, "outage") as stack:
            return await outage.measured(stack, pid, job, self.plan.outages, self.tell)

    async def herds(self) -> herd.Herds:
        counts, servers = self.plan.herds, self.servers
        (job,) = sessions(1, len(counts))
        await self._put("herd", job)
        where = herd.Where(servers.redis.url, servers.emulator, servers.project, "herd")
        return await asyncio.to_thread(herd.measured, where, job, counts, self.tell)

    async def rates(self) -> zipf.Rates:
        load = self.plan.workload
        records = [record for job in sessions(load.records // RECORDS, RECORDS) for record in job]
        await self._put("zipf", records)
        return await zipf.measured(self.redis, self.firestore, "zipf", records, load, self.tell)


def _beside_others(servers: Servers, plan: Plan, tell: Report) -> PeersResult:
    with _told(servers.redis.url):
        return peers.run(plan.peers, servers.emulator, tell, peers=CACHES)


@contextmanager
def _told(url: str) -> Iterator[None]:
    """The processes of the others find Redis in their environment."""
    os.environ[REDIS] = url
    try:
        yield
    finally:
        del os.environ[REDIS]
