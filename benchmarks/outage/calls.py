"""What the fallback adds to a call while the store answers, call by call beside one without."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from statistics import mean, median
from typing import Final, TypeAlias

from orchestra_memory import MemoryItem, MemoryManager

from .. import measure
from ..cache.writing import version
from ..compare import WrongData, compared
from ..order import rotated
from ..records import Job
from ..result import Report
from ..summary import Spread
from .stacks import Stack, read_back
from .turns import WARM_UP

PLAIN: Final = "no fallback"
BREAKER: Final = "a breaker"
FALLBACK: Final = "fallback"

Ask: TypeAlias = Callable[[MemoryItem], Awaitable[MemoryItem | None]]
"""Asked with a record; answers with it as it is stored."""


@dataclass(frozen=True, slots=True)
class Call:
    """Seconds of one call: passed, and of this process's processor time."""

    seconds: float
    cpu: float


@dataclass(frozen=True, slots=True)
class Round:
    """One round of a task over a store: medians of what single calls took, in seconds, by way.

    ``extra_cpu`` and ``extra`` are medians of what a call with the fallback took more than the
    same call without, ``extra_mean_cpu`` is the mean.
    """

    task: str
    store: str
    round: int
    calls: int
    cpu: Mapping[str, float]
    seconds: Mapping[str, float]
    extra_cpu: float
    extra: float
    extra_mean_cpu: float


@dataclass(slots=True)
class Calls:
    """All rounds, and how many records were compared."""

    rounds: list[Round] = field(default_factory=list[Round])
    compared: int = 0

    def groups(self) -> Iterator[tuple[tuple[str, str], list[Round]]]:
        """The rounds by task and store."""
        found: dict[tuple[str, str], list[Round]] = {}
        for each in self.rounds:
            found.setdefault((each.task, each.store), []).append(each)
        yield from found.items()


async def measured(
    found: Calls, store: str, stack: Stack, records: Job, rounds: int, report: Report
) -> None:
    """Put and get records one after another, each by all ways before the next one.

    Each round has records of its own, so that what is got for the first time is unknown to the
    fallback. Raises ``WrongData`` for a record that is not answered as it was put.
    """
    report(f"calls over {store}: {rounds} rounds")
    await stack.plain.put_many(records)
    size = len(records) // (rounds + 1)
    for number in range(rounds + 1):
        some = records[number * size : (number + 1) * size]
        changed = [version(record, number + 1) for record in some]
        taken = {
            "get, first time": await _taken(_getting, stack, some),
            "get, again": await _taken(_getting, stack, some),
            "put": await _taken(_putting, stack, changed),
        }
        back = await read_back(stack.plain, changed)
        found.compared += 6 * size + compared(f"put over {store}", [changed], [back])
        if number != WARM_UP:
            found.rounds += (made(task, store, number, calls) for task, calls in taken.items())


async def _taken(
    asking: Callable[[MemoryManager], Ask], stack: Stack, job: Job
) -> dict[str, list[Call]]:
    """What each call took, by way; a record's calls come one after another."""
    ways = [
        (PLAIN, asking(stack.plain)),
        (BREAKER, asking(stack.guard)),
        (FALLBACK, asking(stack.memory)),
    ]
    calls: dict[str, list[Call]] = {name: [] for name, _ in ways}
    with measure.fresh():
        for place, record in enumerate(job):
            for name, ask in rotated(ways, place):
                calls[name].append(await _timed(ask, record))
    return calls


async def _timed(ask: Ask, record: MemoryItem) -> Call:
    cpu, began = time.process_time(), time.perf_counter()
    answer = await ask(record)
    call = Call(time.perf_counter() - began, time.process_time() - cpu)
    if answer != record:
        raise WrongData("get: not answered with what was stored")
    return call


def _getting(memory: MemoryManager) -> Ask:
    async def get(record: MemoryItem) -> MemoryItem | None:
        return await memory.get(MemoryItem, record.id)

    return get


def _putting(memory: MemoryManager) -> Ask:
    async def put(record: MemoryItem) -> MemoryItem:
        await memory.put(record)
        return record

    return put


def made(task: str, store: str, number: int, calls: Mapping[str, Sequence[Call]]) -> Round:
    """One round, of the calls of each way, in the same order."""
    pairs = list(zip(calls[FALLBACK], calls[PLAIN], strict=True))
    extra = [ours.cpu - theirs.cpu for ours, theirs in pairs]
    return Round(
        task,
        store,
        number,
        len(pairs),
        {way: median(call.cpu for call in group) for way, group in calls.items()},
        {way: median(call.seconds for call in group) for way, group in calls.items()},
        extra_cpu=median(extra),
        extra=median(ours.seconds - theirs.seconds for ours, theirs in pairs),
        extra_mean_cpu=mean(extra),
    )


def microseconds(rounds: Sequence[Round], figure: Callable[[Round], float]) -> Spread:
    return Spread.of([figure(each) * 1e6 for each in rounds])


def figures(part: str, found: Calls) -> dict[str, Spread]:
    """What promises are about: microseconds that a call takes longer."""
    named: dict[str, Spread] = {}
    for (task, store), rounds in found.groups():
        name = f"{part}.{task} over {store}"
        named[f"{name}.extra_cpu_us"] = microseconds(rounds, lambda each: each.extra_cpu)
        named[f"{name}.extra_us"] = microseconds(rounds, lambda each: each.extra)
    return named
