"""Databases that an earlier system wrote: their ids, times as text, no schema version."""

from dataclasses import replace

import pytest

from orchestra_memory import (
    AgentState,
    CoordinationEvent,
    CorruptRecord,
    LocalMemory,
    MemoryItem,
    Query,
    Record,
    SqliteMemory,
    SystemState,
    Unavailable,
    UserSession,
)
from orchestra_memory.operations import DEFAULT
from orchestra_memory.protocol import MemoryView
from orchestra_memory.transfer.entries import UnreadableFile
from orchestra_memory.transfer.migrate import (
    MigrateOptions,
    UpgradeOptions,
    migrate,
    schema_status,
    undo,
    upgrade_schema,
    verify,
)

from .legacy_files import dump

pytestmark = pytest.mark.anyio


class OldState(Record, collection="agent_states", key="agent_id", schema_version=0):
    """Stored under an id that its fields do not make."""

    agent_id: str
    agent_type: str = "scout"
    session_id: str = "s"
    status: str = "running"
    created_at: str = "2025-03-01T09:00:00"
    last_active: str = "2025-03-01T10:00:00+02:00"
    mood: str = "fine"


class OldItem(Record, collection="memory_items", schema_version=0):
    id: str
    user_id: str = "maya"
    timestamp: str = "2025-03-01T09:00:00"
    text_content: str = "Hello"
    expiration: str | None = None


class OldEvent(Record, collection="coordination", key="ref", schema_version=0):
    ref: str
    event_type: str = "agent_spawned"
    timestamp: str = "2025-03-01T09:00:00"


class OldSystem(Record, collection="system_state", schema_version=0):
    id: str = "global_config"
    system_version: str = "0.9"
    total_agents_spawned: int = 7


class Broken(Record, collection="user_sessions", key="ref", schema_version=0):
    ref: str


OLD = [
    *(OldState(agent_id=f"a_{n}") for n in range(250)),
    OldItem(id="m1"),
    OldItem(id="gone", expiration="2020-01-01T00:00:00"),
    OldEvent(ref="e1"),
    OldSystem(),
    Broken(ref="x"),
]


@pytest.fixture(params=["local", "sqlite"])
async def old(request, tmp_path):
    """What an earlier system left, in a store of its own."""
    if request.param == "local":
        memory = LocalMemory()
        await memory.put_many(OLD)
        yield memory
        return
    async with SqliteMemory.open(tmp_path / "old.db") as opened:
        await opened.put_many(OLD)
        yield opened


async def test_the_documents_of_an_earlier_system_become_records(old, tmp_path):
    memory = LocalMemory()
    report = tmp_path / "report.jsonl"
    before = await dump_ids(old)
    result = await migrate(old, memory, options=MigrateOptions(report=report))
    assert result.records == {"migrated": 253, "merged": 1, "failed": 1, "left out": 1}
    agent = await memory.get(AgentState, AgentState.key_of("scout", "a_7", "s"))
    assert (agent.status, agent.memory_context) == ("active", {"mood": "fine"})
    assert agent.created_at.isoformat() == "2025-03-01T09:00:00+00:00"
    assert agent.last_active.isoformat() == "2025-03-01T08:00:00+00:00"
    assert (await memory.get(MemoryItem, "m1")).text_content == "Hello"
    assert (await memory.get(CoordinationEvent, "e1")).event_type == "spawn"
    assert (await memory.get(SystemState, "global_config")).total_agents_spawned == 7
    assert any("user_sessions" in problem for problem in result.problems)
    assert any("without a zone" in warning for warning in result.warnings)
    assert await dump_ids(old) == before

    assert (await verify(old, memory)).records["verified"] == 253
    assert (await undo(report, memory)).deleted == 253
    assert await dump(memory) == await dump(LocalMemory())


async def dump_ids(memory):
    return [item.revision async for page in memory.pages(Query(OldState)) for item in page.items]


async def test_a_migration_between_stores_is_resumed(old, tmp_path):
    class Dying(LocalMemory):
        writes = 0

        async def write(self, ops, **options):
            self.writes += 1
            if self.writes == 2:
                raise Unavailable("lost", operation="write")
            return await super().write(ops, **options)

    memory = Dying()
    report = tmp_path / "report.jsonl"
    with pytest.raises(Unavailable):
        await migrate(old, memory, options=MigrateOptions(report=report))
    options = MigrateOptions(report=report, resume=True)
    result = await migrate(old, memory, options=options)
    assert result.records["migrated"] == 253
    assert (await verify(old, memory)).records["verified"] == 253


async def test_the_status_counts_documents_by_version(old):
    await old.put(UserSession(user_id="u", session_id="s"))
    report = await schema_status(old)
    assert report.versions["agent_states"] == {0: 250}
    assert report.versions["user_sessions"] == {0: 1, 1: 1}
    assert report.older == 255


async def test_an_upgrade_brings_every_old_document_up_to_date_in_place(old):
    dry = await upgrade_schema(old, options=UpgradeOptions(dry_run=True))
    assert (await schema_status(old)).older == 255
    done = await upgrade_schema(old)
    assert (done.upgraded, done.moved, done.failed) == (254, 250, 1)
    assert (dry.upgraded, dry.moved, dry.failed) == (254, 250, 1)
    states = [agent async for agent in old.scan(Query(AgentState))]
    assert len(states) == 250
    assert {agent.key for agent in states} == {f"scout_a%5F{n}_s" for n in range(250)}
    assert (await schema_status(old)).older == 1
    event = await old.get(CoordinationEvent, "e1")
    assert event.committed_at == event.timestamp
    again = await upgrade_schema(old)
    assert (again.upgraded, again.failed) == (0, 1)


async def test_an_upgrade_that_dies_is_resumed(old, tmp_path):
    checkpoint = tmp_path / "checkpoint.json"

    def die(report):
        if report.upgraded:
            raise Unavailable("lost", operation="find")

    with pytest.raises(Unavailable):
        await upgrade_schema(old, options=UpgradeOptions(checkpoint=checkpoint, on_page=die))
    options = UpgradeOptions(checkpoint=checkpoint, resume=True)
    resumed = await upgrade_schema(old, options=options)
    assert 0 < resumed.upgraded < 254
    assert (await schema_status(old)).older == 1
    with pytest.raises(UnreadableFile):
        await upgrade_schema(old, options=options)


async def test_an_upgrade_leaves_what_has_its_new_id_already():
    memory = LocalMemory()
    await memory.put(OldState(agent_id="a"))
    await memory.put(AgentState(agent_type="scout", agent_id="a", session_id="s", status="busy"))
    report = await upgrade_schema(memory)
    assert (report.upgraded, report.failed) == (0, 1)
    assert (await memory.get(AgentState, "scout_a_s")).status == "busy"
    assert await memory.get(OldState, "a") is not None


async def test_a_document_that_cannot_be_read_is_told_of_and_the_others_are_migrated(old):
    class Blind(MemoryView):
        async def find(self, query, *, options=DEFAULT):
            page = await super().find(query, options=options)
            if not page.items or query.spec.collection != "memory_items":
                return page
            error = CorruptRecord("no", collection="memory_items", key="bad", fields=["x"])
            return replace(page, corrupt=(error,))

    blind = Blind(old, DEFAULT, None)
    result = await migrate(blind, LocalMemory())
    assert result.records == {"migrated": 253, "merged": 1, "failed": 2, "left out": 1}
    assert (await schema_status(blind)).failed == 1


class NoteV1(Record, collection="notes", large=["text"]):
    id: str
    text: str = ""


class NoteV2(Record, collection="notes", large=["text"], schema_version=2):
    id: str
    text: str = ""
    length: int = 0

    @classmethod
    def upgrade(cls, data, from_version):
        return {**data, "length": len(data["text"])}


async def test_record_types_of_users_are_upgraded_too(tmp_path):
    async with SqliteMemory.open(tmp_path / "notes.db") as memory:
        await memory.put(NoteV1(id="n", text="x" * 1_500_000))
        report = await upgrade_schema(memory, options=UpgradeOptions(models=(NoteV2,)))
        assert report.upgraded == 1
        assert (await schema_status(memory, models=[NoteV2])).versions == {"notes": {2: 1}}
        assert (await memory.get(NoteV2, "n")).length == 1_500_000


@pytest.fixture
async def firestore(firestore_emulator, firestore_project, monkeypatch):
    from google.auth.credentials import AnonymousCredentials
    from google.cloud.firestore import AsyncClient

    from orchestra_memory.backends.firestore.access import close_client

    monkeypatch.setenv("FIRESTORE_EMULATOR_HOST", firestore_emulator.host)
    client = AsyncClient(firestore_project, credentials=AnonymousCredentials())
    yield client
    await close_client(client)


async def written_by_an_earlier_system(client):
    states = client.collection("agent_states")
    for n in range(3):
        await states.document(f"scout_a_{n}_s_1").set(
            {
                "agent_type": "scout",
                "agent_id": f"a_{n}",
                "session_id": "s_1",
                "status": "stopped",
                "created_at": "2025-03-01T09:00:00",
                "last_active": "2025-03-01T09:30:00.123456",
                "task_history": [{"task": "t", "tags": ["x"]}],
            }
        )
    await (
        client.collection("coordination")
        .document("evt_1")
        .set(
            {"event_type": "handoff", "timestamp": "2025-03-01T09:00:00", "source_agent_id": "a_0"}
        )
    )
    await (
        client.collection("user_sessions")
        .document("maya_tue_1")
        .set(
            {
                "user_id": "maya",
                "session_id": "tue_1",
                "created_at": "2025-03-01T09:00:00",
                "last_active": "2025-03-01T09:00:00",
                "device": "phone",
            }
        )
    )


async def test_a_firestore_database_of_an_earlier_system_is_migrated(firestore, tmp_path):
    from orchestra_memory import FirestoreMemory

    await written_by_an_earlier_system(firestore)
    source, memory = FirestoreMemory(firestore), LocalMemory()
    result = await migrate(source, memory)
    assert result.records == {"migrated": 5}
    agent = await memory.get(AgentState, AgentState.key_of("scout", "a_1", "s_1"))
    assert (agent.status, agent.task_history) == ("terminated", [{"task": "t", "tags": ["x"]}])
    session = await memory.get(UserSession, UserSession.key_of("maya", "tue_1"))
    assert session.metadata == {"device": "phone"}
    assert (await memory.get(CoordinationEvent, "evt_1")).source_agent_id == "a_0"
    assert (await verify(source, memory)).records == {"verified": 5}


async def test_firestore_is_migrated_into_resumed_verified_and_undone(firestore, tmp_path):
    from orchestra_memory import FirestoreMemory

    from .legacy_files import CORPUS

    memory = FirestoreMemory(firestore)
    report = tmp_path / "report.jsonl"
    done = await migrate(CORPUS, memory, options=MigrateOptions(report=report))
    again = await migrate(CORPUS, memory)
    assert again.records["unchanged"] == done.migrated
    assert (await verify(CORPUS, memory)).records["verified"] == done.migrated
    assert (await undo(report, memory)).deleted == done.migrated
    assert await dump(memory) == await dump(LocalMemory())


async def test_a_firestore_database_is_upgraded_in_place(firestore):
    from orchestra_memory import FirestoreMemory

    await written_by_an_earlier_system(firestore)
    memory = FirestoreMemory(firestore)
    assert (await schema_status(memory)).older == 5
    report = await upgrade_schema(memory)
    assert (report.upgraded, report.moved, report.failed) == (5, 4, 0)
    assert (await schema_status(memory)).older == 0
    assert len([agent async for agent in memory.scan(Query(AgentState))]) == 3
