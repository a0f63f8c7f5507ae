"""What can be looked at and forgotten from outside, whatever is in Redis."""

from collections.abc import AsyncIterator
from uuid import uuid4

import pytest
from redis.asyncio import Redis

import orchestra_memory as om
from orchestra_memory.layers.cached.connect import connect
from orchestra_memory.layers.cached.keys import Keyspace, may_list
from orchestra_memory.layers.cached.memory import CachedMemory
from orchestra_memory.layers.cached.scopes import Scope
from orchestra_memory.layers.cached.scripts import INTEND, Known, intend_arguments, run
from orchestra_memory.layers.cached.tending import Server, Tending
from orchestra_memory.testing.redis_server import RedisServer

pytestmark = pytest.mark.anyio

USERS = ["ann", "bob", "a,n:n%/{}", 'an"n\\', "änn", "u" * 300, "*"]


@pytest.fixture
async def redis(redis_server: RedisServer) -> AsyncIterator[Redis]:
    async with connect(redis_server.url) as client:
        yield client


@pytest.fixture
def store() -> str:
    # It has what a pattern would take for its own.
    return f"p*[a-z]?\\^{uuid4().hex}"


@pytest.fixture
def keyspace(store: str) -> Keyspace:
    return Keyspace(store)


@pytest.fixture
def tending(redis: Redis, keyspace: Keyspace) -> Tending:
    return Tending(redis, keyspace)


@pytest.fixture
async def memory(redis: Redis, store: str) -> AsyncIterator[CachedMemory]:
    async with CachedMemory(om.LocalMemory(), redis, store=store) as cached:
        yield cached


def item(key: str, user: str = "ann") -> om.MemoryItem:
    return om.MemoryItem(id=key, user_id=user, session_id="s", text_content="hi")


def ref(key: str, namespace: str | None = None) -> om.Ref[om.MemoryItem]:
    return om.Ref(om.MemoryItem, key, namespace=namespace)


async def source(memory: om.MemoryManager, key: str) -> str | None:
    (found,) = await memory.read([ref(key)])
    return found and found.source.value


async def list_source(memory: om.MemoryManager, user: str) -> str:
    return (await memory.find(om.recent(user_id=user, session_id="s"))).source.value


async def test_looking_changes_nothing(tending: Tending, redis: Redis, keyspace: Keyspace) -> None:
    await tending.look(ref("a"))
    assert await tending.epoch(None) is None
    assert not await redis.exists(keyspace.epoch_key(None))


async def test_a_write_under_way_is_seen(
    tending: Tending, redis: Redis, keyspace: Keyspace, memory: CachedMemory
) -> None:
    await memory.put(item("a"))
    epoch = await tending.epoch(None)
    assert epoch is not None
    keys = [keyspace.epoch_key(None), keyspace.key(ref("a"), epoch)]
    await run(redis, INTEND, keys, intend_arguments(Known(epoch, "x"), "t", life=5_000, keep=9_000))
    assert (await tending.look(ref("a"))).intents == 1
    # The fence is not lifted by forgetting: who writes will publish.
    await tending.drop(ref("a"), None)
    entry = await tending.look(ref("a"))
    assert (entry.state, entry.intents) == ("unknown", 1)


async def test_what_another_release_or_nobody_wrote_is_forgotten_with_any_user(
    tending: Tending, redis: Redis, keyspace: Keyspace, memory: CachedMemory
) -> None:
    for key in ("new", "damaged", "garbage", "hers"):
        await memory.put(item(key, "bob" if key == "hers" else "ann"))
    epoch = await tending.epoch(None)
    assert epoch is not None
    names = {key: keyspace.key(ref(key), epoch) for key in ("new", "damaged", "garbage")}
    await redis.set(names["new"], b"1:1::L:9" + b"of a later format")
    await redis.set(names["damaged"], b"1:1::L:")
    await redis.set(names["garbage"], "no hash at all")
    assert (await tending.look(ref("new"))).document is None
    await tending.drop_user(None, "nobody")
    for key in names:
        assert (await tending.look(ref(key))).state == "unknown"
    assert (await tending.look(ref("hers"))).state == "record"


@pytest.mark.parametrize("user", USERS)
async def test_a_user_of_any_name_is_forgotten_and_no_other(
    tending: Tending, memory: CachedMemory, user: str
) -> None:
    for number, each in enumerate(USERS):
        await memory.put(item(f"k{number}", each))
        await list_source(memory, each)
    await tending.drop_user(None, user)
    for number, each in enumerate(USERS):
        # A list whose name is too long for a key cannot tell whose it is.
        hashed = len(each) > 200
        forgotten = each == user
        assert await list_source(memory, each) == ("primary" if forgotten or hashed else "cache")
        if not forgotten:
            assert await source(memory, f"k{number}") == "cache"


async def test_a_user_is_forgotten_in_one_namespace(tending: Tending, memory: CachedMemory) -> None:
    acme = memory.with_options(namespace="acme")
    await memory.put(item("a"))
    await acme.put(item("a"))
    assert await tending.drop_user("acme", "ann") > 0
    assert (await tending.look(ref("a"))).state == "record"
    assert (await tending.look(ref("a", "acme"))).state == "unknown"
    assert await tending.drop_user("elsewhere", "ann") == 0


async def test_more_than_one_batch_is_forgotten(tending: Tending, memory: CachedMemory) -> None:
    await memory.read([ref(f"k{number}") for number in range(450)])
    assert await tending.drop_user(None, "ann") == 450


async def test_a_record_is_forgotten_with_the_lists_it_is_and_was_in(
    tending: Tending, memory: CachedMemory
) -> None:
    await memory.put(item("a", "ann"))
    for user in ("ann", "bob", "carol"):
        await list_source(memory, user)
        assert await list_source(memory, user) == "cache"
    await tending.drop(ref("a"), item("a", "bob"))
    assert await list_source(memory, "ann") == "primary"
    assert await list_source(memory, "bob") == "primary"
    assert await list_source(memory, "carol") == "cache"


async def test_other_stores_keep_theirs(redis: Redis, tending: Tending, store: str) -> None:
    longer = Tending(redis, Keyspace(store + "x"))
    await longer.renew("acme")
    await tending.renew("acme")
    await tending.renew(None)
    before = await longer.epoch("acme")
    assert await tending.renew_all() == 2
    assert await longer.epoch("acme") == before


async def test_a_new_epoch_is_of_the_run_the_old_one_was_of(
    redis: Redis, tending: Tending, keyspace: Keyspace
) -> None:
    await redis.set(keyspace.epoch_key(None), "run@1")
    await tending.renew(None)
    epoch = await tending.epoch(None)
    assert epoch is not None
    assert epoch.startswith("run@")
    assert epoch != "run@1"
    assert await redis.pttl(keyspace.epoch_key(None)) > 0


@pytest.mark.parametrize("user", USERS)
async def test_a_window_tells_by_its_key_whose_it_is(keyspace: Keyspace, user: str) -> None:
    scope = Scope(om.MemoryItem, ("user_id", "session_id"), (user, "ann"), None)
    key = keyspace.key(scope, "e")
    name = key[len(keyspace.epoch_key(None).removesuffix("epoch") + "e:") :]
    assert may_list(name, "user_id", user)
    assert may_list(name, "agent_id", "ann")
    assert may_list(name, "user_id", "ann") == (user == "ann" or len(user) > 200)


@pytest.mark.parametrize(
    ("facts", "advised"),
    [
        ({}, False),
        ({"role": "master", "max_memory_bytes": 0, "eviction": "noeviction"}, False),
        ({"role": "master", "max_memory_bytes": 1, "eviction": "volatile-lru"}, False),
        ({"role": "master", "max_memory_bytes": 1, "eviction": "noeviction"}, True),
        ({"role": "slave"}, True),
    ],
)
async def test_advice_is_given_where_a_cache_would_suffer(
    facts: dict[str, object], advised: bool
) -> None:
    assert bool(list(Server(0.001, facts).advice())) == advised
