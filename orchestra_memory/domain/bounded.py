"""Lists in records that grow by writes without reads, and are cut back now and then."""

from __future__ import annotations

import logging
import random
from collections.abc import Callable, Mapping
from typing import Any, Final

from ..errors import StorageError
from ..operations import Patch, Ref
from ..protocol import MemoryManager
from ..record import Record

CHANCE: Final = 1 / 32
"""How often an entry that is added has its list cut back."""
ENTRIES: Final = 100
"""How many entries a list keeps unless it is told otherwise."""

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

    async def grown(self, ref: Ref[Record]) -> None:
        """Cut the record's lists back, if it is their turn. Never raises for a store that fails."""
        if self._draw() >= CHANCE:
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


def excess(record: Record, bounds: Mapping[str, int]) -> dict[str, list[Any]]:
    """The entries of each list that are too many, oldest first."""
    lists: dict[str, list[Any]] = {name: getattr(record, name) for name in bounds}
    return {
        name: entries[: len(entries) - bounds[name]]
        for name, entries in lists.items()
        if len(entries) > bounds[name]
    }
