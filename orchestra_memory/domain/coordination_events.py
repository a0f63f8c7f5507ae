"""Acts between agents as values: the events, and what else one commit writes with them."""

from __future__ import annotations

from typing import Any, Final

from ..errors import InvalidRecord
from ..models import AgentState, AgentStatus, CoordinationEvent, CoordinationEventType, TaskStatus
from ..operations import Op, Put
from ..record import spec_of
from .agent_changes import as_saved, child_added, key_of_agent, status_change
from .bounded import ENTRIES
from .last_words import storable, words_of

MAX_MESSAGE: Final = 2_000
"""Characters that are kept of an error's message."""


def source(agent: AgentState | str | None) -> dict[str, str]:
    """The fields that say who acts."""
    return _fields("source", agent)


def target(agent: AgentState | str | None) -> dict[str, str]:
    """The fields that say on whom somebody acts."""
    return _fields("target", agent)


def _fields(role: str, agent: AgentState | str | None) -> dict[str, str]:
    if agent is None:
        return {}
    agent_type, agent_id = _named(agent)
    return {f"{role}_agent_type": agent_type, f"{role}_agent_id": agent_id}


def _named(agent: AgentState | str) -> tuple[str, str]:
    """The type and the id of an agent. Raises ``InvalidRecord`` for what is no key of a state."""
    if isinstance(agent, AgentState):
        return agent.agent_type, agent.agent_id
    parts = AgentState.key_parts(agent)
    if len(parts) != len(spec_of(AgentState).key) or not all(parts):
        raise InvalidRecord(
            "an agent is given as its AgentState or as the key of one; make that with "
            "AgentState.key_of(agent_type, agent_id, session_id)",
            model=AgentState.__name__,
            field="agent_id",
        )
    return parts[0], parts[1]


def told(error: BaseException | str) -> dict[str, Any]:
    """The fields that say what went wrong."""
    if isinstance(error, str):
        kind, message = "error", storable(error, MAX_MESSAGE)
    else:
        kind, message = type(error).__name__, words_of(error, MAX_MESSAGE)
    return {"success": False, "error_kind": kind, "error_message": message}


def spawned(child: AgentState, parent: AgentState | str | None) -> AgentState:
    """The child as it is stored."""
    if parent is not None:
        child = child.evolve(parent_agent=key_of_agent(parent))
    return as_saved(child, history=ENTRIES)


def spawning(
    event: CoordinationEvent, child: AgentState, parent: AgentState | str | None
) -> list[Op]:
    """A spawn: the event, the child's state and its place in the parent's list."""
    listed = [] if parent is None else [child_added(parent, child)]
    return [Put(event), Put(child), *listed]


def terminating(event: CoordinationEvent, agent: AgentState | str) -> list[Op]:
    """An end: the event and the agent's state."""
    return [Put(event), status_change(agent, AgentStatus.TERMINATED)]


def failing(event: CoordinationEvent, agent: AgentState | str) -> list[Op]:
    """A failure: the event and the agent's state; with a task, that has failed, too."""
    task = event.task_context.get("task_id")
    if not isinstance(task, str):
        return [Put(event), status_change(agent, AgentStatus.ERROR)]
    change = status_change(agent, AgentStatus.ERROR, task=task, task_status=TaskStatus.FAILED)
    return [Put(event), change]


SPAWN: Final = CoordinationEventType.SPAWN
HANDOFF: Final = CoordinationEventType.HANDOFF
COLLABORATION: Final = CoordinationEventType.COLLABORATION
TERMINATION: Final = CoordinationEventType.TERMINATION
ERROR: Final = CoordinationEventType.ERROR
