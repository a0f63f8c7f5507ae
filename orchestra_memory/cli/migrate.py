"""``orchestra-memory migrate``."""

from __future__ import annotations

import shlex
import sys
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import partial
from hashlib import sha256
from pathlib import Path
from typing import Final

import anyio
import typer

from ..errors import ConfigurationError
from ..protocol import MemoryManager
from ..stack import open_memory
from ..transfer.entries import UnreadableFile
from ..transfer.migrate import (
    FolderSource,
    MigrateOptions,
    Migration,
    StoreSource,
    Undone,
    migrate,
    undo,
    verify,
)
from ..transfer.migrate.ledger import header_of, past_of
from .bar import Show, bar
from .codes import Code
from .consent import consent
from .opening import opened, opened_to_write, plan_of, settings_of
from .output import clean, emit, note, show_facts
from .verb import Target

SHOWN: Final = 20
"""Problems and warnings that are spelled out; the report has all."""
Source = FolderSource | StoreSource
_COMPARED: Final = ("verified", "differs", "missing")


@dataclass(frozen=True, slots=True)
class Choices:
    """What the options say."""

    dry_run: bool
    resume: bool
    verify: bool
    report: Path | None
    max_mib: int
    no_cache: bool


@dataclass(frozen=True, slots=True)
class Consent:
    """What was said to be meant."""

    yes: bool
    confirm: str | None


def run(target: Target, source: str, choices: Choices) -> None:
    options = MigrateOptions(
        target=_name(target, no_cache=choices.no_cache),
        max_bytes=choices.max_mib * 2**20,
        resume=choices.resume,
    )
    options = replace(options, report=_report_file(target, source, choices, options.target))
    try:
        done, checked = anyio.run(_run, target, source, choices, options)
    except BaseException:
        _explain(options, choices)
        raise
    _tell(target, done, checked)


async def _run(
    target: Target, source: str, choices: Choices, options: MigrateOptions
) -> tuple[Migration, Migration | None]:
    async with _opened_source(target, source, options) as legacy:
        total = None
        if isinstance(legacy, FolderSource) and sys.stderr.isatty():
            total = await anyio.to_thread.run_sync(legacy.count)
        async with _store(target, choices) as memory:
            with bar(total) as show:
                options = replace(options, on_batch=partial(_show, show))
                done = await migrate(legacy, memory, dry_run=choices.dry_run, options=options)
            if not choices.verify or choices.dry_run:
                return done, None
            with bar(total) as show:
                options = replace(options, on_batch=partial(_show, show))
                return done, await verify(legacy, memory, options=options)


def _show(show: Show, result: Migration) -> None:
    show(result.files.total(), f"files, {result.records.total():,} records")


def _store(target: Target, choices: Choices) -> AbstractAsyncContextManager[MemoryManager]:
    if choices.dry_run:
        return opened(target)
    return opened_to_write(target, no_cache=choices.no_cache)


def _name(target: Target, *, no_cache: bool) -> str:
    return str(plan_of(target, settings_of(target), no_cache=no_cache).store)


@asynccontextmanager
async def _opened_source(
    target: Target, source: str, options: MigrateOptions
) -> AsyncIterator[Source]:
    """A path, or the URL of a database; its own namespace, and no cache, are in front of that."""
    if "://" not in source:
        if not await anyio.Path(source).exists():
            raise UnreadableFile(f"there is no file or folder {clean(source)}")
        yield FolderSource(Path(source), options.max_bytes)
        return
    settings = settings_of(target).model_copy(update={"namespace": None})
    name = str(plan_of(Target(source), settings).store)
    if name == options.target:
        raise ConfigurationError(
            "source and target are the same store; bring it up to date in place with "
            "orchestra-memory schema upgrade"
        )
    async with open_memory(source, cache="none", fallback=False, settings=settings) as memory:
        yield StoreSource(memory, name)


def _report_file(target: Target, source: str, choices: Choices, store: str) -> Path | None:
    """Where the report goes, or that of the run to go on with."""
    if choices.dry_run and choices.resume:
        raise typer.BadParameter("a dry run leaves nothing to go on with; start it anew")
    if choices.report is not None or choices.dry_run:
        return choices.report
    folder = settings_of(target).home.expanduser() / "migrations"
    whole = source if "://" in source else str(Path(source).resolve())
    mark = sha256(f"{whole}\n{store}".encode(errors="backslashreplace")).hexdigest()[:8]
    if not choices.resume:
        return folder / f"{datetime.now(UTC):%Y%m%d-%H%M%S-%f}-{mark}.jsonl"
    for path in sorted(folder.glob(f"*-{mark}.jsonl"), reverse=True):
        if not past_of(path).finished:
            return path
    raise UnreadableFile(
        "no interrupted migration of this source into this store; start it without --resume"
    )


def _explain(options: MigrateOptions, choices: Choices) -> None:
    """How to go on, if there is something to go on with."""
    if options.report is None or choices.dry_run:
        return
    try:
        begun = not past_of(options.report).finished
    except UnreadableFile:
        return
    if begun:
        again = ["orchestra-memory", *sys.argv[1:], *([] if choices.resume else ["--resume"])]
        note(f"stopped early; what it did is in {options.report}. Go on with: {shlex.join(again)}")


def _tell(target: Target, done: Migration, checked: Migration | None) -> None:
    if target.as_json:
        verified = {} if checked is None else {"verified": checked.as_dict()}
        emit({**done.as_dict(), **verified})
    else:
        _show_results(done, checked)
    if done.troubled or (checked is not None and checked.troubled):
        sys.stdout.flush()
        raise typer.Exit(Code.PROBLEMS)


def _show_results(done: Migration, checked: Migration | None) -> None:
    compared: dict[str, object] = {}
    problems = list(done.problems)
    if checked is not None:
        compared = {word: checked.records[word] for word in _COMPARED}
        problems += [text for text in checked.problems if text not in done.problems]
    show_facts(_facts(done) | compared)
    _list("warning", done.warnings)
    _list("problem", problems)
    if done.report is not None:
        note(f"every record is told of in {done.report}")


def _facts(done: Migration) -> dict[str, object]:
    names: dict[str, int] = dict(done.records)
    migrated = names.pop("migrated", 0)
    facts: dict[str, object] = {
        "would migrate" if done.dry_run else "migrated": migrated,
        **names,
        "with warnings": done.warned,
    }
    facts |= {f"files {word}": number for word, number in done.files.items()}
    return facts | {f"of type {name}": number for name, number in done.types.items()}


def _list(word: str, texts: list[str]) -> None:
    for text in texts[:SHOWN]:
        note(f"{word}: {clean(text)}")
    if len(texts) > SHOWN:
        note(f"and more {word}s; the report has all of them")


def take_back(target: Target, report: Path, said: Consent, *, no_cache: bool) -> None:
    store = _name(target, no_cache=no_cache)
    if header_of(report).target != store:
        raise UnreadableFile(
            f"the report is of a migration into another store than {store}; name that with --to"
        )
    planned = anyio.run(_undone, target, report, True, no_cache)
    if not said.yes and not target.as_json:
        show_facts(_of_undo(planned))
    consent(
        target,
        f"delete {planned.deleted:,} records that a migration created",
        yes=said.yes,
        confirm=said.confirm,
    )
    done = anyio.run(_undone, target, report, False, no_cache)
    if target.as_json:
        emit({"deleted": done.deleted, "gone": done.gone, "changed": done.changed})
    else:
        show_facts(_of_undo(done))
    for kind, key in done.kept[:SHOWN]:
        note(f"problem: {kind} {clean(key)} was changed since, and stays")
    if done.changed:
        sys.stdout.flush()
        raise typer.Exit(Code.PROBLEMS)


async def _undone(target: Target, report: Path, dry_run: bool, no_cache: bool) -> Undone:
    store = opened(target) if dry_run else opened_to_write(target, no_cache=no_cache)
    async with store as memory:
        return await undo(report, memory, dry_run=dry_run)


def _of_undo(undone: Undone) -> dict[str, object]:
    return {
        "deleted": undone.deleted,
        "gone before": undone.gone,
        "changed since, kept": undone.changed,
    }
