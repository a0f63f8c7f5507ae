"""The file an export goes into: a ``.part`` that becomes the file when all of it is there."""

from __future__ import annotations

import gzip
import io
import os
import zlib
from collections.abc import Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import IO, Final, Self

from ..codec.bytes import loads
from ..codec.document import key_in
from .entries import UnreadableFile
from .exporting import Block, Selection, Start
from .jsonl import named

_CHUNK: Final = 1 << 16
_GZIP: Final = 31
"""zlib's code for one gzip member."""


@dataclass(frozen=True, slots=True)
class Written:
    """What of an interrupted export is whole."""

    size: int
    records: int
    start: Start | None


class ExportFile(AbstractContextManager["ExportFile"]):
    """Takes blocks; packed if the name ends in ``.gz``, every block for itself.

    Leaving the context without :meth:`finish` keeps the ``.part``, from which
    ``resume=True`` goes on.
    """

    def __init__(self, path: Path, selection: Selection, *, resume: bool = False) -> None:
        self.path = path
        self.part: Path = path.with_name(path.name + ".part")
        self._packed = path.suffix == ".gz"
        self.written: Written = (
            _whole(self.part, selection, packed=self._packed) if resume else _NOTHING
        )
        self._stream: IO[bytes] | None = None

    def __enter__(self) -> Self:
        self.part.parent.mkdir(parents=True, exist_ok=True)
        self._stream = self.part.open("r+b" if self.written.size else "wb")
        self._stream.truncate(self.written.size)
        self._stream.seek(self.written.size)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._stream is not None:
            self._stream.close()
            self._stream = None

    def write(self, block: Block) -> None:
        assert self._stream is not None
        # No name and no time in the packing: the same records make the same file.
        self._stream.write(gzip.compress(block.lines, 6, mtime=0) if self._packed else block.lines)
        self._stream.flush()

    def finish(self) -> None:
        """Give the file its name, once its bytes are on the disk."""
        assert self._stream is not None
        os.fsync(self._stream.fileno())
        self.part.replace(self.path)


_NOTHING = Written(0, 0, None)


def _whole(part: Path, selection: Selection, *, packed: bool) -> Written:
    """Raises ``UnreadableFile`` if there is no part, or it is of another export."""
    try:
        stream = part.open("rb")
    except OSError:
        raise UnreadableFile(f"no {part.name} to continue; export without --resume") from None
    size, lines, last = 0, 0, b""
    with stream:
        for end, content in _members(stream) if packed else _lines(stream):
            if lines == 0 and not content.startswith(selection.header):
                raise UnreadableFile(
                    f"{part.name} is of another export; delete it, or export without --resume"
                )
            size, lines = end, lines + content.count(b"\n")
            last = content.rstrip(b"\n").rpartition(b"\n")[2]
    if lines < 2:
        return _NOTHING
    return Written(size, lines - 1, _start(last, selection))


def _lines(stream: IO[bytes]) -> Iterator[tuple[int, bytes]]:
    end = 0
    for line in stream:
        if line.endswith(b"\n"):
            end += len(line)
            yield end, line


def _members(stream: IO[bytes]) -> Iterator[tuple[int, bytes]]:
    """Where each whole gzip member ends, and what is in it."""
    decoder, content, end, pending = zlib.decompressobj(_GZIP), io.BytesIO(), 0, b""
    while pending := pending or stream.read(_CHUNK):
        try:
            content.write(decoder.decompress(pending))
        except zlib.error:
            return
        end += len(pending) - len(decoder.unused_data)
        pending = decoder.unused_data
        if decoder.eof:
            yield end, content.getvalue()
            decoder, content = zlib.decompressobj(_GZIP), io.BytesIO()


def _start(line: bytes, selection: Selection) -> Start:
    value = loads(line)
    model = named(selection.models)[value["type"]]
    return Start(model, key_in(model, value["document"]))
