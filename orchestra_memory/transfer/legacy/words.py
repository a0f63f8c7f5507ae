"""The words earlier systems had for states and events, and ours for the same."""

from __future__ import annotations

import re
from collections.abc import Mapping
from enum import StrEnum
from typing import Final, TypeVar

from ...models import AgentStatus, CoordinationEventType, TaskStatus

E = TypeVar("E", bound=StrEnum)


def words(text: str) -> frozenset[str]:
    return frozenset(text.split())


def _by_word(kinds: Mapping[E, str]) -> dict[str, E]:
    named = {str(kind): kind for kind in kinds}
    return {word: kind for kind, text in kinds.items() for word in words(text)} | named


_STATUS: Final = _by_word(
    {
        AgentStatus.IDLE: "waiting ready standby sleeping paused pending inactive created new "
        "initialized initializing suspended",
        AgentStatus.ACTIVE: "running online started starting alive healthy ok up enabled "
        "operational monitoring",
        AgentStatus.BUSY: "working processing executing in_progress occupied",
        AgentStatus.ERROR: "failed failing crashed failure unhealthy exception degraded critical",
        AgentStatus.TERMINATED: "stopped stopping finished completed complete done dead offline "
        "shutdown shut_down killed exited ended disabled down",
    }
)
_TASK: Final = _by_word(
    {
        TaskStatus.PENDING: "queued waiting new open todo created assigned",
        TaskStatus.IN_PROGRESS: "running active started working processing ongoing",
        TaskStatus.COMPLETED: "complete done finished success succeeded ok",
        TaskStatus.FAILED: "error failure crashed timeout",
        TaskStatus.CANCELLED: "canceled aborted skipped stopped",
    }
)
_EVENTS: Final = _by_word(
    {
        CoordinationEventType.SPAWN: "spawned create created start started launch launched",
        CoordinationEventType.HANDOFF: "hand_off handed_off delegate delegated delegation "
        "transfer transferred assign assigned assignment",
        CoordinationEventType.COLLABORATION: "collaborate collaborated cooperate cooperation sync",
        CoordinationEventType.TERMINATION: "terminate terminated stop stopped shutdown kill killed "
        "exit exited end ended",
        CoordinationEventType.ERROR: "fail failed failure exception crash crashed",
    }
)
_PREFIX = re.compile(r"^(?:agent|coordination|event|task)_(?=.)")
_SUFFIX = re.compile(r"(?<=.)_(?:agent|event)$")
_WENT_WELL: Final = words("success succeeded successful ok completed complete done true")
_WENT_WRONG: Final = words("failed failure fail error errored timeout false")


def plain_word(text: str) -> str:
    """``"In Progress"`` as ``"in_progress"``."""
    return re.sub(r"[\s\-.]+", "_", text.strip()).lower()


def status_of(text: str) -> AgentStatus | None:
    return _STATUS.get(plain_word(text))


def task_status_of(text: str) -> TaskStatus | None:
    return _TASK.get(plain_word(text))


def event_type_of(text: str) -> CoordinationEventType | None:
    """The kind of event, whatever is around its name, as in ``AGENT_SPAWNED``."""
    word = plain_word(text)
    bare = _SUFFIX.sub("", _PREFIX.sub("", word))
    return _EVENTS.get(word) or _EVENTS.get(bare)


def outcome_of(value: object) -> bool | None:
    """Whether something went well; ``None`` where `value` does not say."""
    if isinstance(value, bool):
        return value
    word = plain_word(value) if isinstance(value, str) else ""
    return True if word in _WENT_WELL else False if word in _WENT_WRONG else None
