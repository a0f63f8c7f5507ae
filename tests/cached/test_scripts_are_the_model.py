"""The Lua scripts on a real Redis do what the model does, for any sequence of calls."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from redis import Redis

from orchestra_memory.layers.cached import model, scripts
from orchestra_memory.layers.cached.model import NOTHING, Entry, Reading
from orchestra_memory.layers.cached.replies import (
    Absent,
    Found,
    Window,
)
from orchestra_memory.layers.cached.scripts import (
    Change,
    Drop,
    Filling,
    KeepAbsent,
    KeepLive,
    WindowFilling,
)
from tests.cached.scripted import (
    FAR,
    NEVER,
    OVER,
    Cache,
    minutes,
)


def _timeless(entry: Entry, now: int) -> Entry:
    """The model's entry as :meth:`Cache.entry` tells it."""
    return replace(
        entry,
        filled_at=0,
        lease_ends=0,
        ends=0,
        intents=frozenset((token, int(expiry > now)) for token, expiry in entry.intents),
        expires=minutes((entry.expires - now) // 1000) if entry != NOTHING else 0,
    )


def _reply(reply: Any) -> Any:
    """A reply without the time, the members of a window in order."""
    if isinstance(reply, list):
        return [_reply(each) for each in reply]
    if isinstance(reply, Window):
        return replace(reply, filled_at=0, members=tuple(sorted(reply.members)))
    return replace(reply, filled_at=0) if isinstance(reply, Found | Absent) else reply


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
        st.builds(Change, VERSIONS, st.just(0), CHANGES),
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
