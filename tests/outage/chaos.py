"""`python -m tests.outage.chaos`: agents under load, their store and Redis gone, and they killed.

Workers write through the whole stack while what they stand on is refused, black-holed, slowed, cut
off, stopped and killed, and they are killed themselves. In the end everything works again, and each
write that was acknowledged is looked for: it must be there, once and in order. A fallback such as
people write by hand has to be caught at losing some. Fails when anything is violated.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import shutil
import sys
import tempfile
import time
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, ExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

from orchestra_memory.resilience.journal import Journal
from orchestra_memory.testing.faults import EmulatorService, FaultProxy, RedisService, Service

from .audit import audit, contents_of
from .job import Job
from .ledger import JOURNALED, SECOND, Ledger
from .nursery import Nursery
from .opening import NAIVE, opened_store
from .records import Fact
from .remote import StoreService
from .schedule import STORE, schedule
from .troubles import Outage, Slot, Troublemaker

FALLBACK = "fallback"
SETTLE = 60.0
"""Seconds in which all that was kept must be back in the store, once everything works again."""
WARM_UP = 20
"""Calls of each kind before anything begins."""
LEAVE = 30.0
"""Seconds a worker may take to end."""
SHOWN = 10
"""Violations that are printed of a seed."""


@dataclass(frozen=True)
class Plan:
    """How much is done for each seed."""

    seconds: float
    workers: int = 3
    store: str = "sqlite"
    unrest: float = 1.0
    pause: float = 0.004
    shared: bool = False
    """Whether all workers keep their journals in one directory, and take over each other's."""
    without: Sequence[str] = ()
    """What does not happen to the store."""
    keep: Path | None = None
    """Where the ledgers, journals and stores of the seeds are kept."""


@dataclass
class Outcome:
    """What came of a seed, or of several."""

    wrong: list[str] = field(default_factory=list[str])
    counts: Counter[str] = field(default_factory=Counter[str])
    faults: Counter[str] = field(default_factory=Counter[str])
    kills: Counter[str] = field(default_factory=Counter[str])
    aside: Counter[str] = field(default_factory=Counter[str])
    """What was kept as a losing version, or could not be applied."""
    first: float = 0.0
    """The longest that any outage went without a degraded answer, in seconds."""
    slowest: float = 0.0
    """The longest that an acknowledged call took."""
    empty: float = 0.0
    """The longest from when all worked again until nothing waited."""
    needless: list[str] = field(default_factory=list[str])
    """Conflicts that nothing explains: a version is kept aside that was its own writer's. It is
    told, and is no violation: nothing is lost by it."""
    imported: int = 0
    """Conflicts that only an import explains, by which an emulator gives new revisions."""

    def __iadd__(self, other: Outcome) -> Outcome:
        self.wrong += other.wrong
        self.counts += other.counts
        self.faults += other.faults
        self.kills += other.kills
        self.aside += other.aside
        self.first = max(self.first, other.first)
        self.slowest = max(self.slowest, other.slowest)
        self.empty = max(self.empty, other.empty)
        self.needless += other.needless
        self.imported += other.imported
        return self

    def of(self, what: str) -> int:
        """How many violations begin so."""
        return sum(each.startswith(f"{what}:") for each in self.wrong)


class Run:
    """One seed, from the first worker to the audit."""

    def __init__(
        self, seed: str, mode: str, plan: Plan, store: Service, redis: RedisService
    ) -> None:
        self._seed = seed
        self._mode = mode
        self._plan = plan
        self._store = store
        self._redis = redis
        self._name = plan.store
        if plan.store == "firestore":
            self._name = f"outage-{mode}-{seed}-{os.getpid()}"

    async def outcome(self, home: Path) -> Outcome:
        plan = self._plan
        troubles = schedule(
            self._seed,
            plan.seconds,
            slots=plan.workers,
            unrest=plan.unrest,
            without=plan.without,
        )
        untold = plan.shared or any(trouble.redis for trouble in troubles)
        ledger = Ledger(untold=untold, shared=plan.shared)
        outcome = Outcome()
        async with self._slots(home, ledger) as slots:
            maker = Troublemaker(
                slots,
                self._store,
                self._redis,
                ledger=ledger,
                keep=[self._name] if plan.store == "firestore" else [],
                seed=self._seed,
            )
            await maker.run(troubles)
            outcome.empty = await self._emptied(slots, ledger)
            for slot in slots:
                code = await slot.leave(LEAVE)
                if code != 0:
                    outcome.wrong.append(f"bug: worker {slot.number} ended with {code}")
                outcome.kills += slot.kills
        outcome.faults = maker.told.counts
        outcome.counts = ledger.counts
        outcome.first = longest_silence(maker.told.outages, ledger)
        outcome.slowest = slowest(ledger)
        await self._audit(slots, ledger, home, outcome, maker.told.imports)
        return outcome

    @asynccontextmanager
    async def _slots(self, home: Path, ledger: Ledger) -> AsyncIterator[list[Slot]]:
        async with AsyncExitStack() as stack:
            slots: list[Slot] = []
            nursery = await stack.enter_async_context(Nursery())
            for number in range(self._plan.workers):
                store = await stack.enter_async_context(FaultProxy(*self._store.address))
                redis = await stack.enter_async_context(FaultProxy(*self._redis.address))
                job = self._job(number, home, store, redis)
                launch = nursery.launch
                slot = Slot(job, home, ledger, store=store, redis=redis, launch=launch)
                slots.append(slot)
                stack.push_async_callback(slot.close)
            await self._warm_up()
            await asyncio.gather(*(slot.start() for slot in slots))
            yield slots

    def _job(self, number: int, home: Path, store: FaultProxy, redis: FaultProxy) -> Job:
        shared = self._plan.shared
        return Job(
            slot=number,
            life=0,
            mode=self._mode,
            store=self._name,
            host=store.host,
            port=store.port,
            redis=f"redis://{redis.host}:{redis.port}/0",
            journal=str(home / ("journal" if shared else f"journal-{number}")),
            seed=self._seed,
            pause=self._plan.pause,
            shared=shared,
        )

    async def _warm_up(self) -> None:
        """An emulator takes longer for its first answers than a worker waits."""
        async with opened_store(self._name, *self._store.address) as store:
            for number in range(WARM_UP):
                fact = Fact(id=f"warm-{number}")
                await store.put(fact)
                await store.get(Fact, fact.id)
                await store.delete(Fact, fact.id)

    async def _emptied(self, slots: Sequence[Slot], ledger: Ledger) -> float:
        """Seconds until no worker has anything left."""
        began = time.monotonic()
        for slot in slots:
            slot.say("over")
        while any(ledger.left.get(slot.number) != 0 for slot in slots):
            if time.monotonic() - began > SETTLE:
                break
            await asyncio.sleep(0.02)
        return time.monotonic() - began

    async def _audit(
        self,
        slots: Sequence[Slot],
        ledger: Ledger,
        home: Path,
        outcome: Outcome,
        imports: Sequence[tuple[int, int]],
    ) -> None:
        aside: list[str] = []
        for directory in {slot.journal for slot in slots}:
            async with Journal.open(directory, target=f"outage/{self._name}") as journal:
                await journal.adopt()
                waiting = await journal.pending()
                if waiting:
                    outcome.wrong.append(f"left: {len(waiting)} entries in {directory.name}")
                aside += [
                    f"dead letter, {entry.reason}: {entry.body.decode()}"
                    for entry in await journal.dead_letters()
                ]
        async with opened_store(self._name, *self._store.address) as store:
            contents = await contents_of(store, aside, imports)
        (home / "aside.txt").write_text("\n".join(contents.aside))
        outcome.aside.update(text.partition(":")[0] for text in contents.aside)
        for each in (*ledger.wrong, *audit(ledger, contents)):
            match each.partition(":")[0]:
                case "conflict":
                    outcome.needless.append(each)
                case "imported":
                    outcome.imported += 1
                case _:
                    outcome.wrong.append(each)
        (home / "needless.txt").write_text("\n".join(outcome.needless))


def slowest(ledger: Ledger) -> float:
    """Seconds that the longest acknowledged call took."""
    answers = (each for those in ledger.answers.values() for each in those)
    return max(((each.end - each.begin) / SECOND for each in answers), default=0.0)


def longest_silence(outages: Sequence[Outage], ledger: Ledger) -> float:
    """Seconds from the begin of an outage to the first degraded answer in it, at most.

    Where a worker died, or was well again before it noticed, nothing can be said.
    """
    longest = 0.0
    for outage in outages:
        for slot in outage.slots:
            if any(outage.begin < at for at in ledger.starts[slot] if at < outage.end):
                continue
            answers = ledger.answers.get(slot, ())
            during = (each for each in answers if outage.begin < each.end <= outage.end)
            first = next((each for each in during if each.durability in JOURNALED), None)
            if first is not None:
                longest = max(longest, (first.end - outage.begin) / SECOND)
    return longest


HEADER = (
    f"{'mode':<9}{'seed':>5}{'acknowledged':>13}{'journaled':>10}{'kills':>6}{'lost':>6}"
    f"{'twice':>6}{'absent':>7}{'other':>6}{'needless':>9}{'aside':>6}{'first':>8}{'slowest':>9}{'empty':>8}"
)


def line_of(mode: str, seed: str, outcome: Outcome) -> str:
    counts = outcome.counts
    lost, twice, absent = map(outcome.of, ("lost", "twice", "absent"))
    other = len(outcome.wrong) - lost - twice - absent
    return (
        f"{mode:<9}{seed:>5}{counts['acknowledged']:>13,}{counts['journaled']:>10,}"
        f"{sum(outcome.kills.values()):>6}{lost:>6}{twice:>6}{absent:>7}{other:>6}{len(outcome.needless):>9}"
        f"{outcome.aside.total():>6}"
        f"{outcome.first:>6.2f} s{outcome.slowest:>7.2f} s{outcome.empty:>6.2f} s"
    )


def details(outcome: Outcome) -> str:
    def listed(counts: Counter[str]) -> str:
        return ", ".join(f"{number:,} {kind}" for kind, number in sorted(counts.items()))

    return (
        f"  faults: {listed(outcome.faults)}\n  ends: {listed(outcome.kills)}\n"
        f"  told: {listed(outcome.counts)}\n  aside: {listed(outcome.aside)}"
        f"; by imports alone: {outcome.imported:,}"
    )


def chaos(seeds: Sequence[int], modes: Sequence[str], plan: Plan) -> dict[str, Outcome]:
    """All seeds in all modes, and a scoreboard as they come."""
    totals = {mode: Outcome() for mode in modes}
    print(HEADER)
    for mode in modes:
        for seed in seeds:
            outcome = run(seed, mode, plan)
            totals[mode] += outcome
            print(line_of(mode, str(seed), outcome), flush=True)
            if mode != NAIVE:
                print(*outcome.wrong[:SHOWN], sep="\n", end="\n" * bool(outcome.wrong), flush=True)
        print(line_of(mode, "all", totals[mode]), details(totals[mode]), sep="\n", flush=True)
    return totals


def run(seed: int, mode: str, plan: Plan) -> Outcome:
    """One seed on servers of its own."""
    with ExitStack() as stack:
        home = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="outage-")))
        store = EmulatorService() if plan.store == "firestore" else StoreService(home / "store.db")
        stack.enter_context(store)
        redis = stack.enter_context(RedisService())
        outcome = asyncio.run(Run(str(seed), mode, plan, store, redis).outcome(home))
        if plan.keep is not None and mode != NAIVE:
            shutil.copytree(home, plan.keep / f"{mode}-{seed}", dirs_exist_ok=True)
    return outcome


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.outage.chaos", description=__doc__)
    parser.add_argument("--seeds", type=int, default=10, help="how many, or with --first which")
    parser.add_argument("--first", type=int, default=1, help="the first seed")
    parser.add_argument("--minutes", type=float, default=5.0, help="in all, about")
    parser.add_argument("--workers", type=int, default=3)
    parser.add_argument("--store", choices=("sqlite", "firestore"), default="sqlite")
    parser.add_argument("--unrest", type=float, default=1.0, help="how often workers die; 1: usual")
    parser.add_argument("--pause", type=float, default=0.004, help="seconds between two calls")
    parser.add_argument("--shared", action="store_true", help="one directory for all journals")
    parser.add_argument(
        "--without", choices=STORE, nargs="+", default=(), help="what the store is spared"
    )
    parser.add_argument("--keep", type=Path, help="where to keep what the seeds left")
    given = parser.parse_args(arguments)
    plan = Plan(
        seconds=60 * given.minutes / given.seeds,
        workers=given.workers,
        store=given.store,
        unrest=given.unrest,
        pause=given.pause,
        shared=given.shared,
        without=given.without,
        keep=given.keep,
    )
    seeds = range(given.first, given.first + given.seeds)
    naive = chaos(seeds[:1], [NAIVE], plan)[NAIVE]
    total = chaos(seeds, [FALLBACK], plan)[FALLBACK]
    print(f"the fallback by hand was caught {len(naive.wrong):,} times")
    return 0 if naive.wrong and not total.wrong else 1


if __name__ == "__main__":
    sys.exit(main())
