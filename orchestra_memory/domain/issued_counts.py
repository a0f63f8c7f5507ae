"""The queries by which figures are made, each built by one function here; see `issued`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any, Final, TypeAlias

from ..conditions import Operator
from ..models import AgentState, AgentStatus, CoordinationEvent, CoordinationEventType
from ..operations import Average, Count, Measure, Sum
from ..queries import Query, between
from ..record import Record
from ..values import utc_now
from .performance import CARRIED, COUNTED

Condition: TypeAlias = tuple[str, Operator, Any]

DURATION: Final = Average("seconds", of="duration_seconds")
METRICS: Final = "performance_metrics"
TASK_SUMS: Final[tuple[Measure, ...]] = tuple(
    Sum(name, of=f"{METRICS}.{name}")
    for figure in COUNTED
    for name in (figure, f"{CARRIED}.{figure}")
)
"""What tasks of states came to, with what these had begun with."""


def events_in(
    start: datetime | None,
    end: datetime | None,
    equal: Mapping[str, str | bool | None],
    *,
    shards: Sequence[int],
) -> Query[CoordinationEvent]:
    """Events in a span of time whose fields have these values; ``None`` is a value, too."""
    if start is None and end is None:
        # Of all times: then one scan will do for all shards.
        return Query(CoordinationEvent, where=_equal(equal))
    return Query(
        CoordinationEvent,
        where=[
            ("shard", "in", list(shards)),
            *_equal(equal),
            *between("timestamp", start, end),
        ],
        order_by="-timestamp",
    )


def errors_of(*, agent_type: str, agent_id: str | None = None) -> Query[CoordinationEvent]:
    """Errors of an agent, or of all agents of a type."""
    equal: dict[str, str | bool | None] = {
        "event_type": CoordinationEventType.ERROR,
        "source_agent_type": agent_type,
    }
    if agent_id is not None:
        equal["source_agent_id"] = agent_id
    return Query(CoordinationEvent, where=_equal(equal))


def states_counted(*, agent_type: str, agent_id: str | None = None) -> Query[AgentState]:
    """The states of an agent, or of all agents of a type."""
    which: list[Condition] = [("agent_type", "==", agent_type)]
    # Any id: named, so that the indexes by agent will do for a type as well.
    which.append(("agent_id", ">", "") if agent_id is None else ("agent_id", "==", agent_id))
    return Query(AgentState, where=which)


def states_with(*, status: str) -> Query[AgentState]:
    """The states with a status."""
    return Query(AgentState, where={"status": status})


def next_value(model: type[Record], field: str, behind: str, **equal: str) -> Query[Any]:
    """The record with the next text in a field, in the order of these texts."""
    return Query(
        model,
        where=[*_equal(equal), (field, ">", behind)],
        order_by=field,
        page_size=1,
        limit=1,
    )


def _equal(equal: Mapping[str, str | bool | None]) -> list[Condition]:
    return [(name, "==", value) for name, value in equal.items()]


_SPANS: Final = [(start, end) for start in (None, utc_now()) for end in (None, utc_now())]


def examples() -> Iterator[tuple[Query[Any], tuple[Measure, ...]]]:
    """An example of each, and what is measured over it; nothing where its records are read."""
    shards = (0, 1)
    filters: list[dict[str, str | bool | None]] = [
        {"success": True},
        {"event_type": "x", "success": None},
        {"source_agent_id": "x", "target_agent_id": "x", "success": False},
        {"error_kind": "x"},
    ]
    for equal in filters:
        for start, end in _SPANS:
            yield events_in(start, end, equal, shards=shards), (Count(),)
    for start, end in _SPANS:
        yield events_in(start, end, {"event_type": "x"}, shards=shards), (DURATION,)
    for agent_id in (None, "x"):
        yield errors_of(agent_type="x", agent_id=agent_id), (Count(),)
        yield states_counted(agent_type="x", agent_id=agent_id), (Count(), *TASK_SUMS)
    yield states_with(status=AgentStatus.ERROR), (Count(),)
    for field in ("event_type", "error_kind", "source_agent_id"):
        yield next_value(CoordinationEvent, field, ""), ()
    yield next_value(CoordinationEvent, "target_agent_id", "", source_agent_id="x"), ()
    yield next_value(AgentState, "agent_type", ""), ()
    yield next_value(AgentState, "agent_id", "", agent_type="x"), ()
