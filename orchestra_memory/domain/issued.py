"""Every query the library issues by itself, each built by one function here.

What is gathered in one place can be compared with the indexes that the record types declare:
:func:`issued` gives an example of each query, in every combination of filters that the services
produce. A service that asks something new adds a builder and its examples here.
:func:`orchestra_memory.recent` is the one builder that is public; it lives with the queries.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import chain, combinations
from typing import Any, Final, TypedDict, TypeVar, Unpack

from ..conditions import Operator
from ..models import (
    SHIPPED,
    AgentData,
    AgentState,
    AgentStatus,
    CoordinationEvent,
    MemoryItem,
    MemoryRecord,
    UserSession,
)
from ..operations import Count, Measure
from ..ownership import owner_paths
from ..queries import Metric, Query, between, recent
from ..record import EXPIRATION, Record
from ..values import utc_now
from . import issued_counts

R = TypeVar("R", bound=Record)


class Paging(TypedDict, total=False):
    """How much of an answer: records a page (50), records in all, and where to go on."""

    page_size: int
    limit: int | None
    after: str | None


class Window(Paging, total=False):
    """A span of time, from ``start`` up to but without ``end``, and paging."""

    start: datetime | None
    end: datetime | None


class ItemFilters(TypedDict, total=False):
    """Which of a user's items; ``None`` leaves a filter out."""

    session_id: str | None
    item_type: str | None
    persona: str | None


def history(
    *, user_id: str, persona: str | None = None, **filters: Unpack[RecentFilters]
) -> Query[MemoryItem]:
    """A user's items, newest first."""
    query = recent(user_id=user_id, **filters)
    if persona is None:
        return query
    condition = Query(MemoryItem, where={"persona_active": persona}).where
    return query.with_(where=(*query.where, *condition))


class RecentFilters(Window, total=False):
    """What :func:`orchestra_memory.recent` takes beside the user."""

    session_id: str | None
    item_type: str | None


def items_of(
    *, user_id: str, expired_too: bool = False, page_size: int = 100, **filters: Unpack[ItemFilters]
) -> Query[MemoryItem]:
    """A user's items in no order that means anything: to count them, or to go through them all."""
    return Query(
        MemoryItem,
        where=_of_user(user_id, filters),
        page_size=page_size,
        include_expired=expired_too,
    )


def similar(
    *,
    user_id: str,
    embedding: Sequence[float],
    limit: int = 10,
    metric: Metric = "cosine",
    **filters: Unpack[ItemFilters],
) -> Query[MemoryItem]:
    """The user's items nearest to a vector."""
    query = Query(MemoryItem, where=_of_user(user_id, filters))
    return query.near("embedding", embedding, limit=limit, metric=metric)


def with_hash(*, user_id: str, content_hash: str) -> Query[MemoryItem]:
    """One item of the user's with this content, if there is any."""
    where = {"user_id": user_id, "content_hash": content_hash}
    return Query(MemoryItem, where=where, page_size=1, limit=1)


def expired(
    model: type[R], *, of: str, owner: str, now: datetime, page_size: int = 100
) -> Query[R]:
    """What has expired by `now`, among the records whose field `of` names the owner."""
    return Query(
        model,
        where=[(of, "==", owner), (EXPIRATION, "<=", now)],
        page_size=page_size,
        include_expired=True,
    )


def sessions_of(
    *, user_id: str, open_only: bool = False, page_size: int = 50, **paging: Unpack[PagingOn]
) -> Query[UserSession]:
    """A user's sessions, the last active one first."""
    where: dict[str, str | None] = {"user_id": user_id}
    if open_only:
        where["ended_at"] = None
    return Query(UserSession, where=where, order_by="-last_active", page_size=page_size, **paging)


class PagingOn(TypedDict, total=False):
    """Paging whose page size is given elsewhere."""

    limit: int | None
    after: str | None


def data_of(
    *, agent_id: str, data_type: str | None = None, **window: Unpack[Window]
) -> Query[AgentData]:
    """What an agent stored, newest first."""
    return _newest(AgentData, {"agent_id": agent_id, "data_type": data_type}, window)


def states_of(
    *, agent_type: str, agent_id: str, page_size: int = 50, **paging: Unpack[PagingOn]
) -> Query[AgentState]:
    """An agent's states in all its sessions, the last active one first."""
    return Query(
        AgentState,
        where={"agent_type": agent_type, "agent_id": agent_id},
        order_by="-last_active",
        page_size=page_size,
        **paging,
    )


def agents_in(
    *,
    session_id: str | None = None,
    statuses: Iterable[str] | None = None,
    page_size: int = 50,
    **paging: Unpack[PagingOn],
) -> Query[AgentState]:
    """States of a session, with one of some statuses, or both, the last active one first.

    With neither they come by their keys: times are indexed behind one of them only.
    """
    where = _held({"session_id": session_id})
    if statuses is not None:
        where.append(("status", "in", list(statuses)))
    order = "-last_active" if where else ()
    return Query(AgentState, where=where, order_by=order, page_size=page_size, **paging)


def ended_before(time: datetime, *, page_size: int = 100) -> Query[AgentState]:
    """States of terminated and failed agents that were last active before `time`."""
    return Query(
        AgentState,
        where=[
            ("status", "in", [AgentStatus.TERMINATED, AgentStatus.ERROR]),
            ("last_active", "<", time),
        ],
        order_by="-last_active",
        page_size=page_size,
    )


def events(
    *,
    shards: Sequence[int],
    event_type: str | None = None,
    source_agent_id: str | None = None,
    target_agent_id: str | None = None,
    **window: Unpack[Window],
) -> Query[CoordinationEvent]:
    """Events between agents, newest first."""
    agents = {"source_agent_id": source_agent_id, "target_agent_id": target_agent_id}
    where = [*_held(agents | {"event_type": event_type}), *_span("timestamp", window)]
    if event_type is not None or not any(agents.values()):
        # One agent's are never so many at once that they had to be spread; one type's are.
        where.append(("shard", "in", list(shards)))
    return Query(
        CoordinationEvent,
        where=where,
        order_by="-timestamp",
        **_pages(window),
    )


def events_of_task(*, task_id: str, **window: Unpack[Window]) -> Query[CoordinationEvent]:
    """What happened between agents about a task, oldest first."""
    return Query(
        CoordinationEvent,
        where=[("task_context.task_id", "==", task_id), *_span("timestamp", window)],
        order_by="timestamp",
        **_pages(window),
    )


def events_from(
    start: datetime, *, shards: Sequence[int], page_size: int = 100, after: str | None = None
) -> Query[CoordinationEvent]:
    """Events in the order in which the store got them, from a time on its clock."""
    return Query(
        CoordinationEvent,
        where=[("shard", "in", list(shards)), ("committed_at", ">=", start)],
        order_by="committed_at",
        page_size=page_size,
        after=after,
    )


def records_about(
    *, context: str | None = None, persona: str | None = None, **window: Unpack[Window]
) -> Query[MemoryRecord]:
    """Records of a context, a persona or both, newest first.

    Raises ``InvalidQuery`` with neither: times are indexed behind one of them only.
    """
    return _newest(MemoryRecord, {"context": context, "persona": persona}, window)


def owned_by(user_id: str, model: type[R], path: str, *, page_size: int = 200) -> Query[R]:
    """A user's records of one type, expired ones too; `path` is where they say whose they are."""
    return Query(model, where={path: user_id}, page_size=page_size, include_expired=True)


def _newest(model: type[R], equal: Mapping[str, str | None], window: Window) -> Query[R]:
    return Query(
        model,
        where=[*_held(equal), *_span("timestamp", window)],
        order_by="-timestamp",
        **_pages(window),
    )


def _span(field: str, window: Window) -> list[Any]:
    return between(field, window.get("start"), window.get("end"))


def _pages(window: Paging) -> Paging:
    """The paging of a window, 50 records a page by default."""
    return {
        "page_size": window.get("page_size", 50),
        "limit": window.get("limit"),
        "after": window.get("after"),
    }


def _of_user(user_id: str, filters: ItemFilters) -> list[tuple[str, Operator, Any]]:
    return _held(
        {
            "user_id": user_id,
            "session_id": filters.get("session_id"),
            "item_type": filters.get("item_type"),
            "persona_active": filters.get("persona"),
        }
    )


def _held(equal: Mapping[str, str | None]) -> list[tuple[str, Operator, Any]]:
    return [(name, "==", value) for name, value in equal.items() if value is not None]


@dataclass(frozen=True, slots=True)
class Issued:
    """An example of a query some service issues, and what it measures over it, if anything."""

    service: str
    query: Query[Any]
    measures: tuple[Measure, ...] = ()


_SPANS: Final[Sequence[Window]] = (
    {},
    {"start": utc_now()},
    {"end": utc_now()},
    {"start": utc_now(), "end": utc_now()},
)


def _choices(names: Iterable[str]) -> list[dict[str, Any]]:
    """Every choice of filters, each held to some value."""
    names = tuple(names)
    chosen = chain.from_iterable(combinations(names, size) for size in range(len(names) + 1))
    return [dict.fromkeys(choice, "x") for choice in chosen]


def _by_conversations() -> Iterator[Query[Any]]:
    for chosen in _choices(("session_id", "item_type", "persona")):
        for span in _SPANS:
            yield history(user_id="x", **chosen, **span)
        yield similar(user_id="x", embedding=[1.0], **chosen)
    yield items_of(user_id="x", session_id="x", expired_too=True)
    yield with_hash(user_id="x", content_hash="x")
    yield expired(MemoryItem, of="user_id", owner="x", now=utc_now())


def _by_sessions() -> Iterator[Query[Any]]:
    yield sessions_of(user_id="x")
    yield sessions_of(user_id="x", open_only=True)


def _by_agent_data() -> Iterator[Query[Any]]:
    for chosen in _choices(("data_type",)):
        for span in _SPANS:
            yield data_of(agent_id="x", **chosen, **span)
    yield expired(AgentData, of="agent_id", owner="x", now=utc_now())


def _by_agents() -> Iterator[Query[Any]]:
    yield states_of(agent_type="x", agent_id="x")
    for chosen in _choices(("session_id",)):
        yield agents_in(**chosen)
        yield agents_in(statuses=list(AgentStatus), **chosen)
    yield ended_before(utc_now())


def _by_coordination() -> Iterator[Query[Any]]:
    for chosen in _choices(("event_type", "source_agent_id", "target_agent_id")):
        for span in _SPANS:
            yield events(shards=(0, 1), **chosen, **span)
    for span in _SPANS:
        yield events_of_task(task_id="x", **span)
    yield events_from(utc_now(), shards=(0, 1))


def _by_records() -> Iterator[Query[Any]]:
    for chosen in filter(None, _choices(("context", "persona"))):
        for span in _SPANS:
            yield records_about(**chosen, **span)


def _by_privacy() -> Iterator[Query[Any]]:
    for model in SHIPPED:
        yield from (owned_by("x", model, path) for path in owner_paths(model))


def _counted() -> Iterator[Issued]:
    for chosen in _choices(("session_id", "item_type", "persona")):
        yield Issued("conversations", items_of(user_id="x", **chosen), (Count(),))
    yield Issued("agents", ended_before(utc_now()), (Count(),))
    for query, measures in issued_counts.examples():
        yield Issued("analytics", query, measures)


_SERVICES: Final[Mapping[str, Callable[[], Iterator[Query[Any]]]]] = {
    "conversations": _by_conversations,
    "sessions": _by_sessions,
    "agent_data": _by_agent_data,
    "agents": _by_agents,
    "coordination": _by_coordination,
    "records": _by_records,
    "privacy": _by_privacy,
}


def issued() -> list[Issued]:
    """An example of every query that the services issue, in every combination of filters."""
    found = [Issued(name, query) for name, queries in _SERVICES.items() for query in queries()]
    return [*found, *_counted()]
