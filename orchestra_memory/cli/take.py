"""``orchestra-memory export``."""

from __future__ import annotations

import sys
from contextlib import aclosing
from dataclasses import dataclass
from pathlib import Path

import anyio
import typer

from ..models import SHIPPED
from ..operations import Count
from ..record import Record, spec_of
from ..transfer.exporting import Selection, export_blocks
from ..transfer.files import ExportFile
from ..transfer.sources import STDIN as STDOUT
from .opening import opened
from .output import emit, note
from .progress import Counter, again
from .verb import Target


@dataclass(frozen=True, slots=True)
class Choices:
    """What the options say."""

    user: str | None
    collections: tuple[str, ...]
    resume: bool
    dry_run: bool


def run(target: Target, file: str, choices: Choices) -> None:
    if choices.resume and file == STDOUT:
        raise typer.BadParameter("--resume needs a file; standard output cannot be continued")
    selection = Selection(_models(choices.collections), target.namespace, choices.user)
    if choices.dry_run:
        total = anyio.run(_count, target, selection)
    elif file == STDOUT:
        total = anyio.run(_to_stdout, target, selection)
    else:
        total = _to_file(target, selection, Path(file), resume=choices.resume)
    _report(target, file, total, dry_run=choices.dry_run)


def _models(collections: tuple[str, ...]) -> tuple[type[Record], ...]:
    known = {spec_of(model).collection: model for model in SHIPPED}
    for name in collections:
        if name not in known:
            raise typer.BadParameter(f"no collection {name!r}; there are {', '.join(known)}")
    return tuple(known[name] for name in collections) or SHIPPED


async def _count(target: Target, selection: Selection) -> int:
    async with opened(target) as memory:
        totals = [
            await memory.aggregate(selection.query(model), [Count()]) for model in selection.ordered
        ]
    return sum(int(total["count"] or 0) for total in totals)


async def _to_stdout(target: Target, selection: Selection) -> int:
    total = 0
    async with opened(target) as memory, aclosing(export_blocks(memory, selection)) as blocks:
        async for block in blocks:
            await anyio.to_thread.run_sync(sys.stdout.buffer.write, block.lines)
            total += block.records
    return total


def _to_file(target: Target, selection: Selection, path: Path, *, resume: bool) -> int:
    file = ExportFile(path, selection, resume=resume)
    try:
        with Counter("records") as counter:
            return anyio.run(_fill, target, selection, file, counter)
    except BaseException:
        if file.part.exists():
            hint = again(resumed=resume)
            note(f"stopped early; {file.part} is kept. Go on with: {hint}")
        raise


async def _fill(target: Target, selection: Selection, file: ExportFile, counter: Counter) -> int:
    total = file.written.records
    async with opened(target) as memory:
        with file:
            blocks = export_blocks(memory, selection, file.written.start)
            async with aclosing(blocks):
                async for block in blocks:
                    await anyio.to_thread.run_sync(file.write, block)
                    total += block.records
                    counter.show(total)
            await anyio.to_thread.run_sync(file.finish)
    return total


def _report(target: Target, file: str, total: int, *, dry_run: bool) -> None:
    if target.as_json and (dry_run or file != STDOUT):
        emit({"records": total, "file": file, "dry_run": dry_run})
        return
    text = f"{'would export' if dry_run else 'exported'} {total:,} records"
    if file == STDOUT and not dry_run:
        note(text)
    else:
        print(text if dry_run else f"{text} to {file}")
