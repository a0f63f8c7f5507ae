"""The file an export goes into, and how far an interrupted one has come."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Final

from ..codec.bytes import loads
from ..codec.document import key_in
from .entries import UnreadableFile
from .exporting import Block, Selection, Start
from .jsonl import Models, named
from .parts import PartFile, is_packed, part_of, whole_blocks


@dataclass(frozen=True, slots=True)
class Written:
    """What of an interrupted export is whole."""

    size: int
    records: int
    start: Start | None


class ExportFile(PartFile):
    """Takes blocks. With ``resume=True`` it goes on behind what an earlier ``.part`` holds."""

    def __init__(self, path: Path, selection: Selection, *, resume: bool = False) -> None:
        self.written: Written = _whole(path, selection) if resume else _NOTHING
        super().__init__(path, self.written.size)

    def write(self, block: Block) -> None:
        self.append(block.lines)


_NOTHING: Final = Written(0, 0, None)


def _whole(path: Path, selection: Selection) -> Written:
    part = whole_part(path, selection.header)
    if not part.records:
        return _NOTHING
    return Written(part.size, part.records, start_behind(part.last, named(selection.models)))


@dataclass(frozen=True, slots=True)
class WholePart:
    """What of a ``.part`` is whole: bytes, records behind the header, and the last line."""

    size: int = 0
    records: int = 0
    last: bytes = b""


def whole_part(path: Path, header: bytes) -> WholePart:
    """How far an interrupted export to `path` has come; nothing if there is a header at most.

    Raises ``UnreadableFile`` if there is no part, or it is of another export.
    """
    part = part_of(path)
    try:
        stream = part.open("rb")
    except OSError:
        raise UnreadableFile(f"no {part.name} to continue; export without --resume") from None
    size, lines, last = 0, 0, b""
    with stream:
        for end, content in whole_blocks(stream, packed=is_packed(path)):
            if lines == 0 and not content.startswith(header):
                raise UnreadableFile(
                    f"{part.name} is of another export; delete it, or export without --resume"
                )
            size, lines = end, lines + content.count(b"\n")
            last = last_line(content)
    return WholePart(size, lines - 1, last) if lines > 1 else WholePart()


def last_line(content: bytes) -> bytes:
    return content.rstrip(b"\n").rpartition(b"\n")[2]


def start_behind(line: bytes, models: Models) -> Start:
    """Where an export goes on whose last line is this one."""
    value = loads(line)
    model = models[value["type"]]
    return Start(model, key_in(model, value["document"]))
