"""A result as JSON, as a table on the screen, and as a table in Markdown."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any, Final

from rich.table import Table

from .summary import Row, Spread, ratios, rows

if TYPE_CHECKING:
    from .turns import Outcome, Turn

COLUMNS: Final = {
    "records_per_second": "records/s",
    "client_us_per_record": "client µs",
    "server_us_per_record": "server µs",
    "peak_memory_mib": "MiB",
    "longest_stall_ms": "stall ms",
}
HEADINGS: Final = ("task", "size", "way", *COLUMNS.values(), "ratio")
TEXT_COLUMNS: Final = ("task", "way")
FORMAT: Final = 1
"""Raised when the JSON changes its shape."""


def document(outcome: Outcome, *, about: Mapping[str, Any]) -> dict[str, Any]:
    """All there is to keep of a run: what it ran with, every round, and the summary."""
    return {
        "format": FORMAT,
        **about,
        "verified": {"records_compared": outcome.compared, "differences": 0},
        "idle_loop": [asdict(cost) for cost in outcome.idle],
        "rounds": [_flat(turn) for turn in outcome.turns],
        "summary": [asdict(row) for row in rows(outcome.turns)],
        "ratios": [asdict(ratio) for ratio in ratios(outcome.turns)],
    }


def _flat(turn: Turn) -> dict[str, Any]:
    fields = asdict(turn)
    return {**{name: fields[name] for name in fields if name != "cost"}, **fields["cost"]}


def lines(outcome: Outcome, *, spreads: bool = True) -> list[tuple[str, ...]]:
    """The table's lines, one task after another.

    With `spreads`, all medians have theirs in brackets, else only the throughput.
    """
    quotients = {
        (ratio.task, ratio.size, ratio.ours): f"{ratio.spread.median:.2f}"
        for ratio in ratios(outcome.turns)
        if ratio.figure == "records_per_second"
    }
    found = rows(outcome.turns)
    tasks = list(dict.fromkeys(row.task for row in found))
    ordered = sorted(found, key=lambda row: (tasks.index(row.task), row.size))
    return [
        (
            row.task,
            f"{row.size:,}",
            row.way,
            *_cells(row, spreads=spreads),
            quotients.get((row.task, row.size, row.way), ""),
        )
        for row in ordered
    ]


def _cells(row: Row, *, spreads: bool) -> list[str]:
    return [
        cell(row.figures.get(name), spread=spreads or name == "records_per_second")
        for name in COLUMNS
    ]


def cell(figure: Spread | None, *, spread: bool = True) -> str:
    """A median, with its least and greatest: ``1,204 (1,100 to 1,310)``."""
    if figure is None:
        return "n/a"
    if not spread:
        return number(figure.median)
    return f"{number(figure.median)} ({number(figure.least)} to {number(figure.greatest)})"


def number(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 20 else f"{value:.1f}"


def notes(outcome: Outcome, left_out: Iterable[str]) -> list[str]:
    """What a reader of the table must know besides."""
    stalls = [cost.stall * 1e3 for cost in outcome.idle]
    told = [f"{outcome.compared:,} records were read back and compared; all were equal."]
    if stalls:
        told.append(f"Longest stall of an idle loop: {cell(Spread.of(stalls))} ms.")
    return [*told, *left_out]


def screen_table(table_lines: Sequence[tuple[str, ...]]) -> Table:
    table = Table(
        title="Medians (least to greatest); processor time is per record",
        title_justify="left",
    )
    for heading in HEADINGS:
        text = heading in TEXT_COLUMNS
        table.add_column(heading, justify="left" if text else "right", no_wrap=True)
    for before, line in zip([None, *table_lines], table_lines, strict=False):
        if before is not None and before[:2] != line[:2]:
            table.add_section()
        table.add_row(*line, style="bold" if line[-1] else None)
    return table


def markdown(
    table_lines: Iterable[tuple[str, ...]], *, told: Iterable[str], about: Mapping[str, Any]
) -> str:
    """The table, with what it was measured with."""
    rule = ["---" if heading in TEXT_COLUMNS else "---:" for heading in HEADINGS]
    body = [HEADINGS, rule, *(map(_strong, line) if line[-1] else line for line in table_lines)]
    table = "\n".join(f"| {' | '.join(line)} |" for line in body)
    return (
        f"# {about['title']}\n\n{_facts(about)}\n\n"
        "Medians, with least and greatest of the rounds in brackets. Processor time is per record, "
        "MiB is by how much the process grew at most, ratio is our throughput over the best that "
        f"was written by hand.\n\n{table}\n\n" + "\n".join(f"- {note}" for note in told) + "\n"
    )


def _strong(text: str) -> str:
    return f"**{text}**" if text else text


def _facts(about: Mapping[str, Any]) -> str:
    machine = about["machine"]
    versions = ", ".join(f"{name} {number}" for name, number in about["versions"].items())
    emulator = ", ".join(f"{name} {value}" for name, value in about["emulator"].items())
    return (
        f"{machine['cpu']}, {machine['cores']} cores, {machine['memory_gib']} GiB, "
        f"{machine['system']}, load {machine['load_before']} before the run. "
        f"{versions}. Emulator: {emulator}."
    )
