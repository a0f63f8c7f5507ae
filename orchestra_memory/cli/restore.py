"""``orchestra-memory restore``."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import anyio
import typer

from ..transfer.checkpoint import Checkpoint, Progress, checkpoint_for
from ..transfer.entries import UnreadableFile
from ..transfer.importing import Batch
from ..transfer.restore import Contents, Preview, RestoreOptions, inspect, preview, restore
from ..transfer.sources import STDIN
from .codes import Code
from .consent import consent
from .imports import import_all, models_with
from .opening import opened, opened_to_write, plan_of, settings_of
from .output import clean, emit, note, show_table
from .progress import Counter, again
from .verb import Target


@dataclass(frozen=True, slots=True)
class Choices:
    """What the options say."""

    top_level: bool
    imports: tuple[str, ...]
    resume: bool
    dry_run: bool
    no_cache: bool


def run(target: Target, file: Path, choices: Choices, *, yes: bool, confirm: str | None) -> None:
    if str(file) == STDIN:
        raise typer.BadParameter("a backup is read twice; save it to a file first")
    import_all(choices.imports)
    options = RestoreOptions(models=models_with(choices.imports), resume=choices.resume)
    contents = anyio.run(inspect, file, options)
    target = _where(target, contents, top_level=choices.top_level)
    found = anyio.run(_preview, target, contents, options)
    if not target.as_json:
        _show_preview(contents, found)
    checkpoint = _checkpoint(target, file, no_cache=choices.no_cache)
    if choices.resume:
        # Raises where there is nothing to go on with; what there is was agreed to before.
        checkpoint.load()
    if choices.dry_run:
        _show(target, contents, found, None)
        return
    present = sum(each.present for each in found)
    if present and not choices.resume:
        what = f"restore {contents.seal.total:,} records into {present:,} that are there"
        consent(target, what, yes=yes, confirm=confirm)
    progress = _restored(target, file, replace(options, checkpoint=checkpoint), choices)
    _show(target, contents, found, progress)


def _where(target: Target, contents: Contents, *, top_level: bool) -> Target:
    """Into the namespace that is named, else the one it was taken of."""
    named = plan_of(target, settings_of(target)).store.namespace
    if top_level:
        if named is not None:
            raise typer.BadParameter("--top-level and a namespace contradict each other; drop one")
        return target
    return replace(target, namespace=named or contents.label.namespace)


async def _preview(target: Target, contents: Contents, options: RestoreOptions) -> list[Preview]:
    async with opened(target) as memory:
        return await preview(memory, contents, options)


def _checkpoint(target: Target, file: Path, *, no_cache: bool) -> Checkpoint:
    settings = settings_of(target)
    where = str(plan_of(target, settings, no_cache=no_cache).store)
    return checkpoint_for(file, f"restore {where}", settings.home.expanduser() / "imports")


def _restored(target: Target, file: Path, options: RestoreOptions, choices: Choices) -> Progress:
    with Counter("records") as counter:

        def tell(batch: Batch, progress: Progress) -> None:
            counter.show(progress.records)
            for problem in batch.problems:
                counter.note(str(problem))

        try:
            return anyio.run(
                _restore, target, file, replace(options, on_batch=tell), choices.no_cache
            )
        except BaseException:
            _explain(options.checkpoint, choices)
            raise


async def _restore(target: Target, file: Path, options: RestoreOptions, no_cache: bool) -> Progress:
    async with opened_to_write(target, no_cache=no_cache) as memory:
        return await restore(memory, file, options)


def _explain(checkpoint: Checkpoint | None, choices: Choices) -> None:
    assert checkpoint is not None
    try:
        stored = checkpoint.load().records
    except UnreadableFile:
        return
    hint = again(resumed=choices.resume)
    note(f"stopped early; {stored:,} records are stored. Go on with: {hint}")


def _show_preview(contents: Contents, found: Sequence[Preview]) -> None:
    label = contents.label
    place = f", namespace {label.namespace}" if label.namespace is not None else ""
    print(clean(f"backup of {label.source}{place}, {label.taken_at:%Y-%m-%d %H:%M:%S} UTC: sound"))
    show_table(
        ["collection", "in the backup", "there now"],
        [
            (each.collection, each.backed_up, each.present)
            for each in found
            if each.backed_up or each.present
        ],
    )


def _show(
    target: Target, contents: Contents, found: Sequence[Preview], progress: Progress | None
) -> None:
    total = contents.seal.total if progress is None else progress.records
    if target.as_json:
        emit(_facts(contents, found, progress))
    else:
        print(f"{'would restore' if progress is None else 'restored'} {total:,} records")
    if progress is not None and progress.problems:
        sys.stdout.flush()
        raise typer.Exit(Code.PROBLEMS)


def _facts(
    contents: Contents, found: Sequence[Preview], progress: Progress | None
) -> dict[str, object]:
    label, seal = contents.label, contents.seal
    return {
        "source": label.source,
        "namespace": label.namespace,
        "taken_at": label.taken_at,
        "as_of": seal.as_of,
        "sha256": seal.sha256,
        "left_out": seal.left_out,
        "collections": {
            each.collection: {"backed_up": each.backed_up, "present": each.present}
            for each in found
        },
        "dry_run": progress is None,
        "records": seal.total if progress is None else progress.records,
        "problems": 0 if progress is None else progress.problems,
    }
