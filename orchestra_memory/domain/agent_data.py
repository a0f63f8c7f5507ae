"""What agents produce and measure."""

from __future__ import annotations

from collections.abc import AsyncIterable, Iterable
from datetime import datetime
from typing import TypedDict, Unpack

from ..models import AgentData
from ..operations import Page, Receipt
from ..protocol import MemoryManager
from ..values import JsonLike, JsonMap, utc_now
from . import issued
from .bulk import PAGE, delete_unchanged, first
from .entries import made
from .issued import Window


class AgentDataFields(TypedDict, total=False):
    """The fields of :class:`~orchestra_memory.AgentData`."""

    id: str
    agent_id: str
    data_type: str
    timestamp: datetime
    content: JsonLike
    metadata: JsonMap
    expiration: datetime | None


class AgentDataStore:
    """What the agents keep in `memory`."""

    def __init__(self, memory: MemoryManager) -> None:
        self._memory = memory

    def __repr__(self) -> str:
        return f"<AgentDataStore in {self._memory!r}>"

    async def add(
        self, data: AgentData | None = None, /, **fields: Unpack[AgentDataFields]
    ) -> AgentData:
        """Store data, given ready, by its fields, or both: then they change it; returns it."""
        data = made(AgentData, data, fields)
        await self._memory.put(data)
        return data

    async def add_many(self, items: Iterable[AgentData] | AsyncIterable[AgentData]) -> Receipt:
        """Store any number of them, as ``memory.put_many`` does."""
        return await self._memory.put_many(items)

    async def latest(self, agent_id: str, data_type: str | None = None) -> AgentData | None:
        """The agent's newest data, of this type if given; ``None`` if there is none.

        Costs one read. Raises ``Unavailable`` where an outage hides whether there is any.
        """
        query = issued.data_of(agent_id=agent_id, data_type=data_type, page_size=1, limit=1)
        return first(await self._memory.find(query), query)

    async def query(
        self, agent_id: str, *, data_type: str | None = None, **window: Unpack[Window]
    ) -> Page[AgentData]:
        """A page of the agent's data, newest first.

        ``start`` and ``end`` are aware times, the end not included. ``page_size`` is 50 by default,
        ``limit`` the number over all pages; ``after`` takes the ``cursor`` of the page before.
        """
        query = issued.data_of(agent_id=agent_id, data_type=data_type, **window)
        return await self._memory.find(query)

    async def cleanup_expired(self, agent_id: str) -> int:
        """Delete the agent's expired data now; how many that were.

        What has expired is invisible at once. Firestore's TTL policy deletes it everywhere within
        about a day, SQLite purges itself; this is for stores without such a policy.
        """
        query = issued.expired(
            AgentData, of="agent_id", owner=agent_id, now=utc_now(), page_size=PAGE
        )
        return await delete_unchanged(self._memory, query)
