"""Payloads in Redis: what is kept comes back exactly, and nothing else does."""

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone
from typing import Any
from zlib import crc32

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import Field

from orchestra_memory import (
    AgentData,
    AgentMemory,
    AgentState,
    CoordinationEvent,
    Embedding,
    JsonLike,
    JsonMap,
    MemoryItem,
    MemoryRecord,
    Record,
    Ref,
    Source,
    Stored,
    SystemState,
    UserSession,
    UtcDatetime,
)
from orchestra_memory.codec.document import decode, encode
from orchestra_memory.layers.cached.entries import (
    FORMAT,
    payload,
    payload_of_read,
    row_in,
    stored_in,
)
from orchestra_memory.layers.cached.policy import CachePolicy
from orchestra_memory.layers.sourced import document_of, row_of
from orchestra_memory.testing.contract.oracle import exact

from ..properties.test_codecs import ODD_TEXT, STORED, TEXT, TIMES, VALUES, VECTORS

POLICY = CachePolicy()
NOW = datetime(2026, 5, 5, 1, 2, 3, 4, UTC)


class Anything(Record, collection="anything", schema_version=3):
    id: str
    when: UtcDatetime = NOW
    data: JsonLike = None
    more: JsonMap = Field(default_factory=dict[str, JsonLike])
    vector: Embedding | None = None
    raw: bytes = b""
    number: float | int | None = None


class Renamed(Record, collection="renamed"):
    id: str


class Newer(Record, collection="anything", schema_version=4):
    id: str


class Narrower(Record, collection="anything", schema_version=3):
    id: str
    number: str


ANYTHING = st.builds(
    Anything,
    id=TEXT.filter(bool),
    when=TIMES,
    data=VALUES,
    more=st.dictionaries(ODD_TEXT, VALUES, max_size=3),
    vector=st.none() | VECTORS,
    raw=st.binary(max_size=8),
    number=st.none() | st.integers(-(2**63), 2**63 - 1) | st.floats(),
)
SAMPLES: list[Record] = [
    MemoryItem(
        user_id="ada",
        session_id="s",
        text_content='said "$5" \u2028\0',
        embedding=[0.1, -0.0, 5e-324],
        metadata={"$time": "no time", "at": NOW, "n": 2**63 - 1, "raw": b"\0", "x": float("inf")},
        expiration=NOW,
    ),
    MemoryRecord(content={"a": [1, 1.0, None, {"$": [NOW]}]}, context="c"),
    AgentData(agent_id="a", content=[[NOW]], data_type="d"),
    UserSession(user_id="u_1", session_id="s/1", ended_at=NOW),
    AgentState(agent_type="t", agent_id="a", session_id="s", status="odd", child_agents=["b"]),
    AgentMemory(agent_type="t", agent_id="a", memory_types_count={"x": 2}),
    CoordinationEvent(event_type="spawn", success=True, duration_seconds=1e300),
    SystemState(feature_flags={"$a": True}, error_counts={"e": 1}),
    Anything(id="a"),
]


def ref_of(record: Record) -> Ref[Any]:
    return Ref(type(record), record.key)


def kept(record: Record, revision: int = 7) -> bytes:
    text = payload(ref_of(record), revision, encode(record), POLICY)
    assert text is not None
    return text


def sealed(body: bytes, form: bytes = FORMAT) -> bytes:
    return form + body + crc32(form + body).to_bytes(4, "little")


@pytest.mark.parametrize("record", SAMPLES, ids=lambda record: type(record).__name__)
def test_every_record_type_comes_back(record) -> None:
    back = stored_in(ref_of(record), kept(record), 1.5)
    assert back == Stored(record, 7, Source.CACHE, 1.5)
    assert exact(encode(back.record)) == exact(encode(record))


@given(ANYTHING, st.integers(0, 2**63 - 1))
def test_every_value_comes_back_exactly(record, revision) -> None:
    back = stored_in(ref_of(record), kept(record, revision))
    assert back is not None
    assert back.revision == revision
    assert exact(encode(back.record)) == exact(encode(record))


@given(st.dictionaries(ODD_TEXT.map("x{}".format), STORED, max_size=3))
def test_fields_of_a_newer_release_come_back(unknown) -> None:
    document = {**encode(Anything(id="a")), **unknown}
    record = decode(Ref(Anything, "a"), document)
    text = payload(ref_of(record), 1, encode(record), POLICY)
    back = stored_in(ref_of(record), text) if text else None
    # Only what no JSON tells exactly may be left to the store.
    assert text is None or (back and exact(encode(back.record)) == exact(encode(record)))


def test_times_come_back_in_utc() -> None:
    record = Anything(id="a", when=NOW.astimezone(timezone(timedelta(hours=5))), data=[NOW])
    back = stored_in(ref_of(record), kept(record))
    assert back is not None
    assert back.record.when.tzinfo is UTC
    assert back.record.data[0].tzinfo is UTC


def test_what_a_document_lacks_stays_lacking() -> None:
    document = {"id": "a", "schema_version": 3, "raw": b"r"}
    stored = Stored(decode(Ref(Anything, "a"), dict(document)), 1)
    text = payload_of_read(Ref(Anything, "a"), stored, POLICY)
    assert text is not None
    row, back = row_in(Ref(Anything, "a"), text), stored_in(Ref(Anything, "a"), text)
    assert row
    assert back
    assert row.document == document == document_of(stored.record)
    assert back.record == stored.record


def test_defaults_of_a_record_that_was_put_are_kept() -> None:
    record = MemoryItem(user_id="ada")
    row = row_in(ref_of(record), kept(record))
    assert row
    assert row.document == encode(record)


@pytest.mark.parametrize("record", SAMPLES, ids=lambda record: type(record).__name__)
def test_rows_of_an_entry_and_of_a_read_are_alike(record) -> None:
    stored = Stored(record.evolve(), 7)
    ours, theirs = row_in(ref_of(record), kept(record), 2.0), row_of(ref_of(record), stored)
    assert ours
    assert exact(ours.document) == exact(theirs.document)
    assert (ours.source, ours.age) == (Source.CACHE, 2.0)
    assert (theirs.source, theirs.age) == (Source.PRIMARY, 0.0)
    assert replace(ours, source=theirs.source, age=0.0) == theirs


@given(st.binary(max_size=80) | st.binary(max_size=40).map(sealed))
def test_random_bytes_are_a_miss(text) -> None:
    assert stored_in(Ref(Anything, "a"), text) is None


@given(ANYTHING, st.data())
def test_a_damaged_entry_is_a_miss(record, data) -> None:
    text = bytearray(kept(record))
    place = data.draw(st.integers(0, len(text) - 1))
    text[place] ^= data.draw(st.integers(1, 255))
    assert stored_in(ref_of(record), bytes(text)) is None


@given(ANYTHING, st.data())
def test_a_cut_or_lengthened_entry_is_a_miss(record, data) -> None:
    text = kept(record)
    cut = text[: data.draw(st.integers(0, len(text) - 1))]
    assert stored_in(ref_of(record), cut) is None
    assert stored_in(ref_of(record), text + data.draw(st.binary(min_size=1, max_size=4))) is None


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-9, 9) | st.text("az3$", max_size=3),
    lambda inner: st.lists(inner, max_size=7) | st.dictionaries(TEXT, inner, max_size=2),
    max_leaves=12,
)
PARTS = st.tuples(
    st.sampled_from(["anything/3/", "anything/3/0123456789ab"]) | JSON,
    st.just("a") | JSON,
    st.just(1) | JSON,
    st.just({"id": "a"}) | JSON,
    *[st.just([]) | st.lists(st.sampled_from(["when", "id", "data"])) | JSON] * 3,
)


@given(JSON | PARTS.map(list))
def test_no_sealed_text_raises_or_is_taken_for_another_record(body) -> None:
    back = stored_in(Ref(Anything, "a"), sealed(json.dumps(body).encode()))
    assert back is None or (back.record.id == "a" and type(back.revision) is int)


def test_nesting_without_end_is_a_miss() -> None:
    assert stored_in(Ref(Anything, "a"), sealed(b"[" * 100_000)) is None


def test_an_entry_of_another_format_is_a_miss() -> None:
    body = kept(Anything(id="a"))[1:-4]
    assert stored_in(Ref(Anything, "a"), sealed(body)) is not None
    assert stored_in(Ref(Anything, "a"), sealed(body, b"3")) is None


def test_an_entry_of_the_format_before_is_a_miss() -> None:
    fields = '{"id":"a","schema_version":1}'
    body = f'["renamed","a",7,null,{fields},[],[],[]]'.encode()
    assert stored_in(Ref(Renamed, "a"), b"1%08x%b" % (crc32(body), body)) is None


@pytest.mark.parametrize(
    "ref",
    [Ref(Anything, "b"), Ref(Renamed, "a"), Ref(Newer, "a"), Ref(Narrower, "a")],
    ids=["another id", "another collection", "another version", "other fields"],
)
def test_an_entry_of_another_record_is_a_miss(ref) -> None:
    assert stored_in(ref, kept(Anything(id="a", number=1))) is None


def test_what_is_too_large_is_not_kept() -> None:
    record = Anything(id="a", raw=b"x" * 900)
    small, large = (CachePolicy(max_bytes=size) for size in (1_000, 3_000))
    assert payload_of_read(ref_of(record), Stored(record, 1), small) is None
    assert payload_of_read(ref_of(record), Stored(record, 1), large) is not None


def test_a_record_shares_nothing_with_the_next_from_the_same_payload() -> None:
    record = Anything(id="a", more={"b": {"c": [1]}})
    text = kept(record)
    first, second = (stored_in(ref_of(record), text) for _ in range(2))
    assert first
    assert second
    assert first.record.more["b"] is not second.record.more["b"]
