"""`python -m benchmarks`: the library beside hand-written code, beside peers, beside the limit."""

from __future__ import annotations

import time
from collections.abc import Collection
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Annotated, Any, Final

import typer
from rich.console import Console

from . import environment, plot_promises, promises, sheets
from .parts import chosen
from .promised import PROMISES
from .result import Result, Skipped, save

WIDTH: Final = 170
"""Columns of the tables where there is no terminal to ask."""
RESULTS: Final = Path("benchmarks/results")
QUICK: Final = Path("benchmarks/results/quick")
"""Where quick results go: git ignores it, for they are no results."""

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)
log = Console(stderr=True, highlight=False)


@app.command()
def main(
    only: Annotated[str, typer.Option(help="Parts to run, comma-separated.")] = "",
    skip: Annotated[str, typer.Option(help="Parts to leave out, comma-separated.")] = "",
    quick: Annotated[
        bool, typer.Option("--quick", help="Few records: to see that it works, not how fast.")
    ] = False,
    output: Annotated[
        Path | None, typer.Option(help=f"Folder for the results. Default: {RESULTS}")
    ] = None,
) -> None:
    """Measure everything; takes about half an hour."""
    try:
        parts = chosen(names(only), names(skip))
    except ValueError as error:
        raise typer.BadParameter(str(error)) from None
    folder = output or (QUICK if quick else RESULTS)
    about = describe(quick)
    results: dict[str, Result] = {}
    for name, part in parts.items():
        began = time.monotonic()
        try:
            results[name] = part(quick, partial(tell, name))
        except Skipped as reason:
            log.print(f"{name}: SKIPPED: {reason}", style="bold")
            continue
        save(results[name], folder / name, about=about)
        show(results[name])
        log.print(f"{name}: {time.monotonic() - began:.0f} s, to be found in {folder / name}.*")
    conclude(results, folder, about, asked=parts)


def tell(name: str, text: str) -> None:
    log.print(f"{name}: {text}")


def conclude(
    results: dict[str, Result], folder: Path, about: dict[str, Any], *, asked: Collection[str]
) -> None:
    """Judge the promises about these parts; the judgement is kept if they are all promises.

    A quick run has too few records to be judged by.
    """
    figures = {name: value for result in results.values() for name, value in result.figures.items()}
    judgements = [found for found in promises.judged(figures) if found.promise.part in asked]
    sheet = promises.sheet(judgements, judge=not about["quick"])
    document = {"promises": promises.document(judgements)}
    draw = plot_promises.drawing(judgements)
    result = Result("Promises", document, [sheet], draw=draw)
    if judgements:
        show(result)
    if len(judgements) == len(PROMISES) and not about["quick"]:
        save(result, folder / "promises", about=about)


def show(result: Result) -> None:
    for sheet in result.shown or result.sheets:
        sheets.show(sheet, width=WIDTH)


def names(text: str) -> list[str]:
    return [name.strip() for name in text.split(",") if name.strip()]


def describe(quick: bool) -> dict[str, Any]:
    """What everything is measured with."""
    return {
        "when": datetime.now(UTC).isoformat(timespec="seconds"),
        "quick": quick,
        "versions": environment.versions(),
        "machine": environment.machine(),
    }


if __name__ == "__main__":
    app(prog_name="python -m benchmarks")
