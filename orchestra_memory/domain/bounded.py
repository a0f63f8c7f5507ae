"""Lists in records that grow by writes without reads, and are cut back now and then."""

from __future__ import annotations

import logging
import random
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final, TypeVar

from ..codec.size import storage_size
from ..errors import InvalidRecord, StorageError
from ..operations import Patch, Ref
from ..protocol import MemoryManager
from ..record import Record

T = TypeVar("T")

CHANCE: Final = 1 / 32
"""How often an entry that is added has its list cut back; a large one has it more often."""
ENTRIES: Final = 100
"""How many entries a list keeps unless it is told otherwise."""
MAX_BYTES: Final = 200_000
"""How much a list keeps, however few entries that are: a record has room for some such lists."""
MAX_ENTRY_BYTES: Final = 100_000
"""How large an entry may be, in storage."""
_BYTES_A_CUT: Final = 25_000
"""How much is added between two cuts in the mean, where the entries are large."""

log: logging.Logger = logging.getLogger("orchestra_memory")


class Bounded:
    """Keeps the newest entries of these lists; ``bounds`` has how many of each.

    No store can both add to a list and cut it in one write that reads nothing. So every addition
    has a small chance of being followed by a cut, whoever makes it: a list is longer than its bound
    by 32 entries in the mean, and beyond all use by none. `draw` gives numbers from 0 up to 1.
    """

    def __init__(
        self,
        memory: MemoryManager,
        bounds: Mapping[str, int],
        *,
        draw: Callable[[], float] = random.random,
    ) -> None:
        self._memory = memory
        self._bounds = bounds
        self._draw = draw

    async def grown(self, ref: Ref[Record], added: Iterable[Any]) -> None:
        """Cut the record's lists back, if it is the turn of one of these entries.

        Never raises for a store that fails.
        """
        if self._draw() >= sum(map(_chance, added)):
            return
        try:
            await self._cut(ref)
        except StorageError as error:
            # What was to be written is written; another addition's turn comes.
            log.info("%s: lists not cut back: %s", ref.collection, type(error).__name__)

    async def _cut(self, ref: Ref[Record]) -> None:
        record = await self._memory.get(ref.model, ref.key)
        if record is not None and (beyond := excess(record, self._bounds)):
            await self._memory.write([Patch(ref, remove=beyond)])


def _chance(entry: object) -> float:
    return CHANCE + storage_size(entry) / _BYTES_A_CUT


def excess(record: Record, bounds: Mapping[str, int]) -> dict[str, list[Any]]:
    """The entries of each list that are too many, oldest first."""
    lists: dict[str, list[Any]] = {name: getattr(record, name) for name in bounds}
    beyond = {
        name: entries[: len(entries) - len(newest(entries, bounds[name]))]
        for name, entries in lists.items()
    }
    return {name: entries for name, entries in beyond.items() if entries}


def newest(entries: list[T], most: int) -> list[T]:
    """The entries that a list keeps, oldest first: at most so many, and ``MAX_BYTES`` of them."""
    first, left = len(entries), MAX_BYTES
    for entry in reversed(entries[max(0, len(entries) - most) :]):
        left -= storage_size(entry)
        if left < 0:
            break
        first -= 1
    return entries[first:]


def checked_entries(change: Patch) -> Patch:
    """`change`, if each entry that it adds may be one of many. Raises ``InvalidRecord``."""
    model = change.ref.model.__name__
    for field, entries in change.add.items():
        largest = max(map(storage_size, entries), default=0)
        if largest > MAX_ENTRY_BYTES:
            raise InvalidRecord(
                f"{model}.{field}: an entry of {largest:,} bytes, at most {MAX_ENTRY_BYTES:,}; "
                "keep what is large as a record of its own, and its id here",
                model=model,
                field=field,
            )
    return change
