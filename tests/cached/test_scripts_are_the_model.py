"""The Lua scripts on a real Redis do what the model does, for any sequence of calls."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from redis import Redis
from redis.asyncio import Redis as AsyncRedis
from redis.exceptions import NoPermissionError, NoScriptError, OutOfMemoryError

from orchestra_memory.layers.cached import model, replies, scripts
from orchestra_memory.layers.cached.members import unpacked
from orchestra_memory.layers.cached.model import NOTHING, Entry, Reading
from orchestra_memory.layers.cached.replies import (
    BUSY,
    LEASED,
    Absent,
    Filled,
    Found,
    Intended,
    OtherEpoch,
    Published,
    Waiting,
    Window,
)
from orchestra_memory.layers.cached.scripts import (
    Change,
    Drop,
    Filling,
    KeepAbsent,
    KeepLive,
    Known,
    WindowFilling,
)
from orchestra_memory.testing import redis_server as servers
from orchestra_memory.testing.redis_server import RedisServer

FAR = 3_600_000  # milliseconds that no test lasts
OVER = 0  # milliseconds that have passed when the next script runs
NEVER = 2**52  # microseconds: after anything that happens in a test
KNOWN = Known("epoch", "epoch")


class Cache:
    """One entry in Redis: each step as its script does it."""

    def __init__(self, client: Redis, known: Known = KNOWN) -> None:
        self.client = client
        self.known = known
        self.epoch_key = f"test:{uuid.uuid4().hex}"
        self.key = f"{self.epoch_key}:entry"
        client.set(self.epoch_key, known.epoch, px=FAR)

    def run(self, script: scripts.Script, arguments: Sequence[Any], *more_keys: str) -> Any:
        given = (self.epoch_key, self.key, *more_keys)
        try:
            return self.client.evalsha(script.sha, len(given), *given, *arguments)
        except NoScriptError:
            return self.client.eval(script.source, len(given), *given, *arguments)

    def read(self, asked: Reading, *more_keys: str) -> Any:
        """What the script replies, with which a plain look must agree where it tells anything."""
        found = self.client.mget(self.epoch_key, self.key, *more_keys)
        known = replies.known_replies(found, self.known.epoch, asked.since)
        arguments = scripts.read_arguments(self.known, **_reading(asked))
        told = replies.read_replies(self.run(scripts.READ, arguments, *more_keys))
        assert known is None or asked.mode == "refresh" or known == told
        return told

    def read_window(self, asked: Reading) -> Any:
        arguments = scripts.read_arguments(self.known, **_reading(asked))
        return replies.read_window_reply(self.run(scripts.READ_WINDOW, arguments))

    def fill(self, token: str, *fillings: Filling, more_keys: Sequence[str] = ()) -> Any:
        arguments = scripts.fill_arguments(self.known, token, fillings)
        return replies.fill_replies(self.run(scripts.FILL, arguments, *more_keys))

    def fill_window(self, token: str, filling: WindowFilling) -> Any:
        arguments = scripts.fill_window_arguments(self.known, token, filling)
        return replies.fill_window_reply(self.run(scripts.FILL_WINDOW, arguments))

    def intend(self, token: str, life: int = FAR, keep: int = FAR, more: Sequence[str] = ()) -> Any:
        arguments = scripts.intend_arguments(self.known, token, life=life, keep=keep)
        return replies.intend_replies(self.run(scripts.INTEND, arguments, *more))

    def publish(
        self,
        token: str,
        *actions: scripts.Action,
        keep: int = FAR,
        more: Sequence[str] = (),
    ) -> Any:
        arguments = scripts.publish_arguments(self.known, token, keep, actions)
        return replies.publish_replies(self.run(scripts.PUBLISH, arguments, *more))

    def fields(self) -> dict[bytes, bytes]:
        """Those of the entry, be it a hash or packed."""
        if self.client.type(self.key) != b"string":
            return self.client.hgetall(self.key)
        version, filled_at, sequence, state, payload = self.client.get(self.key).split(b":", 4)
        known = {b"v": version, b"f": filled_at, b"s": state, b"d": payload}
        return {**known, b"n": sequence} if sequence else known

    def entry(self) -> Entry:
        """What Redis holds, as far as it does not depend on the time."""
        fields = self.fields()
        seconds, micros = self.client.time()
        now = seconds * 1_000_000 + micros
        return Entry(
            floor=int(fields.get(b"v", 0)),
            state=fields.get(b"s", b"").decode(),
            payload=fields.get(b"d", b""),
            lease=fields.get(b"l", b"").decode(),
            sequence=int(fields.get(b"n", 0)),
            intents=frozenset(
                (name[2:].decode(), int(int(expiry) > now))
                for name, expiry in fields.items()
                if name.startswith(b"i:")
            ),
            complete=fields.get(b"c") == b"1",
            bound=fields.get(b"b", b""),
            members=frozenset(unpacked(fields[b"m"]) if b"m" in fields else ()),
            expires=_minutes(self.client.pttl(self.key)),
        )


def _reading(asked: Reading) -> dict[str, Any]:
    return {
        "mode": asked.mode,
        "token": asked.token,
        "lease": asked.lease,
        "keep": asked.keep,
        "since": asked.since,
    }


def _minutes(milliseconds: int) -> int:
    """Rounded, so that the few seconds a test lasts do not count; 0 where there is no key."""
    return 0 if milliseconds == -2 else round(milliseconds / 60_000)


def _timeless(entry: Entry, now: int) -> Entry:
    """The model's entry as :meth:`Cache.entry` tells it."""
    return replace(
        entry,
        filled_at=0,
        lease_ends=0,
        ends=0,
        intents=frozenset((token, int(expiry > now)) for token, expiry in entry.intents),
        expires=_minutes((entry.expires - now) // 1000) if entry != NOTHING else 0,
    )


def _reply(reply: Any) -> Any:
    """A reply without the time, the members of a window in order."""
    if isinstance(reply, list):
        return [_reply(each) for each in reply]
    if isinstance(reply, Window):
        return replace(reply, filled_at=0, members=tuple(sorted(reply.members)))
    return replace(reply, filled_at=0) if isinstance(reply, Found | Absent) else reply


@pytest.fixture(scope="module")
def client(redis_server: RedisServer) -> Iterator[Redis]:
    with Redis.from_url(redis_server.url) as connected:
        yield connected


@pytest.fixture
def cache(client: Redis) -> Iterator[Cache]:
    made = Cache(client)
    yield made
    client.delete(made.key, made.epoch_key)


TOKENS = st.sampled_from(["one", "two"])
VERSIONS = st.integers(0, 3)
TTLS = st.sampled_from([FAR, 2 * FAR])
LIVES = st.sampled_from([FAR, FAR, OVER])
KEEPS = st.sampled_from([FAR // 2, FAR, 3 * FAR])
IDS = st.sampled_from(["a", "b", "ü{}:", "a\x1f", "\x1b0"])
SORTS = st.sampled_from([b"1", b"2", b"a", b"\xff\x00", b"\x1f\x1b1"])

READINGS = st.builds(
    Reading,
    token=TOKENS,
    mode=st.sampled_from(["use", "use", "refresh", "peek"]),
    lease=LIVES,
    keep=KEEPS,
    since=st.sampled_from([0, 0, 0, NEVER]),
)
PAYLOADS = st.sampled_from([b"", b"x", b"\x00\xff", None])
FILLINGS = st.builds(Filling, VERSIONS, PAYLOADS, TTLS)
WINDOWS = st.builds(
    WindowFilling,
    VERSIONS,
    st.booleans(),
    st.sampled_from([b"", b"2"]),
    TTLS,
    st.dictionaries(IDS, SORTS).map(lambda members: list(members.items())),
)
CHANGES = st.dictionaries(IDS, SORTS | st.just(b"")).map(lambda members: list(members.items()))
PLAIN_ACTIONS = (
    st.builds(KeepLive, VERSIONS, st.sampled_from([b"x", b"y"]), TTLS)
    | st.builds(KeepAbsent, VERSIONS, TTLS)
    | st.builds(Drop, VERSIONS)
)

Step = Callable[[Cache, Entry, int], tuple[Any, Entry, Any]]
"""A step in Redis and in the model: both replies, and the model's entry after it."""


def reads(asked: Reading) -> Step:
    def step(cache: Cache, entry: Entry, now: int) -> tuple[Any, Entry, Any]:
        after, told = model.read(entry, now, asked)
        return cache.read(asked), after, [told]

    return step


def window_reads(asked: Reading) -> Step:
    def step(cache: Cache, entry: Entry, now: int) -> tuple[Any, Entry, Any]:
        after, told = model.read_window(entry, now, asked)
        return cache.read_window(asked), after, told

    return step


def fills(token: str, filling: Filling) -> Step:
    def step(cache: Cache, entry: Entry, now: int) -> tuple[Any, Entry, Any]:
        after, told = model.fill(entry, now, token, filling)
        return cache.fill(token, filling), after, [told]

    return step


def window_fills(token: str, filling: WindowFilling) -> Step:
    def step(cache: Cache, entry: Entry, now: int) -> tuple[Any, Entry, Any]:
        after, told = model.fill_window(entry, now, token, filling)
        return cache.fill_window(token, filling), after, told

    return step


def intends(token: str, life: int, keep: int) -> Step:
    def step(cache: Cache, entry: Entry, now: int) -> tuple[Any, Entry, Any]:
        after, told = model.intend(entry, now, token, life, keep)
        return cache.intend(token, life, keep), after, [told]

    return step


def publishes(token: str, keep: int, action: scripts.Action) -> Step:
    def step(cache: Cache, entry: Entry, now: int) -> tuple[Any, Entry, Any]:
        after, told = model.publish(entry, now, token, keep, action)
        return cache.publish(token, action, keep=keep), after, [told]

    return step


def changes(token: str, keep: int, change: Change, missed: int) -> Step:
    """A window's change, made knowing all but the last ``missed`` intents."""

    def step(cache: Cache, entry: Entry, now: int) -> tuple[Any, Entry, Any]:
        action = replace(change, sequence=entry.sequence - missed)
        return publishes(token, keep, action)(cache, entry, now)

    return step


RECORD_STEPS = (
    st.builds(reads, READINGS)
    | st.builds(fills, TOKENS, FILLINGS)
    | st.builds(intends, TOKENS, LIVES, KEEPS)
    | st.builds(publishes, TOKENS, KEEPS, PLAIN_ACTIONS)
)
WINDOW_STEPS = (
    st.builds(window_reads, READINGS)
    | st.builds(window_fills, TOKENS, WINDOWS)
    | st.builds(fills, TOKENS, st.builds(Filling, VERSIONS, st.just(b""), TTLS))
    | st.builds(intends, TOKENS, LIVES, KEEPS)
    | st.builds(publishes, TOKENS, KEEPS, st.builds(Drop, VERSIONS))
    | st.builds(
        changes,
        TOKENS,
        KEEPS,
        st.builds(Change, VERSIONS, st.just(0), TTLS, CHANGES),
        st.sampled_from([0, 0, 1]),
    )
)
FILLED: list[Step] = [reads(Reading("one", lease=FAR)), fills("one", Filling(1, b"x", FAR))]
LISTED: list[Step] = [
    window_reads(Reading("one", lease=FAR)),
    window_fills("one", WindowFilling(1, True, b"", FAR, [("a", b"1"), ("b", b"2")])),
]
FENCED = [intends("one", FAR, FAR)]
FENCED_TWICE = [intends("two", FAR, FAR), intends("one", FAR, FAR)]
ABANDONED = [intends("two", OVER, FAR), intends("one", FAR, FAR), intends("two", OVER, FAR)]


def sequences(known: list[Step], steps: st.SearchStrategy[Step]) -> st.SearchStrategy[list[Step]]:
    """Some steps, often from a state that only few others lead to."""
    fenced: list[list[Step]] = [FENCED, FENCED_TWICE, ABANDONED, []]
    begins = st.sampled_from([[], known]), st.sampled_from(fenced)
    return st.tuples(*begins, st.lists(steps, min_size=1, max_size=8)).map(
        lambda parts: [step for part in parts for step in part]
    )


SEQUENCES = settings(
    max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


def follows_the_model(client: Redis, steps: Sequence[Step]) -> None:
    cache, entry = Cache(client), NOTHING
    try:
        for now, step in enumerate(steps, start=1):
            reply, entry, told = step(cache, entry, now)
            assert _reply(reply) == _reply(told)
            assert cache.entry() == _timeless(entry, now)
    finally:
        client.delete(cache.key, cache.epoch_key)


@SEQUENCES
@given(steps=sequences(FILLED, RECORD_STEPS))
def test_any_steps_on_a_record_end_as_in_the_model(client: Redis, steps: list[Step]) -> None:
    follows_the_model(client, steps)


@SEQUENCES
@given(steps=sequences(LISTED, WINDOW_STEPS))
def test_any_steps_on_a_window_end_as_in_the_model(client: Redis, steps: list[Step]) -> None:
    follows_the_model(client, steps)


def test_a_key_of_another_type_counts_as_nothing_and_heals(cache: Cache) -> None:
    cache.client.set(cache.key, "not a hash")
    assert cache.read(Reading("one")) == [LEASED]
    assert cache.fill("one", Filling(1, b"x", FAR)) == [Filled.KEPT]
    assert cache.read(Reading("two"))[0].payload == b"x"


@pytest.mark.parametrize("field", ["v", "f"])
def test_an_entry_whose_numbers_do_not_read_counts_as_nothing(cache: Cache, field: str) -> None:
    filled_and_leased(cache, b"x")
    cache.client.hset(cache.key, field, "private")
    assert cache.read(Reading("one")) == [LEASED]


@pytest.mark.parametrize("text", ["", "1:2", "1:2::L", "x:2::L:private", "1:2:3:B:private"])
def test_a_packed_entry_that_does_not_read_counts_as_nothing(cache: Cache, text: str) -> None:
    cache.client.set(cache.key, text)
    assert cache.read(Reading("one")) == [LEASED]
    assert cache.fill("one", Filling(1, b"x", FAR)) == [Filled.KEPT]


def test_a_reply_that_does_not_parse_raises_without_its_content(cache: Cache) -> None:
    filled_and_leased(cache, b"x")
    cache.client.hset(cache.key, "v", "0x10")  # a number to Lua
    cache.client.hset(cache.key, "d", "private")
    with pytest.raises(ValueError, match="Redis replied") as caught:
        cache.read(Reading("one"))
    assert "private" not in str(caught.value)
    assert caught.value.__cause__ is None
    assert caught.value.__context__ is None


@pytest.mark.parametrize(
    "parse",
    [
        replies.read_replies,
        replies.read_window_reply,
        replies.fill_replies,
        replies.fill_window_reply,
        replies.intend_replies,
        replies.publish_replies,
    ],
)
@pytest.mark.parametrize(
    "reply",
    [
        None,
        b"OK",
        7,
        [],
        [b"E"],
        [b"E", b"\xff"],
        [b"X", 1],
        [b"K", []],
        [b"K", None],
        [b"K", [b"L"]],
    ],
    ids=repr,
)
def test_what_no_script_replies_is_a_value_error(
    parse: Callable[[object], object], reply: object
) -> None:
    with pytest.raises(ValueError, match="Redis replied"):
        parse(reply)


def filled(cache: Cache, payload: bytes | None, version: int = 1) -> None:
    assert cache.read(Reading("filler")) == [LEASED]
    assert cache.fill("filler", Filling(version, payload, FAR)) == [Filled.KEPT]


def filled_and_leased(cache: Cache, payload: bytes | None) -> None:
    """Known, and a hash: as a reader leaves it who was to read it anew, and died."""
    filled(cache, payload)
    assert cache.read(Reading("reader", "refresh", lease=OVER)) == [LEASED]


def test_where_there_is_no_epoch_the_proposed_one_is_set_and_nothing_else_done(
    cache: Cache,
) -> None:
    cache.client.delete(cache.epoch_key)
    cache.known = Known("old", "fresh")
    assert cache.read(Reading("one")) == OtherEpoch("fresh")
    assert cache.entry() == NOTHING
    cache.known = Known("fresh", "unused")
    assert cache.read(Reading("one")) == [LEASED]
    assert cache.client.pttl(cache.epoch_key) > 0


def test_an_evicted_epoch_never_comes_back(cache: Cache) -> None:
    filled(cache, b"x")
    cache.client.delete(cache.epoch_key)
    cache.known = Known("epoch", "fresh")
    for _ in range(2):
        assert cache.read(Reading("one")) == OtherEpoch("fresh")


def test_in_another_epoch_no_script_does_anything(cache: Cache) -> None:
    filled(cache, b"x")
    before = cache.entry()
    cache.client.set(cache.epoch_key, "replaced", px=FAR)
    replies = (
        cache.read(Reading("one", "refresh")),
        cache.read_window(Reading("one", "refresh")),
        cache.fill("one", Filling(2, b"y", FAR)),
        cache.fill_window("one", WindowFilling(2, True, b"", FAR, [])),
        cache.intend("one"),
        cache.publish("one", Drop(9)),
    )
    assert set(replies) == {OtherEpoch("replaced")}
    assert cache.entry() == before


@pytest.mark.parametrize(
    ("stored", "known"),
    [
        (None, Known("a", "b")),
        ("a", Known("a", "b")),
        ("c", Known("a", "b")),
        ("run1@c", Known("run1@a", "run1@b")),
        ("run1@a", Known("run1@a", "run1@b")),
        ("run1@a", Known("run2@b", "run2@b")),
        ("a", Known("run2@b", "run2@b")),
        ("run1@a", Known("b", "b")),
    ],
    ids=repr,
)
def test_the_epoch_after_a_call_is_the_models(
    cache: Cache, stored: str | None, known: Known
) -> None:
    if stored is None:
        cache.client.delete(cache.epoch_key)
    else:
        cache.client.set(cache.epoch_key, stored, px=FAR)
    cache.known = known
    after, went_on = model.epoch_after(stored, known)
    assert cache.read(Reading("one")) == ([LEASED] if went_on else OtherEpoch(after))
    assert cache.client.get(cache.epoch_key) == after.encode()


def test_what_came_back_from_a_snapshot_is_only_used_in_the_run_it_was_written_in(
    cache: Cache,
) -> None:
    cache.known = Known("run1@a", "run1@b")
    cache.client.set(cache.epoch_key, "run1@a", px=FAR)
    filled(cache, b"old")
    snapshot = {key: cache.client.dump(key) for key in (cache.epoch_key, cache.key)}
    cache.intend("writer")
    cache.publish("writer", KeepLive(2, b"new", FAR))
    for key, value in snapshot.items():
        cache.client.restore(key, FAR, value, replace=True)
    assert cache.read(Reading("one"))[0].payload == b"old"
    cache.known = Known("run2@c", "run2@c")
    assert cache.read(Reading("one")) == OtherEpoch("run2@c")


def test_an_epoch_key_of_another_type_is_replaced(cache: Cache) -> None:
    cache.client.delete(cache.epoch_key)
    cache.client.hset(cache.epoch_key, "a", "b")
    cache.known = Known("epoch", "fresh")
    assert cache.read(Reading("one")) == OtherEpoch("fresh")


WINDOW = WindowFilling(1, True, b"", FAR, [("a", b"1"), ("b", b"2")])


def listed(cache: Cache) -> None:
    assert cache.read_window(Reading("filler")) == LEASED
    assert cache.fill_window("filler", WINDOW) is Filled.KEPT


def test_a_window_is_changed_only_by_who_knows_of_its_last_intent(cache: Cache) -> None:
    listed(cache)
    sequence = cache.intend("writer")[0].sequence
    change = Change(2, sequence - 1, FAR, [("c", b"3")])
    assert cache.publish("writer", change) == [Published(False, sequence)]
    assert cache.read_window(Reading("one")) == LEASED


def test_a_refresh_leaves_a_lease_to_who_has_it(cache: Cache) -> None:
    listed(cache)
    assert cache.read_window(Reading("one", "refresh")) == LEASED
    assert cache.read_window(Reading("two", "refresh")) == BUSY
    assert cache.fill_window("two", WINDOW) is Filled.NOT_LEASED


def test_a_window_is_filled_by_a_read_of_the_moment_of_its_floor(cache: Cache) -> None:
    cache.publish("writer", Drop(WINDOW.version))
    listed(cache)


def test_a_peek_does_not_trust_what_an_expired_intent_was_for(cache: Cache) -> None:
    filled(cache, b"x")
    cache.intend("writer", life=OVER)
    before = cache.entry()
    assert cache.read(Reading("one", "peek")) == [LEASED]
    assert cache.entry() == before


def test_an_append_never_prolongs_the_life_of_a_window(cache: Cache) -> None:
    cache.read_window(Reading("one"))
    cache.fill_window("one", WindowFilling(1, True, b"", FAR, [("a", b"1")]))
    intended = cache.intend("writer", keep=5 * FAR)[0]
    change = Change(2, intended.sequence, 9 * FAR, [("b", b"2")])
    assert cache.publish("writer", change, keep=5 * FAR) == [Published(True, intended.sequence)]
    assert cache.client.pttl(cache.key) <= FAR


def test_a_window_that_ended_during_a_write_is_dropped(cache: Cache) -> None:
    cache.read_window(Reading("one"))
    cache.fill_window("one", WindowFilling(1, True, b"", FAR, [("a", b"1")]))
    intended = cache.intend("writer")[0]
    cache.client.hset(cache.key, "x", 1)
    change = Change(2, intended.sequence, FAR, [("b", b"2")])
    assert cache.publish("writer", change) == [Published(False, intended.sequence)]
    assert cache.entry().members == frozenset()


def test_a_lease_on_what_is_known_does_not_prolong_it(cache: Cache) -> None:
    filled(cache, b"x")
    assert cache.read(Reading("one", "refresh", lease=5 * FAR, keep=5 * FAR)) == [LEASED]
    assert cache.client.pttl(cache.key) <= FAR


def test_a_window_of_many_members_is_kept_read_and_dropped_whole(cache: Cache) -> None:
    members = [(f"id{number}", b"%d" % number) for number in range(5_000)]
    cache.read_window(Reading("one"))
    assert cache.fill_window("one", WindowFilling(1, False, b"9", FAR, members)) is Filled.KEPT
    told = cache.read_window(Reading("two"))
    assert sorted(told.members) == sorted(members)
    assert cache.intend("writer")[0].count == len(members)
    cache.publish("writer", Drop(2))
    assert set(cache.client.hkeys(cache.key)) == {b"v", b"n"}


def test_each_of_many_keys_gets_its_own_answer(cache: Cache) -> None:
    more = [f"{cache.key}:{number}" for number in range(399)]
    fillings = [Filling(number, b"%d" % number, FAR) for number in range(400)]
    try:
        assert cache.read(Reading("one"), *more) == [LEASED] * 400
        assert cache.fill("one", *fillings, more_keys=more) == [Filled.KEPT] * 400
        told = cache.read(Reading("two"), *more)
        assert [each.payload for each in told] == [each.payload for each in fillings]
        intended = cache.intend("writer", more=more)
        assert all(each.ready for each in intended)
        actions = [KeepLive(1_000, b"new", FAR), *(KeepAbsent(1_000, FAR) for _ in more)]
        assert all(each.kept for each in cache.publish("writer", *actions, more=more))
        live, *absent = cache.read(Reading("three"), *more)
        assert live.payload == b"new"
        assert {type(each) for each in absent} == {Absent}
    finally:
        cache.client.delete(*more)


def test_what_was_filled_before_a_moment_counts_as_unknown(cache: Cache) -> None:
    filled(cache, b"x")
    told = cache.read(Reading("one"))[0]
    assert cache.read(Reading("one", since=told.filled_at)) == [told]
    assert cache.read(Reading("one", "peek", since=told.filled_at + 1)) == [LEASED]
    assert cache.read(Reading("one", since=told.filled_at + 1)) == [LEASED]
    assert cache.read(Reading("two", since=told.filled_at + 1)) == [Waiting("one")]
    assert cache.read(Reading("two")) == [told]


def test_a_peek_changes_nothing(cache: Cache) -> None:
    assert cache.read(Reading("one", "peek")) == [LEASED]
    assert cache.entry() == NOTHING
    cache.intend("writer", life=OVER)
    before = cache.entry()
    assert cache.read(Reading("one", "peek")) == [LEASED]
    assert cache.entry() == before


def test_an_intent_tells_of_the_entry_it_fences(cache: Cache) -> None:
    filled(cache, b"x", version=5)
    assert cache.intend("one") == [Intended(1, True, False, b"", 0, version=5)]
    assert cache.intend("two") == [Intended(2, False, False, b"", 0, version=5)]
    assert cache.read(Reading("three")) == [BUSY]


@pytest.mark.anyio
async def test_a_script_redis_has_forgotten_is_sent_again(own_server: RedisServer) -> None:
    async with AsyncRedis.from_url(own_server.url) as client:
        keys, arguments = (
            ["epoch", "entry"],
            scripts.read_arguments(KNOWN, **_reading(Reading("one"))),
        )
        for _ in range(2):
            await client.script_flush()
            await client.set("epoch", KNOWN.epoch)
            reply = await scripts.run(client, scripts.READ, keys, arguments)
            assert isinstance(replies.read_replies(reply), list)
        assert await client.script_exists(scripts.READ.sha) == [True]


@pytest.mark.anyio
async def test_a_user_who_may_not_manage_scripts_may_run_them(own_server: RedisServer) -> None:
    async with AsyncRedis.from_url(own_server.url) as admin:
        await admin.script_flush()
        await admin.acl_setuser(
            "app", enabled=True, passwords=["+secret"], keys=["app:*"], commands=COMMANDS
        )
    async with AsyncRedis.from_url(own_server.url, username="app", password="secret") as client:
        with pytest.raises(NoPermissionError):
            await client.script_load("return 1")
        arguments = scripts.read_arguments(KNOWN, **_reading(Reading("one")))
        keys = ["app:epoch", "app:entry"]
        assert replies.read_replies(await scripts.run(client, scripts.READ, keys, arguments))
        for script, given in every_step():
            await scripts.run(client, script, keys, given)


COMMANDS = [
    "-@all",
    *(f"+{name}" for name in ("eval", "evalsha", "get", "set", "time", "hgetall", "hset", "hdel")),
    *("+getrange", "+del", "+pttl", "+pexpire"),
]
"""All that the scripts need."""


def every_step() -> Iterator[tuple[scripts.Script, list[Any]]]:
    """Each script, so that it gets to all of its commands."""
    reading = scripts.read_arguments(KNOWN, **_reading(Reading("one")))
    yield scripts.READ, reading
    yield scripts.READ, reading
    yield scripts.FILL, scripts.fill_arguments(KNOWN, "one", [Filling(1, b"x", FAR)])
    yield scripts.INTEND, scripts.intend_arguments(KNOWN, "writer", life=FAR, keep=FAR)
    yield scripts.PUBLISH, scripts.publish_arguments(KNOWN, "writer", FAR, [Drop(1)])
    yield scripts.READ_WINDOW, reading
    window = WindowFilling(2, True, b"", FAR, [("a", b"1")])
    yield scripts.FILL_WINDOW, scripts.fill_window_arguments(KNOWN, "one", window)


@pytest.fixture(scope="module")
def own_server() -> Iterator[RedisServer]:
    with servers.start(own=True) as running:
        yield running


def test_a_publish_invalidates_where_the_memory_limit_is_reached() -> None:
    limit = ("--maxmemory", "20mb", "--maxmemory-policy", "noeviction")
    with servers.start(*limit) as running, Redis.from_url(running.url) as client:
        cache = Cache(client)
        filled(cache, b"old")
        assert cache.intend("writer", keep=FAR)[0].ready
        fill_memory(client)
        assert cache.publish("writer", KeepLive(2, b"new", FAR)) == [Published(True, 1)]
        assert cache.read(Reading("one"))[0].payload == b"new"
        with pytest.raises(OutOfMemoryError):
            Cache(client).intend("another")


def fill_memory(client: Redis) -> None:
    for size in (100_000, 1_000, 10):
        with pytest.raises(OutOfMemoryError):
            add_until_refused(client, size)


def add_until_refused(client: Redis, size: int) -> None:
    for number in range(10_000):
        client.set(f"ballast:{size}:{number}", b"x" * size)
