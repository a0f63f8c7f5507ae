"""`python -m benchmarks`: the library beside hand-written code, on the Firestore emulator."""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import Iterable
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any, Final

import typer
from rich.console import Console

from orchestra_memory.testing.emulator import Emulator

from . import environment, plot, report, server
from .records import SEED, mean_bytes, sessions
from .run import Bench, Plan
from .summary import rows
from .turns import Outcome
from .ways import BATCH, CONCURRENCY, IN_FLIGHT, PAGE, WAYS

TITLE: Final = "orchestra-memory beside hand-written AsyncClient code, Firestore emulator"
SIZES: Final = "1,100,400,401,4000,20000"
QUICK: Final = Plan(sizes=(1, 400), rounds=2, records_per_turn=50)
WIDTH: Final = 132
"""Columns of the table where there is no terminal to ask."""

app = typer.Typer(add_completion=False)


@app.command()
def main(
    sizes: Annotated[str, typer.Option(help="Records in one call, comma-separated.")] = SIZES,
    rounds: Annotated[int, typer.Option(min=1, help="Counted rounds; one more warms up.")] = 3,
    embedding: Annotated[
        int, typer.Option(min=0, max=2_048, help="Numbers in each record's vector; 0 for none.")
    ] = 0,
    quick: Annotated[
        bool, typer.Option("--quick", help="Small sizes, two rounds: to see that it works.")
    ] = False,
    output: Annotated[Path, typer.Option(help="Folder for the result.")] = Path(
        "benchmarks/results"
    ),
    name: Annotated[str, typer.Option(help="Name of the result's files.")] = "",
) -> None:
    """Time bulk writes and reads against the Firestore emulator; takes about seven minutes."""
    plan = Plan(parse_sizes(sizes), rounds, embedding=embedding)
    if quick:
        plan = Plan(QUICK.sizes, QUICK.rounds, QUICK.records_per_turn, embedding)
    with server.started() as running:
        about = describe(plan, running)
        os.environ["FIRESTORE_EMULATOR_HOST"] = running.host
        outcome = asyncio.run(run(plan, running))
    stem = output / (name or ("quick" if quick else "firestore"))
    show(outcome, plan, stem)
    save(stem, outcome, about)


async def run(plan: Plan, running: Emulator) -> Outcome:
    log = Console(stderr=True, highlight=False)
    return await Bench(running, log.print).run(plan)


def show(outcome: Outcome, plan: Plan, stem: Path) -> None:
    screen = Console(highlight=False)
    if not screen.is_terminal:
        screen = Console(highlight=False, width=WIDTH)
    screen.print(report.screen_table(report.lines(outcome, spreads=False)))
    screen.print(*report.notes(outcome, left_out(plan.sizes)), sep="\n")
    screen.print(f"To be found in {stem}.json, .md and .png")


def parse_sizes(text: str) -> tuple[int, ...]:
    """``1,400`` as numbers, each once, rising."""
    try:
        found = {int(part) for part in text.split(",")}
    except ValueError:
        raise typer.BadParameter(f"{text!r}: give whole numbers, comma-separated") from None
    if min(found) < 1:
        raise typer.BadParameter("a size must be at least 1")
    return tuple(sorted(found))


def left_out(sizes: Iterable[int]) -> list[str]:
    """Which ways were not run at which sizes, and why."""
    told: list[str] = []
    for way in WAYS:
        beyond = [f"{size:,}" for size in sizes if not way.takes(size)]
        if beyond:
            told.append(
                f"{way.task}, {way.name}: not run with {' and '.join(beyond)} records; "
                f"it is capped at {way.at_most:,}, being slow."
            )
    return told


def describe(plan: Plan, running: Emulator) -> dict[str, Any]:
    """What the result was measured with."""
    sample = sessions(1, 200, embedding=plan.embedding)[0]
    return {
        "title": TITLE,
        "when": datetime.now(UTC).isoformat(timespec="seconds"),
        "versions": environment.versions(),
        "emulator": environment.emulator_facts(running),
        "machine": environment.machine(),
        "parameters": {
            **asdict(plan),
            "seed": SEED,
            "mean_json_bytes": round(mean_bytes(sample)),
            "gathered_at_once": CONCURRENCY,
            "batch": BATCH,
            "batches_in_flight": IN_FLIGHT,
            "scan_page": PAGE,
            "emulator_heap": server.HEAP,
            "left_out": left_out(plan.sizes),
        },
    }


def save(stem: Path, outcome: Outcome, about: dict[str, Any]) -> None:
    stem.parent.mkdir(parents=True, exist_ok=True)
    document = report.document(outcome, about=about)
    stem.with_suffix(".json").write_text(json.dumps(document, indent=1, ensure_ascii=False) + "\n")
    told = report.notes(outcome, about["parameters"]["left_out"])
    table = report.markdown(report.lines(outcome), told=told, about=about)
    stem.with_suffix(".md").write_text(table)
    plot.draw(rows(outcome.turns), stem.with_suffix(".png"), caption=caption(about))


def caption(about: dict[str, Any]) -> str:
    machine, parameters = about["machine"], about["parameters"]
    return (
        f"Records of {parameters['mean_json_bytes']:,} bytes as JSON. Lines: medians of "
        f"{parameters['rounds']} rounds; bands: least and greatest. Client and emulator share "
        f"{machine['cores']} cores ({machine['cpu']}). {about['when'][:10]}."
    )


if __name__ == "__main__":
    app(prog_name="python -m benchmarks")
