"""A memory as of one moment: nothing written meanwhile is seen, on any store."""

import pytest

from orchestra_memory import (
    Count,
    InvalidBatch,
    InvalidQuery,
    LocalMemory,
    MemoryItem,
    Query,
    SqliteMemory,
    open_memory,
)
from orchestra_memory.moments import Freezable

from .stores import opened


@pytest.fixture(params=["local", "sqlite", "firestore"])
async def memory(request):
    async with opened(request, request.param) as store:
        yield store


def item(key, text="", user="ann"):
    return MemoryItem(id=key, user_id=user, text_content=text)


async def seen(memory):
    return {record.key: record.text_content async for record in memory.scan(Query(MemoryItem))}


@pytest.mark.anyio
class TestFrozen:
    async def test_nothing_written_meanwhile_is_seen(self, memory):
        await memory.put_many([item("changed", "old"), item("deleted"), item("large", "x" * 10)])
        async with memory.frozen() as still:
            await memory.put(item("changed", "new"))
            await memory.put(item("created"))
            await memory.delete(MemoryItem, "deleted")
            assert await seen(still) == {"changed": "old", "deleted": "", "large": "x" * 10}
            record = await still.get(MemoryItem, "changed")
            assert record.text_content == "old"
            assert (await still.aggregate(Query(MemoryItem), [Count()]))["count"] == 3
            assert (await still.find(Query(MemoryItem, where={"user_id": "ann"}))).records[
                0
            ].text_content == "old"
        assert set(await seen(memory)) == {"changed", "large", "created"}

    async def test_every_answer_is_of_the_same_moment(self, memory):
        await memory.put_many([item(f"{n}") for n in range(7)])
        async with memory.frozen() as still:
            moments = {(await still.aggregate(Query(MemoryItem), [Count()])).as_of}
            async for page in still.pages(Query(MemoryItem, page_size=2)):
                moments.add(page.as_of)
                await memory.put(item("another"))
        assert len(moments) == 1
        assert None not in moments

    async def test_it_takes_no_writes(self, memory):
        async with memory.frozen() as still:
            with pytest.raises(InvalidBatch, match="one moment"):
                await still.put(item("a"))
        assert await seen(memory) == {}

    async def test_other_readers_and_writers_are_not_held_up(self, memory):
        async with memory.frozen(), memory.frozen() as second:
            await memory.put(item("a"))
            assert await seen(memory) == {"a": ""}
            assert await seen(second) == {}

    async def test_parts_of_large_records_belong_to_the_moment(self, memory):
        old, new = "o" * 1_500_000, "n" * 1_500_000
        await memory.put(item("a", old))
        async with memory.frozen() as still:
            await memory.put(item("a", new))
            assert await seen(still) == {"a": old}


@pytest.mark.anyio
async def test_an_embedded_store_knows_no_moment_but_now(tmp_path):
    async with SqliteMemory.open(tmp_path / "state.db") as sqlite:
        for memory in (LocalMemory(), sqlite):
            receipt = await memory.put(item("a"))
            async with memory.frozen(receipt.version) as still:
                assert await seen(still) == {"a": ""}
            await memory.put(item("b"))
            with pytest.raises(InvalidQuery, match="nothing of the past"):
                async with memory.frozen(receipt.version):
                    pass


@pytest.mark.anyio
async def test_a_past_moment_of_firestore(request):
    async with opened(request, "firestore") as memory:
        receipt = await memory.put(item("a", "old"))
        await memory.put(item("a", "new"))
        async with memory.frozen(receipt.version) as still:
            assert await seen(still) == {"a": "old"}


@pytest.mark.anyio
@pytest.mark.usefixtures("bare_environment")
async def test_what_is_opened_stands_still_in_its_namespace():
    async with open_memory("sqlite:///state.db?namespace=acme") as memory:
        assert isinstance(memory, Freezable)
        await memory.put(item("a"))
        before = memory.cost()
        async with memory.frozen() as still:
            await memory.put(item("b"))
            assert await seen(still) == {"a": ""}
        assert (memory.cost() - before).total.reads > 0
    async with open_memory("sqlite:///state.db") as memory, memory.frozen() as still:
        assert await seen(still) == {}
        bound = memory.with_options(namespace="acme")
        async with bound.frozen() as inside:
            assert set(await seen(inside)) == {"a", "b"}
