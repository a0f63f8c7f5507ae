"""The audit finds what is wrong with a run, and nothing with one that is right."""

from __future__ import annotations

import json
from typing import Any

import pytest

from .audit import Contents, Lost, audit
from .ledger import Ledger
from .records import Chapter, Fact, Half, Line, State, Tally


class Story:
    """What one worker told, and what is in the store in the end."""

    def __init__(self, *, untold: bool = False, shared: bool = False) -> None:
        self.ledger = Ledger(untold=untold, shared=shared)
        self.contents = Contents()
        self.tell("start", life=1, at=0)

    def tell(self, do: str, **event: Any) -> None:
        self.ledger.hear(0, json.dumps({"do": do, **event}).encode() + b"\n")

    def tried(self, name: str, kind: str, key: str, **about: Any) -> None:
        self.tell("try", id=name, kind=kind, key=key, **about)

    def wrote(self, name: str, kind: str, key: str, **about: Any) -> None:
        self.tried(name, kind, key, **about)
        self.tell("ack", id=name, durability="journaled", begin=1, end=2)

    def failed(self, name: str, kind: str, key: str, *, ambiguous: bool, **about: Any) -> None:
        self.tried(name, kind, key, **about)
        self.tell("failed", id=name, error="Unavailable", ambiguous=ambiguous)

    def saw(self, kind: str, key: str, **what: Any) -> None:
        self.tell("saw", kind=kind, key=key, source="journal", at=1, **what)

    def holds(self, *records: Any) -> None:
        for record in records:
            self.contents.records[type(record)][record.key] = record

    def lost(self, how: str, text: str, revision: int | None = None) -> None:
        self.contents.lost.append(Lost(how, text, revision))

    def wrong(self) -> list[str]:
        return [*self.ledger.wrong, *audit(self.ledger, self.contents)]


@pytest.fixture
def story() -> Story:
    return Story()


def name(number: int, life: int = 1) -> str:
    return f"0-0-{life}-{number}"


def test_what_was_acknowledged_and_is_there_is_right(story):
    story.wrote(name(1), "fact", "f")
    story.wrote(name(2), "line", "l", session="s")
    story.wrote(name(3), "tally", "t")
    story.wrote(name(4), "tally", "t")
    story.wrote(name(5), "chapter", "c")
    story.wrote(name(6), "state", "s", seq=6)
    story.wrote(name(7), "state", "gone", seq=None)
    story.wrote(name(8), "pair", "p", seq=8)
    story.saw("state", "s", seen=6)
    story.saw("pair", "p", seen=[8, 8])
    story.holds(
        Fact(id="f", by=name(1)),
        Line(id="l", session="s", by=name(2)),
        Tally(id="t", count=2, ops=[name(3), name(4)]),
        Chapter(id="c", ops=[name(5)]),
        State(id="s", seq=6, by=name(6)),
        Half(id="p.l", seq=8, by=name(8)),
        Half(id="p.r", seq=8, by=name(8)),
    )
    assert story.wrong() == []


@pytest.mark.parametrize("kind", ["fact", "line", "tally", "chapter"])
def test_what_was_acknowledged_and_is_not_there_is_lost(story, kind):
    story.wrote(name(1), kind, "k")
    assert story.wrong() == [f"lost: {kind} {name(1)} of k, journaled"]


@pytest.mark.parametrize("kind", ["fact", "line", "tally", "chapter"])
def test_what_was_put_aside_is_not_lost(story, kind):
    story.wrote(name(1), kind, "k")
    story.contents.aside.append(f'{{"by": "{name(1)}"}}')
    assert story.wrong() == []


def test_one_that_was_put_aside_is_not_another_one(story):
    story.wrote(name(1), "fact", "k")
    story.contents.aside.append(f'{{"by": "{name(11)}"}}')
    assert len(story.wrong()) == 1


@pytest.mark.parametrize("ambiguous", [False, True])
def test_what_was_not_acknowledged_need_not_be_there(story, ambiguous):
    story.failed(name(1), "fact", "f", ambiguous=ambiguous)
    story.failed(name(2), "tally", "t", ambiguous=ambiguous)
    story.failed(name(3), "state", "s", ambiguous=ambiguous, seq=3)
    assert story.wrong() == []


def test_what_is_in_doubt_may_be_there(story):
    story.failed(name(1), "fact", "f", ambiguous=True)
    story.failed(name(2), "state", "s", ambiguous=True, seq=2)
    story.tried(name(3), "tally", "t")
    story.saw("state", "s", seen=2)
    story.holds(
        Fact(id="f", by=name(1)),
        State(id="s", seq=2, by=name(2)),
        Tally(id="t", count=1, ops=[name(3)]),
    )
    assert story.wrong() == []


def test_what_was_refused_must_not_be_there(story):
    story.failed(name(1), "fact", "f", ambiguous=False)
    story.failed(name(2), "tally", "t", ambiguous=False)
    story.failed(name(3), "state", "s", ambiguous=False, seq=3)
    story.holds(
        Fact(id="f", by=name(1)),
        Tally(id="t", count=1, ops=[name(2)]),
        State(id="s", seq=3, by=name(3)),
    )
    assert [each.split(":")[0] for each in story.wrong()] == ["undone", "undone", "lost"]


def test_a_conflict_that_nobody_else_explains_is_noticed(story):
    story.wrote(name(1), "state", "s", seq=1)
    story.wrote(name(2), "state", "s", seq=2)
    story.holds(State(id="s", seq=2, by=name(2)))
    story.lost("remote overwritten", f'{{"id": "s", "by": "{name(1)}"}}')
    assert story.wrong() == [f"conflict: remote overwritten, of state s: {name(1)}"]


@pytest.mark.parametrize(("revision", "what"), [(19, "conflict"), (20, "imported")])
def test_a_conflict_with_a_revision_that_an_import_gave_is_told_apart(story, revision, what):
    story.wrote(name(1), "state", "s", seq=1)
    story.wrote(name(2), "state", "s", seq=2)
    story.holds(State(id="s", seq=2, by=name(2)))
    story.contents.imports.append((20, 30))
    story.lost("remote overwritten", f'{{"id": "s", "by": "{name(1)}"}}', revision)
    assert story.wrong() == [f"{what}: remote overwritten, of state s: {name(1)}"]


@pytest.mark.parametrize("other", [name(2, life=2), "1-0-1-2"])
def test_a_conflict_with_somebody_else_is_right(story, other):
    story.wrote(name(1), "state", "s", seq=1)
    story.tell("start", life=2, at=1)
    story.wrote(other, "state", "s", seq=2)
    story.holds(State(id="s", seq=2, by=other))
    story.lost("remote overwritten", f'{{"id": "s", "by": "{name(1)}"}}')
    assert story.wrong() == []


def test_a_conflict_with_a_write_of_which_nobody_was_told_is_right(story):
    story.failed(name(1), "state", "s", ambiguous=True, seq=1)
    story.wrote(name(2), "state", "s", seq=2)
    story.holds(State(id="s", seq=2, by=name(2)))
    story.lost("remote overwritten", f'{{"id": "s", "by": "{name(1)}"}}')
    assert story.wrong() == []


def test_what_builds_on_a_refused_write_is_refused_with_it(story):
    ids = [name(number) for number in (1, 2, 3)]
    for each in ids:
        story.wrote(each, "chapter", "c")
    story.holds(Chapter(id="c", ops=ids[:1]))
    for end in (2, 3):
        text = json.dumps({"document": {"ops": ids[:end]}, "fields": {"ops": ids[: end - 1]}})
        story.lost("local refused", text)
        story.contents.aside.append(text)
    assert story.wrong() == [f"conflict: local refused, of chapter c: {ids[0]}"]


def test_a_tally_that_is_seen_with_something_counted_twice_is_noticed(story):
    story.wrote(name(1), "tally", "t")
    story.holds(Tally(id="t", count=1, ops=[name(1)]))
    story.saw("tally", "t", missing=[], more=1)
    assert story.wrong() == ["wrong: tally t is 1 off what counted it, from journal"]


def test_an_increment_that_was_applied_twice_is_noticed(story):
    story.wrote(name(1), "tally", "t")
    story.holds(Tally(id="t", count=2, ops=[name(1)]))
    assert story.wrong() == ["twice: tally t is 2, by 1 operations"]


def test_a_change_that_was_made_twice_or_out_of_order_is_noticed(story):
    for number in (1, 2, 3):
        story.wrote(name(number), "chapter", "c")
    story.wrote(name(1, life=2), "chapter", "c")
    ops = [name(2), name(1), name(3), name(3), name(1, life=2)]
    story.holds(Chapter(id="c", ops=ops))
    assert [each.split(":")[0] for each in story.wrong()] == ["twice", "order"]


def test_an_older_state_in_the_end_is_a_loss(story):
    story.wrote(name(1), "state", "s", seq=1)
    story.wrote(name(2), "state", "s", seq=2)
    story.holds(State(id="s", seq=1, by=name(1)))
    assert story.wrong() == [f"lost: s is older, after {name(2)}"]


def test_what_was_deleted_must_not_come_back(story):
    story.wrote(name(1), "state", "s", seq=1)
    story.wrote(name(2), "state", "s", seq=None)
    story.saw("state", "s", seen=1)
    story.holds(State(id="s", seq=1, by=name(1)))
    assert [each.split(":")[0] for each in story.wrong()] == ["older", "lost"]


def test_a_doubtful_write_from_before_an_acknowledged_one_must_not_replace_it(story):
    story.failed(name(1), "state", "s", ambiguous=True, seq=1)
    story.wrote(name(2), "state", "s", seq=2)
    story.holds(State(id="s", seq=1, by=name(1)))
    assert story.wrong() == [f"lost: s is older, after {name(2)}"]


def test_absence_told_of_what_is_there_is_noticed(story):
    story.wrote(name(1), "fact", "f")
    story.wrote(name(2), "state", "s", seq=2)
    story.holds(Fact(id="f", by=name(1)), State(id="s", seq=2, by=name(2)))
    story.saw("fact", "f", seen=None, want=name(1))
    story.saw("state", "s", seen=None)
    story.saw("page", "session", missing=["l"])
    assert [each.split(":")[0] for each in story.wrong()] == ["absent"] * 3


def test_a_torn_pair_is_noticed_when_it_is_seen_and_when_it_is_left(story):
    story.wrote(name(1), "pair", "p", seq=1)
    story.wrote(name(2), "pair", "p", seq=2)
    story.saw("pair", "p", seen=[2, 1])
    story.holds(Half(id="p.l", seq=2, by=name(2)), Half(id="p.r", seq=1, by=name(1)))
    assert [each.split(":")[0] for each in story.wrong()] == ["torn pair", "torn pair"]


def test_sums_and_counts_must_hold_what_was_acknowledged(story):
    story.saw("tally", "t", missing=[name(1)])
    story.saw("count", "session", seen=3, least=4, most=5)
    story.saw("count", "session", seen=4, least=4, most=5)
    assert [each.split(":")[0] for each in story.wrong()] == ["older", "older"]


@pytest.mark.parametrize("untold", [False, True])
def test_a_later_life_may_see_what_is_old_only_where_redis_could_not_be_told(untold):
    story = Story(untold=untold)
    story.wrote(name(1), "state", "s", seq=1)
    story.wrote(name(2), "state", "s", seq=2)
    story.holds(State(id="s", seq=2, by=name(2)))
    story.tell("start", life=2, at=3)
    story.tell("saw", kind="state", key="s", source="primary", at=4, seen=1)
    assert [each.split(":")[0] for each in story.wrong()] == ([] if untold else ["older"])


@pytest.mark.parametrize("shared", [False, True])
def test_what_waited_may_come_late_only_where_another_process_may_have_taken_it_over(shared):
    story = Story(shared=shared)
    story.wrote(name(1), "state", "s", seq=1)
    story.tell("start", life=2, at=3)
    story.wrote(name(2, life=2), "state", "s", seq=2)
    story.saw("state", "s", seen=1)
    assert [each.split(":")[0] for each in story.wrong()] == ([] if shared else ["older"]) + [
        "lost"
    ]


def test_what_comes_late_must_keep_aside_what_it_replaces():
    story = Story(shared=True)
    story.wrote(name(1), "state", "s", seq=1)
    story.tell("start", life=2, at=3)
    story.wrote(name(2, life=2), "state", "s", seq=2)
    story.holds(State(id="s", seq=1, by=name(1)))
    assert [each.split(":")[0] for each in story.wrong()] == ["lost"]
    story.contents.aside.append(f'remote version overwritten: {{"by": "{name(2, life=2)}"}}')
    assert story.wrong() == []


def test_what_comes_late_may_have_replaced_what_was_never_acknowledged():
    story = Story(shared=True)
    story.wrote(name(1), "state", "s", seq=1)
    story.tell("start", life=2, at=3)
    story.wrote(name(2, life=2), "state", "s", seq=2)
    story.tried(name(3, life=2), "state", "s", seq=3)
    story.holds(State(id="s", seq=1, by=name(1)))
    story.contents.aside.append(f'remote version overwritten: {{"by": "{name(3, life=2)}"}}')
    assert story.wrong() == []


@pytest.mark.parametrize("shared", [False, True])
def test_what_comes_late_may_bring_back_what_was_deleted(shared):
    story = Story(shared=shared)
    story.wrote(name(1), "state", "s", seq=1)
    story.tell("start", life=2, at=3)
    story.wrote(name(2, life=2), "state", "s", seq=None)
    story.holds(State(id="s", seq=1, by=name(1)))
    assert [each.split(":")[0] for each in story.wrong()] == ([] if shared else ["lost"])


def test_what_was_committed_or_is_of_the_same_life_never_comes_late():
    story = Story(shared=True)
    story.tried(name(1), "state", "s", seq=1)
    story.tell("ack", id=name(1), durability="committed", begin=1, end=2)
    story.tell("start", life=2, at=3)
    story.wrote(name(2, life=2), "state", "s", seq=2)
    story.wrote(name(3, life=2), "state", "s", seq=3)
    story.saw("state", "s", seen=1)
    story.saw("state", "s", seen=2)
    story.holds(State(id="s", seq=3, by=name(3, life=2)))
    assert [each.split(":")[0] for each in story.wrong()] == ["older", "older"]


def test_a_bug_is_noticed_and_a_torn_line_is_none(story):
    story.tell("bug", what="put_fact: KeyError: 'x'")
    story.ledger.hear(0, b'{"do": "ack", "id"')
    assert story.wrong() == ["bug: put_fact: KeyError: 'x'"]
