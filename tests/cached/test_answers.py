"""What the cache's replies come to, and what is kept of answers from below."""

from datetime import timedelta

import pytest

from orchestra_memory import (
    CachePolicy,
    Health,
    Options,
    Page,
    Query,
    Ref,
    Source,
    Status,
    Stored,
    recent,
)
from orchestra_memory.codec.document import encode
from orchestra_memory.layers.cached.answers import (
    AS_ROW,
    AS_STORED,
    UNREADABLE,
    Call,
    fill_of,
    has_misses,
    holds_at_once,
    is_same,
    own_copy,
    read_mode,
    unknown,
)
from orchestra_memory.layers.cached.entries import payload
from orchestra_memory.layers.cached.link import LinkStatus
from orchestra_memory.layers.cached.listing import cut_to, one_more, window_mode
from orchestra_memory.layers.cached.memory import health_of
from orchestra_memory.layers.cached.policy import Policies
from orchestra_memory.layers.cached.replies import Absent, Busy, Found, Waiting
from orchestra_memory.layers.cached.scopes import scope_of
from orchestra_memory.layers.cached.scripts import GIVEN_BACK
from orchestra_memory.layers.cached.steps import (
    Leased,
    RecordFill,
)
from orchestra_memory.testing.contract.models import Note
from orchestra_memory.values import utc_now

from .beneath import A, said

POLICIES = Policies(60.0)


def entry(note: Note, revision: int = 5, filled_at: int = 1_000_000) -> Found:
    made = payload(Ref(Note, note.id), revision, encode(note), CachePolicy())
    assert made is not None
    return Found(revision, made, filled_at)


class TestAnswers:
    def test_an_entry_is_an_answer_with_its_age(self):
        stored = AS_STORED.at(3_500_000)(A, entry(Note(id="a", rank=1)))
        assert stored == Stored(Note(id="a", rank=1), 5, Source.CACHE, 2.5)

    def test_no_entry_is_older_than_now(self):
        stored = AS_STORED.at(0)(A, entry(Note(id="a")))
        assert stored.age == 0

    def test_what_is_known_to_be_absent_or_has_expired_is_none(self):
        past = Note(id="a", expiration=utc_now() - timedelta(seconds=1))
        assert AS_STORED.at(0)(A, Absent(5, 0)) is None
        assert AS_STORED.at(0)(A, entry(past)) is None

    def test_a_row_is_shown_though_it_has_expired(self):
        past = Note(id="a", expiration=utc_now() - timedelta(seconds=1))
        row = AS_ROW.at(1_000_000)(A, entry(past))
        assert (row.stored_id, row.revision, row.source) == ("a", 5, Source.CACHE)

    @pytest.mark.parametrize("form", [AS_STORED, AS_ROW])
    def test_an_entry_of_something_else_is_unreadable(self, form):
        assert form.at(0)(A, Found(5, b"garbage", 0)) is UNREADABLE
        assert form.at(0)(A, entry(Note(id="b"))) is UNREADABLE

    @pytest.mark.parametrize("miss", [Busy(), Leased("t"), Waiting("t")])
    def test_everything_else_is_why_there_is_no_answer(self, miss):
        assert AS_STORED.at(0)(A, miss) is miss
        assert has_misses([None, miss])

    def test_none_and_records_are_answers(self):
        assert not has_misses([None, Stored(Note(id="a"), 1)])
        assert not has_misses([])

    def test_a_copy_is_equal_and_apart(self):
        stored = Stored(Note(id="a", data={"x": []}), 5)
        copy = own_copy(A, stored)
        assert copy == stored
        assert copy.record.data["x"] is not stored.record.data["x"]
        assert own_copy(A, None) is None

    def test_an_unknown_record_is_named_by_what_is_known(self):
        stored = Stored(Note(id="a"), 1)
        refs = [A, Ref(Note, "b"), Ref(Note, "c")]
        error = unknown(Call(refs, [stored, None, Busy()]))
        assert error.known == {A: stored, Ref(Note, "b"): None}
        assert "1 of the 3" in str(error)
        assert not error.ambiguous

    @pytest.mark.parametrize(
        ("options", "mode"),
        [
            (Options(), "use"),
            (Options(cache="use", max_age=1.0), "use"),
            (Options(cache="refresh"), "refresh"),
            (Options(max_age=0), "refresh"),
            (Options(cache="only"), "peek"),
            (Options(cache="only", max_age=0), "peek"),
        ],
    )
    def test_how_redis_is_asked(self, options, mode):
        assert read_mode(options) == mode


class TestMoments:
    """Answers of one read must have held at the same time."""

    def call(self, first: dict, later: dict, moments: int = 1) -> Call:
        items = {**first, **later}
        refs = [Ref(Note, key) for key in items]
        answers = [rev and Stored(Note(id=key), rev) for key, rev in items.items()]
        return Call(refs, answers, cached=frozenset(range(len(first))), moments=moments)

    @pytest.mark.parametrize(
        ("first", "later", "moments"),
        [
            ({"a": 1, "b": None}, {}, 0),
            ({}, {"a": 1, "b": None}, 1),
            ({"a": 5, "b": 1}, {"c": 5, "d": 2}, 1),
            ({"a": 5}, {"c": 5, "d": 2}, 2),
        ],
    )
    def test_surely_did(self, first, later, moments):
        assert holds_at_once(self.call(first, later, moments))

    @pytest.mark.parametrize(
        ("first", "later", "moments"),
        [
            ({"a": 5}, {"c": 6}, 1),
            ({"a": 5}, {"c": None}, 1),
            ({"a": None}, {"c": 1}, 1),
            ({}, {"a": 1, "b": 1}, 2),
        ],
    )
    def test_may_not_have(self, first, later, moments):
        assert not holds_at_once(self.call(first, later, moments))

    def test_the_cache_says_the_same_only_of_what_nobody_wrote(self):
        same = [(Found(5, b"x", 1), Found(5, b"x", 2)), (Absent(5, 1), Absent(5, 2))]
        assert all(is_same(before, after) for before, after in same)
        other = [Found(6, b"x", 1), Absent(5, 1), Busy(), Leased("t"), Waiting("t")]
        assert not any(is_same(Found(5, b"x", 1), after) for after in other)
        assert not is_same(Absent(5, 1), Absent(6, 1))
        assert not is_same(Busy(), Busy())


class TestFills:
    def test_a_record_is_kept_at_its_revision(self):
        fill = fill_of((A, "t"), Stored(Note(id="a"), 5), 9, POLICIES)
        assert (fill.target, fill.token, fill.filling.version) == (A, "t", 5)
        assert fill.filling.payload
        assert 54_000 <= fill.filling.ttl <= 66_000

    def test_absence_is_kept_at_the_time_of_the_read(self):
        fill = fill_of((A, "t"), None, 9, POLICIES)
        assert (fill.filling.version, fill.filling.payload) == (9, None)
        assert 27_000 <= fill.filling.ttl <= 33_000

    @pytest.mark.parametrize(
        ("stored", "as_of"),
        [
            (None, None),
            (Stored(Note(id="a", body="x" * 300_000), 5), 9),
            (Stored(Note(id="a"), 5, Source.JOURNAL), 9),
            (Stored(Note(id="a"), 5, Source.MEMORY), None),
        ],
    )
    def test_of_everything_else_the_lease_is_given_back(self, stored, as_of):
        fill = fill_of((A, "t"), stored, as_of, POLICIES)
        assert fill == RecordFill(A, "t", GIVEN_BACK)


class TestLists:
    QUERY = recent(user_id="u", session_id="s")

    def mode(self, query: Query, **options) -> str | None:
        scope = scope_of(query)
        assert scope is not None
        return window_mode(query, scope, Options(**options))

    def test_only_a_query_that_can_fill_the_window_is_leased_it(self):
        assert self.mode(self.QUERY) == "use"
        assert self.mode(self.QUERY, cache="refresh") == "refresh"
        assert self.mode(self.QUERY, cache="only") == "peek"
        filtered = recent(user_id="u", session_id="s", item_type="x")
        assert self.mode(filtered) == "peek"
        assert self.mode(self.QUERY.with_(after="cursor")) == "peek"

    def test_what_cannot_refresh_the_window_is_not_answered_from_it(self):
        filtered = recent(user_id="u", session_id="s", item_type="x")
        assert self.mode(filtered, cache="refresh") is None
        assert self.mode(filtered, max_age=0) is None

    def test_one_more_is_asked_for_unless_the_limit_is_met(self):
        assert one_more(self.QUERY.with_(page_size=10)).page_size == 11
        assert one_more(self.QUERY.with_(page_size=10, limit=30)).page_size == 11
        assert one_more(self.QUERY.with_(page_size=10, limit=10)).page_size == 10
        assert one_more(self.QUERY.with_(page_size=10_000)).page_size == 10_000

    def test_the_page_is_cut_to_what_was_asked(self):
        items = tuple(Stored(said(number), number) for number in (3, 2, 1))
        page = cut_to(self.QUERY.with_(page_size=2), Page(items, None))
        assert page.items == items[:2]
        assert page.cursor is not None
        whole = Page(items, "cursor")
        assert cut_to(self.QUERY.with_(page_size=3), whole) is whole


class TestHealth:
    BELOW = Health("local", Status.OK, "fine")
    COUNTERS = {"hits": 1_234, "misses": 5, "waits": 0, "bypassed": 2}  # noqa: RUF012 -- read only

    def status(self, state: str, **fields) -> LinkStatus:
        given = {"seconds": 1.0, "pending": 0, "errors": {}, "error": ""} | fields
        return LinkStatus(state=state, counters=self.COUNTERS, **given)

    def test_in_use_it_is_as_well_as_what_is_beneath(self):
        health = health_of(self.status("closed"), self.BELOW)
        assert (health.component, health.status, health.parts) == (
            "cache",
            Status.OK,
            (self.BELOW,),
        )
        assert "1,234 hits" in health.detail
        down = Health("local", Status.DOWN)
        assert health_of(self.status("closed"), down).status is Status.DOWN

    @pytest.mark.parametrize("state", ["connecting", "open", "half-open", "draining"])
    def test_without_redis_it_is_degraded(self, state):
        health = health_of(self.status(state, pending=3, error="deadline"), self.BELOW)
        assert health.status is Status.DEGRADED
        assert "deadline" in health.detail
        assert "3 invalidations pending" in health.detail
