"""In which epoch scripts do anything."""

from __future__ import annotations

import pytest

from orchestra_memory.layers.cached import model
from orchestra_memory.layers.cached.model import NOTHING, Reading
from orchestra_memory.layers.cached.replies import (
    LEASED,
    OtherEpoch,
)
from orchestra_memory.layers.cached.scripts import (
    Drop,
    Filling,
    KeepLive,
    Known,
    WindowFilling,
)
from tests.cached.scripted import (
    FAR,
    Cache,
    filled,
)


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
