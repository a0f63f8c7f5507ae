"""Tasks that are done by several ways in turn: what each turn took, and ratios between ways."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, TypeAlias

from ..summary import Spread, quotients
from ..turns import Cost

WARM_UP: Final = 0
"""The number of the round that is not counted."""


@dataclass(frozen=True, slots=True)
class Turn:
    """A task done once in one way, with so many records."""

    task: str
    way: str
    round: int
    records: int
    cost: Cost

    @property
    def speed(self) -> float:
        """Records a second."""
        return self.records / self.cost.seconds

    @property
    def cpu(self) -> float:
        """Seconds of processor time for a record."""
        return self.cost.client_cpu / self.records


Figure: TypeAlias = Callable[[Turn], float]
Ways: TypeAlias = Mapping[str, Sequence[Turn]]
"""The turns of one task, by way."""


def speed(turn: Turn) -> float:
    return turn.speed


def cpu(turn: Turn) -> float:
    return turn.cpu


@dataclass(slots=True)
class Turns:
    """All turns that count, and how many records were read again and compared."""

    turns: list[Turn] = field(default_factory=list[Turn])
    compared: int = 0

    def add(self, turn: Turn, *, compared: int) -> None:
        self.compared += compared
        if turn.round != WARM_UP:
            self.turns.append(turn)

    def tasks(self) -> dict[str, dict[str, list[Turn]]]:
        """The turns by task, and then by way."""
        found: dict[str, dict[str, list[Turn]]] = {}
        for turn in self.turns:
            found.setdefault(turn.task, {}).setdefault(turn.way, []).append(turn)
        return found


def ratio(ways: Ways, way: str, other: str, figure: Figure = speed) -> Spread:
    """The figure of one way over that of another, round by round."""
    found, divisors = (
        {turn.round: figure(turn) for turn in ways.get(each, ())} for each in (way, other)
    )
    return Spread.of(quotients(found, divisors))
