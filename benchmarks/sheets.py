"""Tables, on the screen and in Markdown."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from rich.console import Console
from rich.table import Table

from .summary import Spread


@dataclass(frozen=True, slots=True)
class Sheet:
    """Lines of cells below headings. The first ``texts`` columns are words, the others figures.

    ``strong`` are the numbers of the lines to be set off; a rule comes wherever the first
    ``grouped`` cells change.
    """

    title: str
    headings: tuple[str, ...]
    lines: Sequence[tuple[str, ...]]
    texts: int = 1
    grouped: int = 0
    strong: Collection[int] = ()
    notes: Sequence[str] = ()


def show(sheet: Sheet, *, width: int) -> None:
    """Print it with its notes; `width` is how many columns where there is no terminal to ask."""
    terminal = Console(highlight=False, markup=False)
    columns = None if terminal.is_terminal else width
    console = Console(highlight=False, markup=False, width=columns)
    console.print(screen(sheet))
    console.print(*sheet.notes, sep="\n")


def screen(sheet: Sheet) -> Table:
    table = Table(title=sheet.title, title_justify="left", caption_justify="left")
    for place, heading in enumerate(sheet.headings):
        table.add_column(heading, justify="left" if place < sheet.texts else "right", no_wrap=True)
    for number, line in enumerate(sheet.lines):
        if number and sheet.lines[number - 1][: sheet.grouped] != line[: sheet.grouped]:
            table.add_section()
        table.add_row(*line, style="bold" if number in sheet.strong else None)
    return table


def markdown(sheet: Sheet) -> str:
    rule = ["---" if place < sheet.texts else "---:" for place in range(len(sheet.headings))]
    lines = [
        tuple(f"**{cell}**" if cell else "" for cell in line) if number in sheet.strong else line
        for number, line in enumerate(sheet.lines)
    ]
    table = "\n".join(f"| {' | '.join(line)} |" for line in (sheet.headings, rule, *lines))
    notes = "\n".join(f"- {note}" for note in sheet.notes)
    return f"## {sheet.title}\n\n{table}\n" + (f"\n{notes}\n" if notes else "")


def cell(figure: Spread | None, *, spread: bool = True) -> str:
    """A median, with its least and greatest: ``1,204 (1,100 to 1,310)``."""
    if figure is None:
        return ""
    if not spread:
        return number(figure.median)
    return f"{number(figure.median)} ({number(figure.least)} to {number(figure.greatest)})"


def number(value: float) -> str:
    if abs(value) >= 20:
        return f"{value:,.0f}"
    return f"{value:.1f}" if abs(value) >= 10 else f"{value:.2f}"
