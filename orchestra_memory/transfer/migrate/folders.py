"""The files below a folder, in an order that is the same each time."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from heapq import merge
from pathlib import Path
from typing import Final

_SORTED: Final = 4_000
"""Names that are sorted at once."""


@dataclass(frozen=True, slots=True)
class File:
    """A file by its path below the folder; ``problem`` is why it cannot be read."""

    place: str
    path: str
    size: int = 0
    modified: float = 0.0
    mark: str = ""
    problem: str = ""


def order_of(place: str) -> tuple[str, ...]:
    """Where a path stands among others."""
    return tuple(place.split("/"))


def files_below(root: Path) -> Iterator[File]:
    """Every file below `root`, or `root` itself. Links are followed; a folder is read once."""
    if not root.is_dir():
        yield _file(str(root), _shown(root.name))
        return
    been: set[tuple[int, int]] = set()
    stack: list[Iterator[tuple[str, str]]] = [iter([("", str(root))])]
    while stack:
        place, path = next(stack[-1], (None, ""))
        if place is None:
            stack.pop()
            continue
        if not _is_folder(path):
            yield _file(path, place)
            continue
        listed = _listed(path, place, been)
        if isinstance(listed, File):
            yield listed
        else:
            stack.append(listed)


def _is_folder(path: str) -> bool:
    try:
        return stat.S_ISDIR(os.stat(path).st_mode)  # noqa: PTH116 -- names may be no text
    except OSError:
        return False


def _listed(path: str, place: str, been: set[tuple[int, int]]) -> Iterator[tuple[str, str]] | File:
    """What is in a folder, or why it is not gone into."""
    try:
        facts = os.stat(path)  # noqa: PTH116
        if (facts.st_dev, facts.st_ino) in been:
            return File(place, path, problem="a link to a folder that is read already")
        been.add((facts.st_dev, facts.st_ino))
        with os.scandir(path) as entries:
            named = [(_shown(entry.name), entry.path) for entry in entries]
    except OSError as error:
        return File(place, path, problem=f"cannot be opened: {error.strerror}")
    return ((f"{place}/{name}" if place else name, inner) for name, inner in _ordered(named))


def _ordered(named: list[tuple[str, str]]) -> Iterator[tuple[str, str]]:
    """What is in a folder, by its names; sorted in parts, so that no other thread waits long."""
    return merge(*(sorted(named[at : at + _SORTED]) for at in range(0, len(named), _SORTED)))


def _file(path: str, place: str) -> File:
    try:
        facts = os.stat(path)  # noqa: PTH116
    except OSError as error:
        return File(place, path, problem=f"cannot be opened: {error.strerror}")
    if not stat.S_ISREG(facts.st_mode):
        return File(place, path, problem="no regular file")
    mark = f"{facts.st_size}-{facts.st_mtime_ns}"
    return File(place, path, facts.st_size, facts.st_mtime, mark)


def _shown(name: str) -> str:
    """A file name as text, whatever bytes it is of."""
    return os.fsencode(name).decode(errors="backslashreplace")
