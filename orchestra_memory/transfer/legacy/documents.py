"""Documents of a database that an earlier system wrote: their own ids, times as text."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final

from ...models import (
    AgentData,
    AgentMemory,
    AgentState,
    CoordinationEvent,
    MemoryItem,
    MemoryRecord,
    SystemState,
    UserSession,
)
from ...record import EXPIRATION, Record, spec_of
from .agents import agent_memory, agent_state
from .events import event
from .found import Found, Origin, found
from .system import system_state
from .taking import Fields
from .times import moment_of

_TIMES: Final[Mapping[type[Record], tuple[str, ...]]] = {
    MemoryItem: ("timestamp", EXPIRATION),
    MemoryRecord: ("timestamp",),
    AgentData: ("timestamp", EXPIRATION),
    UserSession: ("created_at", "last_active", "ended_at"),
}
_ASKED: Final = ("timestamp", "created_at", "last_active")
"""Times without which there is no record."""


def document(model: type[Record], key: str, values: Mapping[str, Any], origin: Origin) -> Found:
    """The record in the document that was stored as `key` in the model's collection."""
    if model is AgentState:
        return agent_state(values, origin, key, _agent_of(key, values))
    if model is AgentMemory:
        return agent_memory(values, origin, key, _agent_of(key, values))
    if model is CoordinationEvent:
        return event(values, origin, key, key)
    return system_state(values, key) if model is SystemState else _plain(model, key, values, origin)


def _agent_of(key: str, values: Mapping[str, Any]) -> str | None:
    """The agent's part of an id that joins type, agent and session, where its fields tell these."""
    kind, session = values.get("agent_type"), values.get("session_id")
    rest = key
    if isinstance(kind, str):
        rest = rest.removeprefix(f"{kind}_")
    if isinstance(session, str):
        rest = rest.removesuffix(f"_{session}")
    return rest or None


def _plain(model: type[Record], key: str, values: Mapping[str, Any], origin: Origin) -> Found:
    """Fields by their own names; what the model lacks goes into its metadata."""
    fields = Fields(values)
    times = _TIMES.get(model, ())
    given: dict[str, Any] = {name: fields.time(name) for name in times}
    for name in times:
        if given[name] is None and name in _ASKED:
            fields.note(f"no {name}; {origin.time:%Y-%m-%d} is used")
            given[name] = origin.time
    for name in model.model_fields:
        if name not in times and name != "metadata":
            given[name] = fields.take(lambda value: value, name)
    names = spec_of(model).key
    if len(names) == 1:
        given[names[0]] = given[names[0]] or key
    given["metadata"] = fields.kept_in("metadata", fields.map("metadata"))
    return found(model, key, given, fields.warnings)


def is_expired(values: Mapping[str, Any], now: datetime) -> bool:
    """Whether the document counts as gone."""
    moment = moment_of(values.get(EXPIRATION))
    return moment is not None and moment.value <= now
