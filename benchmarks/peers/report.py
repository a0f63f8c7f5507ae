"""A result of the peers' as a table."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from ..sheets import Sheet, cell
from .catalogue import OURS
from .turns import Line, Ratio, Result

HEADINGS: Final = (
    "peer",
    "task",
    "way",
    "records",
    "records/s",
    "cpu µs",
    "times as fast",
    "times as cheap",
)


def sheet(result: Result) -> Sheet:
    """A line for each way, the peer's own below ours."""
    return Sheet(
        "Medians (least to greatest); ratios are to the peer's best way, round by round",
        HEADINGS,
        [cells(line) for line in result.lines],
        texts=3,
        grouped=2,
        strong=[place for place, line in enumerate(result.lines) if line.ours],
        notes=list(notes(result)),
    )


def cells(line: Line) -> tuple[str, ...]:
    return (
        line.peer,
        line.task,
        f"{OURS}: {line.way}" if line.ours else line.way,
        f"{line.records:,}",
        cell(line.records_per_second),
        cell(line.cpu_us, spread=False),
        times(line.faster),
        times(line.cheaper),
    )


def times(ratio: Ratio | None) -> str:
    return "" if ratio is None else cell(ratio.spread)


def notes(result: Result) -> Iterator[str]:
    """What a reader of the table must know besides."""
    yield f"{result.compared:,} records were read back and compared; all were equal."
    for name, versions in result.packages.items():
        told = ", ".join(f"{package} {number}" for package, number in versions.items())
        yield f"{name} ran with {told}."
    for name, note in result.notes.items():
        yield f"{name}: {note}"
    for name, reason in result.skipped.items():
        yield f"{name} was left out: {reason}"
