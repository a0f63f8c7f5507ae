"""Facts worth keeping, outside any conversation."""

from __future__ import annotations

from collections.abc import AsyncIterable, Iterable
from datetime import datetime
from typing import TypedDict, Unpack

from ..models import MemoryRecord
from ..operations import Page, Receipt
from ..protocol import MemoryManager
from ..values import JsonLike, JsonMap
from . import issued
from .entries import made
from .issued import Window


class RecordFields(TypedDict, total=False):
    """The fields of a :class:`~orchestra_memory.MemoryRecord`."""

    record_id: str
    context: str
    persona: str | None
    content: JsonLike
    timestamp: datetime
    metadata: JsonMap


class Records:
    """The :class:`~orchestra_memory.MemoryRecord` kept in `memory`."""

    def __init__(self, memory: MemoryManager) -> None:
        self._memory = memory

    def __repr__(self) -> str:
        return f"<Records in {self._memory!r}>"

    async def save(
        self, record: MemoryRecord | None = None, /, **fields: Unpack[RecordFields]
    ) -> MemoryRecord:
        """Store a record over any of the same id, and return it.

        It is given ready, by its fields, or both: then they change it.
        """
        record = made(MemoryRecord, record, fields)
        await self._memory.put(record)
        return record

    async def save_many(
        self, records: Iterable[MemoryRecord] | AsyncIterable[MemoryRecord]
    ) -> Receipt:
        """Store any number of them, as ``memory.put_many`` does."""
        return await self._memory.put_many(records)

    async def get(self, record_id: str) -> MemoryRecord | None:
        """The record with this id, ``None`` if there is none."""
        return await self._memory.get(MemoryRecord, record_id)

    async def query(
        self, *, context: str | None = None, persona: str | None = None, **window: Unpack[Window]
    ) -> Page[MemoryRecord]:
        """A page of the records of a context, a persona or both, newest first.

        ``start`` and ``end`` are aware times, the end not included. ``page_size`` is 50 by default,
        ``limit`` the number over all pages; ``after`` takes the ``cursor`` of the page before.
        Raises ``InvalidQuery`` with neither context nor persona; to go through everything, use
        ``memory.scan(Query(MemoryRecord))``.
        """
        query = issued.records_about(context=context, persona=persona, **window)
        return await self._memory.find(query)

    async def delete(self, record_id: str) -> None:
        """Remove the record; removing the absent succeeds."""
        await self._memory.delete(MemoryRecord, record_id)
