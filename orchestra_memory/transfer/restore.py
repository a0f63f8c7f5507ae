"""A backup back into a memory: the same one, another namespace, another kind of store."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final

from anyio import to_thread

from ..layers.fallback.erasures import erased_since
from ..layers.fallback.kept import users_kept_in
from ..operations import Count, Options
from ..ownership import digest
from ..protocol import MemoryManager
from ..queries import Query
from ..record import Record, spec_of
from .backup import KEPT
from .checkpoint import Checkpoint, Progress
from .entries import Entry, Parsed, Problem, Unit, UnreadableFile
from .exporting import PATIENCE
from .importing import Batch, ImportOptions, import_entries
from .jsonl import Models, named, parse_line
from .labels import Label, Seal
from .sealing import checked
from .sources import Reading, numbered, opened


def _ignore(_batch: Batch, _progress: Progress) -> None:
    pass


@dataclass(frozen=True, slots=True)
class RestoreOptions:
    """How to restore.

    ``models`` are the record types that a backup may hold; add your own. ``resume`` goes on where
    ``checkpoint`` says that an earlier run stopped. ``on_batch`` is told of every batch that is
    stored.
    """

    models: tuple[type[Record], ...] = KEPT
    checkpoint: Checkpoint | None = None
    resume: bool = False
    on_batch: Callable[[Batch, Progress], None] = field(default=_ignore)


DEFAULT: Final = RestoreOptions()


@dataclass(frozen=True, slots=True)
class Contents:
    """What a backup says of itself, its SHA-256 compared."""

    label: Label
    seal: Seal


@dataclass(frozen=True, slots=True)
class Preview:
    """Records of one type: how many the backup holds, and how many there are now."""

    collection: str
    backed_up: int
    present: int


async def inspect(path: Path, options: RestoreOptions = DEFAULT) -> Contents:
    """Read the backup through, and tell what it holds.

    Raises ``UnreadableFile`` if it is no backup, was cut short or changed, or holds what these
    record types cannot read.
    """
    return await to_thread.run_sync(_inspect, path, named(options.models))


async def preview(
    memory: MemoryManager, contents: Contents, options: RestoreOptions = DEFAULT
) -> list[Preview]:
    """What a restore would meet in `memory`'s namespace; it would replace what has the same id."""
    models = named(options.models)
    return [
        Preview(
            spec_of(models[kind.name]).collection,
            contents.seal.records.get(kind.name, 0),
            await _present(memory, models[kind.name]),
        )
        for kind in contents.label.kinds
    ]


async def restore(memory: MemoryManager, path: Path, options: RestoreOptions = DEFAULT) -> Progress:
    """Store all that is in the backup at `path`, in the namespace that `memory` is bound to.

    It is read through before anything is written. Records of the same id are replaced, others are
    left as they are; those of users who were erased here since it was taken are problems, and left
    out. Whatever ends it early, whole batches are stored, and the checkpoint says how
    many. Raises as :func:`inspect` does, and what the memory raises.
    """
    contents = await inspect(path, options)
    erased = await erased_since(memory, contents.label.taken_at)
    with ExitStack() as stack:
        stream = await to_thread.run_sync(stack.enter_context, opened(str(path)))
        reading = Reading("backup", numbered(stream), _parser(named(options.models), erased))
        how = ImportOptions(
            checkpoint=options.checkpoint, resume=options.resume, on_batch=options.on_batch
        )
        return await import_entries(memory, reading, how)


def _inspect(path: Path, models: Models) -> Contents:
    with opened(str(path)) as stream:
        label, seal = checked(stream)
    for kind in label.kinds:
        model = models.get(kind.name)
        if model is None and seal.records.get(kind.name):
            raise UnreadableFile(
                f"the backup holds records of the type {kind.name}, which is not known here; name "
                "the module that declares it with --import"
            )
        if model is not None and kind.schema_version > spec_of(model).schema_version:
            raise UnreadableFile(
                f"the backup holds {kind.name} of version {kind.schema_version}, this release "
                f"knows {spec_of(model).schema_version}; upgrade it"
            )
    known = tuple(kind for kind in label.kinds if kind.name in models)
    return Contents(replace(label, kinds=known), seal)


async def _present(memory: MemoryManager, model: type[Record]) -> int:
    totals = await memory.aggregate(Query(model), [Count()], options=Options(timeout=PATIENCE))
    return int(totals["count"] or 0)


def _parser(models: Models, erased: frozenset[str]) -> Callable[[Unit], Iterator[Parsed]]:
    def parse(unit: Unit) -> Iterator[Parsed]:
        for found in parse_line(unit, models):
            if not isinstance(found, Entry):
                yield found
            elif erased and any(digest(user) in erased for user in users_kept_in(found.record)):
                yield Problem(unit, "left out: its user was erased after the backup was taken")
            else:
                # It goes where the memory is bound to, wherever it came from.
                yield replace(found, namespace=None)

    return parse
