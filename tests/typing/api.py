"""What type checkers must see; checked, never run."""

from decimal import Decimal
from typing import assert_type

from orchestra_memory import (
    AgentState,
    Billed,
    CorruptRecord,
    Cost,
    Count,
    MemoryItem,
    MemoryManager,
    Options,
    Page,
    Prices,
    Query,
    Receipt,
    Record,
    Ref,
    Snapshot,
    Stored,
    Totals,
    UtcDatetime,
    open_memory,
    recent,
)


class Note(Record, collection="notes", key="id", indexes=[("owner", "-created")]):
    id: str
    owner: str
    created: UtcDatetime


async def records(memory: MemoryManager) -> None:
    assert_type(await memory.get(MemoryItem, "k"), MemoryItem | None)
    assert_type(await memory.get(Note, "k"), Note | None)
    assert_type(await memory.get_many(Note, ["k"]), list[Note | None])
    assert_type(await memory.read([Ref(Note, "k")]), Snapshot[Note])
    assert_type((await memory.read([Ref(Note, "k")]))[0], Stored[Note] | None)
    assert_type(await memory.put(MemoryItem(user_id="u", text_content="hi")), Receipt)
    assert_type(
        await memory.update(AgentState, "k", lambda state: state.evolve(current_task="t")),
        AgentState,
    )


async def queries(memory: MemoryManager) -> None:
    query = Query(Note, where={"owner": "o"}, order_by="-created")
    assert_type(query, Query[Note])
    assert_type(await memory.find(query), Page[Note])
    assert_type((await memory.find(recent(user_id="u"))).records, list[MemoryItem])
    assert_type(await memory.aggregate(query, [Count("n")]), Totals)
    async for note in memory.scan(query):
        assert_type(note, Note)
    errors: list[CorruptRecord] = []
    async for note in memory.scan(query, on_corrupt=errors.append):
        assert_type(note, Note)
    page = await memory.find(query, options=Options(corrupt="skip"))
    assert_type(page.corrupt, tuple[CorruptRecord, ...])


async def opened() -> None:
    async with open_memory("local:") as memory:
        assert_type((await memory.conversations.history("u")).records, list[MemoryItem])
        view = memory.with_options(namespace="acme", timeout=1.0)
        assert_type(await view.conversations.count("u"), int)
        assert_type(await memory.agents.resume("t", "a"), AgentState | None)
        assert_type((await view.agents.active("s")).records, list[AgentState])
        assert_type(view.cost() - memory.cost(), Cost)
        assert_type(view.cost()["find"], Billed)
        assert_type(view.cost().dollars(Prices.at("nam5")), Decimal)


def mistakes() -> None:
    MemoryItem(user="u")  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    Query(Note, where=[("owner", "=", "o")])  # type: ignore[list-item]  # pyright: ignore[reportArgumentType]
    Note(id="i", owner="o", created="yesterday")  # pyright: ignore[reportArgumentType]
