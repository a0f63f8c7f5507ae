"""Many agents at once that tell their status, and events: through the library, and by hand."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final, Protocol, TypeAlias

from google.cloud.firestore import SERVER_TIMESTAMP, AsyncClient

from orchestra_memory import (
    AgentState,
    AgentStatus,
    CoordinationEvent,
    Count,
    Memory,
    Query,
    TaskStatus,
)

from .. import store
from ..compare import WrongData
from ..measure import timed
from ..order import there_and_back
from ..outage.turns import Turn, Turns, cpu, ratio, speed
from ..result import Report
from ..summary import Spread
from . import stores
from .samples import agents, events

SET_STATUS: Final = "set_status"
RECORD: Final = "record"
OURS: Final = "orchestra-memory"
BY_HAND: Final = "AsyncClient"


class Side(Protocol):
    """A way for agents to tell what they do."""

    async def set_status(self, agent: AgentState, task: str) -> None: ...

    async def record(self, event: CoordinationEvent) -> None: ...


class Ours:
    def __init__(self, memory: Memory) -> None:
        self._memory = memory

    async def set_status(self, agent: AgentState, task: str) -> None:
        await self._memory.agents.set_status(agent, AgentStatus.BUSY, task=task)

    async def record(self, event: CoordinationEvent) -> None:
        await self._memory.coordination.record(event)


class ByHand:
    """One document updated, one document set, with the fields that the library writes."""

    def __init__(self, client: AsyncClient) -> None:
        self._states = client.collection("agent_states")
        self._events = client.collection("coordination")

    async def set_status(self, agent: AgentState, task: str) -> None:
        changes = {
            "status": AgentStatus.BUSY.value,
            "last_active": datetime.now(UTC),
            "current_task": task,
            "task_status": TaskStatus.IN_PROGRESS.value,
        }
        await self._states.document(agent.key).update(changes)

    async def record(self, event: CoordinationEvent) -> None:
        document = {**event.model_dump(), "committed_at": SERVER_TIMESTAMP}
        await self._events.document(event.event_id).set(document)


@dataclass(frozen=True, slots=True)
class Load:
    """So many agents at once, each of which makes ``calls`` one after another."""

    agents: int
    calls: int

    @property
    def total(self) -> int:
        return self.agents * self.calls


@dataclass(frozen=True, slots=True)
class Place:
    """A way, and the memory in which its work is looked at afterwards."""

    way: str
    side: Side
    memory: Memory


async def measured(host: str, load: Load, rounds: int, report: Report) -> Turns:
    """Both tasks in both ways in turn.

    Raises ``WrongData`` unless each agent is at its last task, and every event is there at the end.
    """
    found = Turns()
    states = agents(load.agents)
    async with _ours(host) as ours, _by_hand(host) as by_hand:
        for place in (ours, by_hand):
            await place.memory.put_many(states)
        for number in range(rounds + 1):
            report(f"{load.agents:,} agents at once, {number} of {rounds}")
            for place in there_and_back((ours, by_hand), number):
                await _statuses(found, place, states, load, number)
                await _events(found, place, load, number)
        for place in (ours, by_hand):
            await _all_there(place, load.total * (rounds + 1))
    return found


@asynccontextmanager
async def _ours(host: str) -> AsyncIterator[Place]:
    async with stores.opened(stores.on_emulator(host)()) as memory:
        yield Place(OURS, Ours(memory), memory)


@asynccontextmanager
async def _by_hand(host: str) -> AsyncIterator[Place]:
    project = stores.new_project()
    async with (
        store.opened(project, host) as client,
        stores.opened(f"firestore://{project}?emulator={host}") as memory,
    ):
        yield Place(BY_HAND, ByHand(client), memory)


Call: TypeAlias = Callable[[], Awaitable[None]]


async def at_once(callers: Sequence[Sequence[Call]]) -> None:
    """Each caller's calls one after another, those of all callers at the same time."""

    async def one(calls: Sequence[Call]) -> None:
        for call in calls:
            await call()

    await asyncio.gather(*map(one, callers))


async def _statuses(
    found: Turns, place: Place, states: Sequence[AgentState], load: Load, number: int
) -> None:
    def call(agent: AgentState, task: int) -> Call:
        return lambda: place.side.set_status(agent, f"task {number}.{task}")

    work = [[call(agent, task) for task in range(load.calls)] for agent in states]
    _, cost = await timed(at_once(work), None)
    last = f"task {number}.{load.calls - 1}"
    told = await place.memory.get_many(AgentState, [agent.key for agent in states])
    if any(not _is_at(state, last) for state in told):
        raise WrongData(f"{place.way}: an agent is not at the task that it told last")
    turn = Turn(SET_STATUS, place.way, number, load.total, cost)
    found.add(turn, compared=len(states))


def _is_at(state: AgentState | None, task: str) -> bool:
    return state is not None and (state.status, state.current_task, state.task_status) == (
        AgentStatus.BUSY,
        task,
        TaskStatus.IN_PROGRESS,
    )


async def _events(found: Turns, place: Place, load: Load, number: int) -> None:
    def call(event: CoordinationEvent) -> Call:
        return lambda: place.side.record(event)

    given = list(events(load.total, start=number + 1))
    work = [[call(event) for event in given[first :: load.agents]] for first in range(load.agents)]
    _, cost = await timed(at_once(work), None)
    kept = await place.memory.get_many(CoordinationEvent, [event.event_id for event in given])
    for event, there in zip(given, kept, strict=True):
        # The store tells when it got it.
        if there is None or there.committed_at is None or there.evolve(committed_at=None) != event:
            raise WrongData(f"{place.way}: an event is not there as it was told")
    turn = Turn(RECORD, place.way, number, load.total, cost)
    found.add(turn, compared=len(given))


async def _all_there(place: Place, count: int) -> None:
    totals = await place.memory.aggregate(Query(CoordinationEvent), [Count()])
    if totals["count"] != count:
        raise WrongData(f"{place.way}: {totals['count']:,} of {count:,} events at the end")


def figures(part: str, found: Turns) -> dict[str, Spread]:
    """How many times as fast as by hand, and the processor time over that by hand."""
    return {
        f"{part}.{task}.{name}": ratio(ways, OURS, BY_HAND, figure)
        for task, ways in found.tasks().items()
        for name, figure in (("speed", speed), ("cpu", cpu))
    }
