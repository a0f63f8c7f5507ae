"""Firestore away: the first answer, later ones, and how soon all is as before once it is back."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import cycle, islice
from statistics import median
from typing import Final

from orchestra_memory import Durability, MemoryItem, MemoryManager
from orchestra_memory.layers.fallback.states import State

from ..compare import WrongData, compared
from ..gathering import AT_ONCE, gathered
from ..records import Job, sessions
from ..summary import Spread
from .faults import Fault
from .moments import Moment, Moments
from .stacks import Stack, read_back

QUICK: Final = 5e-3
"""Seconds within which later answers are to come."""
KNOWN: Final = 100
"""Records that are put before, and got meanwhile."""
SEEDING: Final = 60.0
"""Seconds for that."""
PATIENCE: Final = 120.0
"""Seconds for the fallback to be as before once the store is back."""


@dataclass(frozen=True, slots=True)
class Lasts:
    """How long one outage goes on, at least: answers ``later`` than the first, writes that become
    ``entries`` of the journal, and ``seconds``; each is ``longer`` by so many seconds than the one
    before it, so that they end at different moments between two probes."""

    later: int = 300
    entries: int = 1_000
    seconds: float = 12.0
    longer: float = 0.7


@dataclass(frozen=True, slots=True)
class Outage:
    """One outage, in seconds: the first answer, which had the ``deadline`` of a call, the median
    and the slowest of the later ones; ``slow`` of these were not quick. Once the store was back,
    it took ``noticed`` until the replay of ``entries`` began, and ``replayed`` until it was over.
    """

    fault: str
    round: int
    deadline: float
    first: float
    later: float
    slowest: float
    slow: int
    entries: int
    noticed: float
    replayed: float

    @property
    def over(self) -> float:
        """By how much the first answer came after the deadline."""
        return self.first - self.deadline

    @property
    def empty(self) -> float:
        """From the return of the store until its journal was empty."""
        return self.noticed + self.replayed


@dataclass(slots=True)
class Outages:
    """All outages, and how many records were compared."""

    rounds: list[Outage] = field(default_factory=list[Outage])
    compared: int = 0

    def add(self, outage: Outage, *, compared: int) -> None:
        self.rounds.append(outage)
        self.compared += compared

    def of(self, fault: str) -> list[Outage]:
        return [outage for outage in self.rounds if outage.fault == fault]

    @property
    def faults(self) -> list[str]:
        return list(dict.fromkeys(outage.fault for outage in self.rounds))


@dataclass(frozen=True, slots=True)
class Scene:
    """Where an outage is: ``moments`` is a hook of the stack, whose calls have this ``deadline``;
    ``store`` is the same store past all that may be away."""

    stack: Stack
    moments: Moments
    store: MemoryManager
    deadline: float


async def measured(
    scene: Scene, name: str, fault: Fault, lasts: Lasts, number: int
) -> tuple[Outage, int]:
    """One outage, and how many records were compared.

    Raises ``WrongData`` for a record that is not answered as it was put, then or afterwards.
    """
    memory = scene.stack.memory
    (job,) = sessions(1, KNOWN + lasts.entries)
    known, new = job[:KNOWN], job[KNOWN:]
    await _made_known(scene, known)
    async with fault():
        began = time.perf_counter()
        (first,) = await answered(memory, known[:1])
        later = await answered(memory, list(islice(cycle(known), lasts.later)))
        await journalled(memory, new)
        over = began + lasts.seconds + number * lasts.longer
        await asyncio.sleep(max(0.0, over - time.perf_counter()))
    noticed, replayed = await _back(scene.moments, Moment.now())
    count = compared(f"Firestore was {name}", [job], [await read_back(scene.store, job)])
    outage = Outage(
        name,
        number,
        scene.deadline,
        first,
        median(later),
        max(later),
        sum(seconds > QUICK for seconds in later),
        len(new),
        noticed,
        replayed,
    )
    return outage, count + len(later) + 1


async def _made_known(scene: Scene, known: Job) -> None:
    """Put these, and have the fallback see them, while all is well.

    Raises ``WrongData`` if it is not.
    """
    # A server that has just been started takes its time.
    patient = scene.stack.memory.with_options(timeout=SEEDING)
    await patient.put_many(known)
    await read_back(patient, known)
    if scene.stack.memory.status().state is not State.NORMAL:
        raise WrongData("the store was away before it was to be")


async def _back(moments: Moments, returned: Moment) -> tuple[float, float]:
    """Seconds until the replay began, and from then until it was over."""
    began = await moments.first(State.RECOVERING, since=returned, patience=PATIENCE)
    ended = await moments.first(State.NORMAL, since=began, patience=PATIENCE)
    return began.at - returned.at, ended.at - began.at


async def answered(memory: MemoryManager, records: Job) -> list[float]:
    """The seconds that each answer took, one after another, to one who knows what is right."""
    times: list[float] = []
    clock = time.perf_counter
    for record in records:
        began = clock()
        found = await memory.get(MemoryItem, record.id)
        times.append(clock() - began)
        if found != record:
            raise WrongData("get, in an outage: not answered with what was put")
    return times


async def journalled(memory: MemoryManager, records: Job) -> None:
    """Put these in an outage, many at once; raises ``WrongData`` if it is none."""
    for receipt in await gathered(map(memory.put, records), AT_ONCE):
        if receipt.durability is Durability.COMMITTED:
            raise WrongData("put, in an outage: the store took it")


def figures(part: str, found: Outages) -> dict[str, Spread]:
    """What promises are about."""
    named: dict[str, Spread] = {}
    for fault in found.faults:
        rounds, name = found.of(fault), f"{part}.{fault}"
        named[f"{name}.first_over_ms"] = milliseconds([each.over for each in rounds])
        named[f"{name}.later_ms"] = milliseconds([each.later for each in rounds])
        named[f"{name}.slowest_ms"] = milliseconds([each.slowest for each in rounds])
        named[f"{name}.empty_s"] = Spread.of([each.empty for each in rounds])
    return named


def milliseconds(seconds: Sequence[float]) -> Spread:
    return Spread.of([value * 1e3 for value in seconds])
