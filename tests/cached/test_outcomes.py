"""What a write touches, and what it makes of the entries."""

import pytest

from orchestra_memory import (
    AgentMemory,
    AgentState,
    CachePolicy,
    Delete,
    MemoryItem,
    Patch,
    Put,
    Receipt,
    Ref,
    UserSession,
)
from orchestra_memory.codec.document import encode
from orchestra_memory.layers.cached.entries import row_in
from orchestra_memory.layers.cached.outcome import (
    Moves,
    Outcome,
    Work,
    fence_seconds,
    floors_of,
    moved_by,
    scopes_by_key,
    steps_if_refused,
    told_scopes,
)
from orchestra_memory.layers.cached.policy import Policies
from orchestra_memory.layers.cached.replies import Intended, Published
from orchestra_memory.layers.cached.scopes import Scope
from orchestra_memory.layers.cached.scripts import Change, Drop, KeepAbsent, KeepLive
from orchestra_memory.layers.cached.steps import Step
from orchestra_memory.testing.contract.models import Lease, Note
from orchestra_memory.values import same

from .beneath import NOW, A, said

POLICIES = Policies(60.0)
USER = Scope(MemoryItem, ("user_id",), ("u",))
SESSION = Scope(MemoryItem, ("user_id", "session_id"), ("u", "s"))
COMPLETE = Intended(sequence=7, ready=True, complete=True, bound=b"", count=3)

UNKNOWN = Intended(sequence=1, ready=False, complete=False, bound=b"", count=0)


def fenced(*, version: int, ready: bool = True) -> Intended:
    return Intended(1, ready, complete=False, bound=b"", count=0, version=version)


def worked(*ops, one_commit: bool = True, moved=None) -> Work:
    work = Work(ops, moved or {}, is_one_commit=one_commit)
    for place in range(len(ops)):
        work.touch(place)
    return work


def steps(work: Work, receipt: Receipt, intended=None, policies: Policies = POLICIES) -> list:
    work.prepare()
    told = None if intended is None else [intended.get(each, UNKNOWN) for each in work.targets()]
    at_once, early = Outcome(work, told, policies), Outcome(work, told, policies)
    early.decide()
    found = list(early.steps(receipt))
    assert [kinds(step) for step in at_once.steps(receipt)] == [kinds(step) for step in found]
    return found


def kinds(step: Step) -> tuple:
    """What it is about, and what is done with it, but for the time it lives."""
    return step.target, type(step.action), step.action.floor


class TestTouched:
    def test_a_put_touches_its_record_and_all_its_scopes(self):
        assert worked(Put(said(1))).targets() == [Ref(MemoryItem, "m001"), USER, SESSION]
        assert worked(Put(said(1).evolve(session_id=None))).targets() == [
            Ref(MemoryItem, "m001"),
            USER,
        ]

    def test_a_delete_touches_its_record_only(self):
        assert worked(Delete(Ref(MemoryItem, "m"))).targets() == [Ref(MemoryItem, "m")]

    def test_each_is_touched_once(self):
        work = worked(Put(said(1)), Put(said(2)), Delete(Ref(MemoryItem, "m001")))
        assert work.targets() == [Ref(MemoryItem, "m001"), Ref(MemoryItem, "m002"), USER, SESSION]
        assert list(work.scopes.values()) == [[0, 1], [0, 1]]
        assert list(work.last.values()) == [2, 1]

    def test_namespaces_are_apart(self):
        work = worked(Put(Note(id="a")), Put(Note(id="a"), namespace="ours"))
        scopes = [Scope(Note, ("owner",), ("alice",), namespace) for namespace in (None, "ours")]
        assert work.targets() == [A, Ref(Note, "a", "ours"), *scopes]

    def test_a_patch_touches_the_scopes_it_moves_its_record_in(self):
        ref = Ref(MemoryItem, "m")
        patch = Patch(ref, set={"timestamp": NOW})
        assert worked(patch).targets() == [ref]
        assert worked(patch, moved={ref: [USER]}).targets() == [ref, USER]

    def test_what_a_patch_may_create_is_listed_in_its_scopes(self):
        patch = Patch(Ref(MemoryItem, "m001"), set={"item_type": "x"}, or_create=said(1))
        assert worked(patch).targets() == [Ref(MemoryItem, "m001"), USER, SESSION]

    def test_only_what_moves_a_record_calls_for_its_scopes(self):
        ref = Ref(MemoryItem, "m001")
        assert moved_by(Patch(ref, set={"timestamp": NOW}))
        assert moved_by(Patch(ref, set={"timestamp": NOW}, or_create=said(1)))
        assert not moved_by(Patch(ref, set={"item_type": "x"}))
        assert not moved_by(Patch(ref, set={"item_type": "x"}, or_create=said(1)))
        assert not moved_by(Patch(Ref(Lease, "a"), unset=["expiration"]))
        assert not moved_by(Put(said(1)))
        assert not moved_by(Delete(ref))

    def test_an_id_may_tell_the_scopes(self):
        session = UserSession(user_id="u_1", session_id="s")
        assert scopes_by_key(Ref(UserSession, session.key)) == [
            Scope(UserSession, ("user_id",), ("u_1",))
        ]
        agent = AgentMemory(agent_type="coder", agent_id="7")
        assert scopes_by_key(Ref(AgentMemory, agent.key, "ours")) == [
            Scope(AgentMemory, ("agent_type", "agent_id"), ("coder", "7"), "ours")
        ]
        assert scopes_by_key(Ref(MemoryItem, "m")) is None

    @pytest.mark.parametrize(
        ("before", "after", "sure"),
        [
            (fenced(version=5), Published(kept=False, sequence=1), True),
            (fenced(version=6), Published(kept=False, sequence=1), False),
            (fenced(version=5, ready=False), Published(kept=False, sequence=1), False),
            (fenced(version=5), Published(kept=False, sequence=2), False),
            (fenced(version=5), Published(kept=False, sequence=-1), False),
        ],
        ids=["alone", "another version", "others write", "others wrote", "no fence"],
    )
    def test_the_cache_tells_scopes_for_sure_only_where_nobody_else_wrote(
        self, before, after, sure
    ):
        ref = Ref(MemoryItem, "m")
        moves = Moves({ref: None}, {ref: [USER]}, {ref: 5})
        assert moves.unsure([ref, USER], [before], [after]) == ([] if sure else [ref])
        assert moves.unsure([ref, USER], None, None) == [ref]

    def test_ids_tell_scopes_for_sure(self):
        ref = Ref(UserSession, UserSession(user_id="u", session_id="s").key)
        moves = Moves({ref: None})
        moves.take_scopes_of_keys()
        assert moves.unknown() == []
        assert moves.unsure([ref], None, None) == []

    def test_scopes_are_told_as_they_are_stored(self):
        for record in (said(1), said(1).evolve(user_id="é"), said(1).evolve(session_id=None)):
            document, stored = told_scopes(record), encode(record)
            assert [document[name] for name in ("user_id", "session_id")] == [
                stored[name] for name in ("user_id", "session_id")
            ]

    def test_a_fence_outlives_the_call(self):
        assert fence_seconds(1, 2.0) == 7.0
        assert fence_seconds(1, None) > 15.0
        assert fence_seconds(10_000, None) > 200.0


class TestOutcomes:
    def test_a_put_is_kept_at_its_own_revision(self):
        (step, window) = steps(worked(Put(Note(id="a"))), Receipt((5,), 9))
        kept = step.action
        assert isinstance(kept, KeepLive)
        assert (step.target, kept.floor) == (A, 5)
        assert 54_000 <= kept.ttl <= 66_000
        assert window == Step(Scope(Note, ("owner",), ("alice",)), Drop(5))

    def test_a_delete_is_kept_at_the_time_of_the_commit(self):
        (step,) = steps(worked(Delete(A)), Receipt((None,), 9))
        assert isinstance(step.action, KeepAbsent)
        assert (step.target, step.action.floor) == (A, 9)

    def test_a_patch_leaves_its_revision(self):
        (step,) = steps(worked(Patch(A, set={"rank": 1})), Receipt((5,), 9))
        assert step == Step(A, Drop(5))

    def test_the_last_operation_decides(self):
        work = worked(Put(Lease(id="a")), Delete(Ref(Lease, "a")), Put(Lease(id="a", rank=2)))
        (step,) = steps(work, Receipt((5, None, 5), 9))
        assert isinstance(step.action, KeepLive)
        assert step.action.floor == 5
        (step,) = steps(
            worked(Put(Lease(id="a")), Delete(Ref(Lease, "a"))), Receipt((None,) * 2, 9)
        )
        assert isinstance(step.action, KeepAbsent)

    def test_of_several_commits_no_delete_is_kept(self):
        # The receipt tells the time of the last: another may have written since this one.
        (step,) = steps(worked(Delete(A), one_commit=False), Receipt((None,), 9))
        assert step == Step(A, Drop(9))

    def test_what_the_receipt_does_not_tell_is_dropped(self):
        work = worked(Put(Lease(id="a")), Delete(Ref(Lease, "b")))
        refs = [Ref(Lease, "a"), Ref(Lease, "b")]
        for receipt, floors in (
            (Receipt((), 9, count=2), (9, 9)),
            (Receipt((None, None), 9), (9, 9)),
        ):
            first, second = steps(work, receipt)
            assert first == Step(refs[0], Drop(floors[0]))
            assert second.action.floor == floors[1]
        assert steps(work, Receipt((None, None), None)) == [Step(ref, Drop(0)) for ref in refs]

    def test_of_a_load_nothing_is_kept(self):
        ops = [Put(said(number)) for number in range(60)]
        intended = {USER: COMPLETE, SESSION: COMPLETE}
        made = steps(worked(*ops, one_commit=False), Receipt(tuple(range(60)), 99), intended)
        assert made[:60] == [Step(op.ref, Drop(floor)) for floor, op in enumerate(ops)]
        assert made[60:] == [Step(USER, Drop(59)), Step(SESSION, Drop(59))]

    def test_a_large_atomic_write_is_no_load(self):
        ops = [Put(Lease(id=f"n{number}")) for number in range(60)]
        made = steps(worked(*ops), Receipt(tuple(range(60)), 99))
        assert all(isinstance(step.action, KeepLive) for step in made)

    def test_a_window_gets_what_was_put(self):
        made = steps(worked(Put(said(1)), Put(said(2))), Receipt((5, 6), 9), {SESSION: COMPLETE})
        assert made[2] == Step(USER, Drop(6))
        target, change = made[3]
        assert isinstance(change, Change)
        assert (target, change.floor, change.sequence) == (SESSION, 6, 7)
        assert [key for key, sort in change.members if sort] == ["m001", "m002"]

    def test_a_window_whose_record_was_patched_is_dropped(self):
        patch = Patch(Ref(MemoryItem, "m001"), set={"item_type": "x"}, or_create=said(1))
        made = steps(worked(patch), Receipt((5,), 9), {USER: COMPLETE, SESSION: COMPLETE})
        assert made[1:] == [Step(USER, Drop(5)), Step(SESSION, Drop(5))]

    def test_policies_keep_records_and_lists_out(self):
        intended = {USER: COMPLETE, SESSION: COMPLETE}
        for policy in (CachePolicy(records=False), CachePolicy(max_bytes=10)):
            policies = Policies(60.0, {MemoryItem: policy})
            assert isinstance(
                steps(worked(Put(said(1))), Receipt((5,), 9), intended, policies)[0].action, Drop
            )
        policies = Policies(60.0, {MemoryItem: CachePolicy(windows=False)})
        made = steps(worked(Put(said(1))), Receipt((5,), 9), intended, policies)
        assert isinstance(made[0].action, KeepLive)
        assert made[1:] == [Step(USER, Drop(5)), Step(SESSION, Drop(5))]

    def test_what_was_put_is_taken_as_it_is_then(self):
        note = Note(id="a", data={"x": 1})
        work = worked(Put(note))
        work.prepare()
        note.data["x"] = 2
        assert work.puts[0].document["data"] == {"x": 1}

    @pytest.mark.parametrize("changed", [2, 1.0, True])
    def test_what_changed_since_it_was_prepared_is_prepared_anew(self, changed):
        note = Note(id="a", data={"x": 1})
        work = worked(Put(note))
        work.prepare_early()
        note.data["x"] = changed
        put = steps(work, Receipt((5,), 9))[0]
        assert same(row_in(A, put.action.payload).document["data"], {"x": changed})

    def test_what_changed_in_a_list_since_it_was_prepared_is_prepared_anew(self):
        state = AgentState(agent_type="t", agent_id="a", session_id="s", tools_enabled=["x"])
        work = worked(Put(state))
        work.prepare_early()
        state.tools_enabled.append("y")
        work.prepare()
        assert work.puts[0].document["tools_enabled"] == ["x", "y"]

    def test_a_vector_that_changed_since_it_was_prepared_is_prepared_anew(self):
        item = MemoryItem(user_id="u", embedding=[0.5, 1.0])
        work = worked(Put(item))
        work.prepare_early()
        early = work.puts[0]
        work.prepare()
        assert work.puts[0] is early
        item.embedding[0] = 2.0
        work.prepare()
        assert work.puts[0].document["embedding"] == [2.0, 1.0]

    def test_after_a_refusal_records_are_dropped_and_lists_are_kept(self):
        record, kept, dropped = steps_if_refused([A, USER, SESSION], [COMPLETE, COMPLETE, UNKNOWN])
        assert record == Step(A, Drop(0))
        assert kept == Step(USER, Change(0, 7, ()))
        assert dropped == Step(SESSION, Drop(0))

    def test_floors_follow_the_operations(self):
        assert floors_of(Receipt((5, None, 6), 9), 3) == [5, 9, 6]
        assert floors_of(Receipt((), 9, count=2), 2) == [9, 9]
        assert floors_of(Receipt((None,), None), 1) == [0]
