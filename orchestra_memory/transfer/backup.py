"""All records of a namespace into one sealed file: streaming, resumable, as of one moment."""

from __future__ import annotations

import errno
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AsyncExitStack, aclosing, asynccontextmanager
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import Any, Final

from anyio import to_thread

from ..domain.followers import Follower
from ..errors import InvalidQuery
from ..layers.fallback.conflicts import Conflicted
from ..models import SHIPPED
from ..moments import Freezable
from ..operations import FREE, Billed, Count, Options, Page, Revision
from ..protocol import MemoryManager
from ..record import Record, spec_of
from ..values import utc_now
from .entries import UnreadableFile
from .exporting import PATIENCE, Selection, block_of, pages_of
from .files import start_behind
from .jsonl import named
from .labels import Kind, Label, Seal, is_seal, left_out_line
from .parts import PartFile, is_packed, part_of, whole_blocks
from .sealing import Content

KEPT: Final[tuple[type[Record], ...]] = (*SHIPPED, Follower, Conflicted)
"""What a backup holds: the records, how far followers of events are, and what lost in an outage."""
SKIPPING: Final = Options(timeout=PATIENCE, corrupt="skip")


def _ignore(_records: int) -> None:
    pass


@dataclass(frozen=True, slots=True)
class BackupOptions:
    """What to back up, and how.

    ``models`` are the record types; add your own. ``namespace`` is the one the memory is bound to,
    if it is to any. ``source`` names the store, for whoever finds the file. ``as_of`` is a moment
    on the store's clock, now by default. ``still=False`` lets the store go on meanwhile, for what
    takes longer than it keeps a moment. ``resume`` goes on with the ``.part`` of an earlier run.
    ``on_progress`` is told how many records there are so far.
    """

    models: tuple[type[Record], ...] = KEPT
    namespace: str | None = None
    source: str = ""
    as_of: Revision | None = None
    still: bool = True
    resume: bool = False
    on_progress: Callable[[int], None] = field(default=_ignore)

    @property
    def selection(self) -> Selection:
        return Selection(self.models, self.namespace)


DEFAULT: Final = BackupOptions()


@dataclass(frozen=True, slots=True)
class BackupReport:
    """What a backup holds.

    ``left_out`` are documents that do not fit their record type, ``collection/key``. ``billed`` is
    what this run was billed.
    """

    path: Path
    label: Label
    seal: Seal
    left_out: tuple[str, ...]
    billed: Billed


async def backup(
    memory: MemoryManager, path: Path, options: BackupOptions = DEFAULT
) -> BackupReport:
    """Write everything in `memory`'s namespace to `path`, packed if it ends in ``.gz``.

    A memory of `open_memory()` is asked past cache and fallback, and stands still meanwhile; of any
    other, records are read as they come. Documents that cannot be read are named and left out.

    Raises ``FileExistsError`` rather than replace a file, ``Unavailable`` in an outage, and
    ``UnreadableFile`` where there is nothing to resume. Whatever ends it early leaves a ``.part``.
    """
    content, size = await to_thread.run_sync(_earlier, path, options)
    moment = options.as_of if content.label is None else content.label.as_of
    async with _standing(memory, moment, options) as (still, shows):
        label, billed = content.label, FREE
        if label is None:
            label, billed = await counted(still, options)
        writing = _Writing(PartFile(path, size), content)
        with writing.file:
            await to_thread.run_sync(writing.begin, label)
            start = start_behind(content.last, named(options.models)) if content.last else None
            pages = pages_of(still, options.selection, start, SKIPPING)
            async with aclosing(pages):
                async for _, page in pages:
                    await to_thread.run_sync(writing.add, page, options.namespace)
                    billed += page.billed
                    options.on_progress(content.total)
            seal = await to_thread.run_sync(writing.end, label.as_of if shows else None)
    return BackupReport(path, label, seal, tuple(content.left_out), billed)


def _earlier(path: Path, options: BackupOptions) -> tuple[Content, int]:
    """What an earlier run wrote, and how many whole bytes of the ``.part`` that is."""
    if path.exists():
        raise FileExistsError(errno.EEXIST, "there is such a file; name another", str(path))
    content, size = Content(), 0
    if not options.resume:
        return content, size
    part = part_of(path)
    try:
        stream = part.open("rb")
    except OSError:
        raise UnreadableFile(f"no {part.name} to continue; back up without --resume") from None
    with stream:
        for end, block in whole_blocks(stream, packed=is_packed(path)):
            if is_seal(block):
                break
            content.take(block)
            size = end
    if content.label is not None and not content.label.is_of(_blank(options)):
        raise UnreadableFile(
            f"{part.name} is of another backup; delete it, or back up without --resume"
        )
    return content, size


@asynccontextmanager
async def _standing(
    memory: MemoryManager, moment: Revision | None, options: BackupOptions
) -> AsyncIterator[tuple[MemoryManager, bool]]:
    """What to read from, and whether it stands still at the moment that is asked for."""
    if not options.still or not isinstance(memory, Freezable):
        if options.as_of is not None:
            raise InvalidQuery("only a memory that stands still shows a moment", field="as_of")
        yield memory, False
        return
    async with AsyncExitStack() as stack:
        try:
            still, shows = await stack.enter_async_context(memory.frozen(moment)), True
        except InvalidQuery:
            if not options.resume:
                raise
            # That the store has changed since is no reason to give up what was written.
            still, shows = await stack.enter_async_context(memory.frozen()), False
        yield still, shows


async def counted(memory: MemoryManager, options: BackupOptions) -> tuple[Label, Billed]:
    """What there is to back up, counted by the store, and what that was billed."""
    counts: dict[type[Record], int] = {}
    billed, moments = FREE, set[Revision | None]()
    for model in options.selection.ordered:
        query = options.selection.query(model)
        totals = await memory.aggregate(query, [Count()], options=Options(timeout=PATIENCE))
        counts[model] = int(totals["count"] or 0)
        billed += totals.billed
        moments.add(totals.as_of)
    stands = options.still and len(moments) == 1
    as_of = moments.pop() if stands else None
    return _blank(options, counts, as_of), billed


def _blank(
    options: BackupOptions,
    counts: Mapping[type[Record], int] | None = None,
    as_of: Revision | None = None,
) -> Label:
    return Label(
        source=options.source,
        namespace=options.namespace,
        release=version("orchestra-memory"),
        taken_at=utc_now(),
        as_of=as_of,
        kinds=tuple(
            Kind(
                name=model.__name__,
                collection=spec_of(model).collection,
                schema_version=spec_of(model).schema_version,
                records=(counts or {}).get(model, 0),
            )
            for model in options.selection.ordered
        ),
    )


class _Writing:
    """The file, and what is in it; every method blocks."""

    def __init__(self, file: PartFile, content: Content) -> None:
        self.file: PartFile = file
        self._content = content

    def begin(self, label: Label) -> None:
        if self._content.label is None:
            self._append(label.line)

    def add(self, page: Page[Any], namespace: str | None) -> None:
        places = [left_out_line(error.collection, error.key) for error in page.corrupt]
        self._append(b"".join(places) + block_of(page, namespace).lines)

    def end(self, as_of: Revision | None) -> Seal:
        seal = self._content.seal(as_of)
        self.file.append(seal.line)
        self.file.finish()
        return seal

    def _append(self, lines: bytes) -> None:
        if lines:
            self.file.append(lines)
            self._content.take(lines)
