"""What agent data promises, on every store."""

from datetime import UTC, datetime, timedelta

import anyio
import pytest

from orchestra_memory import AgentData, InvalidRecord, LocalMemory, Page, Query, Unavailable
from orchestra_memory.domain.agent_data import AgentDataStore

pytestmark = pytest.mark.anyio

START = datetime(2026, 1, 1, tzinfo=UTC)
PAST = datetime(2020, 1, 1, tzinfo=UTC)


@pytest.fixture
def data(memory) -> AgentDataStore:
    return AgentDataStore(memory)


def measured(number: int, agent_id: str = "bot", **fields) -> AgentData:
    time = START + timedelta(minutes=number)
    return AgentData(
        id=f"{agent_id}-{number}", agent_id=agent_id, timestamp=time, content=number, **fields
    )


async def test_what_is_added_comes_back_as_it_was(memory, data):
    content = {"plan": ["look", {"then": None}], "score": 0.5, "raw": b"\x00"}
    added = await data.add(agent_id="bot", data_type="plan", content=content)
    assert await memory.get(AgentData, added.id) == added
    assert added.content == content
    ready = measured(1)
    assert await data.add(ready) == ready
    assert await data.add(ready, data_type="plan") == ready.evolve(data_type="plan")
    with pytest.raises(InvalidRecord, match="agent_id"):
        await data.add(data_type="plan")


async def test_the_latest_is_the_newest_of_its_type(data):
    await data.add_many(measured(n, data_type=f"t{n % 2}") for n in range(5))
    await data.add(measured(9, data_type="t1", expiration=PAST))
    await data.add(measured(8, "bot2", data_type="t0"))
    latest, of_type = await data.latest("bot"), await data.latest("bot", "t1")
    assert latest is not None
    assert of_type is not None
    assert (latest.content, of_type.content) == (4, 3)
    assert await data.latest("bo") is None
    assert await data.latest("bot", "t2") is None


async def test_queries_page_newest_first_with_filters(data):
    await data.add_many(measured(n, data_type=f"t{n % 2}") for n in range(8))
    first = await data.query("bot", data_type="t0", page_size=3)
    second = await data.query("bot", data_type="t0", page_size=3, after=first.cursor)
    assert [d.content for d in (*first.records, *second.records)] == [6, 4, 2, 0]
    span = await data.query(
        "bot", start=START + timedelta(minutes=2), end=START + timedelta(minutes=5), limit=2
    )
    assert [d.content for d in span.records] == [4, 3]


async def test_cleaning_up_deletes_expired_data_of_that_agent_only(memory, data):
    await data.add_many(
        measured(n, agent, expiration=PAST if n else None)
        for agent in ("bot", "bot2")
        for n in range(3)
    )
    assert await data.cleanup_expired("bot") == 2
    left = [d.id async for d in memory.scan(Query(AgentData, include_expired=True))]
    assert sorted(left) == ["bot-0", "bot2-0", "bot2-1", "bot2-2"]


async def test_an_outage_is_never_reported_as_absence():
    class Partly(LocalMemory):
        async def find(self, query, **options):
            return Page((), complete=False)

    with pytest.raises(Unavailable):
        await AgentDataStore(Partly()).latest("bot")


async def test_twenty_adders_lose_nothing(data):
    async with anyio.create_task_group() as adders:
        for number in range(20):
            adders.start_soon(data.add, measured(number))
    found = await data.query("bot")
    assert [d.content for d in found.records] == list(reversed(range(20)))
