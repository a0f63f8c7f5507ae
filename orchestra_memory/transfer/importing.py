"""Bringing the entries of a file into a memory, in whole batches."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from itertools import islice
from typing import Final

from anyio import to_thread

from ..operations import Options, Put
from ..protocol import MemoryManager
from .checkpoint import Checkpoint, Progress
from .entries import Entry, Parsed, Parser, Problem, Unit
from .sources import Reading

BATCH: Final = 2_000
"""Records written at a time; one unit with more goes as a whole."""


PATIENCE: Final = 60.0
"""Seconds for one batch."""


@dataclass(frozen=True, slots=True)
class Batch:
    """What some whole units held."""

    units: int
    last: int
    entries: tuple[Entry, ...]
    problems: tuple[Problem, ...]

    def added_to(self, progress: Progress) -> Progress:
        return Progress(
            units=progress.units + self.units,
            last=self.last,
            records=progress.records + len(self.entries),
            problems=progress.problems + len(self.problems),
        )


def _ignore(_batch: Batch, _progress: Progress) -> None:
    pass


@dataclass(frozen=True, slots=True)
class ImportOptions:
    """How to import.

    ``namespace`` takes every record, whatever its own. ``resume`` goes on where ``checkpoint``
    says that an earlier import stopped. ``dry_run`` reads and checks all, and writes nothing.
    ``on_batch`` is told of every batch that is stored.
    """

    namespace: str | None = None
    batch_size: int = BATCH
    checkpoint: Checkpoint | None = None
    resume: bool = False
    dry_run: bool = False
    on_batch: Callable[[Batch, Progress], None] = field(default=_ignore)


DEFAULT: Final = ImportOptions()


async def import_entries(
    memory: MemoryManager, reading: Reading, options: ImportOptions = DEFAULT
) -> Progress:
    """Store what `reading` holds; broken units are counted, told of, and left out.

    Whatever ends it early, whole batches are stored, and a checkpoint says how many. Raises what
    the memory raises, ``PartialWrite`` among it.
    """
    checkpoint = options.checkpoint
    progress = checkpoint.load() if checkpoint and options.resume else Progress()
    source = batches(islice(reading.units, progress.units, None), reading.parse, options.batch_size)
    while batch := await to_thread.run_sync(next, source, None):
        if not options.dry_run:
            await _store(memory, batch, options.namespace)
        progress = batch.added_to(progress)
        if checkpoint and not options.dry_run:
            await to_thread.run_sync(checkpoint.save, progress)
        options.on_batch(batch, progress)
    if checkpoint and not options.dry_run:
        await to_thread.run_sync(checkpoint.clear)
    return progress


async def _store(memory: MemoryManager, batch: Batch, namespace: str | None) -> None:
    ops = [Put(entry.record, namespace=namespace or entry.namespace) for entry in batch.entries]
    if ops:
        await memory.write(ops, options=Options(atomic=False, timeout=PATIENCE))


def batches(units: Iterable[Unit], parse: Parser, size: int = BATCH) -> Iterator[Batch]:
    """Whole units together until they hold `size` entries."""
    batch = _Growing()
    for unit in units:
        batch.add(unit, parse(unit))
        if len(batch.entries) + len(batch.problems) >= size:
            yield batch.done()
            batch = _Growing()
    if batch.units:
        yield batch.done()


class _Growing:
    def __init__(self) -> None:
        self.units = 0
        self.last = 0
        self.entries: list[Entry] = []
        self.problems: list[Problem] = []

    def add(self, unit: Unit, parsed: Iterable[Parsed]) -> None:
        self.units += 1
        self.last = unit.number
        for found in parsed:
            if isinstance(found, Entry):
                self.entries.append(found)
            else:
                self.problems.append(found)

    def done(self) -> Batch:
        return Batch(self.units, self.last, tuple(self.entries), tuple(self.problems))
