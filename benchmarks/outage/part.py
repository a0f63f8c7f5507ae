"""The part of a run that measures the outage fallback: servers, stacks, and everything in turn."""

from __future__ import annotations

import asyncio
import secrets
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import Final

from google.cloud.firestore import AsyncClient

from orchestra_memory import LocalMemory, MemoryManager
from orchestra_memory.resilience.breaker import BreakerSettings
from orchestra_memory.resilience.journal import VolatileJournal
from orchestra_memory.testing.emulator import Emulator
from orchestra_memory.testing.faults import FaultProxy
from orchestra_memory.testing.service import Address, ServiceMissing

from .. import environment, server
from ..records import sessions
from ..result import Report, Result, Skipped
from . import appending, bulk, calls, outages, probing, replaying, report, stacks, writing
from .faults import BLACK_HOLE, HUNG, REFUSED, Fault, black_hole, hung, refused
from .moments import Moments
from .outages import Lasts, Outages, Scene
from .report import Outcome
from .turns import Turns

PART: Final = "outage"
LASTS: Final = Lasts()


@dataclass(frozen=True, slots=True)
class Plan:
    """How often everything is done, and with how much.

    Each round makes ``calls`` of each kind, and works on ``bulk`` records. ``outages`` of each kind
    go on for as long as ``lasts`` says, with calls whose ``deadline`` is in seconds, and a
    ``breaker``; ``callers`` wait while that is half open ``half_opens`` times.

    ``appends`` entries are brought to the disk, and ``writes`` records put while the store is away,
    by writers who share commits; ``alone`` by others. So many as ``replayed`` says are replayed.
    """

    rounds: int = 10
    calls: int = 200
    bulk: int = 4_000
    bulk_rounds: int = 5
    outages: int = 4
    lasts: Lasts = LASTS
    deadline: float = stacks.DEADLINE
    breaker: BreakerSettings = stacks.DEFAULTS
    callers: int = 100
    half_opens: int = 4
    appends: int = 12_800
    writes: int = 6_400
    alone: int = 400
    replayed: int = 4_000
    journal_rounds: int = 7


QUICK: Final = Plan(
    rounds=2,
    calls=20,
    bulk=400,
    bulk_rounds=1,
    outages=1,
    lasts=Lasts(later=50, entries=100, seconds=3.0),
    callers=20,
    half_opens=1,
    appends=640,
    writes=640,
    alone=64,
    replayed=400,
    journal_rounds=1,
)


@dataclass(frozen=True, slots=True)
class Servers:
    """The emulator, which may be stopped if its process is known.

    ``project`` is one of this run alone: the emulator may keep what others stored.
    """

    emulator: str
    pid: int | None
    project: str = field(default_factory=lambda: f"outage-{secrets.token_hex(4)}")


def run(quick: bool, tell: Report) -> Result:
    """Everything of the outage fallback, as a part of a run."""
    plan = QUICK if quick else Plan()
    try:
        with ExitStack() as stack:
            running = stack.enter_context(server.started())
            outcome = asyncio.run(measured(servers_of(running), plan, tell))
            facts = environment.emulator_facts(running)
    except ServiceMissing as error:
        raise Skipped(str(error)) from error
    return report.result(PART, outcome, plan, facts, quick=quick)


def servers_of(running: Emulator) -> Servers:
    return Servers(running.host, running.pid)


async def measured(servers: Servers, plan: Plan, tell: Report) -> Outcome:
    """Everything, one after another."""
    async with stacks.connected(servers.project, servers.emulator) as client:
        place = _Place(servers, plan, tell, client)
        healthy, in_bulk = calls.Calls(), Turns()
        await place.healthy(healthy, in_bulk, "local", LocalMemory())
        await place.healthy(healthy, in_bulk, "Firestore", stacks.of_firestore(client, "healthy"))
        rounds = plan.journal_rounds
        appends = await appending.measured(plan.appends, plan.alone, rounds, tell)
        writes = await writing.measured(plan.writes, plan.alone, rounds, tell)
        replays = await replaying.measured(client, plan.replayed, rounds, tell)
        tell(f"{plan.callers} callers of a store that hangs")
        probes = await probing.measured(
            plan.callers, plan.half_opens, deadline=plan.deadline, breaker=plan.breaker
        )
        away = await place.outages()
    return Outcome(healthy, in_bulk, appends, writes, replays, probes, away)


@dataclass(frozen=True, slots=True)
class _Place:
    """Where everything is measured."""

    servers: Servers
    plan: Plan
    tell: Report
    client: AsyncClient

    async def healthy(
        self, single: calls.Calls, in_bulk: Turns, name: str, store: MemoryManager
    ) -> None:
        """Calls and bulk work on a store that answers; the journal has nothing to do."""
        plan = self.plan
        (records,) = sessions(1, plan.calls * (plan.rounds + 1))
        async with stacks.opened(store, VolatileJournal()) as stack:
            await calls.measured(single, name, stack, records, plan.rounds, self.tell)
        (job,) = sessions(1, plan.bulk)
        async with stacks.opened(store, VolatileJournal()) as stack:
            await bulk.measured(in_bulk, name, stack, job, plan.bulk_rounds, self.tell)

    async def outages(self) -> Outages:
        """Outages of each kind in turn; Firestore hangs only where it is a process of ours."""
        found, address = Outages(), Address.parse(self.servers.emulator)
        async with FaultProxy(address.host, address.port) as proxy:
            through = f"{proxy.host}:{proxy.port}"
            faults: list[tuple[str, Fault, str]] = [
                (REFUSED, refused(proxy), through),
                (BLACK_HOLE, black_hole(proxy), through),
            ]
            if self.servers.pid is not None:
                faults.insert(0, (HUNG, hung(self.servers.pid), self.servers.emulator))
            for number in range(1, self.plan.outages + 1):
                for name, fault, host in faults:
                    self.tell(f"Firestore away: {name}, {number} of {self.plan.outages}")
                    await self._outage(found, name, fault, host, number)
        return found

    async def _outage(
        self, found: Outages, name: str, fault: Fault, host: str, number: int
    ) -> None:
        """One outage, with connections of its own that reach the emulator at `host`."""
        plan, moments, collection = self.plan, Moments(), f"outage_{len(found.rounds)}"
        async with (
            stacks.connected(self.servers.project, host) as client,
            writing.kept() as journal,
        ):
            store = stacks.of_firestore(client, collection)
            async with stacks.opened(
                store, journal, deadline=plan.deadline, breaker=plan.breaker, hooks=[moments]
            ) as stack:
                past = stacks.of_firestore(self.client, collection)
                scene = Scene(stack, moments, past, plan.deadline)
                outage, compared = await outages.measured(scene, name, fault, plan.lasts, number)
        found.add(outage, compared=compared)
