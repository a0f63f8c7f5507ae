"""What was measured of the embedded stores: values, ratios, and a table; without I/O."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Final, TypeAlias

from .sheets import Sheet
from .summary import Spread, quotients
from .turns import Cost, Seen

BY_HAND: Final = "by hand"


@dataclass(frozen=True, slots=True)
class Turn:
    """One turn of one side: calls of one task, about ``records`` records. It is timed or watched.

    Turns of one task may have different numbers of calls.
    """

    task: str
    side: str
    round: int
    records: int
    cost: Cost | None = None
    seen: Seen | None = None


@dataclass(frozen=True, slots=True)
class Line:
    """One task on one side; ``us`` and ``cpu_us`` are microseconds of a record.

    Ratios are what is by hand over ours, round by round: how many times as fast, and as cheap in
    processor time. They are ``None`` for what is by hand. ``stall_ms`` and ``callback_ms`` are the
    worst of the watched rounds, ``None`` if there were none.
    """

    task: str
    side: str
    us: Spread
    cpu_us: Spread
    stall_ms: float | None
    callback_ms: float | None
    time_ratio: Spread | None
    cpu_ratio: Spread | None


@dataclass(frozen=True, slots=True)
class Result:
    """Everything of a run. ``idle`` is a loop with nothing to do; ``compared`` counts records.

    ``packages`` are the versions it was run with.
    """

    records: int
    lines: Sequence[Line]
    turns: Sequence[Turn]
    idle: Sequence[Seen]
    compared: int
    packages: Mapping[str, str]


Figure: TypeAlias = Callable[[Cost], float]


def lines(turns: Iterable[Turn]) -> list[Line]:
    """One for each task and side, what is by hand last."""
    groups: dict[str, dict[str, list[Turn]]] = {}
    for turn in turns:
        groups.setdefault(turn.task, {}).setdefault(turn.side, []).append(turn)
    return [
        _line(sides[side], sides.get(BY_HAND, []))
        for sides in groups.values()
        for side in sorted(sides, key=BY_HAND.__eq__)
    ]


def _line(turns: Sequence[Turn], by_hand: Sequence[Turn]) -> Line:
    seconds, cpu = costs(turns, _seconds), costs(turns, _cpu)
    seen = [turn.seen for turn in turns if turn.seen is not None]
    ours = turns[0].side != BY_HAND
    return Line(
        turns[0].task,
        turns[0].side,
        us=Spread.of([value * 1e6 for value in seconds.values()]),
        cpu_us=Spread.of([value * 1e6 for value in cpu.values()]),
        stall_ms=max((each.stall * 1e3 for each in seen), default=None),
        callback_ms=max((each.callback * 1e3 for each in seen), default=None),
        time_ratio=ratio(costs(by_hand, _seconds), seconds) if ours else None,
        cpu_ratio=ratio(costs(by_hand, _cpu), cpu) if ours else None,
    )


def _seconds(cost: Cost) -> float:
    return cost.seconds


def _cpu(cost: Cost) -> float:
    return cost.client_cpu


def costs(turns: Iterable[Turn], figure: Figure) -> dict[int, float]:
    """Of one record, by round."""
    return {turn.round: figure(turn.cost) / turn.records for turn in turns if turn.cost is not None}


def ratio(theirs: Mapping[int, float], ours: Mapping[int, float]) -> Spread | None:
    """Theirs over ours, of the rounds that have both."""
    found = quotients(theirs, ours)
    return Spread.of(found) if found else None


HEADINGS: Final = (
    "task",
    "store",
    "µs",
    "times as fast",
    "cpu µs",
    "times as cheap",
    "stall ms",
    "callback ms",
)


def sheet(result: Result) -> Sheet:
    """A line for each task and store; what is by hand last."""
    return Sheet(
        f"{result.records:,} records, or what is read of them: medians for each record, or count; "
        "ratios to what is written by hand (least to greatest)",
        HEADINGS,
        [cells(line) for line in result.lines],
        texts=2,
        grouped=1,
        strong=[place for place, line in enumerate(result.lines) if line.side != BY_HAND],
        notes=notes(result),
    )


def cells(line: Line) -> tuple[str, ...]:
    return (
        line.task,
        line.side,
        f"{line.us.median:,.1f}",
        times(line.time_ratio),
        f"{line.cpu_us.median:,.1f}",
        times(line.cpu_ratio),
        milliseconds(line.stall_ms),
        milliseconds(line.callback_ms),
    )


def times(ratio: Spread | None) -> str:
    """``1.2 (1.1 to 1.3)``; small ones in full, for a store may be a thousand times as slow."""
    if ratio is None:
        return ""
    median, least, greatest = (
        f"{value:.2g}" if value < 10 else f"{value:,.0f}"
        for value in (ratio.median, ratio.least, ratio.greatest)
    )
    return f"{median} ({least} to {greatest})"


def milliseconds(value: float | None) -> str:
    return "" if value is None else f"{value:,.1f}"


def notes(result: Result) -> list[str]:
    """What a reader of the table must know besides."""
    packages = ", ".join(f"{name} {version}" for name, version in result.packages.items())
    told = [
        f"{result.compared:,} records and counts were compared with what was given; all were "
        "equal.",
        f"Run with {packages}.",
    ]
    if result.idle:
        stall = median(seen.stall for seen in result.idle) * 1e3
        told.append(
            "Stall: the longest that a task waited which wanted to run every 2 ms; on an idle loop "
            f"{stall:.1f} ms. Callback: the most processor time of one callback on the loop."
        )
    return told
