"""Operations come back from bytes as they were, or say why they cannot."""

from __future__ import annotations

import json
from decimal import Decimal
from uuid import UUID

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from orchestra_memory import (
    ABSENT,
    ConfigurationError,
    CorruptRecord,
    Delete,
    DurabilityUnavailable,
    MemoryItem,
    Patch,
    Put,
    Ref,
    SchemaTooNew,
)
from orchestra_memory.codec.document import decode, encode
from orchestra_memory.codec.operations import (
    VERSION,
    decode_operation,
    encode_operation,
    models_by_name,
)
from orchestra_memory.testing.contract.models import (
    Event,
    EventTomorrow,
    EventUpgraded,
    Lease,
    LooseNote,
    Note,
    Place,
    Ticket,
)
from orchestra_memory.testing.contract.oracle import exact
from orchestra_memory.values import Vector
from tests.properties.steps import NOW, Step, lease, steps

MODELS = models_by_name([Note, LooseNote, Lease, Place, Ticket, Event, MemoryItem])
PARTS = ("set", "increment", "add", "remove", "unset")


def shown(op):
    """All there is to an operation, in a form that tells 1 from 1.0 and True."""
    record = {Put: "record", Patch: "or_create"}.get(type(op))
    stored = None if record is None or getattr(op, record) is None else encode(getattr(op, record))
    parts = [exact(getattr(op, name)) for name in PARTS if isinstance(op, Patch)]
    return type(op), op.ref, op.expect, type(op.expect), exact(stored), parts


def there_and_back(op):
    return decode_operation(encode_operation(op), MODELS)


@settings(deadline=None, derandomize=True, max_examples=200)
@given(steps, st.integers(0, 10**6))
def test_the_operations_of_the_contract_come_back(step: Step, serial):
    expect = step.expect if not isinstance(step.expect, int) else step.expect * 10**13
    op = step.operation(serial, expect)
    assert shown(there_and_back(op)) == shown(op)


@pytest.mark.parametrize(
    "record",
    [
        lease("a", 2, NOW),
        Place(country="d/e", town="b_%"),
        Ticket(id="a", serial=UUID(int=7), price=Decimal("1.50")),
        Event(id="a"),
        Note(id="$time", data={"$time": "x", "$$": {"$bytes": b"\0"}}, vector=[0.1, -0.0]),
        MemoryItem(id="a", user_id="alice", text_content="é😀"),
    ],
    ids=lambda record: type(record).__name__,
)
def test_records_of_any_type_come_back(record):
    for op in (Put(record, ABSENT, "ours"), Delete(Ref(type(record), record.key), 7)):
        assert shown(there_and_back(op)) == shown(op)


def test_fields_a_release_does_not_know_come_back():
    stored = {**encode(Note(id="a")), "new": {"x": Vector([1.0])}, "other": 2**60}
    op = Put(decode(Ref(Note, "a"), stored))
    assert exact(there_and_back(op).record.unknown_fields) == exact(op.record.unknown_fields)


def test_types_that_share_a_collection_are_told_apart():
    assert type(there_and_back(Put(LooseNote(id="a"))).record) is LooseNote
    assert type(there_and_back(Put(Note(id="a"))).record) is Note


def test_a_record_of_an_older_version_is_upgraded_as_it_is_when_read():
    body = encode_operation(Put(Event(id="a", size=3)))
    body = body.replace(b'"Event"', b'"EventUpgraded"')
    op = decode_operation(body, models_by_name([EventUpgraded]))
    assert isinstance(op, Put)
    assert (op.record.size, op.record.read_from) == (3, 1)


def test_a_record_of_a_later_version_is_refused():
    body = encode_operation(Put(EventTomorrow(id="a"))).replace(b'"EventTomorrow"', b'"Event"')
    with pytest.raises(SchemaTooNew, match="upgrade"):
        decode_operation(body, MODELS)


def test_an_operation_in_a_later_form_is_refused():
    found = {**json.loads(encode_operation(Delete(Ref(Note, "a")))), "v": VERSION + 1, "op": "?"}
    with pytest.raises(SchemaTooNew, match="upgrade"):
        decode_operation(json.dumps(found).encode(), MODELS)


def test_a_record_type_nobody_declared_here_is_named():
    body = encode_operation(Delete(Ref(EventTomorrow, "a")))
    with pytest.raises(ConfigurationError, match=r"EventTomorrow.*import"):
        decode_operation(body, MODELS)


def test_nan_in_a_vector_is_refused_without_showing_it():
    stored = {**encode(Note(id="a")), "new": Vector([float("nan"), 12345.0])}
    with pytest.raises(DurabilityUnavailable, match="NaN") as caught:
        encode_operation(Put(decode(Ref(Note, "a"), stored)))
    assert "12345" not in str(caught.value)
    assert caught.value.__cause__ is None


SECRET = "hunter2"


@pytest.mark.parametrize(
    "change",
    [
        {"op": SECRET},
        {"key": ""},
        {"key": 7},
        {"namespace": f"{SECRET}/"},
        {"expect": SECRET},
        {"expect": True},
        {"document": SECRET},
        {"document": {"rank": SECRET}},
        {"document": None},
        {"model": [SECRET]},
        {"collection": None, "model": {}},
        {"v": SECRET},
        {"op": "patch"},
        {"op": "patch", "expect": "present", "set": {"rank": SECRET}},
    ],
    ids=str,
)
def test_what_is_no_operation_is_refused_without_showing_it(change):
    found = {**json.loads(encode_operation(Put(Note(id="a")))), **change}
    with pytest.raises(CorruptRecord) as caught:
        decode_operation(json.dumps(found).encode(), MODELS)
    assert SECRET not in str(caught.value)


@pytest.mark.parametrize("body", [b"", b"{", b"\xff", b"[]", b"null", b"{}", b"[" * 10_000])
def test_bytes_that_are_no_map_are_refused(body):
    with pytest.raises(CorruptRecord, match="no operation"):
        decode_operation(body, MODELS)


@settings(deadline=None, derandomize=True, max_examples=100)
@given(steps, st.data())
def test_a_body_with_parts_missing_is_refused_or_means_the_same(step: Step, data):
    found = json.loads(encode_operation(step.operation(1, None)))
    missing = data.draw(st.sampled_from(sorted(found)))
    del found[missing]
    with pytest.raises(CorruptRecord):
        decode_operation(json.dumps(found).encode(), MODELS)
