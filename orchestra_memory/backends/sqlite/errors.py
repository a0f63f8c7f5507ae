"""SQLite's errors as ours: translated once, here."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from ...errors import ConfigurationError, StorageError, Unavailable

_LOCKED: Final = frozenset({sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED})
_UNAVAILABLE: Final = {
    sqlite3.SQLITE_BUSY: "another process holds its lock; try again",
    sqlite3.SQLITE_LOCKED: "another connection holds its lock; try again",
    sqlite3.SQLITE_IOERR: "its disk did not answer",
    sqlite3.SQLITE_CANTOPEN: "it cannot be opened; is it still there?",
    sqlite3.SQLITE_INTERRUPT: "the call was interrupted",
}
_FAILED: Final = {
    sqlite3.SQLITE_FULL: "its disk is full; make room, and write again",
    sqlite3.SQLITE_READONLY: "it is read-only; give this process the right to write to it",
    sqlite3.SQLITE_PERM: "access is denied; give this process the right to read and write it",
    sqlite3.SQLITE_CORRUPT: "it is damaged; restore a copy, or save what is left with `.recover`",
    sqlite3.SQLITE_NOTADB: "it is no SQLite database; restore a copy, or choose another path",
}


def _code(error: sqlite3.Error) -> int:
    """The primary result code; 0 for what the Python module itself objects to."""
    return getattr(error, "sqlite_errorcode", 0) & 0xFF


def is_locked(error: sqlite3.Error) -> bool:
    return _code(error) in _LOCKED


def storage_error(error: sqlite3.Error, operation: str, *, ambiguous: bool = False) -> StorageError:
    """Our error for one of SQLite's, chained to it; `ambiguous` if a write may have happened."""
    code = _code(error)
    if code in _UNAVAILABLE:
        ours: StorageError = Unavailable(
            f"the database file: {_UNAVAILABLE[code]}", operation=operation, ambiguous=ambiguous
        )
    else:
        name = getattr(error, "sqlite_errorname", type(error).__name__)
        ours = StorageError(f"the database file: {_FAILED.get(code, name)}", operation=operation)
    ours.__cause__ = error
    return ours


@contextmanager
def translated(operation: str) -> Iterator[None]:
    try:
        yield
    except sqlite3.Error as error:
        raise storage_error(error, operation) from error


@contextmanager
def translated_at_open(name: str) -> Iterator[None]:
    """Failures to open are for whoever configured the path, unless the file is only busy."""
    try:
        yield
    except sqlite3.Error as error:
        if is_locked(error):
            raise storage_error(error, "open") from error
        problem = {**_UNAVAILABLE, **_FAILED}.get(_code(error), type(error).__name__)
        raise ConfigurationError(f"{name}: {problem}") from error
    except OSError as error:
        raise ConfigurationError(
            f"{name}: its directory cannot be made ({type(error).__name__}); choose another path"
        ) from error
