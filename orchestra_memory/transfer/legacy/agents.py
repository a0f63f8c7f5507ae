"""Agent states, monitoring files and what agents have learned."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final

from ...models import AgentMemory, AgentState, AgentStatus, TaskStatus
from .found import Found, Origin, found
from .taking import Fields, with_rest
from .words import plain_word, status_of, task_status_of, words

UNKNOWN_TYPE: Final = "agent"
"""The type of an agent whose state tells none."""
UNKNOWN_SESSION: Final = "migrated"
"""The session of a state that tells none."""
SYSTEM_TYPE: Final = "System"
"""The type of the agent that a monitoring file becomes."""
SESSION: Final = ("session_id", "session")
AGENT_ID: Final = ("agent_id", "id", "name", "agent", "agent_name")
AGENT_TYPE: Final = ("agent_type", "type", "role", "agent_class", "kind")
_FIGURES: Final = words(
    "tasks_completed tasks_failed tasks_total total_tasks success_rate error_rate error_count "
    "uptime uptime_seconds cpu cpu_usage cpu_percent memory_usage memory_percent disk_usage "
    "average_response_time avg_response_time response_time latency requests throughput"
)
"""Figures that lie beside the metrics in states that have no map for them."""


def agent_state(
    values: Mapping[str, Any], origin: Origin, inside: str, agent_id: str | None = None
) -> Found:
    """One agent state. `agent_id` is the name it goes by where it has none of its own."""
    fields = Fields(values)
    given: dict[str, Any] = {
        "agent_id": _or_told(fields, fields.text(*AGENT_ID), agent_id or origin.name, "agent_id"),
        "agent_type": _or_told(fields, fields.text(*AGENT_TYPE), UNKNOWN_TYPE, "agent_type"),
    }
    return _state(fields, given, origin, inside)


def monitoring(values: Mapping[str, Any], origin: Origin, inside: str) -> Found:
    """A monitoring file: the state of an agent of type ``System`` with the file's name."""
    fields = Fields(values)
    given: dict[str, Any] = {
        "agent_id": fields.text("name", "service", "component") or origin.name,
        "agent_type": SYSTEM_TYPE,
    }
    return _state(fields, given, origin, inside)


def _state(fields: Fields, given: dict[str, Any], origin: Origin, inside: str) -> Found:
    session = fields.text(*SESSION)
    given["session_id"] = _or_told(fields, session, UNKNOWN_SESSION, "session_id")
    given["status"] = _status(fields)
    given |= _times(fields, origin)
    given |= _work(fields)
    metrics = fields.map_if("performance_metrics", "metrics", "performance", "stats", "statistics")
    given |= {
        "agent_config": fields.map_if("agent_config", "config", "configuration", "settings"),
        "tools_enabled": fields.texts("tools_enabled", "tools", "enabled_tools"),
        "parent_agent": fields.text("parent_agent", "parent", "parent_id", "parent_agent_id"),
        "child_agents": fields.texts("child_agents", "children", "spawned_agents"),
        "collaboration_context": fields.map_if("collaboration_context", "collaboration"),
    }
    context = fields.map_if("memory_context", "context", "memory", "state")
    figures = _figures(fields)
    given["performance_metrics"] = with_rest(metrics or {}, figures) if figures else metrics
    given["memory_context"] = fields.kept_in("memory_context", context)
    return found(AgentState, inside, given, fields.warnings)


def _or_told(fields: Fields, value: str | None, default: str, name: str) -> str:
    if value is None:
        fields.note(f"no {name}; {default!r} is used")
    return value or default


def _status(fields: Fields) -> AgentStatus | str:
    if (running := fields.flag_if("status", "running", "is_running", "is_active")) is not None:
        return AgentStatus.ACTIVE if running else AgentStatus.TERMINATED
    word = fields.text_if("status", "state", "agent_status", "lifecycle_state")
    if word is None:
        fields.note("no status; 'idle' is used")
        return AgentStatus.IDLE
    status = status_of(word)
    if status is None:
        fields.note("status is a word that is not known here; kept as it is")
    return status or plain_word(word) or AgentStatus.IDLE


def _times(fields: Fields, origin: Origin) -> dict[str, datetime | None]:
    created = fields.time("created_at", "created", "creation_time", "spawned_at")
    started = fields.time("started_at", "started", "start_time")
    ended = fields.time("terminated_at", "stopped_at", "ended_at", "end_time", "finished_at")
    active = fields.time(
        "last_active",
        "last_activity",
        "last_seen",
        "last_heartbeat",
        "last_update",
        "last_updated",
        "updated_at",
        "timestamp",
    )
    known = [time for time in (created, started, active, ended) if time is not None]
    if not known:
        fields.note(f"tells no time; {origin.time:%Y-%m-%d} is used")
    elif created is None or active is None:
        missing = "created_at" if created is None else "last_active"
        fields.note(f"no {missing}; taken from its other times")
    return {
        "created_at": created or min(known, default=origin.time),
        "started_at": started,
        "last_active": active or max(known, default=origin.time),
        "terminated_at": ended,
    }


def _work(fields: Fields) -> dict[str, Any]:
    """What the agent does, and what it did."""
    task_status = fields.text("task_status", "current_task_status")
    task = fields.text_if("current_task", "task", "current_action")
    if task is None and (whole := fields.map_if("current_task", "task")) is not None:
        inner = Fields(whole)
        task = inner.text("id", "task_id", "name", "title", "description")
        task_status = task_status or inner.text("status", "state")
        fields.put("current_task", whole)
    return {
        "current_task": task,
        "task_status": _task_status(fields, task_status),
        "task_history": fields.maps(
            "task_history", "tasks", "history", "completed_tasks", called="task"
        ),
    }


def _task_status(fields: Fields, word: str | None) -> TaskStatus | str | None:
    if word is None:
        return None
    status = task_status_of(word)
    if status is None:
        fields.note("task_status is a word that is not known here; kept as it is")
    return status or plain_word(word)


def _figures(fields: Fields) -> dict[str, float]:
    taken = {name: fields.number(name) for name in sorted(_FIGURES)}
    return {name: value for name, value in taken.items() if value is not None}


def agent_memory(
    values: Mapping[str, Any], origin: Origin, inside: str, agent_id: str | None = None
) -> Found:
    """What one agent has learned."""
    fields = Fields(values)
    agent = fields.text(*AGENT_ID)
    kind = fields.text(*AGENT_TYPE)
    given: dict[str, Any] = {
        "agent_id": _or_told(fields, agent, agent_id or origin.name, "agent_id"),
        "agent_type": _or_told(fields, kind, UNKNOWN_TYPE, "agent_type"),
        "memory_count": fields.whole("memory_count"),
        "last_memory_sync": fields.time("last_memory_sync", "last_sync"),
        "learned_patterns": fields.maps("learned_patterns", "patterns", called="pattern"),
        "decision_history": fields.maps("decision_history", "decisions", called="decision"),
        "performance_insights": fields.map("performance_insights", "insights"),
        "memory_types_count": fields.counts("memory_types_count"),
        "importance_distribution": fields.counts("importance_distribution"),
        "recent_activity": fields.maps("recent_activity", called="activity"),
    }
    context = fields.map("learning_context", "learning")
    given["learning_context"] = fields.kept_in("learning_context", context)
    return found(AgentMemory, inside, given, fields.warnings)
