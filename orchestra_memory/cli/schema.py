"""``orchestra-memory schema``."""

from __future__ import annotations

import shlex
import sys
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

import anyio
import typer

from ..record import Record
from ..transfer.migrate import SchemaReport, UpgradeOptions, schema_status, upgrade_schema
from .codes import Code
from .consent import consent
from .imports import import_all, models_with
from .opening import opened, opened_to_write, plan_of, settings_of
from .output import clean, emit, is_terminal, new_table, note, print_table
from .progress import Counter
from .verb import Target


@dataclass(frozen=True, slots=True)
class Choices:
    """What the options say."""

    imports: tuple[str, ...]
    dry_run: bool
    resume: bool
    no_cache: bool
    confirm: str | None


def status(target: Target, imports: tuple[str, ...]) -> None:
    import_all(imports)
    with Counter("documents") as counter:
        report = anyio.run(_status, target, models_with(imports), counter)
    if target.as_json:
        emit({"versions": report.as_dict()["versions"], "older": report.older})
    else:
        _show(report)
        if report.older:
            note("bring the older ones up to date with: orchestra-memory schema upgrade")


async def _status(
    target: Target, models: tuple[type[Record], ...], counter: Counter
) -> SchemaReport:
    async with opened(target) as memory:
        return await schema_status(
            memory, models=models, on_page=lambda report: counter.show(_total(report))
        )


def _total(report: SchemaReport) -> int:
    return sum(counts.total() for counts in report.versions.values())


def _show(report: SchemaReport) -> None:
    lines = [
        (collection, str(version), f"{number:,}")
        for collection, counts in report.versions.items()
        for version, number in sorted(counts.items())
    ]
    if not lines:
        print("no documents")
    elif not is_terminal():
        print(*("  ".join(line) for line in lines), sep="\n")
    else:
        table = new_table("collection", "version", "documents")
        for line in lines:
            table.add_row(*line)
        print_table(table)


def upgrade(target: Target, choices: Choices) -> None:
    import_all(choices.imports)
    if not choices.dry_run:
        what = "store older documents anew"
        consent(target, what, yes=True, confirm=choices.confirm)
    with Counter("documents") as counter:
        try:
            report = anyio.run(_upgrade, target, choices, counter)
        except BaseException:
            _explain(target, choices)
            raise
    _tell(target, report, choices)


async def _upgrade(target: Target, choices: Choices, counter: Counter) -> SchemaReport:
    options = UpgradeOptions(
        models=models_with(choices.imports),
        dry_run=choices.dry_run,
        checkpoint=_checkpoint(target, choices),
        resume=choices.resume,
        on_page=lambda report: counter.show(_total(report)),
    )
    store = (
        opened(target) if choices.dry_run else opened_to_write(target, no_cache=choices.no_cache)
    )
    async with store as memory:
        return await upgrade_schema(memory, options=options)


def _checkpoint(target: Target, choices: Choices) -> Path:
    settings = settings_of(target)
    store = plan_of(target, settings, no_cache=choices.no_cache).store
    name = sha256(str(store).encode()).hexdigest()[:24]
    return settings.home.expanduser() / "upgrades" / f"{name}.json"


def _explain(target: Target, choices: Choices) -> None:
    if not choices.dry_run and not choices.resume and _checkpoint(target, choices).exists():
        again = ["orchestra-memory", *sys.argv[1:], "--resume"]
        note(f"stopped early; whole pages are done. Go on with: {shlex.join(again)}")


def _tell(target: Target, report: SchemaReport, choices: Choices) -> None:
    for problem in report.problems:
        note(f"problem: {clean(problem)}")
    if target.as_json:
        emit({"dry_run": choices.dry_run, **report.as_dict()})
    else:
        verb = "would upgrade" if choices.dry_run else "upgraded"
        moved = f", {report.moved:,} of them moved to another id" if report.moved else ""
        print(f"{verb} {report.upgraded:,} of {_total(report):,} documents{moved}")
    if report.failed or report.newer:
        if report.newer:
            note(f"{report.newer:,} are of a newer version than this one knows, and stay")
        sys.stdout.flush()
        raise typer.Exit(Code.PROBLEMS)
