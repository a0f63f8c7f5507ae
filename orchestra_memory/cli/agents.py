"""Verbs about agents: list, show, stop, resume, cleanup."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import anyio

from ..domain.agents import Agents
from ..domain.coordination import Coordination
from ..domain.performance import performance
from ..errors import OrchestraMemoryError
from ..models import AgentState, AgentStatus
from ..operations import Options, Page
from ..protocol import MemoryManager
from .consent import Change, agreed
from .opening import opened, opened_to_write
from .output import emit, fields_of, show_facts, show_table
from .pages import show_page
from .verb import Target

COLUMNS: Final = ("active (UTC)", "agent", "status", "task", "session")
FRESH: Final = Options(cache="bypass")


class NoSuchAgent(OrchestraMemoryError):
    """No state is stored under this key, or for this agent."""


@dataclass(frozen=True, slots=True)
class Chosen:
    """Which agents, as the options say it."""

    session: str | None
    status: str | None
    everything: bool
    limit: int
    after: str | None


def list_(target: Target, chosen: Chosen) -> None:
    async def ask() -> Page[AgentState]:
        async with opened(target) as memory:
            return await _page(Agents(memory), chosen)

    show_page(target, anyio.run(ask), COLUMNS, _line)


async def _page(agents: Agents, chosen: Chosen) -> Page[AgentState]:
    if chosen.everything or chosen.status is not None:
        return await agents.list(
            session_id=chosen.session,
            status=chosen.status,
            page_size=chosen.limit,
            after=chosen.after,
        )
    return await agents.active(chosen.session, page_size=chosen.limit, after=chosen.after)


def _line(state: AgentState) -> Sequence[object]:
    # The key holds type, id and session: it is what the other verbs take.
    last = f"{state.last_active:%Y-%m-%d %H:%M}"
    return last, state.key, str(state.status), state.current_task, state.session_id


def show(target: Target, key: str) -> None:
    async def ask() -> tuple[AgentState, tuple[AgentState, ...]]:
        async with opened(target) as memory:
            state = await _state(memory, key)
            return state, await Agents(memory).children(state)

    state, children = anyio.run(ask)
    if target.as_json:
        emit({**fields_of(state), "key": state.key, "performance": _figures(state)})
        return
    show_facts({**_facts(state), **_figures(state)})
    if children:
        print("children:")
        show_table(COLUMNS, map(_line, children))


async def _state(memory: MemoryManager, key: str) -> AgentState:
    state = await memory.get(AgentState, key, options=FRESH)
    if state is None:
        raise NoSuchAgent(
            "there is no such agent in this namespace; orchestra-memory agents list --all has them"
        )
    return state


def _facts(state: AgentState) -> dict[str, object]:
    return {
        "agent": state.key,
        "type": state.agent_type,
        "id": state.agent_id,
        "session": state.session_id,
        "status": str(state.status),
        "task": state.current_task,
        "task_status": None if state.task_status is None else str(state.task_status),
        "created": state.created_at,
        "started": state.started_at,
        "last_active": state.last_active,
        "terminated": state.terminated_at,
        "parent": state.parent_agent,
        "children": len(state.child_agents),
        "tools": ", ".join(state.tools_enabled) or None,
        "tasks_in_history": len(state.task_history),
    }


def _figures(state: AgentState) -> dict[str, object]:
    found = performance(state)
    return {
        "completed": found.completed,
        "failed": found.failed,
        "cancelled": found.cancelled,
        "success_rate": found.success_rate,
        "mean_seconds": found.mean_seconds,
    }


def stop(target: Target, key: str, change: Change, *, reason: str | None) -> None:
    async def look() -> AgentState:
        async with opened(target) as memory:
            return await _state(memory, key)

    async def do() -> AgentState:
        async with opened_to_write(target, no_cache=change.no_cache) as memory:
            context = {} if reason is None else {"reason": reason}
            await Coordination(memory).terminate(key, context=context)
            return await _state(memory, key)

    found = anyio.run(look)
    if found.status == AgentStatus.TERMINATED:
        # Once more would be one more event, and count one agent less.
        _tell(target, found, "ended before")
        return
    _preview(target, found)
    agreed(target, f"stop the agent {key}", change)
    _tell(target, anyio.run(do), "stopped")


def resume(target: Target, who: tuple[str, str, str | None], change: Change) -> None:
    agent_type, agent_id, session = who

    async def look() -> AgentState:
        async with opened(target) as memory:
            return _known(await Agents(memory).latest(agent_type, agent_id))

    async def do() -> AgentState:
        async with opened_to_write(target, no_cache=change.no_cache) as memory:
            return _known(await Agents(memory).resume(agent_type, agent_id, session))

    last = anyio.run(look)
    _preview(target, last)
    agreed(target, f"resume {agent_type} {agent_id} in {session or last.session_id}", change)
    _tell(target, anyio.run(do), "resumed")


def _known(state: AgentState | None) -> AgentState:
    if state is None:
        raise NoSuchAgent("this agent has no state in this namespace; check its type and id")
    return state


def _preview(target: Target, state: AgentState) -> None:
    if not target.as_json:
        show_table(COLUMNS, [_line(state)])


def _tell(target: Target, state: AgentState, done: str) -> None:
    if target.as_json:
        emit({"done": done, "key": state.key, "status": str(state.status)})
    else:
        print(f"{done} {state.key}")


def cleanup(target: Target, days: float, change: Change) -> None:
    async def look() -> int:
        async with opened(target) as memory:
            return await Agents(memory).cleanup(days=days, dry_run=True)

    async def do() -> int:
        async with opened_to_write(target, no_cache=change.no_cache) as memory:
            return await Agents(memory).cleanup(days=days)

    found = anyio.run(look)
    if found:
        agreed(target, f"delete {found:,} states of agents that ended", change)
    deleted = anyio.run(do) if found else 0
    if target.as_json:
        emit({"deleted": deleted})
    else:
        print(f"deleted {deleted:,} states of agents that ended")
