"""Agents: what each is doing in each session, so that another process can go on with it."""

from __future__ import annotations

import logging
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from datetime import datetime
from functools import cached_property
from time import monotonic
from typing import Final, TypedDict, Unpack

import anyio

from ..errors import OrchestraMemoryError, Unavailable
from ..models import AgentState, AgentStatus, TaskStatus
from ..operations import Count, Page
from ..protocol import MemoryManager
from ..values import JsonMap
from . import agent_changes as changes
from . import issued, last_words
from .agent_changes import TaskEnd
from .agent_memories import AgentMemories
from .bounded import ENTRIES, Bounded
from .bulk import PAGE, delete_unchanged, first
from .entries import made
from .issued import Paging

ERROR_LENGTH: Final = 1_000
"""Characters of an exception's text that go into a task's history."""

log: logging.Logger = logging.getLogger("orchestra_memory")


class AgentStateFields(TypedDict, total=False):
    """The fields of an :class:`~orchestra_memory.AgentState`."""

    agent_type: str
    agent_id: str
    session_id: str
    status: AgentStatus | str
    created_at: datetime
    started_at: datetime | None
    terminated_at: datetime | None
    memory_context: JsonMap
    task_history: list[JsonMap]
    performance_metrics: JsonMap
    agent_config: JsonMap
    tools_enabled: list[str]
    current_task: str | None
    task_status: TaskStatus | str | None
    parent_agent: str | None
    child_agents: list[str]
    collaboration_context: JsonMap


class Agents:
    """The agents in `memory`, one state for each session of each.

    Where an agent is asked for, give its state or the state's ``key``; parents and children are
    named by their keys too. ``history`` is how many of its newest tasks a state keeps, nearly: 100
    by default, and of those no more than 200,000 bytes.
    """

    def __init__(self, memory: MemoryManager, *, history: int = ENTRIES) -> None:
        self._memory = memory
        self._history = history
        self._bounded = Bounded(memory, {"task_history": history})

    def __repr__(self) -> str:
        return f"<Agents in {self._memory!r}>"

    @cached_property
    def memories(self) -> AgentMemories:
        """What the agents have learned over all their sessions."""
        return AgentMemories(self._memory)

    async def save(
        self, state: AgentState | None = None, /, **fields: Unpack[AgentStateFields]
    ) -> AgentState:
        """Store a state over what there was; returns it as stored.

        It is given ready, by its fields, or both: then they change it. It is active from now, and
        keeps the newest of its history. Use ``memory.put`` to store a state with the times it has.
        """
        given = made(AgentState, state, fields)
        saved = changes.as_saved(given, history=self._history)
        await self._memory.put(saved)
        return saved

    async def load(self, agent_type: str, agent_id: str, session_id: str) -> AgentState | None:
        """The agent's state in this session, ``None`` if there is none."""
        return await self._memory.get(
            AgentState, AgentState.key_of(agent_type, agent_id, session_id)
        )

    async def latest(self, agent_type: str, agent_id: str) -> AgentState | None:
        """The agent's state in the session it was last active in; ``None`` if it has none.

        Costs one read. Raises ``Unavailable`` where an outage hides whether there is any.
        """
        query = issued.states_of(agent_type=agent_type, agent_id=agent_id, page_size=1, limit=1)
        return first(await self._memory.find(query), query)

    async def resume(
        self, agent_type: str, agent_id: str, session_id: str | None = None
    ) -> AgentState | None:
        """Go on from the agent's latest state, and return it; ``None`` if it has none.

        Without a session, it is active again in the one it was in: one read, one write. In another
        session it gets a state that carries everything over: context, history, metrics, tools,
        parent and children, and the task it was at; one more read, and another where it goes back
        to a session it was in before. Safe to repeat, and possible in an outage where the agent is
        known. Raises ``Unavailable`` where it is not.
        """
        last = await self.latest(agent_type, agent_id)
        if last is None:
            return None
        if session_id is None or session_id == last.session_id:
            return await self._go_on(changes.resumed(last))
        empty = AgentState(agent_type=agent_type, agent_id=agent_id, session_id=session_id)
        if await self._is_new(empty.key):
            return await self._go_on(changes.carried_into(empty, last))
        return await self._memory.update(
            AgentState, empty.key, lambda found: changes.carried_into(found, last), or_create=empty
        )

    async def _is_new(self, key: str) -> bool:
        try:
            return await self._memory.get(AgentState, key) is None
        except Unavailable:
            # Nobody knows now. A state that is there after all is not written over.
            return True

    async def _go_on(self, state: AgentState) -> AgentState:
        await self._memory.write([changes.going_on(state)])
        return state

    async def states(
        self, agent_type: str, agent_id: str, **paging: Unpack[Paging]
    ) -> Page[AgentState]:
        """A page of the agent's states, that of its last active session first; 50 by default."""
        query = issued.states_of(agent_type=agent_type, agent_id=agent_id, **paging)
        return await self._memory.find(query)

    async def active(
        self, session_id: str | None = None, **paging: Unpack[Paging]
    ) -> Page[AgentState]:
        """A page of the agents that work or can be given work, of one session or of all.

        Their status is idle, active or busy. The last active one comes first; 50 a page by default.
        """
        query = issued.agents_in(session_id=session_id, statuses=changes.LIVE, **paging)
        return await self._memory.find(query)

    async def list(
        self,
        *,
        session_id: str | None = None,
        status: AgentStatus | str | None = None,
        **paging: Unpack[Paging],
    ) -> Page[AgentState]:
        """A page of the states of a session, with a status, or both, the last active one first.

        Without either they are all states, by their keys. 50 a page by default.
        """
        statuses = None if status is None else (status,)
        query = issued.agents_in(session_id=session_id, statuses=statuses, **paging)
        return await self._memory.find(query)

    async def set_status(
        self,
        agent: AgentState | str,
        status: AgentStatus | str,
        *,
        task: str | None = None,
        task_status: TaskStatus | str | None = None,
    ) -> None:
        """Note what the agent is doing from now on. Costs one write.

        `task` becomes its current one, in progress unless `task_status` says otherwise; what is not
        given stays. Raises ``Conflict`` if there is no such agent.
        """
        change = changes.status_change(agent, status, task=task, task_status=task_status)
        await self._memory.write([change])

    async def finish_task(self, agent: AgentState | str, task: str, **end: Unpack[TaskEnd]) -> None:
        """Note that a task has ended, in the agent's history and figures. Costs one write.

        ``task_status`` is completed by default, ``status``, what the agent is from now on, idle.
        ``seconds``, ``result`` and ``error`` go into the history. Every 32nd time or so, and more
        often for large results, the oldest of a history that is too long are removed: a read, and a
        write. Raises ``Conflict`` if there is no such agent, and ``InvalidRecord`` for a status
        that ends no task, or for more than 100,000 bytes.
        """
        change = changes.task_end(agent, task, **end)
        await self._memory.write([change])
        await self._bounded.grown(change.ref, change.add["task_history"])

    @asynccontextmanager
    async def task(self, agent: AgentState | str, task: str) -> AsyncGenerator[None]:
        """The agent is busy with a task inside ``async with``; how it ends is noted by itself.

        It is completed, or failed if an exception leaves the block, or cancelled.
        """
        await self.set_status(agent, AgentStatus.BUSY, task=task)
        began = monotonic()
        try:
            yield
        except (Exception, anyio.get_cancelled_exc_class()) as error:
            end = _failure(error, monotonic() - began)
            with anyio.move_on_after(last_words.SECONDS, shield=True):
                await self._note(agent, task, end)
            raise
        await self.finish_task(agent, task, seconds=monotonic() - began)

    async def _note(self, agent: AgentState | str, task: str, end: TaskEnd) -> None:
        """Finish a task whose own error must reach the caller, whatever happens here."""
        try:
            await self.finish_task(agent, task, **end)
        except OrchestraMemoryError as error:
            log.warning("the end of a failed task could not be noted: %s", type(error).__name__)

    async def count(self, agent: AgentState | str, /, **figures: float) -> None:
        """Add to figures of your own among the agent's metrics: ``count(agent, tokens=812)``.

        Costs one write, and none of what others add at the same time is lost. Raises ``Conflict``
        if there is no such agent.
        """
        await self._memory.write([changes.counted(agent, figures)])

    async def adopt(self, parent: AgentState | str, child: AgentState | str) -> None:
        """Make an agent the child of another, in one atomic write; both must be stored.

        Raises ``Conflict`` if one is not.
        """
        listed = changes.child_added(parent, child)
        await self._memory.write([listed, changes.parent_set(child, parent)])

    async def children(self, agent: AgentState | str) -> tuple[AgentState, ...]:
        """The agent's children that are still stored, in the order they came.

        The list is read as it is stored now; costs a read, and one for each child.
        """
        state = await self._memory.get(AgentState, changes.key_of_agent(agent))
        if state is None or not state.child_agents:
            return ()
        children = await self._memory.get_many(AgentState, state.child_agents)
        return tuple(child for child in children if child is not None)

    async def cleanup(self, *, days: float = 30, dry_run: bool = False) -> int:
        """Delete the states of terminated and failed agents last active so long ago; how many.

        An agent that comes back meanwhile stays. `dry_run` only counts, on the server. Raises
        ``Unavailable`` where an outage hides some; repeating it finishes the job.
        """
        query = issued.ended_before(changes.days_ago(days), page_size=PAGE)
        if dry_run:
            totals = await self._memory.aggregate(query, [Count()])
            return int(totals["count"] or 0)
        return await delete_unchanged(self._memory, query)


def _failure(error: BaseException, seconds: float) -> TaskEnd:
    if not isinstance(error, Exception):
        return {"task_status": TaskStatus.CANCELLED, "seconds": seconds}
    text = last_words.words_of(error, ERROR_LENGTH)
    return {"task_status": TaskStatus.FAILED, "seconds": seconds, "error": text}
