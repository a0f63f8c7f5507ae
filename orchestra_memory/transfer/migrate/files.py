"""JSON files of earlier systems as a source: one, or all below a folder."""

from __future__ import annotations

import io
import re
from collections.abc import AsyncGenerator, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path, PurePosixPath
from typing import Final

from anyio import to_thread

from ...slices import paced
from ..entries import UnreadableFile, plain_json
from ..legacy.found import Found, Origin
from ..legacy.kin import Kin
from ..legacy.recognise import parsed
from ..long_json import let_go
from ..sources import opened
from .chunks import Chunk, Position, cut, gathered
from .folders import File, files_below, order_of

MAX_BYTES: Final = 32 * 2**20
"""A JSON document is held in memory as a whole: larger ones are reported, not read."""
_JSON: Final = frozenset({".json", ".jsonl", ".ndjson"})
_OPENING: Final = (b"{", b"[")
_BOMS: Final = (b"\xef\xbb\xbf", b"\xff\xfe", b"\xfe\xff")
_OURS: Final = re.compile(rb'\{"format": ?"orchestra-memory')
"""How the files begin that this library writes: reports of migrations, exports, backups."""
_SNIFFED: Final = 512
_KIN: Final = re.compile(rb'"(?:parent|child|spawned)')
"""How the names of fields begin that name other agents."""
_NAMED: Final = 16
"""More bytes than such a beginning has."""
_SEARCHED: Final = 2**20
"""Bytes that are searched at once: meanwhile no other thread gets its turn."""


@dataclass(frozen=True, slots=True)
class FolderSource:
    """A file or a folder. Files above `max_bytes` are read only if they hold a value a line."""

    root: Path
    max_bytes: int = MAX_BYTES

    @property
    def name(self) -> str:
        return str(self.root.resolve())

    def count(self) -> int:
        """How many files there are."""
        return sum(1 for _ in files_below(self.root))

    async def batches(
        self, start: Position | None = None, only: frozenset[str] | None = None
    ) -> AsyncGenerator[list[Chunk]]:
        """Chunks of the files, in the order of their paths; read and parsed in a thread."""
        source = gathered(self._chunks(start, only))
        while batch := await to_thread.run_sync(next, source, None):
            yield batch

    def _chunks(self, start: Position | None, only: frozenset[str] | None) -> Iterator[Chunk]:
        kin = self._kin()
        begin = None if start is None else order_of(start.place)
        for file in files_below(self.root):
            if only is not None and file.place not in only:
                continue
            if begin is not None and order_of(file.place) < begin:
                continue
            first = 0
            if start is not None and (file.place, file.mark) == (start.place, start.mark):
                if start.ended:
                    continue
                first = start.pieces
            yield from _chunks_of(file, first, self.max_bytes, kin)

    def _kin(self) -> Kin:
        """All agents, if any names another; for that the files are read twice."""
        kin = Kin()
        if not any(map(self._names_kin, files_below(self.root))):
            return kin
        for file in files_below(self.root):
            # What is wrong with a file is told of when it is read to be migrated.
            with suppress(_Passed, UnreadableFile, OSError, ValueError, RecursionError):
                for found in () if file.problem else paced(_pieces(file, self.max_bytes)):
                    kin.add(found)
        return kin

    def _names_kin(self, file: File) -> bool:
        if file.problem:
            return False
        with suppress(UnreadableFile, OSError), opened(file.path) as stream:
            assert isinstance(stream, io.BufferedIOBase)
            return _tells_kin(stream.read(self.max_bytes))
        return False


def _tells_kin(content: bytes) -> bool:
    begins = paced(range(0, len(content), _SEARCHED))
    return any(_KIN.search(content, at, at + _SEARCHED + _NAMED) for at in begins)


def _chunks_of(file: File, first: int, max_bytes: int, kin: Kin) -> Iterator[Chunk]:
    if file.problem:
        yield Chunk(file.place, problem=file.problem)
        return
    done = first
    try:
        pieces = map(kin.resolved, islice(paced(_pieces(file, max_bytes)), first, None))
        for chunk in cut(file.place, pieces, first=first, mark=file.mark):
            done = chunk.position.pieces
            yield chunk
    except _Passed as passed:
        yield Chunk(file.place, first=done, mark=file.mark, passed=str(passed))
    except RecursionError:
        yield Chunk(file.place, first=done, mark=file.mark, problem="nested too deep")
    except (UnreadableFile, OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else str(error)
        yield Chunk(file.place, first=done, mark=file.mark, problem=reason or "cannot be read")


class _Passed(Exception):
    """A file that is not meant to hold records."""


def _pieces(file: File, max_bytes: int) -> Iterator[Found]:
    """Everything in a file. Raises ``ValueError`` for what is no JSON."""
    stem = PurePosixPath(file.place).name.partition(".")[0]
    origin = Origin(stem or "migrated", datetime.fromtimestamp(file.modified, UTC))
    with opened(file.path) as stream:
        assert isinstance(stream, io.BufferedIOBase)
        head = stream.read(max_bytes + 1)
        if not head:
            raise _Passed("empty")
        if not _may_be_json(file, head):
            raise _Passed("not JSON")
        if _OURS.match(head):
            # A report may even be the one of this run, and would grow as fast as it is read.
            raise _Passed("written by this library; bring exports and backups in with import")
        if len(head) > max_bytes:
            yield from _lines(_streamed(head, stream, max_bytes), origin)
            return
    try:
        value = plain_json(head)
    except ValueError:
        if not _is_lines(head):
            raise
        yield from _lines(io.BytesIO(head), origin)
        return
    del head
    yield from parsed(value, origin)
    let_go(value)


def _may_be_json(file: File, head: bytes) -> bool:
    names = PurePosixPath(file.place).name.lower().removesuffix(".gz")
    if PurePosixPath(names).suffix in _JSON:
        return True
    start = head[:_SNIFFED].removeprefix(_BOMS[0]).lstrip(b"\0 \t\r\n")
    return head.startswith(_BOMS[1:]) or start.startswith(_OPENING)


def _is_lines(head: bytes) -> bool:
    """Whether the first line of several is a value of its own."""
    lines = (line for line in head[: _SNIFFED * 128].splitlines() if line.strip())
    first, second = next(lines, b""), next(lines, None)
    try:
        return second is not None and isinstance(plain_json(first), dict)
    except ValueError:
        return False


def _streamed(head: bytes, stream: io.BufferedIOBase, max_bytes: int) -> Iterator[bytes]:
    """The lines of a large file. Raises ``ValueError`` if it is one document."""
    if not _is_lines(head):
        raise ValueError(
            f"one JSON document of more than {max_bytes / 2**20:g} MiB, which would be held in "
            "memory as a whole; split it, or allow more"
        )
    whole, newline, rest = head.rpartition(b"\n")
    if not newline:
        whole, rest = b"", head
    yield from io.BytesIO(whole)
    yield rest + stream.readline(max_bytes)
    while line := stream.readline(max_bytes):
        yield line


def _lines(lines: Iterable[bytes], origin: Origin) -> Iterator[Found]:
    for number, line in enumerate(lines, 1):
        if line.strip():
            yield from _line(line, f"line {number}", origin)


def _line(line: bytes, where: str, origin: Origin) -> Iterator[Found]:
    try:
        founds = list(parsed(plain_json(line.removeprefix(_BOMS[0])), origin))
    except RecursionError:
        yield Found(where, problem="nested too deep")
    except ValueError as error:
        yield Found(where, problem=str(error).replace(" at line 1, column", " at column"))
    else:
        for found in founds:
            yield replace(found, inside=f"{where} {found.inside}".strip())
