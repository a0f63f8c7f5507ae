"""What is remembered of writes that Redis was not told."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from orchestra_memory import MemoryItem, Ref
from orchestra_memory.layers.cached.pending import Pending
from orchestra_memory.layers.cached.scopes import Scope

ADDED = st.tuples(st.sampled_from("abc"), st.sampled_from([None, "one", "two"]), st.integers(0, 9))


def ref(key: str, namespace: str | None = None) -> Ref[MemoryItem]:
    return Ref(MemoryItem, key, namespace)


def told(pending: Pending) -> dict[object, int]:
    """Tell all of it, as the healer does."""
    found: dict[object, int] = {}
    for namespace, added in pending.overflowed():
        pending.replaced(namespace, added)
        found[namespace] = -1
    for steps in pending.batches(2):
        assert len({step.target.namespace for step in steps}) == 1
        assert len(steps) <= 2
        found |= {step.target: step.action.floor for step in steps}
        pending.published(steps)
    return found


@given(added=st.lists(ADDED))
def test_each_target_is_told_once_with_its_highest_floor(added):
    pending = Pending()
    highest: dict[object, int] = {}
    for key, namespace, floor in added:
        target = ref(key, namespace)
        pending.add(target, floor)
        highest[target] = max(floor, highest.get(target, 0))
    assert len(pending) == len(highest)
    assert told(pending) == highest
    assert len(pending) == 0


@given(added=st.lists(ADDED), most=st.integers(0, 5))
def test_it_never_grows_beyond_its_bound_and_forgets_nothing(added, most):
    pending = Pending(most)
    for key, namespace, floor in added:
        pending.add(ref(key, namespace), floor)
    assert len(pending) <= most + 3, "and one for each namespace"
    found = told(pending)
    for key, namespace, _ in added:
        assert namespace in found or ref(key, namespace) in found
    assert len(pending) == 0


def test_records_and_windows_are_told_apart():
    pending = Pending()
    scope = Scope(MemoryItem, ("user_id",), ("a",))
    pending.add(ref("a"), 1)
    pending.add(scope, 2)
    assert told(pending) == {ref("a"): 1, scope: 2}


def test_what_is_added_while_it_is_told_is_still_to_be_told():
    pending = Pending()
    pending.add(ref("a"), 5)
    (steps,) = pending.batches(10)
    pending.add(ref("a"), 5)
    pending.published(steps)
    assert told(pending) == {ref("a"): 5}


def test_what_is_added_while_the_epoch_is_replaced_calls_for_another():
    pending = Pending(0)
    pending.add(ref("a"), 5)
    ((namespace, added),) = pending.overflowed()
    pending.add(ref("b"), 6)
    pending.replaced(namespace, added)
    assert len(pending) == 1
    assert told(pending) == {None: -1}


def test_an_overflow_leaves_other_namespaces_alone():
    pending = Pending(2)
    pending.add(ref("a", "one"), 1)
    pending.add(ref("a", "two"), 1)
    pending.add(ref("b", "two"), 1)
    pending.add(ref("b", "one"), 1)
    assert told(pending) == {"two": -1, ref("a", "one"): 1, ref("b", "one"): 1}
