"""Documents out of Firestore's bytes: as its own library reads them."""

from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given

from orchestra_memory import Record, Ref
from orchestra_memory.codec.document import decode, encode
from orchestra_memory.codec.firestore.encode import document_bytes, record_bytes
from orchestra_memory.codec.firestore.wire import GOTTEN, QUERIED
from orchestra_memory.testing.contract.oracle import exact
from orchestra_memory.values import Vector

from .wire_answers import NAME, agreed, answer, by_the_library, in_utc, raw_answer, read
from .wire_documents import ANY, DOCUMENT, MAP, PLAIN, VALUE, documented, for_them, records, theirs


@given(PLAIN)
def test_what_the_library_stores_is_read_as_the_library_reads_it(document) -> None:
    stored = theirs(for_them(document))
    assert exact(read(stored)) == exact(by_the_library(stored))


@given(ANY)
def test_what_only_we_can_store_is_read_as_the_library_reads_its_documented_form(document) -> None:
    stored = theirs(documented(document))
    assert exact(read(stored)) == exact(in_utc(document))
    assert exact(read(document_bytes(document))) == exact(in_utc(document))


@given(records())
def test_every_record_is_read_as_it_was_stored(record: Record) -> None:
    document = read(record_bytes(record))
    assert exact(document) == exact(in_utc(encode(record)))
    again = decode(Ref(type(record), record.key), document, owned=True)
    assert exact(in_utc(encode(again))) == exact(in_utc(encode(record)))


@pytest.mark.parametrize("query", [False, True])
@given(ANY)
def test_what_serializers_write_is_not_left_to_protobuf(query: bool, document) -> None:
    answers = QUERIED if query else GOTTEN
    data = answer(document_bytes(document), query=query)
    usual = answers.usual(data)
    assert exact(usual.document) == exact(in_utc(document))
    assert usual[:2] == answers.unusual(data)[:2] == (1_700_000_002_000_000, NAME)
    assert usual.revision == answers.unusual(data).revision == 1_700_000_001_123_456


@pytest.mark.parametrize("size", [126, 127, 128, 129, 1_400])
def test_names_of_any_length(size: int) -> None:
    document = {"a": {"n" * size: {"x": 1}}}
    assert read(document_bytes(document)) == document


def test_types_that_only_others_write() -> None:
    place = VALUE()
    place.geo_point_value.latitude = 1.5
    reference = VALUE(reference_value=f"{NAME}/b/c")
    stored = DOCUMENT(fields={"place": place, "reference": reference})
    fields = stored.SerializeToString()
    assert read(fields) == {
        "place": {"latitude": 1.5, "longitude": 0.0},
        "reference": f"{NAME}/b/c",
    }
    theirs = by_the_library(fields)
    assert theirs["place"] == read(fields)["place"]
    assert read(fields)["reference"].endswith(theirs["reference"])


def vector_map(**fields: Any) -> Any:
    """A map with the mark of a vector."""
    message = MAP()
    message.fields["__type__"].string_value = "__vector__"
    for name, value in fields.items():
        message.fields[name].CopyFrom(value)
    return VALUE(map_value=message)


def numbers(*values: Any) -> Any:
    message = VALUE()
    message.array_value.values.extend(values)
    return message


ONE_AND_A_HALF = VALUE(double_value=1.5)


@pytest.mark.parametrize(
    ("stored", "expected"),
    [
        (vector_map(value=numbers(ONE_AND_A_HALF)), Vector([1.5])),
        (vector_map(value=numbers()), Vector()),
        (vector_map(value=numbers(ONE_AND_A_HALF, VALUE(integer_value=2))), Vector([1.5, 2.0])),
        (vector_map(), {"__type__": "__vector__"}),
        (
            vector_map(value=VALUE(string_value="x")),
            {"__type__": "__vector__", "value": "x"},
        ),
        (
            vector_map(value=numbers(VALUE(string_value="x"))),
            {"__type__": "__vector__", "value": ["x"]},
        ),
        (
            vector_map(value=numbers(VALUE(boolean_value=True))),
            {"__type__": "__vector__", "value": [True]},
        ),
        (
            vector_map(value=numbers(ONE_AND_A_HALF), more=ONE_AND_A_HALF),
            {"__type__": "__vector__", "value": [1.5], "more": 1.5},
        ),
    ],
)
def test_only_a_map_of_a_mark_and_numbers_is_a_vector(stored, expected) -> None:
    fields = DOCUMENT(fields={"v": stored}).SerializeToString()
    assert exact(read(fields)) == exact({"v": expected})
    agreed(GOTTEN, answer(fields))


@pytest.mark.parametrize("count", [1, 11, 12, 768, 2_048])
@pytest.mark.parametrize("mark_first", [True, False])
def test_vectors_are_read_in_one_piece_whatever_the_order_of_the_map(
    count: int, mark_first: bool
) -> None:
    vector = Vector(number / 7 for number in range(count))
    fields = document_bytes({"v": {"deep": [vector]}})
    mark = DOCUMENT.FromString(document_bytes({"x": "__vector__"})).fields["x"]
    piece = MAP(fields={"__type__": mark}).SerializeToString()
    if not mark_first:
        at = fields.index(piece)
        fields = fields[:at] + fields[at + len(piece) :] + piece
    assert exact(GOTTEN.usual(raw_answer(fields)).document) == exact({"v": {"deep": [vector]}})


def test_more_names_and_texts_than_are_kept_do_not_mix() -> None:
    for start in range(0, 12_000, 100):
        document = {f"n{n}": f"t{n}" for n in range(start, start + 100)}
        assert read(document_bytes(document)) == document


@pytest.mark.parametrize(
    "time",
    [
        datetime(1, 1, 1, tzinfo=UTC),
        datetime(1969, 12, 31, 23, 59, 59, 999_999, tzinfo=UTC),
        datetime(1970, 1, 1, 0, 0, 0, 1, tzinfo=UTC),
        datetime(2106, 2, 7, 6, 28, 16, 999_999, tzinfo=UTC),
        datetime(9999, 12, 31, 23, 59, 59, 999_999, tzinfo=UTC),
    ],
    ids=str,
)
def test_times_are_plain_and_exact(time: datetime) -> None:
    (found,) = read(document_bytes({"t": time})).values()
    assert type(found) is datetime
    assert found.tzinfo is UTC
    assert found == time


def test_the_part_of_a_time_below_microseconds_is_dropped() -> None:
    value = VALUE()
    value.timestamp_value.seconds, value.timestamp_value.nanos = 1, 999_999_999
    fields = DOCUMENT(fields={"t": value}).SerializeToString()
    assert read(fields) == {"t": datetime(1970, 1, 1, 0, 0, 1, 999_999, tzinfo=UTC)}
    assert exact(read(fields)) == exact(by_the_library(fields))


@pytest.mark.parametrize("seconds", [253_402_300_800, -62_135_596_801, 2**62])
def test_a_time_beyond_all_years_damages_its_field_alone(seconds: int) -> None:
    inner = VALUE()
    inner.array_value.values.add().timestamp_value.seconds = seconds
    fields = {"bad": inner, "good": VALUE(integer_value=1)}
    found = GOTTEN.read(answer(DOCUMENT(fields=fields).SerializeToString()))
    assert found.document == {"good": 1}
    assert found.damaged == ("bad",)
