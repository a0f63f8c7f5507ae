"""What is stored comes back, orders as it should, and is as large as it was said to be."""

import re
from datetime import UTC
from math import isnan

import pytest
from google.cloud.firestore_v1 import types
from hypothesis import given
from hypothesis import strategies as st

from orchestra_memory import InvalidQuery, Query
from orchestra_memory.codec.bytes import dumps, loads
from orchestra_memory.codec.cursor import Position, decode_cursor, encode_cursor
from orchestra_memory.codec.firestore.decode import decode_fields
from orchestra_memory.codec.firestore.encode import document_bytes, value_bytes
from orchestra_memory.codec.ids import (
    escaped_name,
    key_of_stored,
    stored_id,
    unescaped_name,
)
from orchestra_memory.codec.size import (
    fields_size,
    index_entries,
    size_bound,
    storage_size,
)
from orchestra_memory.record import join_key, split_key
from orchestra_memory.testing.contract.models import Note
from orchestra_memory.testing.contract.oracle import compare, exact
from orchestra_memory.values import Vector, same, sort_key, storable

Document = types.Document.pb()

TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
ODD_TEXT = st.one_of(TEXT, st.text("a~_%/.:e\x00\x01\x02", max_size=6))
INTEGERS = st.one_of(
    st.integers(-(2**63), 2**63 - 1),
    st.integers(-3, 3),
    st.sampled_from([2**53 - 1, 2**53, 2**53 + 1, 2**62, 2**63 - 1, -(2**63)]),
)
FLOATS = st.one_of(st.floats(), st.integers(-3, 3).map(float), INTEGERS.map(float))
TIMES = st.datetimes(timezones=st.just(UTC)).map(lambda time: time.replace(fold=0))
SCALARS = st.one_of(
    st.none(), st.booleans(), INTEGERS, FLOATS, TIMES, ODD_TEXT, st.binary(max_size=6)
)
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.one_of(
        st.lists(inner, max_size=3), st.dictionaries(ODD_TEXT, inner, max_size=3)
    ),
    max_leaves=8,
)
VECTORS = st.lists(st.floats(allow_nan=False, allow_infinity=False), min_size=1, max_size=4)
STORED = st.one_of(VALUES, VECTORS.map(Vector))
DOCUMENTS = st.dictionaries(ODD_TEXT, STORED, max_size=4)


def sign(number: int) -> int:
    return (number > 0) - (number < 0)


@given(STORED, STORED)
def test_sort_keys_order_as_the_values_do(a, b) -> None:
    ours, theirs = sort_key(a), sort_key(b)
    assert sign(compare(a, b)) == (ours > theirs) - (ours < theirs)


@given(STORED)
def test_sort_keys_order_by_their_bytes_too_and_hold_no_nul(value) -> None:
    key = sort_key(value)
    assert "\x00" not in key
    assert key.encode().decode() == key


@given(st.lists(INTEGERS | FLOATS, min_size=2, max_size=8))
def test_numbers_order_exactly_whatever_their_type(numbers) -> None:
    finite = [number for number in numbers if not isnan(number)]
    assert [*map(sort_key, sorted(finite))] == sorted(map(sort_key, finite))


@given(st.lists(ODD_TEXT.filter(bool), min_size=1, max_size=4))
def test_joined_keys_come_apart_again(parts) -> None:
    assert split_key(join_key(parts)) == tuple(parts)


@given(*[st.lists(ODD_TEXT.filter(bool), min_size=2, max_size=3)] * 2)
def test_different_parts_make_different_keys(ours, theirs) -> None:
    assert (ours == theirs) == (join_key(ours) == join_key(theirs))


@given(ODD_TEXT.filter(bool))
def test_stored_ids_are_what_firestore_takes_and_come_back(key) -> None:
    stored = stored_id(key)
    assert "/" not in stored
    assert stored not in {".", ".."}
    assert not re.fullmatch(r"__.*__", stored, re.DOTALL)
    assert 1 <= len(stored.encode()) <= 1_500
    assert key_of_stored(stored) in {key, None}
    assert key_of_stored(stored) == key or stored.startswith("~h")


@given(ODD_TEXT.filter(bool), ODD_TEXT.filter(bool))
def test_different_ids_are_stored_apart(ours, theirs) -> None:
    assert (ours == theirs) == (stored_id(ours) == stored_id(theirs))


@pytest.mark.parametrize("key", ["/" * 1_500, "~" * 1_500, "%/" * 750])
def test_long_ids_stay_within_the_bound(key) -> None:
    assert len(stored_id(key).encode()) <= 1_500
    assert stored_id(key) != stored_id(key[:-1])


@given(ODD_TEXT)
def test_names_are_what_firestore_takes_and_come_back(name) -> None:
    escaped = escaped_name(name)
    assert escaped
    assert not re.fullmatch(r"__.*__", escaped, re.DOTALL)
    assert unescaped_name(escaped) == name


@given(DOCUMENTS)
def test_documents_come_back_from_json(document) -> None:
    text = dumps(document)
    assert "\n" not in text
    assert exact(loads(text)) == exact(document)
    assert exact(loads(text.encode())) == exact(document)


@given(DOCUMENTS)
def test_documents_come_back_from_firestore_messages(document) -> None:
    message = Document()
    message.MergeFromString(document_bytes(document))
    assert exact(decode_fields(message.fields)) == exact(document)


@given(DOCUMENTS)
def test_the_size_said_is_the_size_on_the_wire(document) -> None:
    message = Document()
    message.MergeFromString(document_bytes(document))
    assert fields_size(document) == message.ByteSize()
    assert size_bound(document) >= message.ByteSize()


@given(STORED)
def test_no_value_is_larger_in_storage_or_indexes_than_its_wire_bytes_allow(value) -> None:
    # The size check relies on both.
    assert storage_size(value) <= 4 * len(value_bytes(value))
    assert index_entries(value) <= max(2, len(value_bytes(value)))


@given(VALUES)
def test_storable_is_settled_after_the_first_time(value) -> None:
    once = storable(value)
    assert exact(once) == exact(value)
    assert exact(storable(once)) == exact(once)


@given(VALUES)
def test_storable_shares_nothing_mutable(value) -> None:
    copy = storable(value)
    if isinstance(value, dict | list):
        assert copy is not value
        before = exact(copy)
        scramble(value)
        assert exact(copy) == before


def scramble(value) -> None:
    for item in list(value.values() if isinstance(value, dict) else value):
        if isinstance(item, dict | list):
            scramble(item)
    value.clear()


@given(STORED, STORED)
def test_the_same_is_what_cannot_be_told_apart(a, b) -> None:
    assert same(a, a)
    assert same(a, b) == (exact(a) == exact(b))


@given(st.lists(VALUES, max_size=3), ODD_TEXT.filter(bool), st.integers(0, 10**6))
def test_cursors_come_back_and_are_url_safe(values, key, served) -> None:
    query = Query(Note, order_by="data.x")
    position = Position(tuple(values), stored_id(key), served)
    cursor = encode_cursor(query, position)
    assert re.fullmatch(r"[A-Za-z0-9_-]+", cursor)
    back = decode_cursor(query.with_(after=cursor))
    assert back is not None
    assert exact(list(back.values)) == exact(values)
    assert (back.stored_id, back.served) == (position.stored_id, served)


@given(st.text(max_size=40) | st.binary(max_size=40).map(lambda raw: raw.decode("latin1")))
def test_no_text_breaks_the_reader_of_cursors(text) -> None:
    with pytest.raises(InvalidQuery):
        decode_cursor(Query(Note, after=text))
