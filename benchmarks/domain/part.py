"""The part of a run that measures what agents keep: servers, sizes, and everything in turn."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import Final

from orchestra_memory.testing.service import ServiceMissing

from .. import environment, server
from ..result import Report, Result, Skipped
from . import analysing, backing, jobs, migrating, report, working
from .migrating import Files
from .report import Outcome
from .working import Load

PART: Final = "domain"
LOAD: Final = Load(agents=100, calls=20)


@dataclass(frozen=True, slots=True)
class Plan:
    """How often everything is done, and with how much; growth is from the least to the most.

    ``folders`` are migrated, ``events`` counted, ``load`` is what agents do at once, and stores
    with so many as ``records`` are backed up.
    """

    folders: tuple[Files, ...] = (Files(2_000, 10), Files(5_000, 10))
    migrations: int = 1
    events: int = 100_000
    analyses: int = 1
    load: Load = LOAD
    working_rounds: int = 3
    records: tuple[int, ...] = (20_000, 60_000)
    backups: int = 1


QUICK: Final = Plan(
    folders=(Files(5, 10), Files(50, 10)),
    migrations=1,
    events=2_000,
    analyses=1,
    load=Load(agents=100, calls=2),
    working_rounds=1,
    records=(100, 600),
    backups=1,
)


def run(quick: bool, tell: Report) -> Result:
    """Everything of agents and their events, as a part of a run."""
    plan = QUICK if quick else Plan()
    try:
        with server.started() as running:
            outcome = asyncio.run(measured(running.host, plan, jobs.in_own_process, tell))
            facts = environment.emulator_facts(running)
    except ServiceMissing as error:
        raise Skipped(str(error)) from error
    return report.result(PART, outcome, plan, facts, quick=quick)


async def measured(host: str, plan: Plan, do: jobs.Doer, tell: Report) -> Outcome:
    """Everything, one after another, on the emulator at `host` and in files."""
    return Outcome(
        migrations=await migrating.measured(plan.folders, plan.migrations, do, tell),
        analyses=await analysing.measured(host, plan.events, plan.analyses, tell),
        calls=await working.measured(host, plan.load, plan.working_rounds, tell),
        backups=await backing.measured(host, plan.records, plan.backups, do, tell),
    )
