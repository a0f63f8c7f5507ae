"""What was measured, as values."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Cost:
    """Seconds, and bytes by which this process grew at most. ``server_cpu`` where it is known."""

    seconds: float
    client_cpu: float
    server_cpu: float | None
    memory: int
    stall: float


@dataclass(frozen=True, slots=True)
class Turn:
    """One measured turn of one way: ``records`` in all, in jobs of ``size``."""

    task: str
    way: str
    ours: bool
    size: int
    round: int
    records: int
    cost: Cost


@dataclass(frozen=True, slots=True)
class Outcome:
    """All counted turns, the costs of an idle loop, and how many records were compared."""

    turns: Sequence[Turn]
    idle: Sequence[Cost]
    compared: int
