"""The files of a journal: their names, who may open them, and the lock of the living.

A journal is ``journal-<id>.db``, with SQLite's ``-wal`` and ``-shm`` beside it. The process it
belongs to holds ``journal-<id>.lock`` for as long as it lives; when it dies, whatever the way, the
kernel releases the lock.
"""

from __future__ import annotations

import fcntl
import os
from contextlib import suppress
from pathlib import Path
from typing import Final, Self

PREFIX: Final = "journal-"
DATABASE: Final = ".db"
LOCK: Final = ".lock"
DAMAGED: Final = ".damaged"
"""What a file is called from which all that can be read was taken over."""
_COMPANIONS: Final = ("-wal", "-shm")
OWNER_ONLY: Final = 0o600
OWNER_ONLY_DIRECTORY: Final = 0o700


class Lock:
    """Tells a journal that is in use from one whose process has died."""

    def __init__(self, path: Path, descriptor: int) -> None:
        self.path = path
        self._descriptor = descriptor

    @classmethod
    def take(cls, path: Path) -> Self | None:
        """The lock, ``None`` while somebody else has it. Raises ``OSError`` if it cannot be had."""
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT, OWNER_ONLY)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if not os.path.samestat(os.fstat(descriptor), path.stat()):
                raise FileNotFoundError
        except (BlockingIOError, FileNotFoundError):
            # Held, or removed by its holder between our opening and locking it.
            os.close(descriptor)
            return None
        except BaseException:
            os.close(descriptor)
            raise
        return cls(path, descriptor)

    def sign(self) -> None:
        """Say which process has it, for who looks on."""
        os.ftruncate(self._descriptor, 0)
        os.pwrite(self._descriptor, f"{os.getpid()}\n".encode(), 0)

    def release(self, *, remove: bool = False) -> None:
        try:
            if remove:
                # While it is still held: whoever opened it meanwhile sees that it is gone.
                self.path.unlink(missing_ok=True)
        finally:
            os.close(self._descriptor)


def holder(database: Path) -> int | None:
    """The process that the journal belongs, or belonged, to."""
    try:
        return int(lock_of(database).read_text())
    except (OSError, ValueError):
        return None


def lock_of(database: Path) -> Path:
    return database.with_suffix(LOCK)


def databases(directory: Path) -> list[Path]:
    """The journals in a directory, whoever they belong to; none if there is no such directory."""
    return sorted(directory.glob(f"{PREFIX}*{DATABASE}"))


def remove(database: Path) -> None:
    """Remove a journal, under its lock.

    The database goes last: interrupted anywhere, this leaves a journal that can be taken over again
    and removed, and no file that nobody would ever look at.
    """
    for companion in _COMPANIONS:
        Path(f"{database}{companion}").unlink(missing_ok=True)
    database.unlink(missing_ok=True)


def put_aside(database: Path) -> Path:
    """Keep a damaged journal under a name by which nobody takes it over again, under its lock."""
    aside = database.with_suffix(DAMAGED)
    for companion in _COMPANIONS:
        path = Path(f"{database}{companion}")
        if path.exists():
            path.rename(f"{aside}{companion}")
    return database.rename(aside)


def remove_stray_locks(directory: Path) -> None:
    """Remove locks without a journal, left by who died while making or removing one."""
    for path in directory.glob(f"{PREFIX}*{LOCK}"):
        # Those of another user stay.
        with suppress(OSError):
            if not path.with_suffix(DATABASE).exists() and (lock := Lock.take(path)) is not None:
                # Looked at again: under the lock nobody can be making one.
                lock.release(remove=not path.with_suffix(DATABASE).exists())


def make_directory(directory: Path) -> None:
    directory.mkdir(mode=OWNER_ONLY_DIRECTORY, parents=True, exist_ok=True)


def make_database(path: Path) -> None:
    """An empty file that only its owner may read; SQLite makes its companions alike."""
    os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, OWNER_ONLY))


def sync_directory(directory: Path) -> None:
    """Bring the names of the files in it onto the disk."""
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
