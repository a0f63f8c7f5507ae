"""One user's records are found wherever they are, written out whole, and erased for good."""

import json
from datetime import UTC, datetime
from uuid import uuid4

import pytest
from redis.asyncio import Redis

from orchestra_memory import (
    AgentData,
    AgentState,
    CachedMemory,
    Conflict,
    CoordinationEvent,
    Delete,
    InvalidQuery,
    LocalMemory,
    MemoryItem,
    MemoryRecord,
    Patch,
    Put,
    Query,
    Record,
    Ref,
    Settings,
    Unavailable,
    UserSession,
    open_memory,
)
from orchestra_memory.domain.privacy import Privacy
from orchestra_memory.layers.cached.keys import Keyspace
from orchestra_memory.layers.cached.tending import Tending
from orchestra_memory.layers.fallback.conflicts import Conflicted
from orchestra_memory.layers.fallback.erasures import Erasure
from orchestra_memory.ownership import digest, owner_paths, users_in_op, users_of
from orchestra_memory.testing.faults import FaultyMemory
from orchestra_memory.transfer.backup import backup
from orchestra_memory.transfer.entries import UnreadableFile
from orchestra_memory.transfer.restore import restore

pytestmark = pytest.mark.anyio

PAST = datetime(2020, 1, 1, tzinfo=UTC)


class Liking(Record, collection="likings", key=["user_id", "topic"]):
    user_id: str
    topic: str


class Remark(Record, collection="remarks"):
    id: str
    metadata: dict[str, str] | None = None
    context: dict[str, str]


MODELS = (
    MemoryItem,
    MemoryRecord,
    AgentData,
    UserSession,
    AgentState,
    CoordinationEvent,
    Liking,
)


def belongings(user: str) -> list[Record]:
    """One of everything that can be a user's."""
    return [
        MemoryItem(user_id=user, session_id="s", text_content="tea"),
        MemoryItem(user_id=user, expiration=PAST),
        MemoryRecord(context="taste", metadata={"user_id": user}),
        AgentData(agent_id="a", metadata={"user_id": user}),
        UserSession(user_id=user, session_id="s"),
        AgentState(
            agent_type="t",
            agent_id=user,
            session_id="s",
            agent_config={"user_id": user},
            collaboration_context={"user_id": user},
        ),
        CoordinationEvent(event_type="handoff", task_context={"user_id": user}),
        Liking(user_id=user, topic="tea"),
    ]


async def left(memory, model) -> list[Record]:
    return [each async for each in memory.scan(Query(model, include_expired=True))]


def lines(path) -> list[dict]:
    return [json.loads(line) for line in path.read_text().splitlines()]


@pytest.mark.decided
async def test_everything_of_a_user_is_erased_and_nothing_else(memory):
    await memory.put_many([*belongings("ann"), *belongings("anna")])
    elsewhere = memory.with_options(namespace="acme")
    await elsewhere.put_many(belongings("ann"))
    privacy = Privacy(memory, models=MODELS)
    assert sum((await privacy.count("ann")).values()) == 9  # one state says it in two ways

    receipt = await privacy.erase("ann")
    (erased,) = receipt.namespaces
    assert erased.records == {
        "memory_items": 2,
        "memory_records": 1,
        "agent_data": 1,
        "user_sessions": 1,
        "agent_states": 1,
        "coordination": 1,
        "likings": 1,
    }
    assert (receipt.records, erased.namespace) == (8, None)
    assert erased.finished_at is not None
    assert receipt.billed.deletes >= 8
    for model in MODELS:
        assert all(users_of(each) == {"anna"} for each in await left(memory, model)), model
    assert await privacy.count("ann") == {}
    assert sum((await privacy.count("anna")).values()) == 9
    assert sum((await privacy.count("ann", namespaces=["acme"])).values()) == 9

    both = await privacy.erase("ann", namespaces=[None, "acme"])
    assert [(each.namespace, sum(each.records.values())) for each in both.namespaces] == [
        (None, 0),
        ("acme", 8),
    ]


async def test_the_mark_that_stays_names_nobody():
    memory = LocalMemory()
    await memory.put(MemoryItem(user_id="ann"))
    receipt = await Privacy(memory).erase("ann")
    marks = await left(memory, Erasure)
    assert {mark.id for mark in marks} == {digest("ann"), "latest"}
    assert "ann" not in json.dumps([mark.model_dump(mode="json") for mark in marks])
    assert receipt.subject == digest("ann")


async def test_more_than_a_page_is_erased_whatever_its_documents_hold():
    memory = LocalMemory()

    class Older(Record, collection="memory_items"):
        id: str
        user_id: str
        timestamp: str = "never"

    await memory.put_many(MemoryItem(user_id="ann") for _ in range(450))
    await memory.put(Older(id="damaged", user_id="ann"))
    receipt = await Privacy(memory, models=[MemoryItem]).erase("ann")
    assert receipt.records == 451
    assert await memory.get(Older, "damaged") is None


@pytest.mark.parametrize("passing", range(6))
async def test_an_erasure_that_was_stopped_goes_on_and_counts_all(passing):
    inner = LocalMemory()
    store = FaultyMemory(inner)
    await inner.put_many([*belongings("ann"), *(MemoryItem(user_id="ann") for _ in range(400))])
    for _ in range(2):
        store.plan("write", [None] * passing)
        store.fail("write")
        with pytest.raises(Unavailable):
            await Privacy(store, models=MODELS).erase("ann")
        store.heal()
    receipt = await Privacy(store, models=MODELS).erase("ann")
    assert receipt.records == 408
    assert (await Privacy(inner, models=MODELS).erase("ann")).records == 0


async def test_who_keeps_writing_keeps_an_erasure_from_its_end():
    inner = LocalMemory()

    class Busy(FaultyMemory):
        async def write(self, ops, **options):
            receipt = await super().write(ops, **options)
            await inner.put(MemoryItem(user_id="ann"))
            return receipt

    with pytest.raises(Conflict, match="stop what writes"):
        await Privacy(Busy(inner), models=[UserSession, MemoryItem]).erase("ann")


async def test_versions_that_lost_are_erased_with_what_they_are_versions_of():
    memory = LocalMemory()
    await memory.put_many(
        [MemoryItem(id="hers", user_id="ann"), MemoryItem(id="his", user_id="bob")]
    )

    def lost(key: str, side: str, **said) -> Conflicted:
        return Conflicted(
            id=uuid4().hex,
            collection="memory_items",
            document_key=key,
            model="MemoryItem",
            at=PAST,
            reason="refused",
            side=side,
            document=json.dumps(said),
        )

    await memory.put_many(
        [
            lost("gone", "remote", id="gone", user_id="ann"),
            lost("gone", "local", op="patch", model="MemoryItem", set={"persona_active": "x"}),
            lost("hers", "local", op="patch", model="MemoryItem", set={"persona_active": "x"}),
            lost("other", "local", op="put", model="MemoryItem", document={"user_id": "ann"}),
            lost("his", "local", op="patch", model="MemoryItem", set={"persona_active": "x"}),
            lost("theirs", "remote", id="theirs", user_id="anna"),
        ]
    )
    assert (await Privacy(memory).count("ann"))["conflicts"] == 4
    receipt = await Privacy(memory).erase("ann")
    assert receipt.namespaces[0].records == {"conflicts": 4, "memory_items": 1}
    assert {each.document_key for each in await left(memory, Conflicted)} == {"his", "theirs"}


@pytest.mark.parametrize(
    "user_id",
    ["", "\ud800", "x" * 1_501, None, 7],
    ids=["empty", "no text", "long", "none", "a number"],
)
async def test_what_can_be_no_users_id_is_refused_not_found_to_have_nothing(user_id, tmp_path):
    privacy = Privacy(memory := LocalMemory())
    for done in (privacy.erase(user_id), privacy.count(user_id), privacy.export(user_id, tmp_path)):
        with pytest.raises(InvalidQuery, match="user_id"):
            await done
    assert await left(memory, Erasure) == []


async def test_one_name_is_no_list_of_namespaces():
    with pytest.raises(InvalidQuery, match="namespaces"):
        await Privacy(LocalMemory()).erase("ann", namespaces="acme")


async def test_an_outage_is_no_erasure():
    store = FaultyMemory(LocalMemory())
    await store.put(MemoryItem(user_id="ann"))
    store.fail("find")
    with pytest.raises(Unavailable):
        await Privacy(store).erase("ann")
    store.fail("aggregate")
    with pytest.raises(Unavailable):
        await Privacy(store).count("ann")


async def test_the_cache_forgets_what_it_held_of_the_user(redis_server):
    name = uuid4().hex
    item = MemoryItem(user_id="ann")
    async with (
        Redis.from_url(redis_server.url) as redis,
        CachedMemory(LocalMemory(), redis, store=name) as memory,
    ):
        tending = Tending(redis, Keyspace(name))

        async def forget(user_id: str, namespace: str | None) -> dict[str, int]:
            return {"cache": await tending.drop_user(namespace, user_id)}

        await memory.put(item)
        await memory.get(MemoryItem, item.id)
        assert (await tending.look(Ref(MemoryItem, item.id))).document is not None
        receipt = await Privacy(memory, forgetting=[forget]).erase("ann")
        assert receipt.namespaces[0].forgotten["cache"] > 0
        assert (await tending.look(Ref(MemoryItem, item.id))).document is None
        assert await memory.get(MemoryItem, item.id) is None


async def test_an_opened_memory_has_all_its_parts_forget(redis_server, tmp_path):
    opening = open_memory(
        f"sqlite:///{tmp_path}/state.db?namespace=acme",
        cache=redis_server.url,
        journal=tmp_path / "journal",
        settings=Settings(),
    )
    async with opening as memory:
        item = await memory.conversations.add(user_id="ann", text_content="tea")
        await memory.get(MemoryItem, item.id)
        (erased,) = (await memory.privacy.erase("ann")).namespaces
        assert (erased.namespace, dict(erased.records)) == ("acme", {"memory_items": 1})
        assert erased.forgotten.keys() == {"journal", "dead_letters", "standby", "cache"}
        assert erased.forgotten["standby"] >= 1
        assert erased.forgotten["cache"] >= 1
        assert await memory.get(MemoryItem, item.id) is None


async def test_an_export_holds_each_record_once_and_comes_in_again(memory, tmp_path):
    mine = belongings("ann")
    await memory.put_many([*mine, *belongings("anna")])
    await memory.with_options(namespace="acme").put(Liking(user_id="ann", topic="rain"))
    path = tmp_path / "ann.jsonl"
    privacy = Privacy(memory, models=MODELS)
    assert await privacy.export("ann", path, namespaces=[None, "acme"]) == 9
    header, *records = lines(path)
    assert header["user_id"] == "ann"
    assert "anna" not in path.read_text()
    found = {(each["type"], each.get("namespace")) for each in records}
    assert found == {*((type(each).__name__, None) for each in mine), ("Liking", "acme")}
    assert len(records) == 9


@pytest.mark.parametrize("name", ["ann.jsonl", "ann.jsonl.gz"])
@pytest.mark.parametrize("passing", [0, 1, 3, 5, 7])
async def test_a_stopped_export_goes_on_to_the_same_file(tmp_path, name, passing):
    inner = LocalMemory()
    store = FaultyMemory(inner)
    await inner.put_many([*belongings("ann"), *(MemoryItem(user_id="ann") for _ in range(500))])
    whole, path = tmp_path / f"whole-{name}", tmp_path / name
    assert await Privacy(inner, models=MODELS).export("ann", whole) == 508
    store.plan("find", [None] * passing)
    store.fail("find")
    with pytest.raises(Unavailable):
        await Privacy(store, models=MODELS).export("ann", path)
    assert not path.exists()
    store.heal()
    assert await Privacy(store, models=MODELS).export("ann", path, resume=True) == 508
    if not name.endswith(".gz"):
        assert path.read_bytes() == whole.read_bytes()


async def test_a_map_that_a_record_leaves_out_says_nothing_of_whose_it_is(tmp_path):
    memory = LocalMemory()
    await memory.put(Remark(id="r", context={"user_id": "alice"}))
    privacy = Privacy(memory, models=[Remark])
    assert await privacy.export("alice", tmp_path / "alice.jsonl") == 1
    assert (await privacy.erase("alice")).records == 1


async def test_an_export_of_another_user_is_not_gone_on_with(tmp_path):
    (tmp_path / "x.jsonl.part").write_text('{"format":"orchestra-memory"}\n')
    with pytest.raises(UnreadableFile, match="another export"):
        await Privacy(LocalMemory()).export("ann", tmp_path / "x.jsonl", resume=True)
    with pytest.raises(UnreadableFile, match=r"no y\.jsonl\.part"):
        await Privacy(LocalMemory()).export("ann", tmp_path / "y.jsonl", resume=True)


async def test_a_backup_does_not_bring_back_who_was_erased_after_it(tmp_path):
    memory = LocalMemory()
    lost = Conflicted(
        id="c",
        collection="memory_items",
        document_key="x",
        model="MemoryItem",
        at=PAST,
        reason="refused",
        side="remote",
        document=json.dumps({"user_id": "ann"}),
    )
    await memory.put_many([MemoryItem(user_id="ann"), MemoryItem(user_id="anna"), lost])
    await backup(memory, tmp_path / "b.jsonl")
    await Privacy(memory).erase("ann")
    progress = await restore(memory, tmp_path / "b.jsonl")
    assert (progress.records, progress.problems) == (1, 2)
    assert [each.user_id for each in await left(memory, MemoryItem)] == ["anna"]
    assert await left(memory, Conflicted) == []
    elsewhere = LocalMemory()
    assert (await restore(elsewhere, tmp_path / "b.jsonl")).records == 3


def test_where_record_types_say_whose_they_are():
    assert owner_paths(MemoryItem) == ("user_id",)
    assert owner_paths(MemoryRecord) == ("metadata.user_id",)
    assert owner_paths(AgentState) == (
        "agent_config.user_id",
        "collaboration_context.user_id",
    )
    assert owner_paths(CoordinationEvent) == ("task_context.user_id",)
    assert users_of(MemoryRecord(context="c", metadata={"user_id": 7})) == frozenset()


def test_an_operation_says_whose_it_is_by_what_it_stores_or_by_its_key():
    session = Ref(UserSession, UserSession.key_of("ann", "s"))
    item = Ref(MemoryItem, "i")
    assert users_in_op(Put(MemoryItem(user_id="ann"))) == {"ann"}
    assert (
        users_in_op(Delete(session)) == users_in_op(Patch(session, unset=["ended_at"])) == {"ann"}
    )
    assert users_in_op(Patch(item, set={"item_type": "x"})) == frozenset()
    assert users_in_op(
        Patch(item, set={"item_type": "x"}, or_create=MemoryItem(id="i", user_id="ann"))
    ) == {"ann"}
    record = Ref(MemoryRecord, "r")
    assert users_in_op(Patch(record, set={"metadata.user_id": "ann"})) == {"ann"}
    assert users_in_op(Patch(record, set={"metadata": {"user_id": "ann"}})) == {"ann"}
