"""Documents in Firestore's bytes: those its own library would send."""

from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal
from typing import Any
from uuid import UUID

import pytest
from google.cloud.firestore_v1 import types
from hypothesis import given

from orchestra_memory.codec.firestore.decode import decode_fields
from orchestra_memory.codec.firestore.encode import (
    document_bytes,
    encode_time,
    map_bytes,
    value_bytes,
)
from orchestra_memory.testing.contract.oracle import exact
from orchestra_memory.values import Vector, to_micros

from .wire_documents import (
    ANY,
    DOCUMENT,
    EDGES,
    MAP,
    PLAIN,
    VALUE,
    documented,
    documented_name,
    for_them,
    sorted_by_name,
    theirs,
)


@given(PLAIN)
def test_what_the_library_encodes_is_the_same_byte_for_byte(document) -> None:
    assert sorted_by_name(document_bytes(document)) == theirs(for_them(document))


@given(ANY)
def test_what_it_cannot_encode_has_the_documented_form(document) -> None:
    assert sorted_by_name(document_bytes(document)) == theirs(documented(document))


@given(ANY)
def test_nothing_is_written_twice_or_longer_than_need_be(document) -> None:
    # A parser takes both; the library's bytes are the shortest there are.
    assert len(document_bytes(document)) == len(theirs(documented(document)))


@given(ANY)
def test_maps_and_values_alone_are_encoded_as_in_a_document(document) -> None:
    holder = MAP.FromString(map_bytes(document))
    whole = DOCUMENT.FromString(document_bytes(document))
    assert dict(holder.fields) == dict(whole.fields)
    for name, value in document.items():
        assert VALUE.FromString(value_bytes(value)) == whole.fields[documented_name(name)]


@pytest.mark.parametrize("number", EDGES)
def test_integers_at_the_bounds_of_their_groups(number: int) -> None:
    document = {"a": number, "b": [number, {"c": number}]}
    assert document_bytes(document) == theirs(document)


@pytest.mark.parametrize(
    "time",
    [
        datetime(1, 1, 1, tzinfo=UTC),
        datetime(1969, 12, 31, 23, 59, 59, 999999, tzinfo=UTC),
        datetime(1969, 12, 31, 23, 59, 59, tzinfo=UTC),
        datetime(1970, 1, 1, tzinfo=UTC),
        datetime(1970, 1, 1, 0, 0, 0, 1, tzinfo=UTC),
        datetime(1970, 1, 1, 0, 2, 7, tzinfo=UTC),
        datetime(1970, 1, 1, 0, 2, 8, 1, tzinfo=UTC),
        datetime(2038, 1, 19, 3, 14, 8, tzinfo=UTC),
        datetime(2262, 4, 12, tzinfo=UTC),
        datetime(9999, 12, 31, 23, 59, 59, 999999, tzinfo=UTC),
        datetime(2026, 1, 1, 0, 0, 0, 7, tzinfo=timezone(timedelta(hours=9))),
        datetime(2026, 6, 1, tzinfo=timezone(-timedelta(hours=3, minutes=30))),
        datetime(2026, 6, 1, fold=1, tzinfo=UTC),
    ],
    ids=str,
)
def test_times_from_the_first_year_to_the_last(time: datetime) -> None:
    assert document_bytes({"a": time, "b": [time]}) == theirs({"a": time, "b": [time]})
    message = types.Value.pb()()
    encode_time(message.timestamp_value, to_micros(time))
    assert value_bytes(time) == message.SerializeToString(deterministic=True)


@pytest.mark.parametrize("bound", [2**7, 2**14, 2**21])
@pytest.mark.parametrize("what", ["x", "é", "😀", b"\xff"], ids=["1", "2", "4", "bytes"])
def test_sizes_around_those_where_a_length_takes_another_byte(bound: int, what: Any) -> None:
    width = len(what.encode()) if isinstance(what, str) else 1
    sizes = range(bound - 40, bound + 8, width) if bound < 2**21 else (bound - 30, bound - width)
    for size in sizes:
        value = what * (size // width)
        document = {"a": value, "b": {"c": [value]}, "d": [{"e": value}], value[:1] * 3: 1}
        if isinstance(what, bytes):
            del document[value[:1] * 3]
        assert sorted_by_name(document_bytes(document)) == theirs(document)
        assert len(document_bytes({"a": value})) == len(theirs({"a": value}))


@pytest.mark.parametrize("count", [0, 1, 11, 12, 768, 1_489, 1_490, 2_048])
def test_vectors_of_any_size(count: int) -> None:
    vector = Vector(number / 7 for number in range(count))
    document = {"v": vector, "w": [vector], "x": {"y": vector}}
    assert document_bytes(document) == theirs(for_them(document))


def test_a_map_that_looks_like_a_vector_stays_a_map() -> None:
    document = {"a": {"__type__": "__vector__", "value": [1.0, 2.0]}}
    stored = {"a": {"~:__type__": "__vector__", "value": [1.0, 2.0]}}
    assert sorted_by_name(document_bytes(document)) == theirs(stored)
    assert exact(decode_fields(DOCUMENT.FromString(document_bytes(document)).fields)) == exact(
        document
    )


@pytest.mark.parametrize("value", [{1}, Decimal(1), UUID(int=1), date(2026, 1, 1), 1j, object()])
def test_what_no_store_can_hold_is_a_type_error_that_names_the_type(value: Any) -> None:
    with pytest.raises(TypeError, match=type(value).__name__):
        document_bytes({"a": [{"b": value}]})
