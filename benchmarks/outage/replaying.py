"""The replay of writes beside a bulk write of the same records to the same store."""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from google.cloud.firestore import AsyncClient

from orchestra_memory import GuardedMemory, MemoryManager, MeteredMemory
from orchestra_memory.layers.fallback.states import State
from orchestra_memory.testing.faults import FaultyMemory

from ..compare import compared
from ..measure import fresh
from ..order import there_and_back
from ..records import Job, sessions
from ..result import Report
from ..summary import Spread
from ..turns import Cost
from . import stacks
from .moments import Moment, Moments
from .outages import PATIENCE, journalled
from .turns import Turn, Turns, cpu, ratio
from .writing import kept

TASK: Final = "replay"
BULK: Final = "put_many"
REPLAY: Final = "replay of what waits"
SOON: Final = replace(stacks.DEFAULTS, pause=0.05, spread=0.0)
"""A breaker that has its store probed at once: how soon it is back is measured elsewhere."""


async def measured(client: AsyncClient, writes: int, rounds: int, report: Report) -> Turns:
    """Write new records in bulk, and have the same replayed, each into a collection of its own.

    Raises ``WrongData`` for a record that is not in the store as it was put.
    """
    report(f"replay of {writes:,} writes: {rounds} rounds")
    found = Turns()
    (job,) = sessions(1, writes)
    for number in range(rounds + 1):
        for place, way in enumerate(there_and_back((BULK, REPLAY), number)):
            store = stacks.of_firestore(client, f"replay_{number}_{place}")
            cost = await (_bulk if way == BULK else _replay)(store, job)
            count = compared(way, [job], [await stacks.read_back(store, job)])
            found.add(Turn(TASK, way, number, writes, cost), compared=count)
    return found


async def _bulk(store: MemoryManager, job: Job) -> Cost:
    memory = GuardedMemory(MeteredMemory(store))
    with fresh():
        before = Moment.now()
        await memory.put_many(job)
        return before.until(Moment.now())


async def _replay(store: MemoryManager, job: Job) -> Cost:
    """Of writes that wait in a journal, from when the store is known to be back."""
    faulty, moments = FaultyMemory(store), Moments()
    async with (
        kept() as journal,
        stacks.opened(faulty, journal, breaker=SOON, hooks=[moments]) as stack,
    ):
        faulty.fail()
        stack.breaker.trip()
        await journalled(stack.memory, job)
        with fresh():
            returned = Moment.now()
            faulty.heal()
            began = await moments.first(State.RECOVERING, since=returned, patience=PATIENCE)
            ended = await moments.first(State.NORMAL, since=began, patience=PATIENCE)
    return began.until(ended)


def figures(part: str, found: Turns) -> dict[str, Spread]:
    """What promises are about: the rate of the replay over that of the bulk write."""
    ways = found.tasks()[TASK]
    return {
        f"{part}.{TASK}.speed": ratio(ways, REPLAY, BULK),
        f"{part}.{TASK}.cpu": ratio(ways, REPLAY, BULK, cpu),
    }
