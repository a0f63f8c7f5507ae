"""Parts that are measured by modules of their own, as results like the rest."""

from __future__ import annotations

from dataclasses import asdict, replace

from orchestra_memory.testing.service import ServiceMissing

from . import embedded, embedded_report, memory, server
from .peers import bench
from .peers import report as peers_report
from .result import Report, Result, Skipped
from .sheets import Sheet, number


def grow(quick: bool, tell: Report) -> Result:
    """Memory of a process that streams few records, and of one that streams many."""
    counts = memory.Counts(1_000, 3_000) if quick else memory.Counts()
    growth = memory.measured(counts, tell)
    headings = ("what streams", f"{counts.few:,} records", f"{counts.many:,} records", "growth")
    lines = [
        (peaks.verb, number(peaks.few / 1e6), number(peaks.many / 1e6), number(peaks.growth))
        for peaks in growth.peaks
    ]
    note = f"{growth.compared:,} records were streamed, read back and compared; all were equal."
    return Result(
        "Memory of a process that streams, null backend",
        asdict(growth),
        [Sheet("The most memory a process ever had, in MB", headings, lines, notes=[note])],
        figures={f"memory.{verb}.growth_mb": growth.of(verb) for verb in memory.VERBS.values()},
    )


def embed(quick: bool, tell: Report) -> Result:
    """SQLite and local memory beside ``sqlite3`` written by hand."""
    plan = embedded.Plan(1_000, rounds=1) if quick else embedded.Plan()
    found = embedded.run(plan, tell)
    sheet = embedded_report.sheet(found)
    return Result("SQLite and local memory beside sqlite3 by hand", asdict(found), [sheet])


def peers(quick: bool, tell: Report) -> Result:
    """Other libraries that do the job, each in an environment of its own."""
    plan = replace(bench.QUICK, rounds=1) if quick else bench.Plan(rounds=3)
    try:
        with server.started() as running:
            found = bench.run(plan, running.host, tell)
    except ServiceMissing as error:
        raise Skipped(str(error)) from error
    if not found.lines:
        raise Skipped("; ".join(f"{name}: {why}" for name, why in found.skipped.items()))
    sheet = peers_report.sheet(found)
    return Result("Beside other libraries, on the Firestore emulator", asdict(found), [sheet])
