"""The eight record types the library ships, and their enums.

Statuses and event types from a newer version are kept as plain text, not refused.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Any, TypeVar
from uuid import uuid4

from pydantic import Field

from .record import Record
from .values import (
    Embedding,
    JsonLike,
    JsonMap,
    NonEmpty,
    UtcDatetime,
    utc_now,
)


class AgentStatus(StrEnum):
    """What an agent is doing."""

    IDLE = "idle"
    ACTIVE = "active"
    BUSY = "busy"
    ERROR = "error"
    TERMINATED = "terminated"


class TaskStatus(StrEnum):
    """How far a task has come."""

    PENDING = "pending"
    IN_PROGRESS = "in_progress"
    COMPLETED = "completed"
    FAILED = "failed"
    CANCELLED = "cancelled"


class CoordinationEventType(StrEnum):
    """What happened between agents."""

    SPAWN = "spawn"
    HANDOFF = "handoff"
    COLLABORATION = "collaboration"
    TERMINATION = "termination"
    ERROR = "error"


E = TypeVar("E", bound=StrEnum)
OpenEnum = Annotated[E | str, Field(union_mode="left_to_right")]


def random_id() -> str:
    """A random id. Ids that sort by time would send every write to one spot of the store."""
    return str(uuid4())


_TIMES_OF_EARLIER_SYSTEMS = frozenset(
    {
        "timestamp",
        "expiration",
        "created_at",
        "started_at",
        "last_active",
        "ended_at",
        "terminated_at",
        "last_memory_sync",
        "updated_at",
    }
)


class _Shipped(Record):
    """What the shipped types share: documents without a version hold times as ISO text, in UTC."""

    @classmethod
    def upgrade(cls, data: dict[str, Any], from_version: int) -> dict[str, Any]:
        if from_version > 0:
            return data
        return {
            name: _with_zone(value) if name in _TIMES_OF_EARLIER_SYSTEMS else value
            for name, value in data.items()
        }


def _with_zone(value: Any) -> Any:
    if not isinstance(value, str) or value.endswith("Z") or "+" in value[10:] or "-" in value[10:]:
        return value
    return value + "Z"


class MemoryItem(
    _Shipped,
    collection="memory_items",
    scopes=["user_id", ("user_id", "session_id")],
    indexes=[
        # Indexes with equal ends are merged, so one per filter serves every combination of filters.
        ("user_id", "-timestamp"),
        ("user_id", "item_type", "-timestamp"),
        ("user_id", "session_id", "-timestamp"),
        ("user_id", "persona_active", "-timestamp"),
        ("user_id", "expiration"),
        ("user_id", "item_type", "expiration"),
        ("user_id", "session_id", "expiration"),
        ("user_id", "persona_active", "expiration"),
    ],
    vector_indexes=[
        # These are not merged: one per combination.
        ("user_id", "embedding"),
        ("user_id", "item_type", "embedding"),
        ("user_id", "session_id", "embedding"),
        ("user_id", "persona_active", "embedding"),
        ("user_id", "session_id", "item_type", "embedding"),
        ("user_id", "session_id", "persona_active", "embedding"),
        ("user_id", "item_type", "persona_active", "embedding"),
        ("user_id", "session_id", "item_type", "persona_active", "embedding"),
    ],
    unindexed=["timestamp", "expiration", "embedding"],
    large=["text_content"],
):
    """One thing said or noted in a conversation.

    ``user_id`` is whose memory it is, ``session_id`` the conversation (``None``: of no session),
    ``item_type`` a word of yours, ``"conversation"`` by default. ``expiration`` is the time from
    which it counts as absent.
    """

    id: NonEmpty = Field(default_factory=random_id)
    user_id: NonEmpty
    session_id: NonEmpty | None = None
    item_type: str = "conversation"
    timestamp: UtcDatetime = Field(default_factory=utc_now)
    text_content: str = ""
    persona_active: str | None = None
    embedding: Embedding | None = None
    metadata: JsonMap = Field(default_factory=dict[str, JsonLike])
    expiration: UtcDatetime | None = None
    content_hash: str | None = None


class MemoryRecord(
    _Shipped,
    collection="memory_records",
    key="record_id",
    indexes=[("context", "-timestamp"), ("persona", "-timestamp")],
    unindexed=["timestamp"],
    large=["content"],
):
    """A fact worth keeping, outside any conversation: `context` says about what."""

    record_id: NonEmpty = Field(default_factory=random_id)
    context: str = ""
    persona: str | None = None
    content: JsonLike = None
    timestamp: UtcDatetime = Field(default_factory=utc_now)
    metadata: JsonMap = Field(default_factory=dict[str, JsonLike])


class AgentData(
    _Shipped,
    collection="agent_data",
    scopes=["agent_id"],
    indexes=[
        ("agent_id", "-timestamp"),
        ("agent_id", "data_type", "-timestamp"),
        ("agent_id", "expiration"),
    ],
    unindexed=["timestamp", "expiration"],
    large=["content"],
):
    """What an agent produced or measured: `data_type` is a word of yours."""

    id: NonEmpty = Field(default_factory=random_id)
    agent_id: NonEmpty
    data_type: str = ""
    timestamp: UtcDatetime = Field(default_factory=utc_now)
    content: JsonLike = None
    metadata: JsonMap = Field(default_factory=dict[str, JsonLike])
    expiration: UtcDatetime | None = None


class UserSession(
    _Shipped,
    collection="user_sessions",
    key=["user_id", "session_id"],
    scopes=["user_id"],
    indexes=[("user_id", "-last_active"), ("user_id", "ended_at", "-last_active")],
    unindexed=["created_at", "last_active", "ended_at"],
):
    """One conversation of one user, from its start to its end."""

    user_id: NonEmpty
    session_id: NonEmpty
    created_at: UtcDatetime = Field(default_factory=utc_now)
    last_active: UtcDatetime = Field(default_factory=utc_now)
    ended_at: UtcDatetime | None = None
    metadata: JsonMap = Field(default_factory=dict[str, JsonLike])


_SUMMED_BY_AGENT = [
    ("agent_type", "agent_id", f"performance_metrics.{carried}{figure}")
    for figure in ("tasks_completed", "tasks_failed", "task_seconds", "tasks_timed")
    for carried in ("", "carried.")
]


class AgentState(
    _Shipped,
    collection="agent_states",
    key=["agent_type", "agent_id", "session_id"],
    scopes=[("agent_type", "agent_id"), "session_id"],
    indexes=[
        ("agent_type", "agent_id", "-last_active"),
        # Merged, these two answer for a session and a status together.
        ("session_id", "-last_active"),
        ("status", "-last_active"),
        ("agent_type", "agent_id"),
        *_SUMMED_BY_AGENT,
    ],
    unindexed=["created_at", "started_at", "last_active", "terminated_at", "task_history"],
    large=["memory_context"],
):
    """What one agent is doing in one session, enough to resume it elsewhere."""

    agent_type: NonEmpty
    agent_id: NonEmpty
    session_id: NonEmpty
    status: OpenEnum[AgentStatus] = AgentStatus.IDLE
    created_at: UtcDatetime = Field(default_factory=utc_now)
    started_at: UtcDatetime | None = None
    last_active: UtcDatetime = Field(default_factory=utc_now)
    terminated_at: UtcDatetime | None = None
    memory_context: JsonMap = Field(default_factory=dict[str, JsonLike])
    task_history: list[JsonMap] = Field(default_factory=list[JsonMap])
    performance_metrics: JsonMap = Field(default_factory=dict[str, JsonLike])
    agent_config: JsonMap = Field(default_factory=dict[str, JsonLike])
    tools_enabled: list[str] = Field(default_factory=list[str])
    current_task: str | None = None
    task_status: OpenEnum[TaskStatus] | None = None
    parent_agent: str | None = None
    child_agents: list[str] = Field(default_factory=list[str])
    collaboration_context: JsonMap = Field(default_factory=dict[str, JsonLike])


class AgentMemory(
    _Shipped,
    collection="agent_memory",
    key=["agent_type", "agent_id"],
    scopes=[("agent_type", "agent_id")],
    unindexed=["last_memory_sync", "learned_patterns", "decision_history", "recent_activity"],
    large=["learning_context"],
):
    """What one agent has learned over all its sessions."""

    agent_type: NonEmpty
    agent_id: NonEmpty
    memory_count: int = 0
    last_memory_sync: UtcDatetime | None = None
    learning_context: JsonMap = Field(default_factory=dict[str, JsonLike])
    learned_patterns: list[JsonMap] = Field(default_factory=list[JsonMap])
    decision_history: list[JsonMap] = Field(default_factory=list[JsonMap])
    performance_insights: JsonMap = Field(default_factory=dict[str, JsonLike])
    memory_types_count: dict[str, int] = Field(default_factory=dict[str, int])
    importance_distribution: dict[str, int] = Field(default_factory=dict[str, int])
    recent_activity: list[JsonMap] = Field(default_factory=list[JsonMap])


class CoordinationEvent(
    _Shipped,
    collection="coordination",
    key="event_id",
    indexes=[
        ("shard", "-timestamp"),
        ("shard", "event_type", "-timestamp"),
        ("source_agent_id", "-timestamp"),
        ("target_agent_id", "-timestamp"),
        ("task_context.task_id", "timestamp"),
        ("shard", "committed_at"),
        # Counts by outcome and kind, merged with those above; durations; and who there is.
        ("shard", "success", "-timestamp"),
        ("shard", "error_kind", "-timestamp"),
        ("shard", "event_type", "-timestamp", "duration_seconds"),
        ("event_type", "duration_seconds"),
        ("source_agent_id", "target_agent_id"),
    ],
    unindexed=["timestamp", "committed_at", "error_message"],
    large=["context"],
    commit_time="committed_at",
):
    """One act between agents: a spawn, a handoff, a collaboration, an end, an error.

    ``timestamp`` is when it happened, by the clock of whoever tells it; ``committed_at`` when the
    store got it, by its own, which is later where an outage lay between. ``shard`` spreads events
    of one time over the store. The task it was about is ``task_context["task_id"]``.
    """

    event_id: NonEmpty = Field(default_factory=random_id)
    event_type: OpenEnum[CoordinationEventType]
    timestamp: UtcDatetime = Field(default_factory=utc_now)
    source_agent_id: str | None = None
    source_agent_type: str | None = None
    target_agent_id: str | None = None
    target_agent_type: str | None = None
    context: JsonMap = Field(default_factory=dict[str, JsonLike])
    task_context: JsonMap = Field(default_factory=dict[str, JsonLike])
    success: bool | None = None
    error_message: str | None = None
    error_kind: str | None = None
    duration_seconds: float | None = None
    shard: int = 0
    committed_at: UtcDatetime | None = None


GLOBAL_CONFIG = "global_config"


class SystemState(_Shipped, collection="system_state"):
    """The state of the whole system; there is one, with the id ``global_config``."""

    id: NonEmpty = GLOBAL_CONFIG
    system_version: str = ""
    active_sessions: int = 0
    total_agents_spawned: int = 0
    current_agent_count: int = 0
    system_metrics: JsonMap = Field(default_factory=dict[str, JsonLike])
    error_counts: dict[str, int] = Field(default_factory=dict[str, int])
    global_config: JsonMap = Field(default_factory=dict[str, JsonLike])
    feature_flags: dict[str, bool] = Field(default_factory=dict[str, bool])
    emergency_stop: bool = False
    emergency_reason: str | None = None


SHIPPED: tuple[type[Record], ...] = (
    MemoryItem,
    MemoryRecord,
    AgentData,
    UserSession,
    AgentState,
    AgentMemory,
    CoordinationEvent,
    SystemState,
)
