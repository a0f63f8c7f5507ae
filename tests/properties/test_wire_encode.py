"""Documents and records in Firestore's bytes: those its own library would send."""

import threading
from collections.abc import Mapping
from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal
from enum import Enum, IntEnum
from functools import cached_property
from pathlib import Path
from types import UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin
from uuid import UUID

import pytest
from google.api_core.datetime_helpers import DatetimeWithNanoseconds
from google.cloud.firestore_v1 import types
from google.cloud.firestore_v1._helpers import encode_dict
from google.cloud.firestore_v1.vector import Vector as TheirVector
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel

from orchestra_memory import InvalidRecord, MemoryItem, Record, Ref
from orchestra_memory.codec.document import decode, encode
from orchestra_memory.codec.firestore.decode import decode_fields
from orchestra_memory.codec.firestore.encode import (
    document_bytes,
    encode_time,
    map_bytes,
    record_bytes,
    value_bytes,
)
from orchestra_memory.models import SHIPPED
from orchestra_memory.testing.contract.models import Mood, Note, Ticket
from orchestra_memory.testing.contract.oracle import exact
from orchestra_memory.values import Embedding, JsonLike, Vector, to_micros, utc_now

DOCUMENT = types.Document.pb()
MAP = types.MapValue.pb()
VALUE = types.Value.pb()

ZONES = st.one_of(
    st.just(UTC), st.integers(-14 * 60, 14 * 60).map(lambda m: timezone(timedelta(minutes=m)))
)
EDGES = sorted(
    {n for bits in range(64) for n in (2**bits - 1, 2**bits, -(2**bits), 1 - 2**bits)} - {2**63}
)
INTEGERS = st.one_of(st.integers(-(2**63), 2**63 - 1), st.sampled_from(EDGES))
TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
TIMES = st.datetimes(datetime(1, 1, 2), datetime(9999, 12, 30), timezones=ZONES)
SCALARS = st.one_of(
    st.none(), st.booleans(), INTEGERS, st.floats(), TEXT, st.binary(max_size=6), TIMES
)
NAMES = st.one_of(
    st.sampled_from(["value", "_parts", "a.b", "`", "é", "😀", "\x00", "_x_"]),
    TEXT.filter(lambda name: name[:1] not in ("", "~") and name[:2] != "__"),
)
ODD_NAMES = st.one_of(
    NAMES, st.sampled_from(["", "~", "~:", "~list", "__x__", "__", "____", "__type__", "__name__"])
)
VECTORS = st.lists(st.floats(), max_size=4).map(Vector)


def documents(scalars, names, *, nest: bool):
    """Documents of these; with lists in lists if `nest`."""

    def containers(inner):
        maps = st.dictionaries(names, inner, max_size=3)
        return st.one_of(maps, st.lists(inner if nest else scalars | maps, max_size=3))

    values = st.recursive(scalars, containers, max_leaves=8)
    return st.dictionaries(names, values, max_size=4)


PLAIN = documents(SCALARS | VECTORS, NAMES, nest=False)
ANY = documents(SCALARS | VECTORS, ODD_NAMES, nest=True)


def theirs(document: Mapping[str, Any]) -> bytes:
    """What the library sends of a document, its fields in the order of their names."""
    message = types.Document(fields=encode_dict(document))
    return types.Document.pb(message).SerializeToString(deterministic=True)


def sorted_by_name(data: bytes) -> bytes:
    """The same document, its fields in the order of their names."""
    return DOCUMENT.FromString(data).SerializeToString(deterministic=True)


def for_them(value: Any) -> Any:
    """A plain value as the library takes it."""
    if type(value) is Vector:
        return TheirVector(value)
    if type(value) is dict:
        return {name: for_them(item) for name, item in value.items()}
    return [for_them(item) for item in value] if type(value) is list else value


def documented(value: Any) -> Any:
    """A value in the form that is documented for what Firestore or the library cannot hold."""
    if type(value) is dict:
        return {documented_name(name): documented(item) for name, item in value.items()}
    if type(value) is list:
        items = [documented(item) for item in value]
        return [{"~list": item} if type(item) is list else item for item in items]
    return TheirVector(value) if type(value) is Vector else value


def documented_name(name: str) -> str:
    reserved = name.startswith("__") and name.endswith("__")
    return f"~:{name}" if name[:1] in ("", "~") or reserved else name


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


def test_times_that_a_driver_returned_are_kept_to_the_microsecond() -> None:
    fine = DatetimeWithNanoseconds(2026, 2, 3, 4, 5, 6, nanosecond=123_456_789, tzinfo=UTC)
    plain = datetime(2026, 2, 3, 4, 5, 6, 123_456, tzinfo=UTC)
    assert document_bytes({"a": [fine, {"b": fine}]}) == theirs({"a": [plain, {"b": plain}]})
    record = Note(id="a", created=fine, data={"x": [fine]})
    assert fields_of(record) == fields_of(Note(id="a", created=plain, data={"x": [plain]}))


@pytest.mark.parametrize("value", [{1}, Decimal(1), UUID(int=1), date(2026, 1, 1), 1j, object()])
def test_what_no_store_can_hold_is_a_type_error_that_names_the_type(value: Any) -> None:
    with pytest.raises(TypeError, match=type(value).__name__):
        document_bytes({"a": [{"b": value}]})


# Records.


class Level(IntEnum):
    LOW = 1


class Shape(Enum):
    BOX = "box"


class Inner(BaseModel):
    n: int
    nested: list[list[int]]


class Odd(Record, collection="odd", schema_version=300):
    """Fields of every kind that a user may think of."""

    id: str
    serial: UUID
    price: Decimal
    day: date
    path: Path
    took: timedelta
    tags: set[str]
    frozen: frozenset[int]
    pair: tuple[int, str]
    level: Level
    shape: Shape | None
    word: Literal["x"]
    inner: Inner
    inners: dict[str, Inner]
    grid: list[list[int]]
    mixed: bool | int | float | str
    anything: Any
    free: JsonLike
    raw: bytes
    at: datetime
    times: list[datetime]
    vector: Embedding | None

    @cached_property
    def shout(self) -> str:
        return self.id.upper()


ODD = Odd(
    id="a",
    serial=UUID(int=7),
    price=Decimal("0.10"),
    day=date(2026, 2, 3),
    path=Path("a/b"),
    took=timedelta(seconds=90),
    tags={"only"},
    frozen=frozenset({3}),
    pair=(1, "b"),
    level=Level.LOW,
    shape=Shape.BOX,
    word="x",
    inner=Inner(n=1, nested=[[1], [2]]),
    inners={"__x__": Inner(n=2, nested=[[]])},
    grid=[[1, 2], []],
    mixed=1,
    anything=(1, [2]),
    free=None,
    raw=b"\x00\xff",
    at=datetime(2026, 2, 3, 4, 5, 6, 7, tzinfo=timezone(timedelta(hours=2))),
    times=[datetime(1970, 1, 1, tzinfo=UTC)],
    vector=[1.0, -0.0],
)
ODD_STORED = {
    "schema_version": 300,
    "id": "a",
    "serial": "00000000-0000-0000-0000-000000000007",
    "price": "0.10",
    "day": "2026-02-03",
    "path": "a/b",
    "took": "PT1M30S",
    "tags": ["only"],
    "frozen": [3],
    "pair": [1, "b"],
    "level": 1,
    "shape": "box",
    "word": "x",
    "inner": {"n": 1, "nested": [{"~list": [1]}, {"~list": [2]}]},
    "inners": {"~:__x__": {"n": 2, "nested": [{"~list": []}]}},
    "grid": [{"~list": [1, 2]}, {"~list": []}],
    "mixed": 1,
    "anything": [1, {"~list": [2]}],
    "free": None,
    "raw": b"\x00\xff",
    "at": datetime(2026, 2, 3, 2, 5, 6, 7, tzinfo=UTC),
    "times": [datetime(1970, 1, 1, tzinfo=UTC)],
    "vector": TheirVector([1.0, -0.0]),
}


def fields_of(record: Record) -> dict[str, Any]:
    """What is stored of a record, by the names of its fields; each stands there once."""
    data = record_bytes(record)
    message = DOCUMENT.FromString(data)
    # A field that stood there twice would be gone.
    assert len(message.SerializeToString()) == len(data)
    return {
        name: value.SerializeToString(deterministic=True) for name, value in message.fields.items()
    }


def test_fields_with_types_of_their_own_have_the_documented_form() -> None:
    assert sorted_by_name(record_bytes(ODD)) == theirs(ODD_STORED)


def test_what_a_record_has_worked_out_is_not_stored() -> None:
    record = ODD.evolve()
    assert record.shout == "A"
    assert sorted_by_name(record_bytes(record)) == theirs(ODD_STORED)
    assert encode(record).keys() == {*Odd.model_fields, "schema_version"}


def values_for(annotation: Any) -> st.SearchStrategy[Any]:
    """Values that a field of the shipped types takes."""
    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        return values_for(arguments[0])
    if origin in (Union, UnionType):
        return st.one_of(*map(values_for, arguments))
    if origin is list and get_origin(arguments[0]) is Annotated and float in get_args(arguments[0]):
        return st.lists(FINITE, min_size=1, max_size=4)
    if origin is list:
        return st.lists(values_for(arguments[0]), max_size=3)
    if origin is dict:
        return st.dictionaries(ODD_NAMES, values_for(arguments[1]), max_size=3)
    if isinstance(annotation, type) and issubclass(annotation, Enum):
        return st.sampled_from(annotation)
    return PLAIN_FIELDS[annotation]


FREE = st.one_of(SCALARS, ANY)
FINITE = st.floats(allow_nan=False, allow_infinity=False)
PLAIN_FIELDS: dict[Any, st.SearchStrategy[Any]] = {
    Any: FREE,
    str: TEXT.filter(bool),
    int: INTEGERS,
    float: st.floats(),
    bool: st.booleans(),
    datetime: TIMES,
    type(None): st.none(),
}


@st.composite
def records(draw: st.DrawFn) -> Record:
    """A record of one of the shipped types, with fields that its version does not know."""
    model = draw(st.sampled_from([*SHIPPED, Note]))
    data = {name: draw(values_for(info.annotation)) for name, info in model.model_fields.items()}
    record = model.model_validate(data)
    if not draw(st.booleans()):
        return record
    unknown = draw(ANY)
    stored = {**encode(record), **{f"new {name}": value for name, value in unknown.items()}}
    return decode(Ref(model, record.key), stored)


def plain(record: Record) -> dict[str, Any]:
    """The document that the docs promise of a record of the shipped types."""
    fields = {name: getattr(record, name) for name in type(record).model_fields}
    whole = {**record.unknown_fields, **fields, "schema_version": 1}
    return {
        documented_name(name): documented(value.value if isinstance(value, Enum) else value)
        for name, value in whole.items()
    }


@given(records())
def test_every_shipped_record_is_what_the_library_would_send(record) -> None:
    assert sorted_by_name(record_bytes(record)) == theirs(plain(record))


@given(records())
def test_a_record_is_encoded_as_its_document_is(record) -> None:
    data = record_bytes(record)
    document = document_bytes(encode(record))
    assert len(data) == len(document)
    assert sorted_by_name(data) == sorted_by_name(document)


@given(records())
def test_the_same_record_is_encoded_alike_every_time(record) -> None:
    assert record_bytes(record) == record_bytes(record) == record_bytes(record.evolve())


LOOKALIKES = [
    1,
    True,
    1.0,
    "1",
    0,
    False,
    0.0,
    -0.0,
    "",
    None,
    b"",
    b"1",
    [],
    {},
    [1],
    [True],
    [1.0],
]


@st.composite
def neighbours(draw: st.DrawFn) -> Record:
    """Records whose fields are nearly those of others."""
    few = st.sampled_from(["", "1", "True", "None", "a" * 60, "a" * 120])
    if draw(st.booleans()):
        return ODD.evolve(
            id=draw(few),
            mixed=draw(st.sampled_from([1, True, 1.0, "1", 0, False])),
            anything=draw(st.sampled_from(LOOKALIKES)),
            free=draw(st.sampled_from(LOOKALIKES)),
        )
    return Note(
        id=draw(few.filter(bool)),
        title=draw(few),
        owner=draw(few),
        done=draw(st.booleans()),
        score=draw(st.sampled_from([None, 1.0, 0.0, -0.0])),
        mood=draw(st.sampled_from(Mood)),
        attachment=draw(st.sampled_from(LOOKALIKES)),
        data={"x": draw(st.sampled_from(LOOKALIKES))},
        expiration=draw(st.sampled_from([None, datetime(2026, 1, 1, tzinfo=UTC)])),
    )


@given(st.lists(neighbours(), min_size=2, max_size=8), st.data())
def test_no_value_of_one_record_shows_in_another(some, data) -> None:
    for record in data.draw(st.lists(st.sampled_from(some), min_size=4, max_size=16)):
        alone = {
            name: DOCUMENT.FromString(document_bytes({name: value})).fields[name]
            for name, value in encode(record).items()
        }
        assert fields_of(record) == {
            name: value.SerializeToString(deterministic=True) for name, value in alone.items()
        }


def test_a_value_that_was_changed_in_place_is_encoded_anew() -> None:
    note = Note(id="a", data={"x": 1}, tags=["a"])
    before = fields_of(note)
    note.data["x"] = 2  # type: ignore[index]
    note.tags.append("b")
    assert fields_of(note) == fields_of(Note(id="a", data={"x": 2}, tags=["a", "b"])) != before


def test_threads_that_encode_the_same_type_do_not_mix_their_values() -> None:
    wrong: list[tuple[str, dict[str, Any]]] = []
    start = threading.Barrier(4)

    def work(name: str) -> None:
        mine = [MemoryItem(id=name, user_id=name, session_id=name, item_type=name) for _ in "ab"]
        start.wait()
        for turn in range(1_500):
            fields = decode_fields(DOCUMENT.FromString(record_bytes(mine[turn % 2])).fields)
            told = {fields[field] for field in ("id", "user_id", "session_id", "item_type")}
            if told != {name}:
                wrong.append((name, fields))

    threads = [threading.Thread(target=work, args=(f"thread-{n}",)) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


LONE = "a\ud800b"


def changed_in_place(value: Any) -> Note:
    note = Note(id="a", data={"deep": [{}]})
    note.data["deep"][0]["er"] = value  # type: ignore[index]
    return note


@pytest.mark.parametrize(
    ("make", "field"),
    [
        (lambda: Note(id="a", title=LONE), "title"),
        (lambda: Note(id="a", rank=2**63), "rank"),
        (lambda: Note(id="a", rank=-(2**63) - 1), "rank"),
        (lambda: Note(id="a", rank=2**64), "rank"),
        (lambda: Note(id="a", data={"x": [2**64]}), "data"),
        (lambda: Note(id="a", data={"x": [LONE]}), "data"),
        (lambda: Note(id="a", data={LONE: 1}), "data"),
        (lambda: Note(id="a", attachment={"x": {1}}), "attachment"),
        (lambda: Note(id="a", created=datetime(2026, 1, 1)), "created"),
        (lambda: Note(id="a", created=datetime(1, 1, 1, tzinfo=timezone.max)), "created"),
        (lambda: Note(id="a", data={"x": datetime.max.replace(tzinfo=timezone.min)}), "data"),
        (lambda: Note(id="a", vector=[float("nan")]), "vector"),
        (lambda: ODD.evolve(anything=[LONE]), "anything"),
        (lambda: ODD.evolve(anything={1: 2}), "anything"),
        (lambda: ODD.evolve(anything=2**64), "anything"),
        (lambda: ODD.evolve(at=datetime(2026, 1, 1)), "at"),
        (lambda: ODD.evolve(grid=[[2**64]]), "grid"),
        (lambda: ODD.evolve(inner=Inner(n=2**64, nested=[])), "inner"),
        (lambda: changed_in_place(2**64), "data"),
        (lambda: changed_in_place(LONE), "data"),
        (lambda: changed_in_place({1}), "data"),
        (lambda: changed_in_place(Ticket), "data"),
    ],
)
def test_what_cannot_be_stored_is_refused_by_the_name_of_its_field(make, field: str) -> None:
    with pytest.raises(InvalidRecord) as caught:
        record_bytes(make())
    assert caught.value.field == field
    assert field in str(caught.value)
    assert "\ud800" not in str(caught.value)
    assert caught.value.__cause__ is None


def test_free_json_changed_in_place_into_what_can_be_stored_is_stored() -> None:
    note = changed_in_place(utc_now())
    assert fields_of(note) == fields_of(Note(id="a", data=note.data))
