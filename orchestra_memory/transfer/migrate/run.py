"""A migration from its start to its end."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field, replace
from itertools import islice
from pathlib import Path
from typing import Any, Final, TypeAlias

from anyio import to_thread

from ...models import SystemState
from ...protocol import MemoryManager
from ..entries import UnreadableFile
from ..legacy.found import Found
from ..legacy.system import joined
from .chunks import Chunk, Position
from .files import MAX_BYTES, FolderSource
from .ledger import Header, Ledger, Past, lines_of
from .result import Migration, Result
from .settling import Mode, Piece, Settler
from .stored import StoreSource

SYSTEM: Final = "(system)"
"""The place of the one record that all system and configuration files become."""
Legacy: TypeAlias = str | Path | MemoryManager | FolderSource | StoreSource
"""Where legacy records are: a file or folder, or a database opened as a memory."""


def _ignore(_migration: Migration) -> None:
    pass


@dataclass(frozen=True, slots=True)
class MigrateOptions:
    """How to migrate.

    ``namespace`` takes every record. ``report`` is the file that tells of every record; without
    one nothing can be continued or undone. ``resume`` goes on with the report of an interrupted
    run. ``target`` is what the report calls the store. ``max_bytes`` bounds the JSON documents that
    are read, 32 MiB by default; they are held in memory as a whole. ``on_batch`` is told of every
    batch.
    """

    namespace: str | None = None
    report: Path | None = None
    resume: bool = False
    target: str = "a store"
    max_bytes: int = MAX_BYTES
    on_batch: Callable[[Migration], None] = field(default=_ignore)


DEFAULT: Final = MigrateOptions()


async def migrate(
    source: Legacy,
    memory: MemoryManager,
    *,
    dry_run: bool = False,
    options: MigrateOptions = DEFAULT,
) -> Migration:
    """Create the records of an earlier system in `memory`.

    Nothing that is stored already is changed, so a second run changes nothing. A dry run does the
    same, reads included, but does not write. What cannot be read is told of and left out.

    Raises what the memory raises, ``UnreadableFile`` if there is no such file or nothing to resume,
    and ``FileExistsError`` where the report would replace another. Whatever ends it early, it can
    be resumed.
    """
    mode = Mode.REHEARSE if dry_run else Mode.WRITE
    return await _Run(_opened(source, options), memory, mode, options).whole()


async def verify(
    source: Legacy, memory: MemoryManager, *, options: MigrateOptions = DEFAULT
) -> Migration:
    """Read `source` once more, and compare every field with what `memory` has; writes nothing."""
    plain = replace(options, report=None, resume=False)
    return await _Run(_opened(source, plain), memory, Mode.VERIFY, plain).whole()


def _opened(source: Legacy, options: MigrateOptions) -> FolderSource | StoreSource:
    if isinstance(source, FolderSource | StoreSource):
        return source
    if not isinstance(source, str | Path):
        return StoreSource(source)
    if not Path(source).exists():
        raise UnreadableFile(f"there is no file or folder {source}")
    return FolderSource(Path(source), options.max_bytes)


class _Run:
    def __init__(
        self,
        source: FolderSource | StoreSource,
        memory: MemoryManager,
        mode: Mode,
        options: MigrateOptions,
    ) -> None:
        self._source = source
        self._memory = memory.with_options(namespace=options.namespace)
        self._mode = mode
        self._options = options
        self._result = Migration(mode is Mode.REHEARSE, options.report)
        self._system: list[tuple[str, Found]] = []

    async def whole(self) -> Migration:
        ledger = await to_thread.run_sync(self._ledger)
        settler = Settler(self._memory, ledger, self._mode, ledger.past.pending)
        try:
            await self._recall(ledger.past, settler)
            async with aclosing(self._source.batches(ledger.past.position)) as batches:
                async for batch in batches:
                    await self._settle(batch, ledger, settler)
            await self._finish(ledger, settler)
        finally:
            settler.close()
            ledger.close()
        return self._result

    def _ledger(self) -> Ledger:
        options = self._options
        dry_run = self._mode is Mode.REHEARSE
        if dry_run and options.resume:
            raise UnreadableFile("a dry run leaves nothing to go on with; start it anew")
        header = Header(self._source.name, options.target, options.namespace, dry_run)
        return Ledger(options.report, header, resume=options.resume)

    async def _recall(self, past: Past, settler: Settler) -> None:
        """Take up what an interrupted run knew."""
        if self._options.report is not None and past.settled:
            await to_thread.run_sync(self._count, self._options.report, past.settled)
        if past.pending:
            await settler.recover()
        if past.merged and past.position is not None:
            async with aclosing(self._source.batches(only=frozenset(past.merged))) as batches:
                async for batch in batches:
                    self._gather(batch, past.position)

    def _count(self, report: Path, settled: int) -> None:
        for line in islice(lines_of(report), settled):
            self._result.add(line)

    def _gather(self, batch: Sequence[Chunk], until: Position) -> None:
        """Keep what was told of the system in places that are settled."""
        for chunk in batch:
            whole = chunk.place != until.place
            settled = chunk.founds if whole else chunk.founds[: max(0, until.pieces - chunk.first)]
            self._system += [
                (chunk.place, found) for found in settled if isinstance(found.record, SystemState)
            ]

    async def _settle(self, batch: Sequence[Chunk], ledger: Ledger, settler: Settler) -> None:
        pieces = [Piece(chunk.place, found) for chunk in batch for found in chunk.founds]
        verdicts = await settler.settle(pieces)
        merged = [v.piece for v in verdicts if v.result is Result.MERGED]
        self._system += [(piece.place, piece.found) for piece in merged]
        lines = [*(verdict.line() for verdict in verdicts), *_of_files(batch)]
        await self._report(lines, ledger, batch[-1].position)

    async def _finish(self, ledger: Ledger, settler: Settler) -> None:
        if (whole := joined(self._system)) is not None:
            verdicts = await settler.settle([Piece(SYSTEM, whole)], system=True)
            await self._report([verdict.line() for verdict in verdicts], ledger, None)
        await to_thread.run_sync(ledger.finish, self._result.as_dict())

    async def _report(
        self, lines: Sequence[dict[str, Any]], ledger: Ledger, position: Position | None
    ) -> None:
        for line in lines:
            self._result.add(line)
        await to_thread.run_sync(ledger.settled, lines, position)
        self._options.on_batch(self._result)


def _of_files(batch: Sequence[Chunk]) -> Iterator[dict[str, Any]]:
    """A line for each file that is done with."""
    for chunk in batch:
        if chunk.problem:
            yield {"place": chunk.place, "file": "unreadable", "why": chunk.problem}
        elif chunk.passed:
            yield {"place": chunk.place, "file": "passed", "why": chunk.passed}
        elif chunk.ends:
            yield {"place": chunk.place, "file": "read", "records": chunk.position.pieces}
