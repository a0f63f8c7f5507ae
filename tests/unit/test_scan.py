"""A scan reads little for who leaves early, and ahead for who reads on."""

import asyncio
import gc
from typing import Any

import anyio
import anyio.lowlevel
import pytest

from orchestra_memory import (
    AgentData,
    LocalMemory,
    MemoryItem,
    Options,
    Page,
    Query,
    Unavailable,
)
from orchestra_memory.operations import DEFAULT
from orchestra_memory.scanning import weight

pytestmark = pytest.mark.anyio


class Watched(LocalMemory):
    """Notes the size of every page asked for; from `failing` pages on it is not there."""

    def __init__(self, *, failing: int = 1_000) -> None:
        super().__init__()
        self.sizes: list[int] = []
        self.failing = failing

    async def find(self, query: Query[Any], *, options: Options = DEFAULT) -> Page[Any]:
        self.sizes.append(query.page_size)
        if len(self.sizes) > self.failing:
            raise Unavailable("gone", operation="find")
        return await super().find(query, options=options)


async def filled(count: int, **how: int) -> Watched:
    memory = Watched(**how)
    await memory.put_many(MemoryItem(id=f"{i:05}", user_id="alice") for i in range(count))
    return memory


async def test_everything_comes_once_and_in_order() -> None:
    memory = await filled(3_000)
    found = [item.id async for item in memory.scan(Query(MemoryItem, page_size=10))]
    assert found == [f"{i:05}" for i in range(3_000)]


async def test_a_scan_that_is_left_early_has_read_one_page() -> None:
    memory = await filled(1_000)
    async for item in memory.scan(Query(MemoryItem, page_size=10)):
        if item.id == "00009":
            break
    assert memory.sizes == [10]


async def test_pages_grow_for_who_reads_on() -> None:
    memory = await filled(9_000)
    async for _ in memory.scan(Query(MemoryItem, page_size=10)):
        pass
    assert memory.sizes[:2] == [10, 10]
    assert max(memory.sizes) == 5_000
    assert len(memory.sizes) < 10


async def test_pages_of_heavy_records_grow_less() -> None:
    memory = Watched()
    text = "x" * 100_000
    items = [MemoryItem(id=f"{i:05}", user_id="a", text_content=text) for i in range(500)]
    await memory.put_many(items)
    assert [item async for item in memory.scan(Query(MemoryItem, page_size=10))] == items
    assert memory.sizes[:3] == [10, 10, 40]
    assert 40 < max(memory.sizes) < 200


@pytest.mark.parametrize(
    ("value", "least"),
    [
        ("x" * 1_000, 1_000),
        (b"x" * 1_000, 1_000),
        ([0.5] * 768, 24 * 768),
        ({str(i): "x" * 1_000 for i in range(20)}, 20_000),
        ([{"a": ["x" * 500, "y" * 500]}] * 30, 30_000),
    ],
)
def test_the_weight_of_a_record_counts_what_is_in_it(value: Any, least: int) -> None:
    heavy = AgentData(agent_id="a", data_type="t", content=value)
    light = AgentData(agent_id="a", data_type="t", content=None)
    assert least <= weight(heavy) - weight(light) <= 3 * least


async def test_a_heavy_page_that_was_asked_for_is_kept() -> None:
    memory = Watched()
    text = "x" * 1_000_000
    await memory.put_many(
        MemoryItem(id=f"{i:05}", user_id="a", text_content=text) for i in range(60)
    )
    async for _ in memory.scan(Query(MemoryItem, page_size=20)):
        pass
    assert memory.sizes == [20, 20, 20]


async def test_a_page_size_above_the_largest_is_kept() -> None:
    memory = await filled(10)
    async for _ in memory.scan(Query(MemoryItem, page_size=5_000)):
        pass
    assert memory.sizes == [5_000]


async def test_the_limit_is_the_total() -> None:
    memory = await filled(500)
    query = Query(MemoryItem, page_size=10, limit=333)
    assert len([item async for item in memory.scan(query)]) == 333


async def test_leaving_while_the_next_page_is_on_its_way_leaves_nothing_behind() -> None:
    memory = await filled(5_000)
    before = asyncio.all_tasks()
    scan = memory.scan(Query(MemoryItem, page_size=10))
    for _ in range(75):
        await anext(scan)
    await scan.aclose()  # type: ignore[attr-defined]
    await anyio.lowlevel.checkpoint()
    assert asyncio.all_tasks() == before


async def test_a_failure_ahead_is_met_only_by_who_gets_there() -> None:
    memory = await filled(5_000, failing=3)
    read: list[str] = []

    async def read_all() -> None:
        async for item in memory.scan(Query(MemoryItem, page_size=10)):
            read.append(item.id)

    with pytest.raises(Unavailable):
        await read_all()
    assert len(read) == 60


async def test_a_failure_ahead_of_who_leaves_early_is_not_reported_as_forgotten() -> None:
    memory = await filled(5_000, failing=3)
    forgotten: list[Any] = []
    loop = asyncio.get_running_loop()
    loop.set_exception_handler(lambda _, context: forgotten.append(context))
    try:
        scan = memory.scan(Query(MemoryItem, page_size=10))
        for _ in range(25):
            await anext(scan)
        await anyio.lowlevel.checkpoint()
        assert len(memory.sizes) == 4
        await scan.aclose()  # type: ignore[attr-defined]
        gc.collect()
        await anyio.lowlevel.checkpoint()
    finally:
        loop.set_exception_handler(None)
    assert forgotten == []


async def test_a_cancelled_scan_leaves_nothing_behind() -> None:
    memory = await filled(5_000)
    before = asyncio.all_tasks()
    with anyio.CancelScope() as scope:
        read = 0
        async for _ in memory.scan(Query(MemoryItem, page_size=10)):
            read += 1
            if read == 25:
                scope.cancel()
                await anyio.lowlevel.checkpoint()
    assert read == 25
    gc.collect()
    with anyio.fail_after(10):
        while asyncio.all_tasks() != before:  # noqa: ASYNC110 -- no event tells
            await anyio.sleep(0.001)
