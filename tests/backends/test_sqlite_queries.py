"""Queries in SQL: they use the declared indexes, and agree with memory in the process."""

import random
import sqlite3
from contextlib import closing
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from pydantic import Field

from orchestra_memory import (
    Count,
    JsonLike,
    JsonMap,
    LocalMemory,
    MemoryItem,
    Query,
    Record,
    SqliteMemory,
    Sum,
    recent,
)
from orchestra_memory.backends.sqlite.query import matching, page
from orchestra_memory.codec.cursor import decode_cursor
from orchestra_memory.values import is_nan

pytestmark = pytest.mark.anyio
NOW = datetime(2026, 1, 31, 8, tzinfo=UTC)


class Loose(Record, collection="loose", indexes=[("group", "-value"), ("group", "text", "-value")]):
    """Any value in fields that queries name."""

    id: str
    group: str = "g"
    value: float | int | bool | str | bytes | datetime | None = None
    text: str = ""
    any_value: JsonLike = None
    tags: list[str] = Field(default_factory=list)


@pytest.fixture
async def memory(tmp_path, use_backend):
    use_backend("sqlite")
    async with SqliteMemory.open(tmp_path / "state.db") as memory:
        yield memory


def plan(tmp_path, query: Query[Any], *, count: bool = False) -> str:
    if count:
        sql, parameters = matching(query, NOW).select("COUNT(*)")
    else:
        selection = page(query, decode_cursor(query), NOW)
        sql, parameters = selection.select("id, revision, document", 10)
    with closing(sqlite3.connect(tmp_path / "state.db")) as connection:
        rows = connection.execute(f"EXPLAIN QUERY PLAN {sql}", parameters).fetchall()
    return "; ".join(row[3] for row in rows)


async def test_histories_walk_along_their_index_without_sorting(memory, tmp_path) -> None:
    items = [
        MemoryItem(user_id="alice", session_id="s", timestamp=NOW + timedelta(seconds=i))
        for i in range(30)
    ]
    await memory.put_many(items)
    for arguments, index in (
        ({}, "memory_items(user_id,-timestamp)"),
        ({"session_id": "s"}, "memory_items(user_id,session_id,-timestamp)"),
        ({"item_type": "conversation"}, "memory_items(user_id,item_type,-timestamp)"),
        ({"session_id": "s", "start": NOW}, "memory_items(user_id,session_id,-timestamp)"),
    ):
        query = recent(user_id="alice", page_size=10, **arguments)
        first = await memory.find(query)
        for asked in (query, query.with_(after=first.cursor)):
            steps = plan(tmp_path, asked)
            assert f"USING INDEX {index}" in steps
            assert "TEMP B-TREE" not in steps
            assert ";" not in steps


async def test_a_later_page_starts_in_the_index_where_the_last_one_ended(memory, tmp_path) -> None:
    items = [MemoryItem(user_id="a", timestamp=NOW + timedelta(seconds=i)) for i in range(30)]
    await memory.put_many(items)
    query = recent(user_id="a", page_size=10)
    after = (await memory.find(query)).cursor
    assert "<expr><" in plan(tmp_path, query.with_(after=after))


async def test_a_scope_is_scanned_along_its_index(memory, tmp_path) -> None:
    await memory.put(MemoryItem(user_id="alice"))
    await memory.find(Query(MemoryItem))
    steps = plan(tmp_path, Query(MemoryItem, where={"user_id": "alice"}))
    assert "memory_items(user_id) " in steps
    assert "TEMP B-TREE" not in steps


async def test_a_collection_is_counted_without_looking_at_its_documents(memory, tmp_path) -> None:
    await memory.find(Query(MemoryItem))
    assert "COVERING INDEX" in plan(tmp_path, Query(MemoryItem), count=True)


VALUES: list[Any] = [
    None, False, True, 0, 1, 1.0, -1, 2**53, 2**53 + 1, float(2**53), -(2**63), 2**63 - 1,
    0.1, -0.0, 1e300, float("inf"), float("-inf"), float("nan"),
    "", "a", "a\x00", "a\x01b", "A", "\x7f", "é", "\uffff", "\U0001f600", "b" * 1_499,
    b"", b"\x00", b"\xff", b"z" * 1_499, NOW, NOW + timedelta(microseconds=1),
]  # fmt: skip
CONTAINERS: list[Any] = [[], [1], [1, "a"], {}, {"a": 1}, {"a": [1, {"b": None}]}]


def shuffled_records(seed: int) -> list[Loose]:
    source = random.Random(seed)
    values = VALUES * 2
    source.shuffle(values)
    return [
        Loose(
            id=f"k{number}",
            group=source.choice("gh"),
            value=value,
            text=source.choice(["", "x", "y"]),
            any_value=source.choice(VALUES + CONTAINERS),
            tags=source.sample(["a", "b", "c"], 2),
        )
        for number, value in enumerate(values)
    ]


def conditions() -> list[Any]:
    operands = [value for value in VALUES if value is not None and not is_nan(value)]
    ranges = [
        [("value", operator, value)]
        for value in operands
        for operator in ("<", "<=", ">", ">=", "!=", "==")
    ]
    free = [
        [("any_value", operator, value)]
        for value in [*operands[::5], *CONTAINERS]
        for operator in ("<", ">=", "!=", "==")
    ]
    return [
        *ranges,
        *free,
        [("value", "==", None)],
        [("value", "in", [1, "a", b"", True])],
        [("any_value", "in", [1, [1], {"a": 1}])],
        [("tags", "contains", "a")],
        [("tags", "contains_any", ["a", "c"]), ("group", "==", "g")],
        [("any_value.a", "==", 1)],
        [("group", "==", "g"), ("value", ">", 0), ("text", "!=", "x")],
    ]


async def ids(memory: Any, query: Query[Any]) -> list[str]:
    return [record.id async for record in memory.scan(query)]


@pytest.mark.parametrize("seed", [1, 2])
async def test_every_condition_selects_what_it_selects_in_the_process(memory, seed) -> None:
    local = LocalMemory()
    for each in (memory, local):
        await each.put_many(shuffled_records(seed))
    for where in conditions():
        query = Query(Loose, where=where, page_size=7)
        assert await ids(memory, query) == await ids(local, query), where
        mine = await memory.aggregate(query, [Count(), Sum("sum", of="value")])
        theirs = await local.aggregate(query, [Count(), Sum("sum", of="value")])
        assert repr(dict(mine)) == repr(dict(theirs)), where


@pytest.mark.parametrize(
    "order",
    [
        "value",
        "-value",
        "any_value",
        ("text", "-value"),
        ("-text", "value"),
        ("text", "-any_value"),
    ],
)
async def test_every_order_pages_as_it_does_in_the_process(memory, order) -> None:
    local = LocalMemory()
    for each in (memory, local):
        await each.put_many(shuffled_records(3))
    for where in ((), {"group": "g"}, [("text", ">", "")]):
        for size in (1, 5, 100):
            query = Query(Loose, where=where, order_by=order, page_size=size)
            assert await ids(memory, query) == await ids(local, query)


async def test_long_text_is_told_apart_from_what_it_begins_with(memory) -> None:
    texts = ["é" * 750, "é" * 750 + "a", "é" * 3_000, "é" * 750 + "b", "é" * 749 + "z"]
    local = LocalMemory()
    for each in (memory, local):
        await each.put_many(Loose(id=f"k{i}", text=text) for i, text in enumerate(texts))
    for operator in ("==", "!=", "<", "<=", ">", ">="):
        query = Query(Loose, where=[("text", operator, "é" * 750)])
        assert await ids(memory, query) == await ids(local, query)


async def test_text_that_agrees_in_all_that_is_compared_still_pages_without_loss(memory) -> None:
    await memory.put_many(Loose(id=f"k{i}", text="x" * 5_000 + str(i)) for i in range(9))
    for order in ("text", "-text"):
        found = await ids(memory, Query(Loose, order_by=order, page_size=2))
        assert sorted(found) == [f"k{i}" for i in range(9)]


class Versioned(Record, collection="versioned", schema_version=2):
    """Tells in its own data that it was brought up to date."""

    id: str
    data: JsonMap = Field(default_factory=dict)

    @classmethod
    def upgrade(cls, data: dict[str, Any], from_version: int) -> dict[str, Any]:
        return {**data, "data": {"was": from_version}}


async def test_answers_to_an_id_asked_for_twice_are_alike_and_share_nothing(tmp_path) -> None:
    record = Versioned(id="a", data={"list": [1]})
    async with SqliteMemory.open(tmp_path / "state.db") as memory:
        await memory.put(record)
        first, second = await memory.get_many(Versioned, ["a", "a"])
    assert first == second == record
    assert first is not None
    assert second is not None
    first.data["list"].append(2)
    assert second == record


@pytest.mark.parametrize("count", [127, 128, 129, 300])
async def test_any_number_of_ids_is_answered_in_their_order(tmp_path, count) -> None:
    keys = [f"n{i}" for i in range(count)]
    async with SqliteMemory.open(tmp_path / "state.db") as memory:
        await memory.put_many(Versioned(id=key) for key in keys[::2])
        found = await memory.get_many(Versioned, keys)
    assert [record and record.id for record in found] == [
        key if i % 2 == 0 else None for i, key in enumerate(keys)
    ]


@pytest.mark.parametrize("where", [{"group": "g"}, [("tags", "contains", "x")]])
async def test_the_order_of_a_query_leaves_nothing_out_of_a_count(tmp_path, where) -> None:
    query = Query(Loose, where=where, order_by="any_value.missing")
    async with SqliteMemory.open(tmp_path / "state.db") as memory:
        await memory.put(Loose(id="a", tags=["x"]))
        assert (await memory.aggregate(query, [Count()]))["count"] == 1
        assert (await memory.find(query)).items == ()
