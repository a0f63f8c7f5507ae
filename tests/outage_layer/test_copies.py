"""Copies of records: what a store has of them, nobody else's, and about as large as weighed."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestra_memory import Record, Ref
from orchestra_memory.codec.document import decode, encode
from orchestra_memory.layers.fallback.copies import OVERHEAD, of_document, of_read, of_written
from orchestra_memory.layers.sourced import document_of
from orchestra_memory.testing.contract.models import EventWithoutTime, Mood, Note, Ticket
from orchestra_memory.values import Vector, is_list, is_map, same

TEXTS = st.text(max_size=5)
SCALARS = (
    st.sampled_from(
        (None, True, -(2**63), 0.5, float("nan"), b"\x00", datetime(2026, 1, 1, tzinfo=UTC))
    )
    | TEXTS
)
VALUES = st.recursive(
    SCALARS,
    lambda v: st.lists(v, max_size=3) | st.dictionaries(TEXTS, v, max_size=3),
    max_leaves=6,
)
TIMES = st.datetimes(
    min_value=datetime(1990, 1, 1), timezones=st.sampled_from((UTC, timezone(timedelta(hours=2))))
)
NOTES = st.builds(
    Note,
    id=st.just("n"),
    title=TEXTS,
    mood=st.sampled_from(Mood),
    tags=st.lists(TEXTS, max_size=3),
    created=TIMES,
    data=st.dictionaries(TEXTS, VALUES, max_size=3),
    vector=st.none() | st.just([0.5, 1.0]),
    attachment=VALUES,
)


def mutables(value: Any) -> set[int]:
    """Which objects that can change a value consists of."""
    items: list[Any] = []
    if is_map(value):
        items = [*value.values()]
    elif is_list(value) or isinstance(value, Vector):
        items = [*value]
    else:
        return set()
    return {id(value)}.union(*map(mutables, items))


@given(note=NOTES)
def test_a_copy_is_what_is_stored_and_shares_nothing_that_can_change(note: Note) -> None:
    document, _ = of_written(note)
    assert same(document, encode(note))
    assert mutables(document).isdisjoint(mutables(dict(note)))


@given(note=NOTES)
def test_what_was_read_is_copied_as_it_is_stored(note: Note) -> None:
    read = decode(Ref(Note, "n"), encode(note))
    document, _ = of_read(read)
    assert same(document, encode(note))
    assert mutables(document).isdisjoint(mutables(dict(read)))


def test_a_copy_of_what_was_read_lacks_what_the_document_lacked() -> None:
    read = decode(Ref(EventWithoutTime, "e"), {"id": "e", "schema_version": 1, "unheard_of": [1]})
    document, _ = of_read(read)
    assert document == document_of(read) == {"id": "e", "schema_version": 1, "unheard_of": [1]}
    assert of_written(read)[0] == {**document, "size": 0}
    document["unheard_of"].append(2)
    assert read.unknown_fields["unheard_of"] == [1]


def test_what_has_a_text_form_of_its_own_is_copied_in_that() -> None:
    ticket = Ticket(id="t", serial=UUID(int=7), price=Decimal("1.50"))
    assert of_written(ticket)[0] == encode(ticket)


@pytest.mark.parametrize(
    ("field", "value", "least"),
    [
        ("title", "x" * 10_000, 10_000),
        ("title", "\N{GREEK SMALL LETTER ALPHA}" * 10_000, 20_000),
        ("data", {"inner": {"text": "x" * 10_000}}, 10_000),
        ("tags", ["x" * 100] * 100, 10_000),
        ("data", {f"key {number}": number for number in range(1_000)}, 60_000),
        ("vector", [number / 7 for number in range(1_000)], 32_000),
        ("attachment", b"x" * 10_000, 10_000),
    ],
)
def test_a_copy_weighs_what_is_in_it(field: str, value: Any, least: int) -> None:
    note: Record = Note(id="n", **{field: value})
    document, size = of_written(note)
    assert OVERHEAD + least <= size <= OVERHEAD + 3 * least
    assert of_document(document)[1] == pytest.approx(size, rel=0.5)


def test_a_vector_stays_one_in_a_copy() -> None:
    document, _ = of_document({"vector": Vector([1.0])})
    assert type(document["vector"]) is Vector
