"""Records in Firestore's bytes: those its own library would send of what is documented."""

import threading
from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal
from enum import Enum, IntEnum
from functools import cached_property
from pathlib import Path
from typing import Any, Literal
from uuid import UUID

import pytest
from google.api_core.datetime_helpers import DatetimeWithNanoseconds
from google.cloud.firestore_v1.vector import Vector as TheirVector
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel

from orchestra_memory import InvalidRecord, MemoryItem, Record
from orchestra_memory.codec.document import encode
from orchestra_memory.codec.firestore.decode import decode_fields
from orchestra_memory.codec.firestore.encode import document_bytes, record_bytes
from orchestra_memory.testing.contract.models import Mood, Note, Ticket
from orchestra_memory.values import Embedding, JsonLike, utc_now

from .wire_documents import DOCUMENT, documented, documented_name, records, sorted_by_name, theirs


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


def test_times_that_a_driver_returned_are_kept_to_the_microsecond() -> None:
    fine = DatetimeWithNanoseconds(2026, 2, 3, 4, 5, 6, nanosecond=123_456_789, tzinfo=UTC)
    plain = datetime(2026, 2, 3, 4, 5, 6, 123_456, tzinfo=UTC)
    assert document_bytes({"a": [fine, {"b": fine}]}) == theirs({"a": [plain, {"b": plain}]})
    record = Note(id="a", created=fine, data={"x": [fine]})
    assert fields_of(record) == fields_of(Note(id="a", created=plain, data={"x": [plain]}))


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
