"""What the fallback adds to bulk writes, reads and scans while the store answers."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Mapping
from typing import Any, Final, TypeAlias

from orchestra_memory import MemoryManager

from ..cache.writing import version
from ..compare import compared
from ..measure import timed
from ..order import rotated
from ..records import Job
from ..result import Report
from ..summary import Spread
from .calls import FALLBACK, PLAIN
from .stacks import Stack, read_back, scanned
from .turns import Turn, Turns, cpu, ratio

Run: TypeAlias = Callable[[MemoryManager, Job], Coroutine[Any, Any, Job]]


async def _put_many(memory: MemoryManager, job: Job) -> Job:
    await memory.put_many(job)
    return ()


TASKS: Final[Mapping[str, Run]] = {
    "put_many": _put_many,
    "get_many": read_back,
    "scan": scanned,
}


async def measured(
    found: Turns, store: str, stack: Stack, job: Job, rounds: int, report: Report
) -> None:
    """Write new versions of a session, read them by id, and scan it, in each way in turn.

    Raises ``WrongData`` for anything that is not read as it was written.
    """
    report(f"{len(job):,} records in bulk over {store}: {rounds} rounds")
    ways: list[tuple[str, MemoryManager]] = [(PLAIN, stack.plain), (FALLBACK, stack.memory)]
    for number in range(rounds + 1):
        for place, (way, memory) in enumerate(rotated(ways, number)):
            records = [version(record, 2 * number + place) for record in job]
            for task, run in TASKS.items():
                read, cost = await timed(run(memory, records), None)
                back = await read_back(stack.plain, records) if task == "put_many" else read
                name = f"{task} over {store}"
                turn = Turn(name, way, number, len(job), cost)
                found.add(turn, compared=compared(name, [records], [back]))


def figures(part: str, found: Turns) -> dict[str, Spread]:
    """What promises are about: processor time with the fallback over that without."""
    return {
        f"{part}.{task}.cpu": ratio(ways, FALLBACK, PLAIN, cpu)
        for task, ways in found.tasks().items()
    }
