"""Alerts as values: figures of the last while, and which of them are beyond their thresholds."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from typing import Final, Literal, TypeAlias

from ..operations import Billed
from .figures import Outcomes
from .performance import ratio

Name: TypeAlias = Literal["emergency_stop", "errors", "failure_rate", "failed_agents"]


@dataclass(frozen=True, slots=True)
class Thresholds:
    """What is still fine; an alert fires for more.

    ``window`` is the time up to now that is looked at, an hour by default. ``errors`` events may
    have failed in it (100), and of those that succeeded or failed a share of ``failure_rate``
    (0.1), which counts from ``least_events`` of them on (20). ``failed_agents`` may have the status
    ``error`` (10).
    """

    window: timedelta = timedelta(hours=1)
    errors: int = 100
    failure_rate: float = 0.1
    least_events: int = 20
    failed_agents: int = 10


DEFAULTS: Final = Thresholds()


@dataclass(frozen=True, slots=True)
class Alert:
    """A figure beyond its threshold; ``text`` says so to people."""

    name: Name
    value: float
    threshold: float
    text: str


@dataclass(frozen=True, slots=True)
class Vitals:
    """The figures that thresholds are for; ``stopped`` is the reason of an emergency stop."""

    outcomes: Outcomes
    failed_agents: int
    stopped: str | None = None


@dataclass(frozen=True, slots=True)
class AlertReport:
    """What fired, from which figures, and what it cost to look."""

    fired: tuple[Alert, ...]
    vitals: Vitals
    billed: Billed


def fired(vitals: Vitals, thresholds: Thresholds) -> tuple[Alert, ...]:
    """The alerts, the gravest first."""
    return tuple(_fired(vitals, thresholds))


def _fired(vitals: Vitals, limits: Thresholds) -> Iterator[Alert]:
    if vitals.stopped is not None:
        yield Alert("emergency_stop", 1, 0, f"the system is stopped: {vitals.stopped}")
    failed = vitals.outcomes.failed
    told = vitals.outcomes.succeeded + failed
    share = ratio(failed, told) or 0.0
    minutes = f"{limits.window.total_seconds() / 60:g} minutes"
    if share > limits.failure_rate and told >= limits.least_events:
        text = f"{share:.1%} of {told:,} events failed in {minutes}"
        yield Alert("failure_rate", share, limits.failure_rate, text)
    if failed > limits.errors:
        yield Alert("errors", failed, limits.errors, f"{failed:,} events failed in {minutes}")
    if vitals.failed_agents > limits.failed_agents:
        text = f"{vitals.failed_agents:,} agents have the status error"
        yield Alert("failed_agents", vitals.failed_agents, limits.failed_agents, text)
