"""Journals whose process has died, taken over under their lock.

Taking one over is a commit like any other, to which its entries are copied; once that is on the
disk, its files are removed. A crash in between leaves both, and the next one to take over finds
entries with the same ids.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from .bounds import Held, Ledger, held_of
from .entries import Row
from .files import Lock, holder, lock_of, put_aside, remove
from .inspection import contents_of, no_lock
from .status import JournalFile

NO_ROOM = "there is no room for it until some of what is here is replayed"


class Taking:
    """One journal being taken over: copied within a commit, finished after it."""

    def __init__(self, path: Path, target: str, ledger: Ledger, numbers: Iterator[int]) -> None:
        self.file: JournalFile = JournalFile(path, living=False, holder=holder(path))
        self.held: list[tuple[Held, bool]] = []
        """What was copied, and whether each is a dead letter."""
        self.damaged: int = 0
        self._target = target
        self._ledger = ledger
        self._numbers = numbers
        self._lock: Lock | None = None

    @property
    def left(self) -> bool:
        """Whether it stays where it is, although nobody else has it open."""
        return self.file.refusal is not None and not self.file.living

    def rows(self) -> Iterator[Row]:
        """Lock it, and tell what of it is to be copied; nothing is done until that is asked for."""
        try:
            self._lock = Lock.take(lock_of(self.file.path))
        except OSError as error:
            self.file = replace(self.file, refusal=no_lock(error))
            return
        if self._lock is None or not self.file.path.exists():
            self.file = replace(self.file, living=True)
            return
        rows = [row for row in self._found() if row.id not in self._ledger.ids]
        if not self._ledger.fits(rows):
            self.file = replace(self.file, refusal=NO_ROOM)
            return
        rows = [row._replace(number=next(self._numbers)) for row in rows]
        self.held = [(held_of(row), row.reason is not None) for row in rows]
        yield from rows

    def _found(self) -> list[Row]:
        contents = contents_of(self.file, self._target)
        self.file = contents.file
        self.damaged = contents.intact.count(False)
        return contents.rows

    def finish(self, *, committed: bool) -> None:
        """Remove what was copied, if the commit is on the disk, and let go of the lock."""
        if self._lock is None:
            return
        if not committed or self.left:
            self._lock.release()
            return
        try:
            (put_aside if self.file.damaged else remove)(self.file.path)
            self._lock.release(remove=True)
        except OSError as error:
            # The lock stays with this process: what it took over, nobody else must.
            why = f"taken over, but its files cannot be removed ({type(error).__name__})"
            self.file = replace(self.file, refusal=why)
