"""The time of the commit, where a record leaves it to the store."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from ...operations import Patch, Put, Ref
from ...protocol import MemoryManager
from ...queries import Query
from .base import Contract
from .models import Arrival

EARLY = datetime(2001, 2, 3, tzinfo=UTC)
MINUTE = timedelta(minutes=1)


class CommitTimeContract(Contract):
    """A store's clock may differ from the caller's by less than a minute."""

    async def test_the_store_puts_in_its_time(self, memory: MemoryManager) -> None:
        began = datetime.now(UTC)
        await memory.put(Arrival(id="a", what="ship"))
        arrival = await memory.get(Arrival, "a")
        assert arrival is not None
        assert arrival.what == "ship"
        assert arrival.at is not None
        assert began - MINUTE < arrival.at < datetime.now(UTC) + MINUTE

    async def test_a_time_that_is_there_is_kept(self, memory: MemoryManager) -> None:
        await memory.put(Arrival(id="a", at=EARLY))
        assert await memory.get(Arrival, "a") == Arrival(id="a", at=EARLY)

    async def test_what_one_commit_puts_has_one_time(self, memory: MemoryManager) -> None:
        await memory.write([Put(Arrival(id=key)) for key in "abc"])
        times = {a.at for a in await memory.get_many(Arrival, "abc") if a is not None}
        assert len(times) == 1
        assert None not in times

    async def test_a_patch_leaves_it_but_what_it_creates_has_one(
        self, memory: MemoryManager
    ) -> None:
        await memory.put(Arrival(id="a", at=EARLY))
        created = Arrival(id="b")
        await memory.write([Patch(Ref(Arrival, "a"), set={"what": "train"})])
        await memory.write([Patch(Ref(Arrival, "b"), set={"what": "bus"}, or_create=created)])
        assert await memory.get(Arrival, "a") == Arrival(id="a", at=EARLY, what="train")
        second = await memory.get(Arrival, "b")
        assert second is not None
        assert second.what == "bus"
        assert second.at is not None

    async def test_queries_find_by_it(self, memory: MemoryManager) -> None:
        await memory.put(Arrival(id="old", at=EARLY))
        await memory.put(Arrival(id="first"))
        (first,) = await self.after(memory, EARLY)
        assert first.id == "first"
        assert first.at is not None
        await memory.put(Arrival(id="second"))
        found = await self.after(memory, first.at - MINUTE)
        assert {arrival.id for arrival in found} == {"first", "second"}
        assert [arrival.at for arrival in found] == sorted(arrival.at or EARLY for arrival in found)

    async def after(self, memory: MemoryManager, time: datetime) -> list[Arrival]:
        query = Query(Arrival, where=[("at", ">", time)], order_by="at")
        return (await memory.find(query)).records
