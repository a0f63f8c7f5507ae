"""Jobs that are done with few records and with many.

What each took, how large its process became, and how long it held the event loop.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from ..compare import WrongData
from ..memory import Peaks
from ..outage.turns import Turn, Turns
from ..summary import Spread
from .jobs import Doer, Done, Job


@dataclass(frozen=True, slots=True)
class Task:
    """A job as a turn: what it is called, in which way and round, with how many records."""

    name: str
    way: str
    round: int
    records: int


@dataclass(slots=True)
class Growth:
    """Turns of jobs, the largest size of the process of each, in bytes, and longest callbacks."""

    turns: Turns = field(default_factory=Turns)
    sizes: dict[tuple[str, str], dict[int, list[int]]] = field(
        default_factory=dict[tuple[str, str], dict[int, list[int]]]
    )
    callbacks: dict[tuple[str, str], float] = field(default_factory=dict[tuple[str, str], float])

    async def done(self, task: Task, job: Job, do: Doer) -> Done:
        """Have it done and keep what it took. Raises ``WrongData`` if it took other records."""
        done = await _checked(task, job, do)
        turn = Turn(task.name, task.way, task.round, task.records, done.cost)
        self.turns.add(turn, compared=0)
        sizes = self.sizes.setdefault((task.name, task.way), {})
        sizes.setdefault(task.records, []).append(done.peak)
        return done

    async def watched(self, task: Task, job: Job, do: Doer) -> None:
        """Have it done once more, to see how long it holds the event loop. Raises likewise."""
        done = await _checked(task, replace(job, watched=True), do)
        self.callbacks[task.name, task.way] = done.callback

    def peaks(self) -> dict[tuple[str, str], Peaks]:
        """By task and way, the largest sizes with the fewest and with the most records."""
        return {
            key: Peaks(" ".join(key), max(sizes[min(sizes)]), max(sizes[max(sizes)]))
            for key, sizes in self.sizes.items()
        }

    def largest(self) -> Turns:
        """The turns with the most records of their task: what rates are told of."""
        most: dict[str, int] = {}
        for turn in self.turns.turns:
            most[turn.task] = max(turn.records, most.get(turn.task, 0))
        turns = [turn for turn in self.turns.turns if turn.records == most[turn.task]]
        return Turns(turns, self.turns.compared)


async def _checked(task: Task, job: Job, do: Doer) -> Done:
    done = await do(job)
    if done.records != task.records:
        what = f"{task.name} ({task.way})"
        raise WrongData(f"{what}: {done.records:,} of {task.records:,} records")
    return done


def figures(part: str, found: Growth) -> Mapping[str, Spread]:
    """By how much each process grows with the number of its records; its longest callback."""
    growth = {
        f"{part}.{task}, {way}.growth_mb": Spread.of([peaks.growth])
        for (task, way), peaks in found.peaks().items()
    }
    callbacks = {
        f"{part}.{task}, {way}.callback_ms": Spread.of([seconds * 1_000])
        for (task, way), seconds in found.callbacks.items()
    }
    return {**growth, **callbacks}
