"""What was measured of the cache, as values; medians and ratios of it, without I/O."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Final, TypeAlias

from ..summary import Spread, quotients

OURS: Final = "ours"
"""The kind of our own ways, with the cache; other kinds are what they are compared with."""
REDIS: Final = "bare Redis"
"""Redis by hand, as fast as it can be written; the client as it comes is told besides."""
FIRESTORE: Final = "plain client"
UNCACHED: Final = "no cache"


@dataclass(frozen=True, slots=True)
class Turn:
    """Calls of one way, one after another.

    ``seconds`` passed in all, ``cpu`` of them of this process's processor time; ``typical`` is the
    median of the calls. ``billed`` counts the reads that the store was asked for meanwhile, where
    that is known.
    """

    task: str
    way: str
    kind: str
    round: int
    calls: int
    seconds: float
    cpu: float
    typical: float
    billed: int | None = None


@dataclass(frozen=True, slots=True)
class Line:
    """One way to do a task; ``us`` (mean of a turn), ``typical_us`` and ``cpu_us`` of one call.

    ``times`` is its time over that of our way in the same rounds, ``cheaper`` its processor time
    over ours; ``None`` for our own. ``billed`` is reads of the store for each call.
    """

    task: str
    way: str
    kind: str
    us: Spread
    typical_us: Spread
    cpu_us: Spread
    times: Spread | None
    cheaper: Spread | None
    billed: float | None


Figure: TypeAlias = Callable[[Turn], float]


def seconds(turn: Turn) -> float:
    return turn.seconds / turn.calls


def cpu(turn: Turn) -> float:
    return turn.cpu / turn.calls


def typical(turn: Turn) -> float:
    return turn.typical


def lines(turns: Iterable[Turn]) -> list[Line]:
    """One for each way, task by task, ours first."""
    return [
        _line(ways[way], [turn for group in ways.values() for turn in group if turn.kind == OURS])
        for ways in by_way(turns).values()
        for way in sorted(ways, key=lambda way: ways[way][0].kind != OURS)
    ]


def by_way(turns: Iterable[Turn]) -> dict[str, dict[str, list[Turn]]]:
    """The turns by task, and then by way."""
    groups: dict[str, dict[str, list[Turn]]] = {}
    for turn in turns:
        groups.setdefault(turn.task, {}).setdefault(turn.way, []).append(turn)
    return groups


def _line(turns: Sequence[Turn], ours: Sequence[Turn]) -> Line:
    turn = turns[0]
    own = turn.kind == OURS
    billed = [each.billed / each.calls for each in turns if each.billed is not None]
    return Line(
        turn.task,
        turn.way,
        turn.kind,
        us=_microseconds(turns, seconds),
        typical_us=_microseconds(turns, typical),
        cpu_us=_microseconds(turns, cpu),
        times=None if own else ratio(turns, ours, seconds),
        cheaper=None if own else ratio(turns, ours, cpu),
        billed=median(billed) if billed else None,
    )


def _microseconds(turns: Sequence[Turn], figure: Figure) -> Spread:
    return Spread.of([figure(turn) * 1e6 for turn in turns])


def ratio(dividends: Iterable[Turn], divisors: Iterable[Turn], figure: Figure) -> Spread | None:
    """One over the other, round by round; ``None`` where they have no round in common."""
    found = quotients(_by_round(dividends, figure), _by_round(divisors, figure))
    return Spread.of(found) if found else None


def _by_round(turns: Iterable[Turn], figure: Figure) -> dict[int, float]:
    return {turn.round: figure(turn) for turn in turns}


def differences(
    minuends: Iterable[Turn], subtrahends: Iterable[Turn], figure: Figure
) -> dict[int, float]:
    """One less the other, by round, of those that have both."""
    more, less = _by_round(minuends, figure), _by_round(subtrahends, figure)
    return {number: value - less[number] for number, value in more.items() if number in less}


def figures(part: str, turns: Iterable[Turn]) -> dict[str, Spread]:
    """What promises are about: our way against the best of each kind, by mean time.

    ``cache.get.time/bare Redis`` is our time over theirs, ``cache.get.speed/plain client`` theirs
    over ours, and ``cache.get.speed/cashews`` likewise where a single way is a kind of its own.
    """
    found: dict[str, Spread] = {}
    for task, ways in by_way(turns).items():
        ours = [turn for group in ways.values() for turn in group if turn.kind == OURS]
        for kind, group in _best(ways).items():
            if (speed := ratio(group, ours, seconds)) is not None:
                found[f"{part}.{task}.speed/{kind}"] = speed
                found[f"{part}.{task}.time/{kind}"] = speed.inverse()
    return found


def _best(ways: Mapping[str, Sequence[Turn]]) -> dict[str, Sequence[Turn]]:
    """Of each kind but ours the way with the shortest median time."""
    best: dict[str, Sequence[Turn]] = {}
    for group in sorted(ways.values(), key=lambda turns: median(map(seconds, turns))):
        if group[0].kind not in (OURS, ""):
            best.setdefault(group[0].kind, group)
    return best
