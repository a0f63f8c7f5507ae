"""Copies for an outage: never older than what was known, nobody else's, and not too many."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from orchestra_memory import (
    PRESENT,
    ConfigurationError,
    Delete,
    Durability,
    LocalMemory,
    Patch,
    Put,
    Query,
    Receipt,
    Record,
    Ref,
    Source,
    Stored,
)
from orchestra_memory.layers.fallback.standby import BULK, Known, Standby
from orchestra_memory.testing.contract.models import LooseNote, Note

from .stages import as_run


class Ticks:
    def __init__(self) -> None:
        self.now = 1_000.0

    def __call__(self) -> float:
        return self.now


A, B, C = (Ref(Note, key) for key in "abc")


def seen(ref: Ref[Note], revision: int, title: str = "", **values: Any) -> Stored[Note]:
    return Stored(Note(id=ref.key, title=title), revision, **values)


def committed(*revisions: int | None, version: int | None = None) -> Receipt:
    return Receipt(revisions, version or max((r for r in revisions if r), default=0))


def title_of(standby: Standby, ref: Ref[Note] = A) -> str | None:
    known = standby.get(ref)
    return None if known is None else known.row.document["title"]


def revision_of(standby: Standby, ref: Ref[Note] = A) -> int | None:
    known = standby.get(ref)
    return None if known is None else known.row.revision


def test_what_was_seen_is_known_with_its_revision() -> None:
    standby = Standby()
    standby.saw(A, seen(A, 3, "one"))
    assert (title_of(standby), revision_of(standby)) == ("one", 3)
    assert standby.get(B) is None


def test_it_is_known_as_old_as_it_is() -> None:
    ticks = Ticks()
    standby = Standby(clock=ticks)
    standby.saw(A, seen(A, 3))
    standby.saw(B, seen(B, 3, source=Source.CACHE, age=20.0))
    ticks.now += 5
    ages = {key: known.age for key, known in standby.collection("contract_notes", None).items()}
    assert ages == {"a": 5, "b": 25}
    assert standby.get(A) == Known(standby.get(A).row, 5)  # type: ignore[union-attr]
    standby.saw(B, seen(B, 3))
    assert standby.get(B).age == 0  # type: ignore[union-attr]
    standby.saw(B, seen(B, 3, source=Source.CACHE, age=20.0))
    assert standby.get(B).age == 0  # type: ignore[union-attr]


def test_an_older_revision_never_replaces_a_newer_one() -> None:
    standby = Standby()
    standby.saw(A, seen(A, 5, "new"))
    standby.saw(A, seen(A, 4, "old"))
    assert title_of(standby) == "new"
    standby.saw(A, seen(A, 6, "newer"))
    assert title_of(standby) == "newer"


@pytest.mark.parametrize("source", [Source.JOURNAL, Source.MEMORY])
def test_what_did_not_come_from_the_store_is_not_kept(source: Source) -> None:
    standby = Standby()
    standby.saw(A, seen(A, 5, source=source))
    assert standby.get(A) is None


def test_copies_share_nothing_with_what_was_seen_or_written() -> None:
    standby = Standby()
    read = Note(id="a", data={"x": [1]}, tags=["t"], vector=[1.0])
    written = read.evolve(id="b")
    standby.saw(A, Stored(read, 1))
    standby.wrote([Put(written)], committed(2))
    for record in (read, written):
        record.data["x"].append(2)  # type: ignore[union-attr]
        record.tags.append("u")
        record.vector.append(2.0)  # type: ignore[union-attr]
    for ref in (A, B):
        document = standby.get(ref).row.document  # type: ignore[union-attr]
        assert (document["data"], document["tags"]) == ({"x": [1]}, ["t"])
        assert document["vector"] == [1.0]


def test_a_patch_leaves_the_copy_that_was_handed_out_as_it_was() -> None:
    standby = Standby()
    standby.saw(A, seen(A, 1, "one"))
    before = standby.get(A)
    standby.wrote([Patch(A, set={"title": "two"}, expect=1)], committed(2))
    assert before is not None
    assert before.row.document["title"] == "one"
    assert title_of(standby) == "two"


def test_a_put_is_known_as_written() -> None:
    standby = Standby()
    standby.saw(A, seen(A, 1, "one"))
    standby.wrote([Put(Note(id="a", title="two"))], committed(2))
    assert (title_of(standby), revision_of(standby)) == ("two", 2)
    standby.saw(A, seen(A, 1, "one"))
    assert title_of(standby) == "two"


def test_a_put_that_was_overtaken_is_not_kept() -> None:
    standby = Standby()
    standby.saw(A, seen(A, 7, "later"))
    standby.wrote([Put(Note(id="a", title="before"))], committed(6))
    assert title_of(standby) == "later"


def test_a_deleted_record_is_unknown_also_to_a_reader_that_was_slow() -> None:
    standby = Standby()
    standby.saw(A, seen(A, 1))
    standby.wrote([Delete(A)], committed(None, version=4))
    standby.saw(A, seen(A, 1))
    standby.saw(A, seen(A, 4))
    assert standby.get(A) is None
    assert not standby.collection("contract_notes", None)
    standby.saw(A, seen(A, 5, "again"))
    assert title_of(standby) == "again"


def test_a_patch_of_the_revision_that_is_kept_gives_the_next_one() -> None:
    standby = Standby()
    standby.saw(A, seen(A, 1, "one"))
    standby.wrote([Patch(A, set={"title": "two"}, expect=1)], committed(5))
    assert (title_of(standby), revision_of(standby)) == ("two", 5)


def test_a_patch_of_who_knows_what_is_shown_but_not_taken_for_what_is_stored() -> None:
    standby = Standby()
    standby.saw(A, seen(A, 1, "one"))
    standby.wrote([Patch(A, set={"rank": 7})], committed(5))
    known = standby.get(A)
    assert known is not None
    assert (known.row.document["rank"], known.row.revision) == (7, 1)
    standby.saw(A, seen(A, 1, "one"))
    standby.saw(A, seen(A, 4, "before the patch"))
    assert standby.get(A).row.document["rank"] == 7  # type: ignore[union-attr]
    standby.saw(A, seen(A, 5, "others wrote, too"))
    assert (title_of(standby), revision_of(standby)) == ("others wrote, too", 5)


def test_a_patch_that_a_reader_saw_before_its_answer_came_is_not_applied_again() -> None:
    standby = Standby()
    standby.saw(A, seen(A, 1))
    standby.saw(A, Stored(Note(id="a", rank=1), 2))
    standby.wrote([Patch(A, increment={"rank": 1})], committed(2))
    known = standby.get(A)
    assert known is not None
    assert (known.row.document["rank"], known.row.revision) == (1, 2)


def test_a_read_that_began_before_a_patch_of_what_was_not_known_is_not_kept() -> None:
    standby = Standby()
    began = standby.moment
    standby.wrote([Patch(A, set={"title": "two"})], committed(2))
    standby.saw_read([A], [seen(A, 1, "one")], as_of=1, began=began)
    assert standby.get(A) is None


def test_a_patch_of_what_is_not_known_leaves_it_unknown() -> None:
    standby = Standby()
    standby.wrote([Patch(A, set={"rank": 7}, expect=PRESENT)], committed(5))
    assert standby.get(A) is None


def test_several_operations_on_one_record_leave_what_the_last_one_made() -> None:
    standby = Standby()
    standby.wrote([Put(Note(id="a")), Patch(A, set={"title": "two"})], committed(3, 3))
    assert (title_of(standby), revision_of(standby)) == ("two", 3)
    twice = Patch(A, increment={"rank": 1})
    standby.wrote([twice, twice], committed(4, 4))
    assert standby.get(A).row.document["rank"] == 2  # type: ignore[union-attr]
    standby.wrote([Put(Note(id="a", title="three")), Delete(A)], committed(None, None, version=5))
    assert standby.get(A) is None
    standby.wrote([Delete(A), Put(Note(id="a", title="four"))], committed(None, 6))
    assert title_of(standby) == "four"


def test_a_write_that_only_waits_is_forgotten() -> None:
    standby = Standby()
    standby.saw(A, seen(A, 1))
    receipt = replace(committed(2), durability=Durability.JOURNALED)
    standby.wrote([Put(Note(id="a", title="two"))], receipt)
    assert standby.get(A) is None


def test_what_is_forgotten_does_not_come_back_by_a_read_that_began_before() -> None:
    standby = Standby()
    standby.saw(A, seen(A, 1))
    began = standby.moment
    standby.forget([A])
    standby.saw_read([A], [seen(A, 1)], as_of=1, began=began)
    standby.saw_page(Query(Note), [seen(A, 1)], began=began)
    assert standby.get(A) is None
    standby.saw_read([A], [seen(A, 1)], as_of=1, began=standby.moment)
    assert standby.get(A) is not None


def test_absence_is_not_remembered_but_ends_what_was() -> None:
    standby = Standby()
    standby.saw(A, seen(A, 3))
    standby.saw_read([A], [None], as_of=2, began=standby.moment)
    assert standby.get(A) is not None
    standby.saw_read([A], [None], as_of=3, began=standby.moment)
    assert standby.get(A) is None
    standby.saw(A, seen(A, 3))
    standby.saw_read([A], [None], as_of=None, began=standby.moment)
    assert standby.get(A) is None


def test_bulk_renews_what_is_here_and_brings_in_nothing() -> None:
    refs = [Ref(Note, f"n{n}") for n in range(BULK + 1)]
    standby = Standby()
    standby.saw(refs[0], seen(refs[0], 1, "old"))
    began = standby.moment
    puts = [Put(Note(id=ref.key, title="new")) for ref in refs]
    standby.wrote(puts, committed(*[2 for _ in puts]))
    assert len(standby) == 1
    assert title_of(standby, refs[0]) == "new"
    standby.saw_read([refs[1]], [seen(refs[1], 1, "old")], as_of=1, began=began)
    assert len(standby) == 1
    items = [seen(ref, 3, "newer") for ref in refs]
    standby.saw_read(refs, items, as_of=3, began=standby.moment)
    standby.saw_page(Query(Note), items, began=standby.moment)
    assert len(standby) == 1
    assert title_of(standby, refs[0]) == "newer"


def test_a_document_is_one_whichever_type_it_is_asked_for_by() -> None:
    standby = Standby()
    standby.saw(A, seen(A, 1))
    standby.wrote([Put(LooseNote(id="a", rank="high"))], committed(2))
    assert standby.get(A).row.document["rank"] == "high"  # type: ignore[union-attr]


def test_namespaces_and_collections_are_apart() -> None:
    standby = Standby()
    standby.saw(A, seen(A, 1))
    standby.saw(Ref(Note, "b", "ours"), seen(B, 1))
    assert list(standby.collection("contract_notes", None)) == ["a"]
    assert list(standby.collection("contract_notes", "ours")) == ["b"]
    assert not standby.collection("contract_leases", None)
    assert standby.get(B) is None


def test_what_was_not_seen_for_longest_goes_first() -> None:
    standby = Standby(max_records=2)
    standby.saw(A, seen(A, 1))
    standby.saw(B, seen(B, 1))
    standby.saw(A, seen(A, 1))
    standby.saw(C, seen(C, 1))
    assert [ref.key for ref in (A, B, C) if standby.get(ref)] == ["a", "c"]


@pytest.mark.parametrize("bounds", [{"max_records": 0}, {"max_bytes": 0}])
def test_bounds_that_hold_nothing_are_refused(bounds: dict[str, Any]) -> None:
    with pytest.raises(ConfigurationError, match="max_records"):
        Standby(**bounds)


texts = st.sampled_from((0, 10, 5_000, 40_000))


@given(
    steps=st.lists(
        st.tuples(
            st.sampled_from(("saw", "put", "patch", "delete", "forget")), st.integers(0, 9), texts
        ),
        max_size=40,
    )
)
@settings(max_examples=60, deadline=None)
def test_bounds_hold_and_what_is_weighed_is_what_is_there(steps: Any) -> None:
    standby = Standby(max_records=4, max_bytes=60_000)
    for revision, (what, number, length) in enumerate(steps, start=1):
        ref = Ref(Note, f"n{number}")
        note = Note(id=ref.key, data={"x": "x" * length}, body="é" * (length // 2))
        match what:
            case "saw":
                standby.saw(ref, Stored(note, revision))
            case "put":
                standby.wrote([Put(note)], committed(revision))
            case "patch":
                standby.wrote([Patch(ref, set={"title": "x" * length})], committed(revision))
            case "delete":
                standby.wrote([Delete(ref)], committed(None, version=revision))
            case _:
                standby.forget([ref])
        assert len(standby) <= 4
        assert 0 <= standby.bytes <= 60_000
    standby.forget([Ref(Note, f"n{number}") for number in range(10)])
    assert (len(standby), standby.bytes) == (0, 0)


writes = st.lists(
    st.tuples(
        st.sampled_from(("put", "patch", "delete", "foreign", "read", "slow")), st.integers(0, 1)
    ),
    max_size=25,
)


@given(steps=writes)
@settings(max_examples=150, deadline=None)
def test_a_copy_is_never_older_than_the_last_write_of_this_process(steps: Any) -> None:
    async def work() -> None:
        store, standby = LocalMemory(), Standby()
        slow: list[Any] = []
        own: dict[str, int] = {}
        for number, (what, which) in enumerate(steps):
            ref = (A, B)[which]
            if what == "read":
                snapshot = await store.read([ref])
                slow.append((ref, snapshot, standby.moment))
            elif what == "slow" and slow:
                read, snapshot, began = slow.pop()
                standby.saw_read([read], snapshot.items, as_of=snapshot.as_of, began=began)
            else:
                own |= await self_or_other(store, standby, what, ref, number)
            for known_ref in (A, B):
                known = standby.get(known_ref)
                if known is not None and known_ref.key in own:
                    assert known.row.document["rank"] >= own[known_ref.key]

    as_run(work)


async def self_or_other(
    store: LocalMemory, standby: Standby, what: str, ref: Ref[Note], number: int
) -> dict[str, int]:
    """Write as this process or as a foreign one; the rank that this process knows it wrote."""
    record: Record = Note(id=ref.key, rank=number)
    if what in {"foreign", "slow"}:
        await store.put(record)
        return {}
    if what == "delete":
        op: Any = Delete(ref)
    elif what == "patch":
        op = Patch(ref, set={"rank": number}, or_create=record)
    else:
        op = Put(record)
    standby.wrote([op], await store.write([op]))
    return {ref.key: number}


def test_what_was_shown_is_told_by_its_revision_until_it_is_shown_otherwise():
    standby = Standby()
    standby.shown.keep(A, seen(A, 7, "shown"))
    assert standby.shown.get(A, 7)["title"] == "shown"
    assert (standby.shown.get(A, 8), standby.shown.get(B, 7)) == (None, None)
    standby.shown.keep(A, seen(A, 8, "later"))
    assert standby.shown.get(A, 7) is None
