"""Keys in Redis: one for each thing, one slot for each namespace."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestra_memory import MemoryItem, Record, Ref, SystemState, UserSession
from orchestra_memory.layers.cached.keys import Keyspace
from orchestra_memory.layers.cached.scopes import Scope

NAMES = st.one_of(
    st.text("a{}%:/,~r", min_size=1, max_size=6),
    st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=4),
)
NAMESPACES = st.none() | st.text("a{}%:,", min_size=1, max_size=5)
LONG = "é" * 600


def slot(key: str) -> str:
    """What Redis Cluster hashes: between the first brace and the next closing one."""
    found = re.search(r"\{(.+?)\}", key, re.DOTALL)
    assert found is not None
    return found[1]


class Odd(Record, collection="a:b{,", scopes=["user", ("user", "session")]):
    id: str
    user: str
    session: str


@given(*[st.tuples(NAMES, NAMESPACES, NAMES, st.sampled_from([MemoryItem, Odd]))] * 2)
def test_different_records_have_different_keys(ours, theirs) -> None:
    keys = [
        Keyspace(store).key(Ref(model, key, namespace), "e")
        for store, namespace, key, model in (ours, theirs)
    ]
    assert (ours == theirs) == (keys[0] == keys[1])


@given(*[st.tuples(NAMES, NAMESPACES, st.tuples(NAMES, NAMES) | st.tuples(NAMES))] * 2)
def test_different_scopes_have_different_keys(ours, theirs) -> None:
    keys = [
        Keyspace(store).key(Scope(Odd, ("user", "session")[: len(values)], values, namespace), "e")
        for store, namespace, values in (ours, theirs)
    ]
    assert (ours == theirs) == (keys[0] == keys[1])


@given(NAMES, NAMESPACES, NAMES)
def test_all_keys_of_a_namespace_share_a_slot(store, namespace, key) -> None:
    keyspace = Keyspace(store)
    ref, scope = Ref(Odd, key, namespace), Scope(Odd, ("user",), (key,), namespace)
    keys = [keyspace.epoch_key(namespace), keyspace.key(ref, "e"), keyspace.key(scope, "e")]
    assert len({slot(text) for text in keys}) == 1
    assert len(set(keys)) == 3


@given(NAMES, NAMES)
def test_no_namespace_is_apart_from_each(store, namespace) -> None:
    keyspace = Keyspace(store)
    assert slot(keyspace.epoch_key(None)) != slot(keyspace.epoch_key(namespace))


def test_keys_say_what_they_are_of() -> None:
    keyspace = Keyspace("project/database")
    item, session = Ref(MemoryItem, "m1", "acme"), Scope(UserSession, ("user_id",), ("a,b",))
    assert keyspace.epoch_key("acme") == "om:{project%2Fdatabase/acme}:epoch"
    assert keyspace.key(item, "7f") == "om:{project%2Fdatabase/acme}:7f:r:memory_items:m1"
    assert keyspace.key(session, "7f") == (
        "om:{project%2Fdatabase/}:7f:w:user_sessions:user_id:a%2Cb"
    )


def test_another_epoch_has_other_keys() -> None:
    keyspace, ref = Keyspace("s"), Ref(SystemState, "global_config")
    assert keyspace.key(ref, "1") != keyspace.key(ref, "2")


@pytest.mark.parametrize("key", [LONG, "a" * 201, "~" + "/" * 300])
def test_what_is_long_is_hashed_and_stays_apart(key) -> None:
    keyspace = Keyspace("s")
    long, other = (keyspace.key(Ref(MemoryItem, text), "e") for text in (key, key + "b"))
    assert len(long.encode()) < 150
    assert long != other
    hashed = long.rpartition(":")[2]
    assert keyspace.key(Ref(MemoryItem, hashed), "e") != long


def test_a_long_scope_is_hashed_and_stays_apart() -> None:
    keyspace = Keyspace("s")
    keys = {
        keyspace.key(Scope(Odd, ("user", "session"), values), "e")
        for values in ((LONG, "a"), (LONG, "b"), ("a", LONG))
    }
    assert len(keys) == 3
    assert max(len(key.encode()) for key in keys) < 150
