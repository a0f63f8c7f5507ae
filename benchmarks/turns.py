"""What was measured, as values."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias

Side: TypeAlias = Literal["ours", "by hand", "limit"]
"""Whose way it is; the limit sends and takes bytes, and does nothing else."""


@dataclass(frozen=True, slots=True)
class Cost:
    """Seconds of one turn: passed, and of processor time; ``server_cpu`` where it is known."""

    seconds: float
    client_cpu: float
    server_cpu: float | None


@dataclass(frozen=True, slots=True)
class Seen:
    """What was seen of this process while it was watched, which slows it.

    In seconds: ``stall`` is the most by which a task was late that wanted to run every 2 ms,
    ``callback`` the most processor time that one callback on the event loop took of its thread,
    ``work`` the same without what the garbage collector took within it. ``memory`` is by how many
    bytes the process grew at most.
    """

    stall: float
    callback: float
    memory: int
    work: float = 0.0


@dataclass(frozen=True, slots=True)
class Turn:
    """One turn of one way: ``records`` in all, in jobs of ``size``. It is timed or watched."""

    task: str
    way: str
    side: Side
    size: int
    round: int
    records: int
    cost: Cost | None = None
    seen: Seen | None = None


@dataclass(frozen=True, slots=True)
class Outcome:
    """All counted turns, what was seen of an idle loop, and how many records were compared."""

    turns: Sequence[Turn]
    idle: Sequence[Seen]
    compared: int
