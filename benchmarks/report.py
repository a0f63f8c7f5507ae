"""What was measured with a backend: as JSON, as a table, and as figures with names."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import asdict
from statistics import median
from typing import Any, Final

from .sheets import Sheet, cell, number
from .summary import (
    CALLBACK,
    CLIENT,
    MEMORY,
    SERVER,
    SPEED,
    STALL,
    WORK,
    Ratio,
    Row,
    Spread,
    closest,
    ratios,
    rows,
)
from .turns import Outcome, Side, Turn

COLUMNS: Final = {
    SPEED: "records/s",
    CLIENT: "client µs",
    SERVER: "server µs",
    CALLBACK: "callback ms",
    WORK: "without gc",
    STALL: "stall ms",
    MEMORY: "MiB",
}
HEADINGS: Final = ("task", "size", "way", *COLUMNS.values(), "ours, times")
TIME: Final = "time"
"""Our time over theirs: the inverse of the ratio of throughputs."""
OTHERS: Final[tuple[Side, ...]] = ("by hand", "limit")


def document(outcome: Outcome) -> dict[str, Any]:
    """All there is to keep of a run: every round, and the summary."""
    return {
        "verified": {"records_compared": outcome.compared, "differences": 0},
        "idle_loop": [asdict(seen) for seen in outcome.idle],
        "rounds": [_flat(turn) for turn in outcome.turns],
        "summary": [asdict(row) for row in rows(outcome.turns)],
        "ratios": [asdict(ratio) for ratio in ratios(outcome.turns)],
    }


def _flat(turn: Turn) -> dict[str, Any]:
    fields = asdict(turn)
    cost, seen = fields.pop("cost"), fields.pop("seen")
    return {**fields, **(cost or {}), **(seen or {})}


def sheet(
    title: str, outcome: Outcome, further: Sequence[str] = (), *, spreads: bool = True
) -> Sheet:
    """One line for each way, one task after another, sizes rising; `further` notes at the end.

    With `spreads`, all medians have theirs in brackets, else only the throughput.
    """
    found = rows(outcome.turns)
    tasks = list(dict.fromkeys(row.task for row in found))
    ordered = sorted(found, key=lambda row: (tasks.index(row.task), row.size, row.side != "ours"))
    quotients = {
        (ratio.task, ratio.size, ratio.other): number(ratio.spread.median)
        for ratio in ratios(outcome.turns)
        if ratio.figure == SPEED
    }
    lines = [
        (
            row.task,
            f"{row.size:,}",
            row.way,
            *_cells(row, spreads=spreads),
            quotients.get((row.task, row.size, row.way), "") if row.side != "ours" else "",
        )
        for row in ordered
    ]
    strong = [place for place, row in enumerate(ordered) if row.side == "ours"]
    return Sheet(title, HEADINGS, lines, 3, 2, strong, [*notes(outcome), *further])


def _cells(row: Row, *, spreads: bool) -> list[str]:
    return [cell(row.figures.get(name), spread=spreads or name == SPEED) for name in COLUMNS]


def notes(outcome: Outcome) -> list[str]:
    """What a reader of the table must know besides."""
    told = [f"{outcome.compared:,} records were read back and compared; all were equal."]
    if outcome.idle:
        stalls = Spread.of([seen.stall * 1e3 for seen in outcome.idle])
        told.append(f"Longest stall of an idle loop: {cell(stalls)} ms.")
    return told


def figures(part: str, outcome: Outcome) -> dict[str, Spread]:
    """What promises are about, by name, each at the largest size that its task was run with.

    ``emulator.write.records_per_second/by hand`` is a ratio to the best way of a side,
    ``far.write.records_per_second/batches of 400`` to one way, ``null.write.longest_callback_ms``
    a figure of our own way, and ``null.write.longest_stall_ms/idle`` its ratio to an idle loop.
    """
    turns = _largest(outcome.turns)
    found: dict[str, Spread] = {}
    known = ratios(turns)
    for ratio in known:
        found |= _named(part, ratio, ratio.other)
    for side in OTHERS:
        for ratio in closest(known, side=side).values():
            found |= _named(part, ratio, side)
    idle = median(seen.stall for seen in outcome.idle) * 1e3 if outcome.idle else 0
    for row in rows(turns):
        if row.side == "ours" and STALL in row.figures and idle:
            name, stall = f"{part}.{row.task}", row.figures[STALL]
            found[f"{name}.{CALLBACK}"] = row.figures[CALLBACK]
            found[f"{name}.{WORK}"] = row.figures[WORK]
            found[f"{name}.{STALL}"] = stall
            found[f"{name}.{STALL}/idle"] = stall.over(idle)
    return found


def _named(part: str, ratio: Ratio, other: str) -> dict[str, Spread]:
    name = f"{part}.{ratio.task}"
    found = {f"{name}.{ratio.figure}/{other}": ratio.spread}
    if ratio.figure == SPEED:
        found[f"{name}.{TIME}/{other}"] = ratio.spread.inverse()
    return found


def _largest(turns: Sequence[Turn]) -> list[Turn]:
    sizes: dict[str, int] = {}
    for turn in turns:
        sizes[turn.task] = max(turn.size, sizes.get(turn.task, 0))
    return [turn for turn in turns if turn.size == sizes[turn.task]]


def left_out(ways: Iterable[Any], sizes: Sequence[int]) -> list[str]:
    """Which ways were not run at which sizes, and why."""
    told: list[str] = []
    for way in ways:
        beyond = [f"{size:,}" for size in sorted(sizes) if not way.takes(size)]
        if beyond:
            told.append(
                f"{way.task}, {way.name}: not run with {' and '.join(beyond)} records; "
                f"it is capped at {way.at_most:,}, being slow."
            )
    return told
