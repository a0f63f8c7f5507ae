"""System and configuration files. They all describe the one system, and become one record."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from ...models import SystemState
from ..entries import is_map
from .found import Found, found
from .taking import Fields, listed, with_rest

_FREE: Final = frozenset({"system_metrics", "global_config"})


def system_state(values: Mapping[str, Any], inside: str) -> Found:
    """What a system file tells."""
    fields = Fields(values)
    given: dict[str, Any] = {
        "system_version": fields.text("system_version", "version"),
        "active_sessions": fields.whole("active_sessions"),
        "total_agents_spawned": fields.whole("total_agents_spawned", "total_agents"),
        "current_agent_count": fields.whole("current_agent_count", "agent_count", "active_agents"),
        "error_counts": fields.counts("error_counts", "errors"),
        "emergency_stop": fields.flag("emergency_stop"),
        "emergency_reason": fields.text("emergency_reason", "emergency_stop_reason"),
        "system_metrics": fields.map_if("system_metrics", "metrics"),
    }
    config = fields.map_if("global_config", "config", "configuration", "settings")
    flags, others = _flags(fields.map_if("feature_flags", "features", "flags"))
    given["feature_flags"] = flags
    config = with_rest(config or {}, {"feature_flags": others}) if others else config
    given["global_config"] = fields.kept_in("global_config", config)
    if given["emergency_stop"]:
        fields.note("an emergency stop is set; agents that ask stop until it is lifted")
    return found(SystemState, inside, given, fields.warnings)


def configuration(values: Mapping[str, Any], inside: str) -> Found:
    """What a configuration file tells: all of it is configuration, but for the flags."""
    fields = Fields(values)
    flags, others = _flags(fields.map_if("feature_flags", "features", "flags"))
    config = fields.rest() | ({"feature_flags": others} if others else {})
    given = {"feature_flags": flags, "global_config": config or None}
    return found(SystemState, inside, given, fields.warnings)


def _flags(values: dict[str, Any] | None) -> tuple[dict[str, bool] | None, dict[str, Any]]:
    """The flags, and what is called so but is more than true or false."""
    if values is None:
        return None, {}
    flags = {name: value for name, value in values.items() if isinstance(value, bool)}
    return flags, {name: value for name, value in values.items() if name not in flags}


def joined(parts: Sequence[tuple[str, Found]]) -> Found | None:
    """One record of the parts of all places, or none.

    Where two tell different things, the first holds. In free maps the other is kept beside it.
    """
    given: dict[str, Any] = {}
    warnings: list[str] = []
    for place, part in parts:
        for name in told(part):
            note = _join(given, name, getattr(part.record, name))
            warnings += [f"{place}: {note}"] if note else []
    return found(SystemState, "", given, warnings) if given else None


def told(part: Found) -> list[str]:
    """The fields a part tells."""
    return [name for name in SystemState.model_fields if name not in {"id", *part.defaulted}]


def _join(given: dict[str, Any], name: str, value: object) -> str | None:
    """Add `value` to what is given; a note on what differs from what was told before."""
    held = given.get(name)
    if not is_map(value) or not is_map(held):
        given[name] = given.get(name, value)
        return None if given[name] == value else f"{name} was told before, and differs; left out"
    clash = {key for key in value if key in held and held[key] != value[key]}
    if name in _FREE:
        given[name] = with_rest(
            held, {k: v for k, v in value.items() if k not in held or k in clash}
        )
        what = "kept as legacy_..."
    else:
        given[name] = {**value, **held}
        what = "left out"
    return f"{name}: {listed(clash)} told before, and differ; {what}" if clash else None
