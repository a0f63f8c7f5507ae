"""How a journal comes into being: its directory, its lock, its file."""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass
from pathlib import Path

from ...errors import ConfigurationError
from .entries import random_id
from .files import (
    DATABASE,
    PREFIX,
    Lock,
    lock_of,
    make_database,
    make_directory,
    remove,
    sync_directory,
)
from .medium import Medium, detect
from .schema import create


@dataclass(frozen=True, slots=True)
class Made:
    """A journal's file, open for writing, and the lock under which it is."""

    path: Path
    lock: Lock
    connection: sqlite3.Connection
    medium: Medium


def make(directory: Path, target: str, now: int) -> Made:
    """Blocks. Raises ``ConfigurationError`` if there can be no journal in this directory."""
    # Fixed now: the working directory may change while the journal is open.
    directory = directory.absolute()
    try:
        make_directory(directory)
        path, lock = _locked(directory)
        try:
            make_database(path)
            sync_directory(directory)
            medium = detect(directory)
            return Made(path, lock, create(path, target, now), medium)
        except BaseException:
            remove(path)
            lock.release(remove=True)
            raise
    except (OSError, sqlite3.Error) as error:
        why = error.strerror if isinstance(error, OSError) else str(error)
        raise ConfigurationError(
            f"{directory}: no journal can be kept there ({why}); give a directory on a local disk "
            "that this process may write to"
        ) from error


def _locked(directory: Path) -> tuple[Path, Lock]:
    while True:
        path = directory / f"{PREFIX}{random_id()}{DATABASE}"
        lock = Lock.take(lock_of(path))
        # None if somebody who tidies up just then took it for a stray one.
        if lock is not None:
            lock.sign()
            return path, lock
