"""Medians, spreads and ratios of turns; without I/O."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Final, TypeAlias

from .turns import Side, Turn

Figure: TypeAlias = "Callable[[Turn], float | None]"

SPEED: Final = "records_per_second"
CLIENT: Final = "client_us_per_record"
SERVER: Final = "server_us_per_record"
STALL: Final = "longest_stall_ms"
CALLBACK: Final = "longest_callback_ms"
WORK: Final = "longest_callback_without_gc_ms"
MEMORY: Final = "peak_memory_mib"


def _speed(turn: Turn) -> float | None:
    return None if turn.cost is None else turn.records / turn.cost.seconds


def _client(turn: Turn) -> float | None:
    return None if turn.cost is None else turn.cost.client_cpu / turn.records * 1e6


def _server(turn: Turn) -> float | None:
    if turn.cost is None or turn.cost.server_cpu is None:
        return None
    return turn.cost.server_cpu / turn.records * 1e6


def _callback(turn: Turn) -> float | None:
    return None if turn.seen is None else turn.seen.callback * 1e3


def _stall(turn: Turn) -> float | None:
    return None if turn.seen is None else turn.seen.stall * 1e3


def _work(turn: Turn) -> float | None:
    return None if turn.seen is None else turn.seen.work * 1e3


def _memory(turn: Turn) -> float | None:
    return None if turn.seen is None else turn.seen.memory / 2**20


FIGURES: Final[Mapping[str, Figure]] = {
    SPEED: _speed,
    CLIENT: _client,
    SERVER: _server,
    CALLBACK: _callback,
    WORK: _work,
    STALL: _stall,
    MEMORY: _memory,
}
COMPARED: Final = (SPEED, CLIENT)
"""Figures of which there are ratios."""


@dataclass(frozen=True, slots=True)
class Spread:
    """Median, least and greatest of the rounds."""

    median: float
    least: float
    greatest: float

    @classmethod
    def of(cls, values: Sequence[float]) -> Spread:
        return cls(median(values), min(values), max(values))

    def over(self, divisor: float) -> Spread:
        return Spread(self.median / divisor, self.least / divisor, self.greatest / divisor)

    def inverse(self) -> Spread:
        return Spread(1 / self.median, 1 / self.greatest, 1 / self.least)


@dataclass(frozen=True, slots=True)
class Row:
    """One way at one size. A figure that was not measured is missing."""

    task: str
    size: int
    way: str
    side: Side
    figures: Mapping[str, Spread]


@dataclass(frozen=True, slots=True)
class Ratio:
    """How many times better our way is than another, round by round.

    That is, how many times the throughput, or how many times less processor time. ``rounds`` are
    the ratios of single rounds.
    """

    task: str
    size: int
    figure: str
    ours: str
    other: str
    side: Side
    spread: Spread
    rounds: tuple[float, ...]


def rows(turns: Iterable[Turn]) -> list[Row]:
    """One row for each way and size, in the order in which they were first run."""
    groups: dict[tuple[str, int, str], list[Turn]] = {}
    for turn in turns:
        groups.setdefault((turn.task, turn.size, turn.way), []).append(turn)
    return [
        Row(task, size, way, group[0].side, _spreads(group))
        for (task, size, way), group in groups.items()
    ]


def _spreads(turns: Sequence[Turn]) -> dict[str, Spread]:
    known = {name: list(_rounds(turns, name).values()) for name in FIGURES}
    return {name: Spread.of(values) for name, values in known.items() if values}


def ratios(turns: Sequence[Turn]) -> list[Ratio]:
    """Our way over every other one of the same task and size, in what `COMPARED` names."""
    found: list[Ratio] = []
    for task, size in dict.fromkeys((turn.task, turn.size) for turn in turns):
        group = [turn for turn in turns if (turn.task, turn.size) == (task, size)]
        ours = [turn for turn in group if turn.side == "ours"]
        for other in dict.fromkeys(turn.way for turn in group if turn.side != "ours"):
            theirs = [turn for turn in group if turn.way == other and turn.side != "ours"]
            found += (ratio for name in COMPARED if (ratio := _ratio(name, ours, theirs)))
    return found


def _ratio(figure: str, ours: Sequence[Turn], theirs: Sequence[Turn]) -> Ratio | None:
    left, right = _rounds(ours, figure), _rounds(theirs, figure)
    more_is_better = figure == SPEED
    found = quotients(left, right) if more_is_better else quotients(right, left)
    if not found:
        return None
    one, other = ours[0], theirs[0]
    spread = Spread.of(found)
    return Ratio(one.task, one.size, figure, one.way, other.way, other.side, spread, found)


def quotients(dividends: Mapping[int, float], divisors: Mapping[int, float]) -> tuple[float, ...]:
    """Round by round, of those rounds in which there is more than 0 of both."""
    return tuple(
        value / divisors[number]
        for number, value in dividends.items()
        if value and divisors.get(number)
    )


def _rounds(turns: Iterable[Turn], figure: str) -> dict[int, float]:
    values = {turn.round: FIGURES[figure](turn) for turn in turns}
    return {number: value for number, value in values.items() if value is not None}


def closest(ratios: Iterable[Ratio], *, side: Side) -> dict[tuple[str, int, str], Ratio]:
    """By task, size and figure, the ratio to the best way of a side: the smallest of them."""
    found: dict[tuple[str, int, str], Ratio] = {}
    for ratio in ratios:
        key = ratio.task, ratio.size, ratio.figure
        if ratio.side == side and (
            key not in found or ratio.spread.median < found[key].spread.median
        ):
            found[key] = ratio
    return found
