"""Figures about events: counted one by one, and what the store counted in the same form."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Final, TypeAlias

from orchestra_memory.domain.figures import ErrorReport, EventFigures, Outcomes, PairFigures, Report

from ..records import FIRST
from .samples import HOURS

Counts: TypeAlias = tuple[int, int, int]
"""Of events: succeeded, failed, untold."""
Pair: TypeAlias = tuple[str, str]

PLACES: Final = 6
"""Decimal places to which means are compared: they are summed in different orders."""


@dataclass(frozen=True, slots=True)
class Figures:
    """What came of events by type and by pair, mean seconds by type, errors by kind and hour."""

    types: Mapping[str, Counts]
    means: Mapping[str, float | None]
    pairs: Mapping[Pair, Counts] = field(default_factory=dict[Pair, Counts])
    errors: Mapping[str, tuple[int, ...]] = field(default_factory=dict[str, tuple[int, ...]])


def counted(
    types: Report[EventFigures],
    pairs: Report[PairFigures] | None = None,
    errors: ErrorReport | None = None,
) -> Figures:
    """What the store counted."""
    of_pairs, of_kinds = pairs.rows if pairs else (), errors.kinds if errors else ()
    return Figures(
        {row.event_type: _counts(row.outcomes) for row in types.rows},
        {row.event_type: rounded(row.mean_seconds) for row in types.rows},
        {(row.source_agent_id, row.target_agent_id): _counts(row.outcomes) for row in of_pairs},
        {row.kind: row.counts for row in of_kinds},
    )


def _counts(outcomes: Outcomes) -> Counts:
    return outcomes.succeeded, outcomes.failed, outcomes.untold


def rounded(seconds: float | None) -> float | None:
    """A mean as it is compared."""
    return None if seconds is None else round(seconds, PLACES)


OF_TYPES: Final = ("event_type", "success", "duration_seconds")
"""Of an event, what its outcome takes."""
RESULTS: Final = (True, False, None)
"""What may have come of an event, in the order of `Counts`."""
_PLACE: Final = {result: place for place, result in enumerate(RESULTS)}


@dataclass(slots=True)
class Tally:
    """Counts events one by one."""

    events: int = 0
    _types: dict[str, list[int]] = field(default_factory=dict[str, list[int]])
    _pairs: dict[Pair, list[int]] = field(default_factory=dict[Pair, list[int]])
    _seconds: dict[str, list[float]] = field(default_factory=dict[str, list[float]])
    _errors: dict[str, list[int]] = field(default_factory=dict[str, list[int]])

    def add(self, event: Mapping[str, Any]) -> None:
        self.add_outcome(event)
        pair = event["source_agent_id"], event["target_agent_id"]
        self._pairs.setdefault(pair, [0, 0, 0])[_PLACE[event["success"]]] += 1
        if event["error_kind"] is not None:
            hour = int((event["timestamp"] - FIRST).total_seconds() // 3_600)
            self._errors.setdefault(event["error_kind"], [0] * HOURS)[hour] += 1

    def add_outcome(self, event: Mapping[str, Any]) -> None:
        """Count it by its type alone."""
        self.events += 1
        kind = event["event_type"]
        self._types.setdefault(kind, [0, 0, 0])[_PLACE[event["success"]]] += 1
        seconds = self._seconds.setdefault(kind, [])
        if event["duration_seconds"] is not None:
            seconds.append(event["duration_seconds"])

    @property
    def of_types(self) -> Figures:
        return Figures(
            {kind: (a, b, c) for kind, (a, b, c) in self._types.items()},
            {kind: _mean(seconds) for kind, seconds in self._seconds.items()},
        )

    @property
    def figures(self) -> Figures:
        return replace(
            self.of_types,
            pairs={pair: (a, b, c) for pair, (a, b, c) in self._pairs.items()},
            errors={kind: tuple(counts) for kind, counts in self._errors.items()},
        )


def _mean(seconds: list[float]) -> float | None:
    return rounded(sum(seconds) / len(seconds)) if seconds else None
