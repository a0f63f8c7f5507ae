"""What analytics answers with: values that also tell what they cost."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Generic, TypeVar

from ..models import SystemState
from ..operations import Billed
from .performance import ratio

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Report(Generic[T]):
    """Rows of figures. Not ``complete`` if a limit left some out. ``billed`` is what they cost."""

    rows: tuple[T, ...]
    complete: bool
    billed: Billed


@dataclass(frozen=True, slots=True)
class Outcomes:
    """How many events succeeded and failed, and of how many nobody told."""

    succeeded: int = 0
    failed: int = 0
    untold: int = 0

    @property
    def total(self) -> int:
        return self.succeeded + self.failed + self.untold

    @property
    def success_rate(self) -> float | None:
        """The share of what succeeded in what succeeded or failed; ``None`` where nothing did."""
        return ratio(self.succeeded, self.succeeded + self.failed)


@dataclass(frozen=True, slots=True)
class AgentFigures:
    """How well an agent does, or all agents of a type if ``agent_id`` is ``None``.

    ``states`` is the number of its sessions. ``completed`` and ``failed`` count tasks,
    ``mean_seconds`` is the mean of those that told theirs, ``errors`` counts events.
    """

    agent_type: str
    agent_id: str | None
    states: int
    completed: int
    failed: int
    mean_seconds: float | None
    errors: int

    @property
    def success_rate(self) -> float | None:
        """The share of completed tasks in those that completed or failed; ``None`` without any."""
        return ratio(self.completed, self.completed + self.failed)


@dataclass(frozen=True, slots=True)
class EventFigures:
    """What came of the events of one type; ``mean_seconds`` of those that told how long."""

    event_type: str
    outcomes: Outcomes
    mean_seconds: float | None


@dataclass(frozen=True, slots=True)
class PairFigures:
    """What came of the events from one agent to another."""

    source_agent_id: str
    target_agent_id: str
    outcomes: Outcomes


@dataclass(frozen=True, slots=True)
class ErrorFigures:
    """Errors of a kind, and how many of them are in each bucket of time."""

    kind: str
    total: int
    counts: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class ErrorReport:
    """Errors by kind and time.

    ``starts`` are where the buckets start, ``end`` is where the last one ends. ``total`` counts
    events that failed, with a kind or without. Not ``complete`` if there are more kinds.
    """

    starts: tuple[datetime, ...]
    end: datetime
    total: int
    kinds: tuple[ErrorFigures, ...]
    complete: bool
    billed: Billed


@dataclass(frozen=True, slots=True)
class SystemReport:
    """The counters of the system, and how many agents have which status by what is stored."""

    state: SystemState
    agents: Mapping[str, int]
    billed: Billed


@dataclass(frozen=True, slots=True)
class StorageReport:
    """How many records are in each collection; those past their expiration are not counted."""

    records: Mapping[str, int]
    billed: Billed

    @property
    def total(self) -> int:
        return sum(self.records.values())
