"""``orchestra-memory journal replay``."""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import anyio
import typer

from ..assembly import assembled
from ..errors import Unavailable
from ..layers.fallback.queue import Queue
from ..layers.fallback.replay import Drained, Replayer
from ..opening import cache_name
from ..plan import Plan
from ..protocol import MemoryManager
from ..resilience.journal import Journal, JournalFile, journals
from ..settings import Fallback, Settings
from .codes import Code
from .imports import import_all
from .journal import LIMITLESS, directory_of
from .opening import plan_of, refuse_silence, settings_of
from .output import counted, emit, note
from .verb import Target


@dataclass(frozen=True, slots=True)
class Choices:
    """What the options say."""

    dead_letters: bool
    imports: tuple[str, ...]
    no_cache: bool


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of it: ``entries`` taken over, ``unknown`` why some cannot be replayed here.

    ``in_use`` entries wait in journals of living processes.
    """

    entries: int
    drained: Drained
    unknown: Mapping[str, int]
    left_alone: tuple[JournalFile, ...]
    in_use: int

    @property
    def is_whole(self) -> bool:
        drained = self.drained
        lost = drained.conflicts or drained.dead_letters
        return not (drained.left or lost or self.unknown or self.left_alone)


def run(target: Target, given: Path | None, choices: Choices) -> None:
    if target.namespace is not None:
        raise typer.BadParameter("a journal holds writes of all namespaces; drop --namespace")
    import_all(choices.imports)
    outcome = anyio.run(_replay, target, directory_of(target, given), choices)
    _report(target, outcome)
    sys.stdout.flush()
    if not outcome.is_whole:
        raise typer.Exit(Code.PROBLEMS)


async def _replay(target: Target, directory: Path, choices: Choices) -> Outcome:
    settings = settings_of(target)
    plan = plan_of(target, settings, no_cache=choices.no_cache)
    refuse_silence(plan, settings, no_cache=choices.no_cache)
    found = await journals(directory, target=None)
    in_use = sum(file.entries for file in found if file.living)
    if all(file.living for file in found):
        return Outcome(0, Drained(0, 0, 0, 0, None), {}, (), in_use)
    async with (
        _store(plan, settings) as (store, known_by),
        Journal.open(directory, target=known_by, bounds=LIMITLESS) as journal,
    ):
        queue = Queue(journal)
        adoption = await queue.load()
        if choices.dead_letters:
            for letter in await journal.dead_letters():
                await queue.revive(letter.number)
        try:
            drained = await Replayer(store, queue, policies={}).drain()
        except Unavailable:
            note("nothing is lost: what was not written waits in its journal for the next time")
            raise
        return Outcome(adoption.entries, drained, queue.unknown(), adoption.left, in_use)


@asynccontextmanager
async def _store(plan: Plan, settings: Settings) -> AsyncIterator[tuple[MemoryManager, str]]:
    """The store with what belongs around it, but for a fallback, and what journals call it."""
    if plan.cache is not None:
        # A write is refused while the cache cannot be told of it: nobody could make up for that.
        settings = settings.model_copy(update={"cache_mode": "strict"})
    plan = replace(plan, fallback=Fallback.NONE, journal=None)
    async with AsyncExitStack() as opened:
        assembly = await assembled(plan, settings, opened)
        yield assembly.outmost, await cache_name(plan.store, settings)


def _report(target: Target, outcome: Outcome) -> None:
    drained = outcome.drained
    counts = {
        "taken_over": outcome.entries,
        "replayed": drained.replayed,
        "conflicts": drained.conflicts,
        "dead_letters": drained.dead_letters,
        "left": drained.left,
    }
    if target.as_json:
        emit({**counts, "paused": drained.paused, "unknown": dict(outcome.unknown)})
    else:
        taken = counted(outcome.entries, "entry", "entries")
        print(f"replayed {drained.replayed:,} of {taken} taken over")
    for text in _remarks(outcome):
        note(text)


def _remarks(outcome: Outcome) -> list[str]:
    drained = outcome.drained
    remarks = [
        f"{counted(number, 'entry', 'entries')}: {why}" for why, number in outcome.unknown.items()
    ]
    remarks += [f"{file.path.name} was left alone: {file.refusal}" for file in outcome.left_alone]
    told = {
        f"{drained.conflicts:,} in conflict: orchestra-memory conflicts list": drained.conflicts,
        f"{counted(drained.dead_letters, 'dead letter', 'dead letters')}: "
        "orchestra-memory journal list --dead-letters": drained.dead_letters,
        f"{counted(drained.left, 'entry waits', 'entries wait')} on": drained.left,
        f"{counted(outcome.in_use, 'entry is', 'entries are')} left to the living processes whose "
        "journals they wait in": outcome.in_use,
        f"paused: {drained.paused}": drained.paused,
    }
    return [*remarks, *(text for text, holds in told.items() if holds)]
