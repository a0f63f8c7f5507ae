"""What scripts find and leave in an entry, by example."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from orchestra_memory.layers.cached import replies
from orchestra_memory.layers.cached.model import NOTHING, Reading
from orchestra_memory.layers.cached.replies import (
    BUSY,
    LEASED,
    Absent,
    Filled,
    Intended,
    Published,
    Waiting,
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
    OVER,
    WINDOW,
    Cache,
    filled,
    filled_and_leased,
    listed,
)


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


def test_a_window_is_changed_only_by_who_knows_of_its_last_intent(cache: Cache) -> None:
    listed(cache)
    sequence = cache.intend("writer")[0].sequence
    change = Change(2, sequence - 1, [("c", b"3")])
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
    change = Change(2, intended.sequence, [("b", b"2")])
    before = cache.fields()[b"x"]
    assert cache.publish("writer", change, keep=5 * FAR) == [Published(True, intended.sequence)]
    assert cache.fields()[b"x"] == before


def test_a_window_that_has_ended_is_unknown_however_long_its_key_stays(cache: Cache) -> None:
    listed(cache)
    cache.client.hset(cache.key, "x", 1)
    assert not cache.intend("writer")[0].ready
    assert cache.publish("writer", Drop(1)) == [Published(False, 1)]
    listed(cache)
    cache.client.hset(cache.key, "x", 1)
    assert cache.read_window(Reading("one", "peek")) == LEASED
    assert cache.read_window(Reading("one")) == LEASED
    assert cache.fill_window("one", WINDOW) is Filled.KEPT


def test_a_window_that_ended_during_a_write_is_dropped(cache: Cache) -> None:
    cache.read_window(Reading("one"))
    cache.fill_window("one", WindowFilling(1, True, b"", FAR, [("a", b"1")]))
    intended = cache.intend("writer")[0]
    cache.client.hset(cache.key, "x", 1)
    change = Change(2, intended.sequence, [("b", b"2")])
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
    assert set(cache.client.hkeys(cache.key)) == {b"v", b"n", b"i"}


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
