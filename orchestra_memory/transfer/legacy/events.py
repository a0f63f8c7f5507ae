"""Coordination and activity logs."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Final

from ...domain.shards import shard_of
from ...models import CoordinationEvent
from ..chats import item_id
from .found import Found, Origin, found
from .taking import Fields, with_rest
from .words import event_type_of, outcome_of, plain_word

KIND: Final = ("event_type", "event", "type", "kind", "action", "activity", "activity_type")
TIME: Final = ("timestamp", "time", "created_at", "occurred_at", "datetime", "date", "ts")
UNKNOWN_KIND: Final = "activity"
"""The kind of an event that tells none."""
_SOURCE: Final = ("source_agent_id", "source_agent", "source", "from_agent", "from")
_TARGET: Final = ("target_agent_id", "target_agent", "target", "to_agent", "to")
_ACTOR: Final = ("agent_id", "agent", "agent_name", "actor")
_CHILD: Final = ("child_agent", "child_agent_id", "child_id", "spawned_agent")
_PARENT: Final = ("parent_agent", "parent_agent_id", "parent_id")
_CONTEXTS: Final = ("context", "data", "details", "payload", "metadata")


def event(
    values: Mapping[str, Any], origin: Origin, inside: str, event_id: str | None = None
) -> Found:
    """One event. Without an id of its own it gets one that is made of its content."""
    fields = Fields(values)
    given: dict[str, Any] = {"event_id": fields.text("event_id", "id", "uuid") or event_id}
    if given["event_id"] is None:
        given["event_id"] = item_id("event", _text_of(values))
        fields.note("no event_id; one is made of its content")
    given["event_type"] = _kind(fields)
    given["timestamp"] = fields.time(*TIME)
    if given["timestamp"] is None:
        given["timestamp"] = origin.time
        fields.note(f"tells no time; {origin.time:%Y-%m-%d} is used")
    # Not now: those who follow the events have seen these in the earlier system.
    given["committed_at"] = fields.time("committed_at") or given["timestamp"]
    given["shard"] = shard_of(given["event_id"])
    given |= _agents(fields) | _outcome(fields)
    given["task_context"] = fields.map_if("task_context", "task")
    given["context"] = fields.kept_in("context", _context(fields))
    return found(CoordinationEvent, inside, given, fields.warnings)


def _text_of(values: Mapping[str, Any]) -> str:
    """The same for the same event, in whatever order its fields are."""
    return json.dumps(values, sort_keys=True, default=str)


def _kind(fields: Fields) -> str:
    """Our name for the kind of event; one that is not known keeps its own, in the context too."""
    told = fields.text(*KIND)
    if told is None:
        fields.note(f"no event_type; {UNKNOWN_KIND!r} is used")
        return UNKNOWN_KIND
    if (kind := event_type_of(told)) is not None:
        return kind
    fields.put("event_type", told)
    fields.note("event_type is a word that is not known here; kept as it is")
    return plain_word(told) or UNKNOWN_KIND


def _agents(fields: Fields) -> dict[str, str | None]:
    """Who acted on whom. An agent that stands alone is the one that acted."""
    source, source_type = _agent(fields, (*_SOURCE, *_PARENT), "source")
    target, target_type = _agent(fields, (*_TARGET, *_CHILD), "target")
    actor, actor_type = _agent(fields, _ACTOR, "agent")
    if source is None:
        source, source_type = actor, source_type or actor_type
    elif target is None:
        target, target_type = actor, target_type or actor_type
    elif actor is not None and actor not in (source, target):
        fields.put("agent_id", actor)
    return {
        "source_agent_id": source,
        "source_agent_type": source_type,
        "target_agent_id": target,
        "target_agent_type": target_type,
    }


def _agent(fields: Fields, names: tuple[str, ...], side: str) -> tuple[str | None, str | None]:
    types = (f"{side}_agent_type", f"{side}_type")
    if (whole := fields.map_if(*names)) is None:
        return fields.text(*names), fields.text(*types)
    inner = Fields(whole)
    agent = inner.text("agent_id", "id", "name")
    kind = inner.text("agent_type", "type", "role")
    if left := inner.rest():
        fields.put(f"{side}_agent", left)
    return agent, kind or fields.text(*types)


def _outcome(fields: Fields) -> dict[str, Any]:
    success = fields.take(outcome_of, "success", "succeeded", "ok")
    if success is None:
        success = fields.take_if(outcome_of, "status", "result", "outcome")
    seconds = fields.number("duration_seconds", "duration", "elapsed", "elapsed_seconds")
    if seconds is None and (millis := fields.number("duration_ms", "elapsed_ms")) is not None:
        seconds = millis / 1000
    error = fields.text("error_message", "error", "exception")
    if success is None and error is not None:
        success = False
    return {
        "success": success,
        "error_message": error,
        "duration_seconds": None if seconds is None else float(seconds),
    }


def _context(fields: Fields) -> dict[str, Any] | None:
    """All the free maps of an event in one."""
    whole: dict[str, Any] | None = None
    for name in _CONTEXTS:
        if (free := fields.map_if(name)) is not None:
            whole = free if whole is None else with_rest(whole, free)
    return whole
