"""What memory records promise, on every store."""

from datetime import UTC, datetime, timedelta

import anyio
import pytest

from orchestra_memory import InvalidQuery, InvalidRecord, LocalMemory, MemoryRecord
from orchestra_memory.domain.records import Records

pytestmark = pytest.mark.anyio

START = datetime(2026, 1, 1, tzinfo=UTC)


@pytest.fixture
def records(memory) -> Records:
    return Records(memory)


def fact(number: int, **fields) -> MemoryRecord:
    time = START + timedelta(minutes=number)
    return MemoryRecord(record_id=f"r{number}", timestamp=time, content=number, **fields)


async def test_what_is_saved_is_got_until_it_is_deleted(records):
    saved = await records.save(context="billing", content={"net": 30})
    assert await records.get(saved.record_id) == saved
    changed = await records.save(saved.evolve(content={"net": 14}), persona="clerk")
    assert changed.persona == "clerk"
    assert await records.get(saved.record_id) == changed
    await records.delete(saved.record_id)
    await records.delete(saved.record_id)
    assert await records.get(saved.record_id) is None


async def test_any_id_is_possible(records):
    for record_id in ("a/b", "..", "__x__", "日本", "%2F"):
        await records.save(record_id=record_id, content=record_id)
    for record_id in ("a/b", "..", "__x__", "日本", "%2F"):
        found = await records.get(record_id)
        assert found is not None
        assert found.content == record_id


async def test_queries_go_by_context_persona_or_both(records):
    await records.save_many(
        fact(n, context=f"c{n % 2}", persona=f"p{n % 3}" if n else None) for n in range(6)
    )

    async def found(**filters) -> list[object]:
        return [record.content for record in (await records.query(**filters)).records]

    assert await found(context="c1") == [5, 3, 1]
    assert await found(persona="p2") == [5, 2]
    assert await found(context="c1", persona="p2") == [5]
    assert await found(context="c1", end=START + timedelta(minutes=5)) == [3, 1]
    assert await found(context="c") == []


async def test_queries_page_newest_first(records):
    await records.save_many(fact(n, context="c") for n in range(450))
    first = await records.query(context="c", page_size=300)
    second = await records.query(context="c", page_size=300, after=first.cursor)
    seen = [record.content for record in (*first.records, *second.records)]
    assert seen == list(reversed(range(450)))
    assert second.cursor is None


@pytest.mark.parametrize("filters", [{}, {"start": START}])
async def test_a_query_no_index_answers_is_refused_with_what_would_do(filters):
    with pytest.raises(InvalidQuery, match=r"timestamp.*context, -timestamp; persona, -timestamp"):
        await Records(LocalMemory()).query(**filters)


async def test_fields_that_do_not_fit_are_named():
    with pytest.raises(InvalidRecord, match="content"):
        await Records(LocalMemory()).save(content=object())


async def test_twenty_savers_lose_nothing(records):
    async with anyio.create_task_group() as savers:
        for number in range(20):
            savers.start_soon(records.save, fact(number, context="c"))
    assert len((await records.query(context="c")).items) == 20
