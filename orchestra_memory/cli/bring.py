"""``orchestra-memory import``."""

from __future__ import annotations

import sys
from contextlib import AbstractAsyncContextManager, ExitStack, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import anyio
import typer

from ..backends.local import LocalMemory
from ..protocol import MemoryManager
from ..transfer.checkpoint import Checkpoint, Progress, checkpoint_for
from ..transfer.entries import DEFAULT_START, ChatOptions, UnreadableFile
from ..transfer.importing import Batch, ImportOptions, import_entries
from ..transfer.sources import STDIN, read
from ..transfer.sources import opened as opened_file
from .ask import time_of
from .codes import Code
from .opening import opened_to_write, plan_of, settings_of
from .output import emit, note
from .progress import Counter, again
from .verb import Target

SHOWN: Final = 20
"""Problems that are spelled out; the rest is counted."""


@dataclass(frozen=True, slots=True)
class Choices:
    """What the options say."""

    user: str | None
    start: str | None
    resume: bool
    dry_run: bool
    no_cache: bool


def run(target: Target, file: str, choices: Choices) -> None:
    chat = ChatOptions(
        user_id=choices.user,
        name=_name(file),
        start=time_of(choices.start, "--start") or DEFAULT_START,
    )
    checkpoint = _checkpoint(target, file, chat, no_cache=choices.no_cache)
    if choices.resume and checkpoint is None:
        raise typer.BadParameter("--resume needs a file; standard input cannot be continued")
    with Counter("records") as counter:
        report = Report(target, counter)
        options = ImportOptions(
            namespace=target.namespace,
            checkpoint=checkpoint,
            resume=choices.resume,
            dry_run=choices.dry_run,
            on_batch=report.add,
        )
        try:
            to = nullcontext(LocalMemory()) if choices.dry_run else _store(target, choices)
            format_, progress = anyio.run(_import, to, file, chat, options)
        except BaseException:
            _explain(report, choices, checkpoint)
            raise
    _finish(report, format_, progress, choices)


class Report:
    """What has been imported so far; problems are told at once, on standard error."""

    def __init__(self, target: Target, counter: Counter) -> None:
        self.target = target
        self.progress: Progress = Progress()
        self.problems: list[dict[str, object]] = []
        self.untold: int = 0
        self._counter = counter

    def add(self, batch: Batch, progress: Progress) -> None:
        self.progress = progress
        self._counter.show(progress.records)
        room = SHOWN - len(self.problems)
        self.untold += max(0, len(batch.problems) - room)
        for problem in batch.problems[:room]:
            self.problems.append(problem.as_dict())
            self._counter.note(str(problem))


def _store(target: Target, choices: Choices) -> AbstractAsyncContextManager[MemoryManager]:
    return opened_to_write(target, no_cache=choices.no_cache)


async def _import(
    store: AbstractAsyncContextManager[MemoryManager],
    file: str,
    chat: ChatOptions,
    options: ImportOptions,
) -> tuple[str, Progress]:
    with ExitStack() as stack:
        stream = await anyio.to_thread.run_sync(stack.enter_context, opened_file(file))
        reading = await anyio.to_thread.run_sync(read, stream, chat)
        async with store as memory:
            return reading.format, await import_entries(memory, reading, options)


def _name(file: str) -> str:
    return "imported" if file == STDIN else Path(file).name.split(".")[0] or "imported"


def _checkpoint(
    target: Target, file: str, chat: ChatOptions, *, no_cache: bool
) -> Checkpoint | None:
    if file == STDIN:
        return None
    settings = settings_of(target)
    where = f"{plan_of(target, settings, no_cache=no_cache).store} {chat}"
    return checkpoint_for(Path(file), where, settings.home.expanduser() / "imports")


def _explain(report: Report, choices: Choices, checkpoint: Checkpoint | None) -> None:
    if choices.dry_run:
        return
    try:
        progress = checkpoint.load() if checkpoint else report.progress
    except UnreadableFile:
        return
    hint = again(resumed=choices.resume)
    stored = f"stopped early; {progress.records:,} records are stored"
    note(f"{stored}. Go on with: {hint}" if checkpoint else stored)


def _finish(report: Report, format_: str, progress: Progress, choices: Choices) -> None:
    if report.untold:
        note(f"and {report.untold:,} more problems")
    if report.target.as_json:
        emit(
            {
                "format": format_,
                "records": progress.records,
                "problems": progress.problems,
                "first_problems": report.problems,
                "dry_run": choices.dry_run,
            }
        )
    else:
        verb = "would import" if choices.dry_run else "imported"
        print(f"{verb} {progress.records:,} records ({format_}), {progress.problems:,} problems")
    if progress.problems:
        sys.stdout.flush()
        raise typer.Exit(Code.PROBLEMS)
