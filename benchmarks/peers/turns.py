"""What was measured of the peers: values, medians and ratios; without I/O."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from statistics import median
from typing import TypeAlias

from ..summary import Spread, quotients


@dataclass(frozen=True, slots=True)
class Turn:
    """One counted turn: seconds passed, and of its process's processor time."""

    peer: str
    task: str
    way: str
    ours: bool
    round: int
    records: int
    seconds: float
    cpu: float


@dataclass(frozen=True, slots=True)
class Ratio:
    """How many times as much as `way`, the peer's best one for this figure, round by round."""

    way: str
    spread: Spread


@dataclass(frozen=True, slots=True)
class Line:
    """One way to do one of a peer's tasks. The peer's own have no ratios.

    ``faster`` is our throughput over the peer's, ``cheaper`` its processor time over ours.
    """

    peer: str
    task: str
    way: str
    ours: bool
    records: int
    records_per_second: Spread
    cpu_us: Spread
    faster: Ratio | None = None
    cheaper: Ratio | None = None


@dataclass(frozen=True, slots=True)
class Result:
    """Everything of a run. ``packages`` are versions, by side; ``skipped`` says why, by peer."""

    lines: Sequence[Line]
    turns: Sequence[Turn]
    packages: Mapping[str, Mapping[str, str]]
    skipped: Mapping[str, str]
    notes: Mapping[str, str]
    compared: int


def lines(turns: Iterable[Turn]) -> list[Line]:
    """One for each way, task by task, the peer's own ways last."""
    groups: dict[tuple[str, str], dict[tuple[bool, str], list[Turn]]] = {}
    for turn in turns:
        ways = groups.setdefault((turn.peer, turn.task), {})
        ways.setdefault((turn.ours, turn.way), []).append(turn)
    return [line for ways in groups.values() for line in _of_task(list(ways.values()))]


def _of_task(ways: Sequence[Sequence[Turn]]) -> list[Line]:
    theirs = [way for way in ways if not way[0].ours]
    return [_line(way, theirs) for way in sorted(ways, key=lambda way: not way[0].ours)]


def _line(turns: Sequence[Turn], theirs: Sequence[Sequence[Turn]]) -> Line:
    turn = turns[0]
    return Line(
        turn.peer,
        turn.task,
        turn.way,
        turn.ours,
        turn.records,
        Spread.of([each.records / each.seconds for each in turns]),
        Spread.of([each.cpu / each.records * 1e6 for each in turns]),
        faster=ratio(turns, theirs, _seconds) if turn.ours else None,
        cheaper=ratio(turns, theirs, _cpu) if turn.ours else None,
    )


Cost: TypeAlias = Callable[[Turn], float]


def _seconds(turn: Turn) -> float:
    return turn.seconds / turn.records


def _cpu(turn: Turn) -> float:
    return turn.cpu / turn.records


def ratio(ours: Iterable[Turn], theirs: Sequence[Sequence[Turn]], cost: Cost) -> Ratio | None:
    """The cost of their cheapest way, by its median, over that of ours in the same round."""
    if not theirs:
        return None
    best = min(theirs, key=lambda turns: median(map(cost, turns)))
    found = quotients(_by_round(best, cost), _by_round(ours, cost))
    return Ratio(best[0].way, Spread.of(found)) if found else None


def _by_round(turns: Iterable[Turn], cost: Cost) -> dict[int, float]:
    return {turn.round: cost(turn) for turn in turns}
