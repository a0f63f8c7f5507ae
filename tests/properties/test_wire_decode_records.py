"""Records out of documents, and what they share with them: nothing."""

from datetime import UTC, datetime, timedelta, timezone
from typing import Any, ClassVar

import pytest

from orchestra_memory import CorruptRecord, MemoryItem, Record, Ref
from orchestra_memory.codec.document import decode, encode
from orchestra_memory.codec.firestore.encode import record_bytes
from orchestra_memory.testing.contract.models import Note
from orchestra_memory.testing.contract.oracle import exact
from orchestra_memory.values import Vector

from .wire_answers import read


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
