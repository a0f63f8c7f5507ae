"""The schema versions of what is stored, and bringing older documents up to date in place."""

from __future__ import annotations

import json
import os
from collections import Counter
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Final

from anyio import to_thread

from ...codec.document import SCHEMA_VERSION, decode
from ...errors import Conflict, CorruptRecord, InvalidBatch
from ...models import SHIPPED, CoordinationEvent
from ...operations import ABSENT, Delete, Op, Options, Page, Put, Ref, Stored
from ...protocol import MemoryManager
from ...record import Record, spec_of
from ..entries import UnreadableFile
from ..legacy.documents import document
from ..legacy.found import Origin
from .chunks import Position
from .result import SHOWN
from .stored import PATIENCE, RawDocument, raw_pages, why_corrupt

_CLASH: Final = "somebody changed it meanwhile, or another record has its new id; upgrade again"


@dataclass(slots=True)
class SchemaReport:
    """The documents of each collection, counted by schema version; 0 means that none is stored.

    ``upgraded`` were brought up to date, ``moved`` of them to the id their fields make.
    ``problems`` are the first documents that could not be, in words; ``failed`` counts them all.
    """

    versions: dict[str, Counter[int]] = field(default_factory=dict[str, Counter[int]])
    older: int = 0
    newer: int = 0
    upgraded: int = 0
    moved: int = 0
    failed: int = 0
    problems: list[str] = field(default_factory=list[str])

    def as_dict(self) -> dict[str, Any]:
        """A plain form for JSON."""
        versions = {
            place: {str(version): counts[version] for version in sorted(counts)}
            for place, counts in self.versions.items()
        }
        return {**asdict(self), "versions": versions}

    def count(self, model: type[Record], stored: RawDocument) -> bool:
        """Take a document into account; whether it is an older one."""
        known = spec_of(model).schema_version
        self.versions.setdefault(spec_of(model).collection, Counter())[stored.version] += 1
        self.older += stored.version < known
        self.newer += stored.version > known
        return stored.version < known

    def fail_all(self, page: Page[RawDocument]) -> None:
        """Take what a page left out into account."""
        for error in page.corrupt:
            self.fail(f"{error.collection}/{error.key}", why_corrupt(error))

    def fail(self, place: str, why: str) -> None:
        self.failed += 1
        if len(self.problems) < SHOWN:
            self.problems.append(f"{place}: {why}")


def _ignore(_report: SchemaReport) -> None:
    pass


@dataclass(frozen=True, slots=True)
class UpgradeOptions:
    """How to upgrade.

    ``checkpoint`` is a small file that tells how far it has come; with ``resume`` it goes on from
    there. ``dry_run`` does everything but write. ``on_page`` is told of every page.
    """

    models: tuple[type[Record], ...] = SHIPPED
    dry_run: bool = False
    checkpoint: Path | None = None
    resume: bool = False
    on_page: Callable[[SchemaReport], None] = field(default=_ignore)


DEFAULT: Final = UpgradeOptions()


async def schema_status(
    memory: MemoryManager,
    *,
    models: Sequence[type[Record]] = SHIPPED,
    on_page: Callable[[SchemaReport], None] = _ignore,
) -> SchemaReport:
    """Count the documents by schema version. Reads every one of them: no store indexes versions."""
    report = SchemaReport()
    async for model, page in _pages(memory, models, None):
        for record in page.records:
            report.count(model, record)
        report.fail_all(page)
        on_page(report)
    return report


async def upgrade_schema(
    memory: MemoryManager, *, options: UpgradeOptions = DEFAULT
) -> SchemaReport:
    """Store every older document anew in the form of this version, unless somebody changes it.

    A document of an earlier system whose id is not the one its fields make moves to that, in one
    commit. Safe to repeat, and to interrupt.

    Raises what the memory raises, and ``UnreadableFile`` where there is nothing to resume.
    """
    report = SchemaReport()
    path = options.checkpoint
    start = await to_thread.run_sync(_loaded, path) if path and options.resume else None
    async for model, page in _pages(memory, options.models, start):
        older = [item for item in page.items if report.count(model, item.record)]
        report.fail_all(page)
        changes = await to_thread.run_sync(_changes, model, older, report)
        await _write(memory, changes, report, dry_run=options.dry_run)
        if path and page.items and not options.dry_run:
            last = page.items[-1].record.document_id
            await to_thread.run_sync(_save, path, Position(spec_of(model).collection, 0, last))
        options.on_page(report)
    if path and not options.dry_run:
        await to_thread.run_sync(lambda: path.unlink(missing_ok=True))
    return report


async def _pages(
    memory: MemoryManager, models: Sequence[type[Record]], start: Position | None
) -> AsyncIterator[tuple[type[Record], Page[RawDocument]]]:
    for model in sorted(models, key=lambda model: spec_of(model).collection):
        place = spec_of(model).collection
        if start is not None and place < start.place:
            continue
        after = start.mark if start is not None and start.place == place else None
        async for page in raw_pages(memory, model, after):
            yield model, page


@dataclass(frozen=True, slots=True)
class _Change:
    """What brings one document up to date; to be done together."""

    place: str
    ops: tuple[Op, ...]


def _changes(
    model: type[Record], older: Sequence[Stored[RawDocument]], report: SchemaReport
) -> list[_Change]:
    changes: list[_Change] = []
    for item in older:
        stored = item.record
        place = f"{spec_of(model).collection}/{stored.document_id}"
        try:
            record = _record(model, stored)
        except CorruptRecord as error:
            report.fail(place, why_corrupt(error))
        else:
            if isinstance(record, str):
                report.fail(place, record)
            else:
                changes.append(_Change(place, _ops(model, stored, record, item.revision)))
    return changes


def _record(model: type[Record], stored: RawDocument) -> Record | str:
    """The record in the form of this version, or why there is none."""
    key, content = stored.document_id, dict(stored.content)
    try:
        record = decode(Ref(model, key), {**content, SCHEMA_VERSION: stored.version})
    except CorruptRecord:
        if stored.version:
            raise
        found = document(model, key, content, Origin())
        return found.record or found.problem
    if isinstance(record, CoordinationEvent) and record.committed_at is None:
        # The store would fill in now, and followers take an old event for a new one.
        return record.evolve(committed_at=record.timestamp)
    return record


def _ops(model: type[Record], stored: RawDocument, record: Record, revision: int) -> tuple[Op, ...]:
    if record.key == stored.document_id:
        return (Put(record, expect=revision),)
    return Put(record, expect=ABSENT), Delete(Ref(model, stored.document_id), expect=revision)


async def _write(
    memory: MemoryManager, changes: Sequence[_Change], report: SchemaReport, *, dry_run: bool
) -> None:
    """Write all in one commit if it can be, and otherwise the halves."""
    if not changes:
        return
    try:
        if not dry_run:
            ops = [op for change in changes for op in change.ops]
            await memory.write(ops, options=Options(timeout=PATIENCE))
    except (Conflict, InvalidBatch):
        if len(changes) == 1:
            report.fail(changes[0].place, _CLASH)
            return
        half = len(changes) // 2
        await _write(memory, changes[:half], report, dry_run=dry_run)
        await _write(memory, changes[half:], report, dry_run=dry_run)
        return
    report.upgraded += len(changes)
    report.moved += sum(len(change.ops) > 1 for change in changes)


def _loaded(path: Path) -> Position:
    try:
        return Position(**json.loads(path.read_bytes()))
    except (OSError, ValueError, TypeError):
        raise UnreadableFile(
            "no interrupted upgrade of this store; start it without --resume"
        ) from None


def _save(path: Path, position: Position) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    fresh = path.with_suffix(f".{os.getpid()}.new")
    fresh.write_text(json.dumps(asdict(position)))
    fresh.replace(path)
