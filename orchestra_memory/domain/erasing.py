"""Erasing a user in one namespace: the mark, the records, and what lost in outages."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import aclosing
from typing import Any, Final

from ..layers.fallback.conflicts import Conflicted
from ..layers.fallback.erasures import LATEST, Erasure
from ..operations import FREE, Billed, Delete, Durability, Options, Patch, Put, Ref
from ..ownership import digest
from ..protocol import MemoryManager
from ..record import Record, spec_of
from ..values import utc_now
from .belongings import AS_STORED, Place, conflicts_of
from .bulk import PAGE, check_complete

SURE: Final = Options(min_durability=Durability.COMMITTED, timeout=30.0)
"""Erased is what the store has erased."""


class Erasing:
    """One user in `memory`, which is of one namespace. ``billed`` is what it took so far."""

    def __init__(self, memory: MemoryManager, places: Sequence[Place], user_id: str) -> None:
        self.billed: Billed = FREE
        self._memory = memory
        self._places = places
        self._user_id = user_id
        self._mark: Ref[Erasure] = Ref(Erasure, digest(user_id))

    async def begin(self) -> Erasure:
        """Mark the user as erased; goes on with an erasure that did not come to its end.

        Raises as a write does whose durability must be ``COMMITTED``.
        """
        earlier = await self.mark()
        now = utc_now()
        if earlier is None or earlier.finished_at is not None:
            mark = Erasure(id=self._mark.key, at=now, started_at=now)
        else:
            mark = earlier.evolve(at=now)
        latest = Erasure(id=LATEST, at=now, started_at=now)
        await self._write([Put(mark), Put(latest)])
        return mark

    async def erase(self) -> int:
        """Delete all that is there of the user; how much that was."""
        # First, as long as records tell whose the changes are that were made of them.
        number = await self._erase_conflicts()
        for place in self._places:
            number += await self._erase_place(place)
        return number

    async def finish(self) -> Erasure:
        """Note that nothing is left; the mark with all that was counted."""
        await self._write([Patch(self._mark, set={"finished_at": utc_now()})])
        mark = await self.mark()
        assert mark is not None
        return mark

    async def mark(self) -> Erasure | None:
        snapshot = await self._memory.read([self._mark], options=AS_STORED)
        self.billed += snapshot.billed
        return snapshot.records[0]

    async def _erase_place(self, place: Place) -> int:
        query, number = place.query(self._user_id), 0
        while True:
            page = await self._memory.find(query, options=AS_STORED)
            self.billed += page.billed
            check_complete(page, query)
            keys = [each.record.key for each in page.items] + [each.key for each in page.corrupt]
            if keys:
                await self._delete(place.model, [Ref(place.model, key) for key in keys])
            number += len(keys)
            if page.cursor is None:
                return number
            # Onward, so that it ends even if somebody keeps writing.
            query = query.with_(after=page.cursor)

    async def _erase_conflicts(self) -> int:
        number = 0
        async with aclosing(conflicts_of(self._memory, self._user_id)) as found:
            async for conflicts in found:
                refs = [Ref(Conflicted, each.key) for each in conflicts]
                if refs:
                    await self._delete(Conflicted, refs)
                number += len(refs)
        return number

    async def _delete(self, model: type[Record], refs: Sequence[Ref[Any]]) -> None:
        """Delete a page, and count it, in one: so a count is right wherever a run is stopped."""
        counter = f"counts.{spec_of(model).collection.replace('.', '_')}"
        assert len(refs) <= PAGE
        count = Patch(self._mark, increment={counter: len(refs)})
        await self._write([*map(Delete, refs), count])

    async def _write(self, ops: Sequence[Put | Patch | Delete]) -> None:
        self.billed += (await self._memory.write(ops, options=SURE)).billed
