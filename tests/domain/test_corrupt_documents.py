"""Services on a view that leaves out what does not fit: they claim nothing that is not so."""

from datetime import UTC, datetime

import pytest

from orchestra_memory import AgentData, CorruptRecord, MemoryItem, Record
from orchestra_memory.domain.agent_data import AgentDataStore
from orchestra_memory.domain.conversations import Conversations
from orchestra_memory.transfer.exporting import Selection, export_blocks
from orchestra_memory.values import UtcDatetime

pytestmark = pytest.mark.anyio

LATE = datetime(2030, 1, 1, tzinfo=UTC)


class BrokenItem(Record, collection="memory_items"):
    """An item whose text is none."""

    id: str
    user_id: str = "alice"
    session_id: str = "s"
    text_content: int = 5
    timestamp: UtcDatetime = LATE


class BrokenData(Record, collection="agent_data"):
    """Data whose type is none."""

    id: str
    agent_id: str = "bot"
    data_type: int = 5
    timestamp: UtcDatetime = LATE


@pytest.fixture
async def skipping(memory):
    view = memory.with_options(corrupt="skip")
    await view.put_many(
        [MemoryItem(id="good", user_id="alice", session_id="s"), BrokenItem(id="x")]
    )
    await view.put_many([AgentData(id="good", agent_id="bot", data_type="t"), BrokenData(id="x")])
    return view


async def test_a_history_can_do_without(skipping):
    page = await Conversations(skipping).history("alice")
    assert [item.id for item in page.records] == ["good"]
    assert [error.key for error in page.corrupt] == ["x"]


async def test_the_latest_is_not_absent_for_being_left_out(skipping):
    with pytest.raises(CorruptRecord):
        await AgentDataStore(skipping).latest("bot")


async def test_a_session_is_not_forgotten_as_long_as_something_is_left_out(skipping):
    with pytest.raises(CorruptRecord):
        await Conversations(skipping).forget_session("alice", "s")
    await skipping.delete(MemoryItem, "x")
    assert await Conversations(skipping).forget_session("alice", "s") == 1


async def test_an_export_leaves_nothing_out(skipping):
    with pytest.raises(CorruptRecord):
        [block async for block in export_blocks(skipping, Selection((MemoryItem,)))]
