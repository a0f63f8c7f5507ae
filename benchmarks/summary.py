"""Medians, spreads and ratios of turns; without I/O."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from statistics import median
from typing import TYPE_CHECKING, Final, TypeAlias

if TYPE_CHECKING:
    from .turns import Turn

Figure: TypeAlias = "Callable[[Turn], float | None]"

FIGURES: Final[Mapping[str, Figure]] = {
    "records_per_second": lambda turn: turn.records / turn.cost.seconds,
    "client_us_per_record": lambda turn: turn.cost.client_cpu / turn.records * 1e6,
    "server_us_per_record": lambda turn: (
        None if turn.cost.server_cpu is None else turn.cost.server_cpu / turn.records * 1e6
    ),
    "peak_memory_mib": lambda turn: turn.cost.memory / 2**20,
    "longest_stall_ms": lambda turn: turn.cost.stall * 1e3,
}


@dataclass(frozen=True, slots=True)
class Spread:
    """Median, least and greatest of the rounds."""

    median: float
    least: float
    greatest: float

    @classmethod
    def of(cls, values: Sequence[float]) -> Spread:
        return cls(median(values), min(values), max(values))


@dataclass(frozen=True, slots=True)
class Row:
    """One way at one size. A figure that could not be measured is missing."""

    task: str
    size: int
    way: str
    ours: bool
    figures: Mapping[str, Spread]


@dataclass(frozen=True, slots=True)
class Ratio:
    """Ours over the best hand-written way in one figure, round by round.

    The best is the one with the best median at this size.
    """

    task: str
    size: int
    figure: str
    ours: str
    best: str
    spread: Spread


def rows(turns: Iterable[Turn]) -> list[Row]:
    """One row for each way and size, in the order in which they were run."""
    groups: dict[tuple[str, int, str], list[Turn]] = {}
    for turn in turns:
        groups.setdefault((turn.task, turn.size, turn.way), []).append(turn)
    return [
        Row(task, size, way, group[0].ours, _spreads(group))
        for (task, size, way), group in groups.items()
    ]


def _spreads(turns: Sequence[Turn]) -> dict[str, Spread]:
    spreads: dict[str, Spread] = {}
    for name, figure in FIGURES.items():
        values = [value for turn in turns if (value := figure(turn)) is not None]
        if values:
            spreads[name] = Spread.of(values)
    return spreads


def ratios(turns: Sequence[Turn]) -> list[Ratio]:
    """How ours compares in throughput (more is better) and processor time (less is better)."""
    found: list[Ratio] = []
    for task, size in dict.fromkeys((turn.task, turn.size) for turn in turns):
        group = [turn for turn in turns if (turn.task, turn.size) == (task, size)]
        for figure in ("records_per_second", "client_us_per_record", "server_us_per_record"):
            ratio = _ratio(group, figure)
            if ratio is not None:
                found.append(ratio)
    return found


def _ratio(turns: Sequence[Turn], figure: str) -> Ratio | None:
    known = {
        way: {turn.round: value for turn in group if (value := FIGURES[figure](turn)) is not None}
        for way, group in _by_way(turns).items()
    }
    ours = next((turn.way for turn in turns if turn.ours), None)
    others = [way for way, values in known.items() if way != ours and values]
    if ours is None or not others or not known[ours]:
        return None
    choose = max if figure == "records_per_second" else min
    best = choose(others, key=lambda way: median(known[way].values()))
    shared = known[ours].keys() & known[best].keys()
    quotients = [
        known[ours][number] / known[best][number] for number in shared if known[best][number]
    ]
    if not quotients:
        return None
    return Ratio(turns[0].task, turns[0].size, figure, ours, best, Spread.of(quotients))


def _by_way(turns: Iterable[Turn]) -> dict[str, list[Turn]]:
    groups: dict[str, list[Turn]] = {}
    for turn in turns:
        groups.setdefault(turn.way, []).append(turn)
    return groups
