"""What a store says of itself."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Any


class Status(StrEnum):
    """Working, working with less than promised, or not at all."""

    OK = "ok"
    DEGRADED = "degraded"
    DOWN = "down"


@dataclass(frozen=True, slots=True)
class Health:
    """The state of one part and of those beneath it.

    ``latency`` is the round trip of the probe in seconds, ``None`` if there was none to make.
    ``answered`` is false where there was no answer at all; who refuses is down, but is there.
    """

    component: str
    status: Status
    detail: str = ""
    latency: float | None = None
    parts: tuple[Health, ...] = ()
    answered: bool = True

    def as_dict(self) -> dict[str, Any]:
        """A plain form for JSON."""
        return {
            "component": self.component,
            "status": self.status.value,
            "detail": self.detail,
            "latency_ms": None if self.latency is None else round(self.latency * 1000, 3),
            "parts": [part.as_dict() for part in self.parts],
        }
