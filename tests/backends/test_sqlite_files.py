"""The file itself: made where it is missing, refused where it is of no use, readable by anyone."""

import json
import sqlite3
from datetime import UTC, datetime, timedelta

import pytest

from orchestra_memory import (
    ConfigurationError,
    CorruptRecord,
    Count,
    MemoryItem,
    OrchestraMemoryError,
    Query,
    Ref,
    SqliteMemory,
    StorageError,
    Unavailable,
)
from orchestra_memory.backends.sqlite import memory as sqlite
from orchestra_memory.backends.sqlite.schema import connect

pytestmark = pytest.mark.anyio
NOW = datetime(2026, 1, 31, 8, tzinfo=UTC)


@pytest.fixture
def file(tmp_path, use_backend):
    use_backend("sqlite")
    return tmp_path / "state.db"


def item(key: str, **fields: object) -> MemoryItem:
    return MemoryItem(id=key, user_id="alice", timestamp=NOW, **fields)


def execute(file, *statements: str) -> list[tuple[object, ...]]:
    connection = sqlite3.connect(file)
    try:
        with connection:
            return [row for sql in statements for row in connection.execute(sql).fetchall()]
    finally:
        connection.close()


async def test_a_missing_directory_is_made(tmp_path) -> None:
    async with SqliteMemory.open(tmp_path / "not" / "there" / "state #1?.db") as memory:
        await memory.put(item("a"))
    async with SqliteMemory.open(tmp_path / "not" / "there" / "state #1?.db") as memory:
        assert await memory.get(MemoryItem, "a") == item("a")


async def test_the_stored_row_can_be_read_in_any_sqlite_shell(file) -> None:
    async with SqliteMemory.open(file) as memory:
        view = memory.with_options(namespace="acme")
        await view.put(item("a", metadata={"n": 1}, text_content="hi", session_id="s1"))
    ((namespace, collection, key, revision, expires, keys, document),) = execute(
        file, "SELECT * FROM documents"
    )
    assert (namespace, collection, key) == ("acme", "memory_items", "a")
    assert (revision, expires) == (1, None)
    assert json.loads(document) == {
        "id": "a",
        "user_id": "alice",
        "session_id": "s1",
        "item_type": "conversation",
        "timestamp": {"$time": "2026-01-31T08:00:00.000000Z"},
        "text_content": "hi",
        "persona_active": None,
        "embedding": None,
        "metadata": {"n": 1},
        "expiration": None,
        "content_hash": None,
        "schema_version": 1,
    }
    assert json.loads(keys) == {
        "id": "Ga",
        "user_id": "Galice",
        "session_id": "Gs1",
        "item_type": "Gconversation",
        "timestamp": f"F{1_769_846_400_000_000 + 2**62:016x}",
        "persona_active": "A",
        "embedding": "A",
        "metadata": "L",
        "expiration": "A",
        "content_hash": "A",
    }


async def test_a_file_of_a_later_format_is_refused_and_left_alone(file) -> None:
    async with SqliteMemory.open(file) as memory:
        await memory.put(item("a"))
    execute(file, "PRAGMA user_version = 99")
    with pytest.raises(ConfigurationError, match=r"format 99.*upgrade"):
        async with SqliteMemory.open(file):
            pass
    assert execute(file, "PRAGMA user_version") == [(99,)]


async def test_a_database_of_another_application_is_refused_and_left_alone(file) -> None:
    execute(file, "CREATE TABLE theirs (x)")
    with pytest.raises(ConfigurationError, match="another application"):
        async with SqliteMemory.open(file):
            pass
    assert execute(file, "SELECT name FROM sqlite_master") == [("theirs",)]


async def test_what_is_no_database_is_refused_and_left_alone(file) -> None:
    file.write_bytes(b"not a database, but a letter\n" * 100)
    with pytest.raises(ConfigurationError, match="no SQLite database"):
        async with SqliteMemory.open(file):
            pass
    assert file.read_bytes().startswith(b"not a database")


async def test_a_path_that_cannot_be_a_file_is_a_configuration_error(tmp_path) -> None:
    (tmp_path / "file").touch()
    for path in (tmp_path, tmp_path / "file" / "state.db"):
        with pytest.raises(ConfigurationError):
            async with SqliteMemory.open(path):
                pass


async def test_a_damaged_page_is_a_storage_error_without_content(file) -> None:
    async with SqliteMemory.open(file) as memory:
        await memory.put_many(item(f"n{i}", text_content="secret" * 50) for i in range(500))
    content = bytearray(file.read_bytes())
    content[16_384:] = b"\xff" * (len(content) - 16_384)
    file.write_bytes(content)
    with pytest.raises((StorageError, ConfigurationError)) as caught:
        async with SqliteMemory.open(file) as memory:
            await memory.get_many(MemoryItem, [f"n{i}" for i in range(500)])
    assert "secret" not in str(caught.value)


async def test_a_damaged_document_is_a_corrupt_record(file) -> None:
    async with SqliteMemory.open(file) as memory:
        await memory.put(item("a"))
        execute(file, "UPDATE documents SET document = '{secret'")
        with pytest.raises(CorruptRecord, match="memory_items/a") as caught:
            await memory.get(MemoryItem, "a")
    assert "secret" not in str(caught.value)


async def test_health_tells_the_file_and_its_size(file) -> None:
    async with SqliteMemory.open(file) as memory:
        await memory.put(item("a"))
        health = await memory.health()
    assert health.component == "sqlite"
    assert health.status == "ok"
    assert health.detail.startswith("state.db: ")
    assert health.latency is not None
    assert 0 < health.latency < 5


async def test_health_of_a_file_that_is_gone_or_broken_is_down(file) -> None:
    async with SqliteMemory.open(file) as memory:
        await memory.put(item("a"))
        kept = file.with_name("kept.db")
        file.rename(kept)
        assert (await memory.health()).status == "down"
        file.write_bytes(b"not a database " * 1_000)
        assert (await memory.health()).status == "down"
        kept.rename(file)
        assert (await memory.health()).status == "ok"
        execute(file, "PRAGMA wal_checkpoint(TRUNCATE)")
        with file.open("r+b") as opened:
            opened.write(b"not a database " * 1_000)
        assert (await memory.health()).status == "down"


async def test_what_expired_more_than_a_day_ago_is_removed_at_opening(file) -> None:
    async with SqliteMemory.open(file, clock=lambda: NOW) as memory:
        await memory.put(item("old", expiration=NOW + timedelta(hours=1)))
        await memory.put(item("recent", expiration=NOW + timedelta(hours=23)))
        last = await memory.put(item("living"))
    later = NOW + timedelta(hours=26)
    query = Query(MemoryItem, include_expired=True)
    async with SqliteMemory.open(file, clock=lambda: later) as memory:
        page = await memory.find(query)
        assert [record.id for record in page.records] == ["living", "recent"]
        assert (await memory.read([Ref(MemoryItem, "recent")])).records == [None]
        assert last.version is not None
        assert page.as_of == last.version + 1


async def test_a_full_disk_refuses_what_does_not_fit_and_keeps_what_did(file, monkeypatch) -> None:
    def bounded(path, *, reading):
        connection = connect(path, reading=reading)
        connection.execute("PRAGMA max_page_count = 60")
        return connection

    monkeypatch.setattr(sqlite, "connect", bounded)
    async with SqliteMemory.open(file) as memory:
        stored = 0

        async def fill() -> None:
            nonlocal stored
            while True:
                await memory.put(item(f"n{stored}", text_content="x" * 20_000))
                stored += 1

        with pytest.raises(StorageError, match="disk is full") as caught:
            await fill()
        assert not isinstance(caught.value, Unavailable)
        await memory.delete(MemoryItem, "n0")
        await memory.put(item("n0"))
        assert (await memory.aggregate(Query(MemoryItem), [Count()]))["count"] == stored


async def test_errors_at_opening_are_ours(tmp_path) -> None:
    with pytest.raises(OrchestraMemoryError):
        async with SqliteMemory.open(tmp_path):
            pass
