"""What happens to the stored state of an agent, as values: made here, written by the services.

A service that writes more in the same commit, an event for instance, takes its changes from here.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any, Final, TypedDict, Unpack

from ..errors import InvalidQuery
from ..models import AgentState, AgentStatus, TaskStatus
from ..operations import Patch, Ref
from ..values import JsonLike, utc_now
from .bounded import checked_entries, newest
from .entries import check_names, entry_of
from .performance import carried_over, raised_by

LIVE: Final = (AgentStatus.IDLE, AgentStatus.ACTIVE, AgentStatus.BUSY)
"""Statuses of agents that work, or can be given work."""
_AT_WORK: Final = (AgentStatus.ACTIVE, AgentStatus.BUSY)
MAX_DAYS: Final = 36_500


class TaskEnd(TypedDict, total=False):
    """How a task ended.

    ``task_status`` is completed by default, ``status`` what the agent is from then on, idle by
    default. ``seconds`` is how long it took; ``result`` and ``error`` are kept in the history.
    """

    task_status: TaskStatus
    status: AgentStatus | str
    seconds: float | None
    result: JsonLike
    error: str | None


def key_of_agent(agent: AgentState | str) -> str:
    """The key of an agent's state, which stands for it in other records."""
    return agent if isinstance(agent, str) else agent.key


def ref_of_agent(agent: AgentState | str) -> Ref[AgentState]:
    return Ref(AgentState, key_of_agent(agent))


def as_saved(state: AgentState, *, history: int) -> AgentState:
    """The state as it is stored now: active at this moment, with the newest of its history."""
    now = utc_now()
    ended = (state.terminated_at or now) if state.status == AgentStatus.TERMINATED else None
    started = state.started_at or (now if state.status in _AT_WORK else None)
    return state.evolve(
        last_active=now,
        started_at=started,
        terminated_at=ended,
        task_history=newest(state.task_history, history),
    )


def status_change(
    agent: AgentState | str,
    status: AgentStatus | str,
    *,
    task: str | None = None,
    task_status: TaskStatus | str | None = None,
) -> Patch:
    """The agent is this from now on; a task given without its status is in progress."""
    changes = _active_now(status)
    if task is not None:
        changes["current_task"] = task
        task_status = task_status or TaskStatus.IN_PROGRESS
    if task_status is not None:
        changes["task_status"] = task_status
    return Patch(ref_of_agent(agent), set=changes, unset=_not_terminated(status))


def task_end(agent: AgentState | str, task: str, **end: Unpack[TaskEnd]) -> Patch:
    """The agent's task has ended: noted in its history, counted in its figures."""
    check_names(end, TaskEnd, "finish_task")
    task_status = end.get("task_status", TaskStatus.COMPLETED)
    status = end.get("status", AgentStatus.IDLE)
    figures = raised_by(task_status, end.get("seconds"))
    changes = _active_now(status) | {"task_status": task_status}
    entry = {"task": task, "status": task_status, "ended_at": changes["last_active"]}
    told = {name: end.get(name) for name in ("seconds", "result", "error")}
    entry |= {name: value for name, value in told.items() if value is not None}
    change = Patch(
        ref_of_agent(agent),
        set=changes,
        increment={f"performance_metrics.{name}": by for name, by in figures.items()},
        add={"task_history": [entry]},
        unset=("current_task", *_not_terminated(status)),
    )
    return checked_entries(change)


def counted(agent: AgentState | str, figures: dict[str, float]) -> Patch:
    """So much is added to figures of the agent's own choice."""
    return Patch(
        ref_of_agent(agent),
        set={"last_active": utc_now()},
        increment={
            entry_of(AgentState, "performance_metrics", name): by for name, by in figures.items()
        },
    )


def child_added(parent: AgentState | str, child: AgentState | str) -> Patch:
    """The parent lists the child, once."""
    return Patch(ref_of_agent(parent), add={"child_agents": [key_of_agent(child)]})


def parent_set(child: AgentState | str, parent: AgentState | str) -> Patch:
    """The child names its parent."""
    return Patch(ref_of_agent(child), set={"parent_agent": key_of_agent(parent)})


def resumed(last: AgentState) -> AgentState:
    """The state as it goes on in its own session."""
    now = utc_now()
    return last.evolve(
        status=AgentStatus.ACTIVE, started_at=now, last_active=now, terminated_at=None
    )


def going_on(state: AgentState) -> Patch:
    """What makes the stored state go on as `state` does, and stores all of it where none is.

    Whoever resumes the agent at the same time, or has already worked on, loses nothing.
    """
    changes = {name: getattr(state, name) for name in ("status", "started_at", "last_active")}
    return Patch(ref_of_agent(state), set=changes, unset=("terminated_at",), or_create=state)


def carried_into(found: AgentState, last: AgentState) -> AgentState:
    """The state of a session in which the agent goes on from its last one.

    `found` is what it had there before, an empty state if nothing.
    """
    children = dict.fromkeys([*last.child_agents, *found.child_agents])
    return resumed(last).evolve(
        session_id=found.session_id,
        created_at=found.created_at,
        child_agents=list(children),
        performance_metrics=carried_over(last.performance_metrics, found.performance_metrics),
    )


def days_ago(days: float) -> datetime:
    """The time so many days ago. Raises ``InvalidQuery`` outside of 0 to 36,500."""
    if not 0 <= days <= MAX_DAYS:
        raise InvalidQuery(f"days must be a number from 0 to {MAX_DAYS:,}", field="days")
    return utc_now() - timedelta(days=days)


def _active_now(status: AgentStatus | str) -> dict[str, Any]:
    now = utc_now()
    changes = {"status": status, "last_active": now}
    return changes | {"terminated_at": now} if status == AgentStatus.TERMINATED else changes


def _not_terminated(status: AgentStatus | str) -> tuple[str, ...]:
    return () if status == AgentStatus.TERMINATED else ("terminated_at",)
