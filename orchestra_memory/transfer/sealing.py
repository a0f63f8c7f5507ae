"""What the lines of a backup add up to: its seal, and whether it is unbroken."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from hashlib import sha256

from ..operations import Revision
from .entries import UnreadableFile
from .labels import Label, Seal, frame, is_frame, is_seal, type_on


class Content:
    """The lines of a backup so far, without its seal."""

    def __init__(self) -> None:
        self.label: Label | None = None
        self.last: bytes = b""
        self.left_out: dict[str, None] = {}
        self._records = Counter[str]()
        self._digest = sha256()

    @property
    def total(self) -> int:
        """How many records there are."""
        return self._records.total()

    def take(self, lines: bytes) -> None:
        """Count whole lines. Raises ``UnreadableFile`` for what cannot be one of a backup."""
        self._digest.update(lines)
        for line in lines.removesuffix(b"\n").split(b"\n"):
            if is_frame(line):
                self._take_frame(line)
            else:
                self._records[type_on(line)] += 1
                self.last = line
        if self.label is None:
            raise UnreadableFile("no backup: it does not begin with the line that tells of one")

    def seal(self, as_of: Revision | None) -> Seal:
        return Seal(dict(self._records), len(self.left_out), as_of, self._digest.hexdigest())

    def _take_frame(self, line: bytes) -> None:
        found = frame(line)
        if isinstance(found, Label):
            self.label = found
        elif isinstance(found, str):
            self.left_out[found] = None


def checked(lines: Iterable[bytes]) -> tuple[Label, Seal]:
    """What a backup with these lines says of itself, if that is true.

    Raises ``UnreadableFile`` if it was cut short or changed.
    """
    content, seal = Content(), None
    for line in lines:
        if seal is not None:
            raise UnreadableFile("the backup goes on behind its end; get it again")
        if is_seal(line):
            found = frame(line)
            seal = found if isinstance(found, Seal) else None
        else:
            content.take(line)
    if seal is None or content.label is None:
        raise UnreadableFile("the backup is cut short; take another, or go on with --resume")
    if seal != content.seal(seal.as_of):
        raise UnreadableFile("the backup was changed or damaged: its SHA-256 is another")
    return content.label, seal
