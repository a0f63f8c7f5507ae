"""A ``.part`` that grows block by block, and becomes the file when all of it is there."""

from __future__ import annotations

import gzip
import io
import os
import zlib
from collections.abc import Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from types import TracebackType
from typing import IO, Final, Self

from ..resilience.journal.files import OWNER_ONLY

_CHUNK: Final = 1 << 16
_GZIP: Final = 31
"""zlib's code for one gzip member."""


class PartFile(AbstractContextManager["PartFile"]):
    """Takes bytes, for its owner's eyes; packed if the name ends in ``.gz``, block by block.

    What is behind the first `size` bytes of an earlier ``.part`` is dropped. Leaving the context
    without :meth:`finish` keeps the ``.part``.
    """

    def __init__(self, path: Path, size: int = 0) -> None:
        self.path: Path = path
        self.part: Path = part_of(path)
        self._packed = is_packed(path)
        self._size = size
        self._stream: IO[bytes] | None = None

    def __enter__(self) -> Self:
        self.part.parent.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(self.part, os.O_RDWR | os.O_CREAT, OWNER_ONLY)
        self._stream = os.fdopen(descriptor, "r+b")
        self._stream.truncate(self._size)
        self._stream.seek(self._size)
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

    def append(self, lines: bytes) -> None:
        assert self._stream is not None
        # No name and no time in the packing: the same records make the same file.
        self._stream.write(gzip.compress(lines, 6, mtime=0) if self._packed else lines)
        self._stream.flush()

    def finish(self) -> None:
        """Give the file its name, once its bytes are on the disk."""
        assert self._stream is not None
        os.fsync(self._stream.fileno())
        self.part.replace(self.path)


def part_of(path: Path) -> Path:
    return Path(f"{path}.part")


def is_packed(path: Path) -> bool:
    return path.suffix == ".gz"


def whole_blocks(stream: IO[bytes], *, packed: bool) -> Iterator[tuple[int, bytes]]:
    """Where each whole block of a ``.part`` ends, and the lines in it, until one is torn."""
    return _members(stream) if packed else _lines(stream)


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
