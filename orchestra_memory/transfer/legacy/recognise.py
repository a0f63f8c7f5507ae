"""What a JSON value is, by its content first and the name of its file second."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from enum import StrEnum
from typing import Any, Final

from ..entries import as_list, as_map, is_map
from .agents import AGENT_ID, agent_memory, agent_state, monitoring
from .chats import chat_state, history_name
from .events import KIND, TIME, event
from .found import Found, Origin
from .system import configuration, system_state
from .taking import listed, snaked
from .words import event_type_of, status_of, words

UNKNOWN: Final = (
    "none of the known shapes; an agent's state has agent_id or status, an event has event_type, "
    "a chat has conversation_history"
)
_AGENTS: Final = ("agents", "agent_states")
_EVENTS: Final = ("events", "coordination_events", "activities", "activity_log", "log", "entries")
_SYSTEM: Final = ("system", "system_state")
_CONFIG: Final = ("config", "configuration", "settings")
_AFFIXES: Final = re.compile(
    r"^(?:agent|autonomous|monitoring)_(?=.)|(?<=.)_(?:state|agent)$", re.IGNORECASE
)
_EVENT_FILE: Final = re.compile(
    r"coordination|activity|(?:^|_)(?:events?|logs?)(?:_|$)", re.IGNORECASE
)
_SYSTEM_FILE: Final = re.compile(r"system|global", re.IGNORECASE)
_CONFIG_FILE: Final = re.compile(r"config|settings|feature_?flags", re.IGNORECASE)
_STATE: Final = words(
    "status agent_type task_history performance_metrics memory_context current_task child_agents "
    "tools_enabled parent_agent agent_config"
)
_LEARNED: Final = words(
    "learned_patterns decision_history learning_context performance_insights memory_types_count "
    "importance_distribution last_memory_sync"
)
_OF_SYSTEM: Final = words(
    "system_version total_agents_spawned current_agent_count feature_flags emergency_stop "
    "emergency_reason system_metrics global_config error_counts active_sessions"
)
_OF_EVENT: Final = words(
    "event_id source_agent target_agent source_agent_id target_agent_id from_agent to_agent "
    "source target event_type"
)


class Kind(StrEnum):
    """What a map is."""

    AGENT = "agent"
    LEARNED = "learned"
    MONITORING = "monitoring"
    EVENT = "event"
    SYSTEM = "system"
    CONFIG = "config"
    CHAT = "chat"


_WITH_LISTS: Final = frozenset({Kind.AGENT, Kind.LEARNED, Kind.EVENT, Kind.CHAT})


def agent_name(stem: str) -> str:
    """The agent a file is called after: ``agent_planner`` and ``planner_state`` are planner's."""
    return _AFFIXES.sub("", stem) or stem


def parsed(value: object, origin: Origin) -> Iterator[Found]:
    """Everything in the value of a file, in order."""
    if (items := as_list(value)) is not None:
        yield from _listed(items, origin, "")
    elif (values := as_map(value)) is not None:
        yield from _whole(values, origin, "")
    else:
        yield Found("", problem=f"the file holds {type(value).__name__}; {UNKNOWN}")


def _listed(items: list[Any], origin: Origin, at: str) -> Iterator[Found]:
    for number, item in enumerate(items, 1):
        inside = f"{at} {number}".strip() if at else f"entry {number}"
        values = as_map(item)
        if values is None:
            yield _no_map(item, inside)
        else:
            yield from _whole(values, origin, inside)


def _whole(values: Mapping[str, Any], origin: Origin, inside: str) -> Iterator[Found]:
    """A map, with the maps and lists of agents, events and settings it may hold."""
    held = [name for name in values if _holds(values, name)]
    if _recognised(_without(values, held)) in _WITH_LISTS:
        # A state may well have a list of the name "log"; it is part of it.
        held = [name for name in held if name.lower() in _AGENTS]
    for name in held:
        yield from _held(name.lower(), values[name], origin, f"{inside} {name}".strip())
    left = _without(values, held)
    if not held or _recognised(left) is not None:
        yield from _one(left, origin, inside)
    elif left:
        yield _beside(left, inside)


def _without(values: Mapping[str, Any], held: list[str]) -> dict[str, Any]:
    return {name: value for name, value in values.items() if name not in held}


def _beside(left: Mapping[str, Any], inside: str) -> Found:
    """What lies beside agents or events, such as a version: of no record."""
    return Found(inside, warnings=(f"of no record, left out: {listed(left)}",))


def _holds(values: Mapping[str, Any], name: str) -> bool:
    """Whether the field is a container of records, and not a field of one."""
    word, value = name.lower(), values[name]
    if word in _AGENTS:
        agents = as_map(value)
        items = as_list(value) if agents is None else list(agents.values())
        # One that is broken leaves the others agents; figures about agents are none.
        return items == [] or sum(map(is_map, items or ())) > len(items or ()) / 2
    if word in _EVENTS:
        return as_list(value) is not None
    if word in _SYSTEM:
        return as_map(value) is not None and not snaked(values) & _STATE
    return False


def _held(word: str, value: Any, origin: Origin, at: str) -> Iterator[Found]:  # noqa: ANN401
    if word in _AGENTS:
        agents = as_map(value)
        named = agents.items() if agents else enumerate(as_list(value) or [], 1)
        for name, item in named:
            given, inside = name if isinstance(name, str) else None, f"{at} {name}"
            state = as_map(item)
            if state is None:
                yield _no_map(item, inside)
            else:
                yield from _agent(state, origin, inside, given)
    elif word in _EVENTS:
        for number, item in enumerate(value, 1):
            values = as_map(item)
            inside = f"{at} {number}"
            if values is None:
                yield _no_map(item, inside)
            elif _recognised(values) in (Kind.CHAT, Kind.AGENT):
                yield from _one(values, origin, inside)
            else:
                yield event(values, origin, inside)
    else:
        yield system_state(value, at)


def _no_map(item: object, inside: str) -> Found:
    return Found(inside, problem=f"{type(item).__name__}, not a map; {UNKNOWN}")


def _one(values: Mapping[str, Any], origin: Origin, inside: str) -> Iterator[Found]:
    kind = _recognised(values) or _by_name(origin.name, values)
    origin_of_agent = Origin(agent_name(origin.name), origin.time)
    match kind:
        case Kind.AGENT:
            yield from _agent(values, origin_of_agent, inside)
        case Kind.CHAT:
            yield from chat_state(values, origin, inside)
        case Kind.LEARNED:
            yield agent_memory(values, origin_of_agent, inside)
        case Kind.MONITORING:
            yield monitoring(values, origin_of_agent, inside)
        case Kind.EVENT:
            yield event(values, origin, inside)
        case Kind.SYSTEM:
            yield system_state(values, inside)
        case Kind.CONFIG:
            yield configuration(values, inside)
        case None:
            yield Found(inside, problem=UNKNOWN if values else "empty")


def _agent(
    values: Mapping[str, Any], origin: Origin, inside: str, name: str | None = None
) -> Iterator[Found]:
    """An agent's state; what was said to it are items of their own."""
    history = history_name(values)
    state = {key: value for key, value in values.items() if key != history}
    yield agent_state(state, origin, inside, name)
    if history is not None:
        yield from chat_state(_chat_of(values, history), origin, inside)


def _chat_of(values: Mapping[str, Any], history: str) -> dict[str, Any]:
    """The conversation in an agent's state: of its user and session."""
    shared = ("user_id", "user", "session_id", "conversation_id")
    return {name: values[name] for name in (*shared, history) if name in values}


def _recognised(values: Mapping[str, Any]) -> Kind | None:
    """What the map is by its fields alone."""
    names = snaked(values)
    named = bool(names & {"agent_id", "agent_name"})
    if history_name(values) is not None and not (names & (_STATE - {"status"})):
        return Kind.CHAT
    if _is_event(values, names):
        return Kind.EVENT
    if names & _LEARNED and not names & {"status", "task_history"}:
        return Kind.LEARNED
    if names & _OF_SYSTEM and not named:
        return Kind.SYSTEM
    if named or len(names & _STATE) > 1 or (names & _STATE and names & set(AGENT_ID)):
        return Kind.AGENT
    if "status" in names and names & {"last_active", "last_activity", "last_heartbeat"}:
        return Kind.MONITORING
    return Kind.AGENT if names & (_STATE - {"status"}) else None


def _is_event(values: Mapping[str, Any], names: set[str]) -> bool:
    if "event_type" in names or "event_id" in names:
        return True
    if names & _STATE - {"status", "agent_type"}:
        return False
    word = next((values[name] for name in KIND if isinstance(values.get(name), str)), None)
    if word is None:
        return len(names & _OF_EVENT) > 1
    is_kind = event_type_of(word) is not None or bool(names & {"event", "action", "activity"})
    return is_kind and bool(names & {*TIME, *_OF_EVENT})


def _by_name(name: str, values: Mapping[str, Any]) -> Kind | None:
    """What the map is by the name of its file, where its fields leave it open."""
    if not values:
        return None
    if _CONFIG_FILE.search(name):
        return Kind.CONFIG
    if _EVENT_FILE.search(name):
        return Kind.EVENT
    status = values.get("status", values.get("state"))
    if re.search("monitor", name, re.IGNORECASE) and isinstance(status, str):
        return Kind.MONITORING
    if _SYSTEM_FILE.search(name):
        return Kind.SYSTEM
    if isinstance(status, str) and status_of(status) is not None:
        return Kind.AGENT
    return Kind.AGENT if _AFFIXES.search(name) else None
