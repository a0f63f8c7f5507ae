"""Records past their expiration count as absent, whether they are still stored or not."""

from __future__ import annotations

from datetime import timedelta

import anyio
import pytest

from ...errors import Conflict
from ...operations import ABSENT, Count, Delete, Patch, Put, Ref, Sum
from ...protocol import MemoryManager
from ...queries import Query
from ...values import utc_now
from .base import Contract
from .models import Lease, Note

HOUR = timedelta(hours=1)
LIFE = timedelta(seconds=0.3)


def expired(key: str, **fields: object) -> Note:
    return Note.model_validate({"id": key, "expiration": utc_now() - HOUR, **fields})


def alive(key: str, **fields: object) -> Note:
    return Note.model_validate({"id": key, "expiration": utc_now() + HOUR, **fields})


async def both(memory: MemoryManager) -> None:
    """Ten records of each kind; those without an expiration never expire."""
    await memory.put_many(expired(f"e{i}", rank=i) for i in range(10))
    await memory.put_many(alive(f"a{i}", rank=i) for i in range(5))
    await memory.put_many(Note(id=f"f{i}", rank=5 + i) for i in range(5))


class ExpiryContract(Contract):
    async def test_the_expired_are_not_read(self, memory: MemoryManager) -> None:
        await memory.put_many([expired("e"), alive("a"), Note(id="forever")])
        found = await memory.get_many(Note, ["e", "a", "forever"])
        assert [note and note.id for note in found] == [None, "a", "forever"]

    async def test_the_expired_are_not_found(self, memory: MemoryManager) -> None:
        await both(memory)
        page = await memory.find(Query(Note, order_by="rank"))
        assert [note.rank for note in page.records] == list(range(10))
        assert page.cursor is None

    async def test_pages_are_full_all_the_same(self, memory: MemoryManager) -> None:
        await both(memory)
        query = Query(Note, order_by="rank", page_size=4)
        sizes: list[int] = []
        while True:
            page = await memory.find(query)
            sizes.append(len(page.items))
            if page.cursor is None:
                break
            query = query.with_(after=page.cursor)
        assert sizes[:2] == [4, 4]
        assert sum(sizes) == 10

    async def test_the_limit_counts_what_is_shown(self, memory: MemoryManager) -> None:
        await both(memory)
        query = Query(Note, order_by="rank", page_size=3, limit=8)
        assert [note.rank async for note in memory.scan(query)] == list(range(8))

    async def test_the_expired_are_not_measured(self, memory: MemoryManager) -> None:
        await both(memory)
        answer = await memory.aggregate(Query(Note), [Count(), Sum("sum", of="rank")])
        assert dict(answer) == {"count": 10, "sum": 45}
        narrow = Query(Note, where={"owner": "alice", "rank": 3})
        assert (await memory.aggregate(narrow, [Count()]))["count"] == 1
        ranged = Query(Note, where=[("rank", ">=", 5)])
        assert (await memory.aggregate(ranged, [Count()]))["count"] == 5

    async def test_the_expired_are_near_nothing(self, memory: MemoryManager) -> None:
        await memory.put_many(expired(f"e{i}", vector=[1.0, 0.0]) for i in range(5))
        await memory.put_many(alive(f"a{i}", vector=[0.0, 1.0]) for i in range(3))
        page = await memory.find(Query(Note).near("vector", [1.0, 0.0], limit=2))
        assert [note.id for note in page.records] == ["a0", "a1"]

    async def test_they_can_be_asked_for(self, memory: MemoryManager) -> None:
        await both(memory)
        page = await memory.find(Query(Note, include_expired=True))
        assert len(page.items) == 20
        counted = await memory.aggregate(Query(Note, include_expired=True), [Count()])
        assert counted["count"] == 20
        past = Query(Note, where=[("expiration", "<=", utc_now())], include_expired=True)
        assert len((await memory.find(past)).items) == 10

    async def test_an_expired_record_makes_way_for_a_new_one(self, memory: MemoryManager) -> None:
        await memory.put(expired("e", rank=1))
        await memory.put(Note(id="e", rank=2), expect=ABSENT)
        assert await memory.get(Note, "e") == Note(id="e", rank=2)

    async def test_a_living_record_does_not_make_way(self, memory: MemoryManager) -> None:
        await memory.put_many([expired("e"), alive("a", rank=1)])
        with pytest.raises(Conflict) as caught:
            await memory.write([Put(Note(id="e"), ABSENT), Put(Note(id="a"), ABSENT)])
        assert [ref.key for ref in caught.value.refs] == ["a"]
        assert await memory.get(Note, "e") is None

    async def test_patches_and_deletes_act_on_what_is_stored(self, memory: MemoryManager) -> None:
        past = utc_now() - HOUR
        await memory.put_many(Lease(id=key, rank=1, expiration=past) for key in "de")
        patch = Patch(Ref(Lease, "e"), increment={"rank": 1}, unset=["expiration"])
        await memory.write([patch, Delete(Ref(Lease, "d"))])
        assert await memory.get(Lease, "e") == Lease(id="e", rank=2)
        page = await memory.find(Query(Lease, include_expired=True))
        assert [lease.id for lease in page.records] == ["e"]

    async def test_a_patch_can_make_a_record_expire(self, memory: MemoryManager) -> None:
        await memory.put_many(Lease(id=key) for key in "ab")
        await memory.write([Patch(Ref(Lease, "a"), set={"expiration": utc_now() - HOUR})])
        assert await memory.get_many(Lease, "ab") == [None, Lease(id="b")]
        assert (await memory.find(Query(Lease))).records == [Lease(id="b")]
        assert (await memory.aggregate(Query(Lease), [Count()]))["count"] == 1

    async def test_a_record_expires_by_itself(self, memory: MemoryManager) -> None:
        end = utc_now() + LIFE
        note = Note(id="a", expiration=end)
        await memory.put(note)
        # A store that is far away, or busy, may answer too late to know it.
        assert await memory.get(Note, "a") == note or utc_now() >= end
        await anyio.sleep(max(0.0, (end - utc_now()).total_seconds()) + 0.01)
        assert await memory.get(Note, "a") is None
        assert (await memory.find(Query(Note))).records == []
