"""``orchestra-memory backup``."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

import anyio
import typer

from ..transfer.backup import BackupOptions, BackupReport, backup, counted
from ..transfer.labels import Label
from ..transfer.parts import part_of
from ..transfer.sources import STDIN as STDOUT
from ..urls import FirestoreUrl
from ..values import from_micros, to_micros
from .ask import time_of
from .codes import Code
from .imports import import_all, models_with
from .opening import opened, plan_of, settings_of
from .output import clean, emit, note, show_table
from .progress import Counter, again
from .verb import Target

SHOWN: Final = 20
"""Documents left out that are named; the rest is counted."""


@dataclass(frozen=True, slots=True)
class Choices:
    """What the options say."""

    as_of: str | None
    moving: bool
    imports: tuple[str, ...]
    resume: bool
    dry_run: bool


def run(target: Target, file: Path, choices: Choices) -> None:
    if str(file) == STDOUT:
        raise typer.BadParameter("a backup goes into a file, so that it can be continued")
    import_all(choices.imports)
    options = _options(target, choices)
    if choices.dry_run:
        _show_plan(target, file, anyio.run(_planned, target, options))
        return
    try:
        with Counter("records") as counter:
            report = anyio.run(_back_up, target, file, replace(options, on_progress=counter.show))
    except BaseException:
        if part_of(file).exists() and not file.exists():
            hint = again(resumed=choices.resume)
            note(f"stopped early; {part_of(file)} is kept. Go on with: {hint}")
        raise
    _show(target, report)


def _options(target: Target, choices: Choices) -> BackupOptions:
    store = plan_of(target, settings_of(target)).store
    moment = time_of(choices.as_of, "--as-of")
    if moment is not None and (choices.moving or not isinstance(store, FirestoreUrl)):
        raise typer.BadParameter("--as-of is for Firestore, and contradicts --moving")
    return BackupOptions(
        models=models_with(choices.imports),
        namespace=store.namespace,
        source=str(replace(store, namespace=None)),
        as_of=None if moment is None else to_micros(moment),
        still=not choices.moving,
        resume=choices.resume,
    )


async def _planned(target: Target, options: BackupOptions) -> Label:
    async with opened(target) as memory:
        label, _ = await counted(memory, options)
        return label


async def _back_up(target: Target, file: Path, options: BackupOptions) -> BackupReport:
    async with opened(target) as memory:
        return await backup(memory, file, options)


def _show_plan(target: Target, file: Path, label: Label) -> None:
    counts = {kind.collection: kind.records for kind in label.kinds}
    if target.as_json:
        emit({"file": str(file), "dry_run": True, "collections": counts})
        return
    _show_counts(counts)
    print(f"would back up {sum(counts.values()):,} records")


def _show(target: Target, report: BackupReport) -> None:
    if target.as_json:
        emit(_facts(report))
    else:
        _show_counts(_counts(report))
        print(f"backed up {report.seal.total:,} records to {report.path}{_moment(report)}")
    for place in report.left_out[:SHOWN]:
        note(f"{clean(place)} does not fit its record type, and is left out")
    if len(report.left_out) > SHOWN:
        note(f"and {len(report.left_out) - SHOWN:,} more")
    if report.left_out:
        sys.stdout.flush()
        raise typer.Exit(Code.PROBLEMS)


def _counts(report: BackupReport) -> dict[str, int]:
    return {kind.collection: report.seal.records.get(kind.name, 0) for kind in report.label.kinds}


def _show_counts(counts: Mapping[str, int]) -> None:
    show_table(["collection", "records"], [each for each in counts.items() if each[1]])


def _facts(report: BackupReport) -> dict[str, object]:
    return {
        "file": str(report.path),
        "dry_run": False,
        "collections": _counts(report),
        "records": report.seal.total,
        "left_out": list(report.left_out),
        "source": report.label.source,
        "namespace": report.label.namespace,
        "as_of": report.seal.as_of,
        "bytes": report.path.stat().st_size,
        "sha256": report.seal.sha256,
        "billed_reads": report.billed.reads,
    }


def _moment(report: BackupReport) -> str:
    """As of when, where the store's clock tells a time that people know."""
    if report.seal.as_of is None:
        return ", while the store went on"
    if not report.label.source.startswith("firestore:"):
        return ", as of one moment"
    return f", as of {from_micros(report.seal.as_of):%Y-%m-%d %H:%M:%S.%f} UTC"
