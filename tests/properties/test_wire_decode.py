"""Documents out of Firestore's bytes: as its own library reads them, whatever bytes there are."""

import random
from collections.abc import Callable
from datetime import UTC, datetime, timedelta, timezone
from typing import Any, ClassVar

import pytest
from google.api_core.datetime_helpers import DatetimeWithNanoseconds
from google.auth.credentials import AnonymousCredentials
from google.cloud.firestore import Client, GeoPoint
from google.cloud.firestore_v1 import types
from google.cloud.firestore_v1._helpers import decode_dict
from google.cloud.firestore_v1.document import DocumentReference
from google.cloud.firestore_v1.vector import Vector as TheirVector
from google.protobuf.message import DecodeError
from hypothesis import given
from hypothesis import strategies as st

from orchestra_memory import CorruptRecord, MemoryItem, Record, Ref
from orchestra_memory.codec.document import decode, encode
from orchestra_memory.codec.firestore.encode import document_bytes, record_bytes
from orchestra_memory.codec.firestore.wire import GOTTEN, QUERIED, Answer, Answers
from orchestra_memory.testing.contract.models import Note
from orchestra_memory.testing.contract.oracle import exact
from orchestra_memory.values import Vector

from .test_wire_encode import ANY, DOCUMENT, PLAIN, documented, for_them, records, theirs

GOT = types.BatchGetDocumentsResponse.pb()
QUERY = types.RunQueryResponse.pb()
MAP = types.MapValue.pb()
VALUE = types.Value.pb()
NAME = "projects/p/databases/(default)/documents/notes/a"
CLIENT = Client("p", credentials=AnonymousCredentials())


def answer(fields: bytes, *, name: str = NAME, query: bool = False) -> bytes:
    """An answer with one document, of whose fields these are the bytes."""
    document = DOCUMENT(name=name)
    document.MergeFromString(fields)
    document.create_time.seconds = 1_700_000_000
    document.update_time.seconds, document.update_time.nanos = 1_700_000_001, 123_456_000
    message = QUERY(document=document) if query else GOT(found=document)
    message.read_time.seconds = 1_700_000_002
    return message.SerializeToString()


def read(fields: bytes) -> Any:
    return GOTTEN.read(answer(fields)).document


def as_documented(value: Any) -> Any:
    """What the library makes of a value, in the form that our docs promise."""
    match value:
        case DatetimeWithNanoseconds():
            return datetime(*value.timetuple()[:6], value.microsecond, tzinfo=UTC)
        case TheirVector():
            return Vector(map(float, value))
        case GeoPoint():
            return {"latitude": value.latitude, "longitude": value.longitude}
        case DocumentReference():
            return value._document_path
        case {"~list": inner} if len(value) == 1:
            return as_documented(inner)
        case dict():
            return {name.removeprefix("~:"): as_documented(item) for name, item in value.items()}
        case list():
            return [as_documented(item) for item in value]
        case _:
            return value


def in_utc(value: Any) -> Any:
    """A value with its times as any store returns them."""
    match value:
        case datetime():
            return value.astimezone(UTC).replace(fold=0)
        case dict():
            return {name: in_utc(item) for name, item in value.items()}
        case list():
            return type(value)(map(in_utc, value))
        case _:
            return value


def by_the_library(fields: bytes) -> Any:
    return as_documented(decode_dict(DOCUMENT.FromString(fields).fields, CLIENT))


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


def outcome(read: Callable[[bytes], Answer], data: bytes) -> Any:
    """What comes of reading; ``None`` for what is refused."""
    try:
        found = read(data)
    except DecodeError:
        return None
    return found._replace(document=exact(found.document))


def agreed(answers: Answers, data: bytes) -> bool:
    """Whether the quick way takes the bytes; what it makes of them is what protobuf makes."""
    expected = outcome(answers.unusual, data)
    assert outcome(answers.read, data) == expected
    try:
        usual = answers.usual(data)
    except Exception:  # noqa: BLE001 -- it may raise anything; then protobuf is asked
        return False
    assert usual._replace(document=exact(usual.document)) == expected
    return True


BYTES = (0x00, 0x01, 0x02, 0x7F, 0x80, 0x81, 0xFF)
TAGS = (0x08, 0x0A, 0x10, 0x12, 0x19, 0x1A, 0x22, 0x2A, 0x32, 0x42, 0x4A, 0x52, 0x58, 0x8A, 0x92)


def damaged(data: bytes, source: random.Random) -> bytes:
    """The same with some of it changed, left out, said twice or put in between."""
    for _ in range(source.choice((1, 1, 1, 2, 3))):
        at = source.randrange(len(data) + 1)
        end = min(len(data), at + source.choice((0, 1, 1, 1, 2, 5, 30)))
        some = bytes(source.choices(BYTES + TAGS, k=source.choice((0, 1, 1, 1, 2))))
        piece = source.choice((some, some, data[at:end] * 2, b""))
        data = data[:at] + piece + data[end:]
    return data


@given(ANY, st.randoms(use_true_random=True), st.booleans())
def test_no_bytes_are_read_otherwise_than_protobuf_reads_them(document, source, query) -> None:
    data = answer(document_bytes(document), query=query)
    answers = QUERIED if query else GOTTEN
    assert agreed(answers, data)
    for _ in range(30):
        agreed(answers, damaged(data, source))
        agreed(answers, data[: source.randrange(len(data))])


EVERY_TYPE = {
    "t": "text",
    "u": "x" * 130,
    "b": b"\x00\xff",
    "i": 5,
    "j": -300,
    "k": 2**62,
    "y": True,
    "o": None,
    "f": 1.5,
    "w": datetime(2026, 2, 3, 4, 5, 6, 7, tzinfo=UTC),
    "m": {"a": {"b": "c"}, "d": {}},
    "l": ["e", 300, [], [1, [2]]],
    "v": Vector([0.5, -2.0]),
}


@pytest.mark.parametrize("name", EVERY_TYPE)
@pytest.mark.parametrize("query", [False, True])
def test_no_byte_that_is_changed_is_taken_for_what_it_was(name: str, query: bool) -> None:
    answers = QUERIED if query else GOTTEN
    data = answer(document_bytes({name: EVERY_TYPE[name]}), name="a/b", query=query)
    assert agreed(answers, data)
    for at, byte in enumerate(data):
        near = {byte ^ 0x80, (byte + 1) & 0xFF, (byte - 1) & 0xFF, (byte + 8) & 0xFF}
        for other in near.union(BYTES, TAGS):
            agreed(answers, b"%b%c%b" % (data[:at], other, data[at + 1 :]))
            agreed(answers, b"%b%c%b" % (data[:at], other, data[at:]))
        agreed(answers, data[:at] + data[at + 1 :])


@given(st.binary(max_size=40))
def test_random_bytes_are_a_message_or_an_error_that_says_so(data) -> None:
    agreed(GOTTEN, data)
    agreed(QUERIED, data)
    try:
        message = DOCUMENT.FromString(data)
    except DecodeError:
        return
    agreed(GOTTEN, GOT(found=message).SerializeToString())


def sized(data: bytes) -> bytes:
    """The data, with its length before it."""
    size, length = len(data), bytearray()
    while size > 0x7F:
        length.append(size & 0x7F | 0x80)
        size >>= 7
    return b"%b%c%b" % (bytes(length), size, data)


def entry(name: bytes, value: bytes, *, tag: bytes = b"\x12") -> bytes:
    """A field of a document, or with another tag of a map."""
    return tag + sized(b"\x0a%b\x12%b" % (sized(name), sized(value)))


def a_map(*entries: bytes) -> bytes:
    return b"\x32" + sized(b"".join(entries))


ONE = b"\x10\x01"
IN_MAP = b"\x0a"


def deep(levels: int) -> bytes:
    """Lists in lists."""
    value = ONE
    for _ in range(levels):
        value = b"\x4a" + sized(b"\x0a" + sized(value))
    return value


def raw_answer(fields: bytes) -> bytes:
    """An answer with these very bytes, which a message might put in another order."""
    stamp = b"\x02\x08\x01"
    return b"\x0a%b\x22%b" % (sized(b"\x0a\x03a/b%b\x1a%b\x22%b" % (fields, stamp, stamp)), stamp)


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        pytest.param(b"\x12\x07\x12\x02\x10\x01\x0a\x01n", {"n": 1}, id="value before name"),
        pytest.param(entry(b"n", b"\x10\x02") + entry(b"n", ONE), {"n": 1}, id="said twice"),
        pytest.param(entry(b"n", b"\x08\x01\x10\x01"), {"n": 1}, id="of two types, the last"),
        pytest.param(entry(b"n", b"\xa8\x1f\x07\x10\x01"), {"n": 1}, id="field unknown here"),
        pytest.param(entry(b"n", ONE + b"\xa8\x1f\x07"), {"n": 1}, id="field unknown here, behind"),
        pytest.param(entry(b"n", b""), {"n": None}, id="no type"),
        pytest.param(entry(b"n", b"\x4a\x02\x0a\x00"), {"n": [None]}, id="no type in a list"),
        pytest.param(b"\x12\x03\x0a\x01n", {"n": None}, id="no value"),
        pytest.param(b"\x12\x04\x12\x02\x10\x01", {"": 1}, id="no name"),
        pytest.param(entry(b"n", b"\x10\x81\x00"), {"n": 1}, id="longer than need be"),
        pytest.param(entry(b"n", b"\x10" + b"\xff" * 9 + b"\x01"), {"n": -1}, id="negative"),
        pytest.param(
            entry(b"n", b"\x10" + b"\xff" * 9 + b"\x02"), {"n": 2**63 - 1}, id="more than 64 bits"
        ),
        pytest.param(entry(b"n", b"\x08\x05"), {"n": True}, id="a boolean above one"),
        pytest.param(entry(b"n", b"\x58\x05"), {"n": None}, id="a null above zero"),
        pytest.param(entry(b"n", b"\x52\x00"), {"n": datetime(1970, 1, 1, tzinfo=UTC)}, id="epoch"),
        pytest.param(
            entry(b"n", b"\x52\x04\x10\x07\x08\x01"),
            {"n": datetime(1970, 1, 1, 0, 0, 1, tzinfo=UTC)},
            id="nanoseconds before seconds",
        ),
        pytest.param(
            entry(b"n", b"\x52\x82\x00\x08\x01"),
            {"n": datetime(1970, 1, 1, 0, 0, 1, tzinfo=UTC)},
            id="a time whose length takes two bytes",
        ),
        pytest.param(entry(b"n" * 127, ONE), {"n" * 127: 1}, id="a long name"),
        pytest.param(entry(b"~list", ONE), {"~list": 1}, id="a field named as the mark of lists"),
        pytest.param(
            entry(b"n", a_map(entry(b"~list", ONE, tag=IN_MAP), entry(b"m", ONE, tag=IN_MAP))),
            {"n": {"~list": 1, "m": 1}},
            id="more than a wrapped list",
        ),
    ],
)
def test_what_no_serializer_writes_is_read_all_the_same(fields: bytes, expected) -> None:
    data = raw_answer(fields)
    assert outcome(GOTTEN.unusual, data).document == exact(expected)
    assert outcome(GOTTEN.read, data).document == exact(expected)


@pytest.mark.parametrize(
    "fields",
    [
        pytest.param(entry(b"n", b"\x10\x81" + b"\x80" * 9 + b"\x00"), id="too many groups"),
        pytest.param(entry(b"n", b"\x4a\x03\x0a\x02\x10") + entry(b"m", ONE), id="beyond a list"),
        pytest.param(entry(b"n", b"\x32\x05\x0a\x06\x0a\x01a"), id="beyond a map"),
        pytest.param(entry(b"n", b"\x8a\x01\x02\xed\xa0"), id="no UTF-8"),
        pytest.param(entry(b"\xff", ONE), id="a name that is no UTF-8"),
        pytest.param(entry(b"n", deep(5_000)), id="deeper than can be followed"),
    ],
)
def test_what_is_no_message_is_refused(fields: bytes) -> None:
    assert outcome(GOTTEN.unusual, raw_answer(fields)) is None
    assert outcome(GOTTEN.read, raw_answer(fields)) is None


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


# From documents to records.


class Loose(Record, collection="loose"):
    """Fields whose types say little."""

    id: str
    anything: Any
    maps: dict[str, Any]
    lists: list[Any]


def test_a_record_shares_nothing_with_the_document_it_is_decoded_from() -> None:
    document = encode(Loose(id="a", anything={"x": [1]}, maps={"y": [2]}, lists=[{"z": 3}]))
    document["unknown"] = {"u": [4]}
    before = exact(document)
    record = decode(Ref(Loose, "a"), document)
    record.anything["x"].append(2)
    record.maps["y"].append(3)
    record.lists[0]["z"] = 4
    record.unknown_fields["unknown"]["u"].append(5)
    assert exact(document) == before


def test_an_owned_document_keeps_the_fields_of_its_record() -> None:
    document = {**encode(Note(id="a", rank=3, data={"x": 1})), "unknown": 1}
    record = decode(Ref(Note, "a"), document, owned=True)
    assert record.unknown_fields == {"unknown": 1}
    assert document.keys() == Note.model_fields.keys()
    assert (document["rank"], document["data"]) == (3, {"x": 1})


def test_records_tell_apart_what_was_stored_and_what_is_a_default() -> None:
    whole = decode(Ref(Note, "a"), encode(Note(id="a")))
    lacking = decode(Ref(Note, "a"), {"schema_version": 1, "id": "a"})
    assert whole == lacking
    assert whole.model_fields_set == set(Note.model_fields)
    assert lacking.model_fields_set == {"id"}
    assert whole.evolve(rank=1).rank == 1
    assert decode(Ref(Note, "b"), encode(Note(id="b"))).model_fields_set == set(Note.model_fields)


class Shared(Record, collection="shared", schema_version=2):
    """Its upgrade gives the same map to every document."""

    id: str
    extra: Any = None

    EXTRA: ClassVar = {"list": [1]}

    @classmethod
    def upgrade(cls, data: dict[str, Any], from_version: int) -> dict[str, Any]:
        del from_version
        data["extra"] = cls.EXTRA
        return data


def test_what_an_upgrade_gives_to_all_is_shared_by_none() -> None:
    one, other = (decode(Ref(Shared, key), {"id": key}, owned=True) for key in "ab")
    one.extra["list"].append(2)
    assert other.extra == Shared.EXTRA == {"list": [1]}


@pytest.mark.parametrize(
    "vector",
    [
        [],
        [0.0] * 2_049,
        [float("nan")],
        [1.0, float("inf")],
        [float("inf"), float("-inf")],
        [1e308, 1e308, float("-inf")],
    ],
)
def test_a_stored_vector_that_is_no_embedding_is_corrupt(vector) -> None:
    item = MemoryItem(id="a", user_id="alice")
    document = {**encode(item), "embedding": Vector(vector)}
    for owned in (False, True):
        with pytest.raises(CorruptRecord, match="memory_items/a") as caught:
            decode(Ref(MemoryItem, "a"), dict(document), owned=owned)
        assert caught.value.fields == ("embedding",)


def test_an_embedding_is_kept_whatever_its_sum() -> None:
    large = MemoryItem(id="a", user_id="alice", embedding=[1e308] * 3)
    document = read(record_bytes(large))
    record = decode(Ref(MemoryItem, "a"), document, owned=True)
    assert record.embedding == large.embedding
    assert type(record.embedding) is Vector


def test_times_of_another_zone_become_utc() -> None:
    zone = timezone(timedelta(hours=2))
    document = {**encode(Note(id="a")), "created": datetime(2026, 1, 1, 2, tzinfo=zone)}
    created = decode(Ref(Note, "a"), document).created
    assert created == datetime(2026, 1, 1, tzinfo=UTC)
    assert created.tzinfo is UTC
