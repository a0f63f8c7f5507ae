"""One file, many callers: tasks, instances and processes."""

import asyncio
import sqlite3
import threading
import time
from contextlib import closing

import pytest

from orchestra_memory import (
    ABSENT,
    Conflict,
    Count,
    MemoryItem,
    Options,
    PartialWrite,
    Patch,
    Put,
    Query,
    Ref,
    SqliteMemory,
    StorageError,
    SystemState,
    Unavailable,
)
from orchestra_memory.backends.sqlite import schema as sqlite_schema

pytestmark = pytest.mark.anyio


@pytest.fixture
def file(tmp_path, use_backend):
    use_backend("sqlite")
    return tmp_path / "state.db"


def item(key: str, **fields: object) -> MemoryItem:
    return MemoryItem(id=key, user_id="alice", **fields)


def commits(memory: SqliteMemory) -> tuple[int, int]:
    words = repr(memory).split()
    return int(words[2]), int(words[5])


async def count(memory: SqliteMemory) -> float | None:
    return (await memory.aggregate(Query(MemoryItem), [Count()]))["count"]


async def test_writers_that_wait_share_a_commit(file) -> None:
    async with SqliteMemory.open(file) as memory:
        await asyncio.gather(*(memory.put(item(f"n{i}")) for i in range(100)))
        writes, committed = commits(memory)
        assert writes == 100
        assert committed < 50
        assert await count(memory) == 100


async def test_in_a_shared_commit_each_write_succeeds_or_fails_for_itself(file) -> None:
    async with SqliteMemory.open(file) as memory:
        await memory.put(item("taken"))
        answers = await asyncio.gather(
            *(
                memory.write([Put(item(f"n{i}")), Put(item("taken" if i % 2 else f"m{i}"), ABSENT)])
                for i in range(40)
            ),
            return_exceptions=True,
        )
        assert [isinstance(answer, Conflict) for answer in answers] == [
            bool(i % 2) for i in range(40)
        ]
        found = await memory.get_many(MemoryItem, [f"n{i}" for i in range(40)])
        assert [record is None for record in found] == [bool(i % 2) for i in range(40)]


async def test_in_a_shared_commit_only_the_write_that_sqlite_refuses_fails(file) -> None:
    async with SqliteMemory.open(file) as memory:
        await memory.put(item("first"))
        with closing(sqlite3.connect(file)) as other, other:
            other.execute(
                "CREATE TRIGGER refuse BEFORE INSERT ON documents WHEN NEW.id = 'refused' "
                "BEGIN SELECT RAISE(ABORT, 'refused'); END"
            )
        answers = await asyncio.gather(
            *(
                memory.write([Put(item(f"n{i}")), Put(item("refused" if i == 7 else f"m{i}"))])
                for i in range(20)
            ),
            return_exceptions=True,
        )
        assert [isinstance(answer, StorageError) for answer in answers] == [
            i == 7 for i in range(20)
        ]
        assert commits(memory)[1] < 20
        found = await memory.get_many(MemoryItem, [f"n{i}" for i in range(20)])
        assert [record is None for record in found] == [i == 7 for i in range(20)]


async def test_revisions_of_a_shared_commit_differ_and_follow_the_order(file) -> None:
    async with SqliteMemory.open(file) as memory:
        receipts = await asyncio.gather(*(memory.put(item(f"n{i}")) for i in range(30)))
    assert [receipt.version for receipt in receipts] == list(range(1, 31))


async def test_increments_through_two_instances_all_count(file) -> None:
    patch = Patch(Ref(SystemState, "global_config"), increment={"active_sessions": 1})
    async with SqliteMemory.open(file) as one, SqliteMemory.open(file) as two:
        await one.put(SystemState())
        await asyncio.gather(*(memory.write([patch]) for memory in (one, two) * 25))
        state = await two.get(SystemState, "global_config")
    assert state == SystemState(active_sessions=50)


async def test_updates_through_two_instances_all_count(file) -> None:
    def one_more(state: SystemState) -> SystemState:
        return state.evolve(active_sessions=state.active_sessions + 1)

    async with SqliteMemory.open(file) as one, SqliteMemory.open(file) as two:
        await one.put(SystemState())
        updates = (
            memory.update(SystemState, "global_config", one_more) for memory in (one, two) * 5
        )
        await asyncio.gather(*updates)
        assert await one.get(SystemState, "global_config") == SystemState(active_sessions=10)


async def test_many_instances_can_make_the_file_at_once(file) -> None:
    async def put(number: int) -> None:
        async with SqliteMemory.open(file) as memory:
            await memory.put(item(f"n{number}"))

    await asyncio.gather(*(put(number) for number in range(8)))
    async with SqliteMemory.open(file) as memory:
        assert await count(memory) == 8


async def test_a_lock_that_others_keep_means_unavailable_and_nothing_stored(
    file, monkeypatch
) -> None:
    monkeypatch.setattr(sqlite_schema, "BUSY_SECONDS", 0.05)
    async with SqliteMemory.open(file) as memory:
        await memory.put(item("before"))
        other = sqlite3.connect(file, isolation_level=None)
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(Unavailable, match="another process") as caught:
            await memory.put(item("during"))
        assert not caught.value.ambiguous
        with pytest.raises(PartialWrite) as partial:
            await memory.put_many(item(f"n{i}") for i in range(401))
        assert len(partial.value.remaining) == 401
        assert await memory.get(MemoryItem, "before") is not None
        other.execute("ROLLBACK")
        other.close()
        assert await count(memory) == 1
        await memory.put(item("after"))


class Holding:
    """Keeps the file's write lock for a while, so that writes queue up."""

    def __init__(self, file) -> None:
        self._connection = sqlite3.connect(file, isolation_level=None)

    def __enter__(self) -> None:
        self._connection.execute("BEGIN IMMEDIATE")

    def __exit__(self, *_: object) -> None:
        self._connection.close()


async def test_a_cancelled_write_happened_whole_or_not_at_all(file) -> None:
    async with SqliteMemory.open(file) as memory:
        await memory.put(item("first"))
        with Holding(file):
            pairs = [[item(f"a{i}"), item(f"b{i}")] for i in range(20)]
            tasks = [
                asyncio.create_task(memory.write([Put(record) for record in pair]))
                for pair in pairs
            ]
            await asyncio.sleep(0.05)
            for task in tasks:
                task.cancel()
            results = await asyncio.gather(*tasks, return_exceptions=True)
        assert all(isinstance(result, asyncio.CancelledError) for result in results)
        await memory.put(item("last"))
        first = await memory.get_many(MemoryItem, [f"a{i}" for i in range(20)])
        second = await memory.get_many(MemoryItem, [f"b{i}" for i in range(20)])
        assert [a is None for a in first] == [b is None for b in second]
        assert first.count(None) == 20


async def test_a_cancelled_bulk_write_stops_between_commits(file) -> None:
    async with SqliteMemory.open(file) as memory:
        records = [item(f"n{i:05}") for i in range(10_000)]
        task = asyncio.create_task(memory.put_many(records))
        while not commits(memory)[1]:  # noqa: ASYNC110 - nothing tells of a commit
            await asyncio.sleep(0.01)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await memory.put(item("last"))
        stored = await count(memory)
        assert stored is not None
        assert stored % 400 == 1
        assert 1 < stored < 10_001


async def test_a_cancelled_read_frees_its_thread(file) -> None:
    async with SqliteMemory.open(file) as memory:
        await memory.put_many(item(f"n{i}", metadata={"n": i}) for i in range(5_000))
        slow = Query(MemoryItem, where=[("metadata.n", "==", -1)])
        for _ in range(10):
            task = asyncio.create_task(memory.find(slow))
            await asyncio.sleep(0.002)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
        started = time.monotonic()
        assert await memory.get(MemoryItem, "n1") is not None
        assert time.monotonic() - started < 5
        assert await count(memory) == 5_000


async def test_what_was_queued_is_written_before_the_file_is_closed(file) -> None:
    async with SqliteMemory.open(file) as memory:
        tasks = [asyncio.create_task(memory.put(item(f"n{i}"))) for i in range(50)]
        await asyncio.sleep(0.01)
    await asyncio.gather(*tasks, return_exceptions=True)
    acknowledged = sum(not task.exception() for task in tasks)
    async with SqliteMemory.open(file) as memory:
        assert await count(memory) == acknowledged


async def test_a_closed_memory_says_so_and_leaves_no_threads(file) -> None:
    before = threading.active_count()
    async with SqliteMemory.open(file) as memory:
        await memory.put(item("a"))
    with pytest.raises(StorageError, match="closed"):
        await memory.get(MemoryItem, "a")
    with pytest.raises(StorageError, match="closed"):
        await memory.write([Put(item("b"))], options=Options(atomic=True))
    assert (await memory.health()).status == "down"
    assert threading.active_count() <= before + 1  # anyio keeps a worker of its own
    assert not file.with_name("state.db-wal").exists()
