"""A marker says of one commit that it was made, and of no other."""

from datetime import UTC, datetime, timedelta

import pytest

from orchestra_memory import (
    ABSENT,
    ConfigurationError,
    Conflict,
    InvalidBatch,
    LocalMemory,
    Options,
    Patch,
    Put,
    Receipt,
    Record,
    Ref,
)
from orchestra_memory.codec.document import must_be_stored
from orchestra_memory.layers.fallback.markers import (
    Marker,
    commit_id,
    count_in,
    is_whole,
    mark,
    needs_marker,
    without_marker,
)
from orchestra_memory.operations import Billed
from orchestra_memory.testing.contract.models import Note

NOW = datetime(2026, 5, 5, tzinfo=UTC)
A = Ref(Note, "a")
ONE_MORE = Patch(A, increment={"rank": 1})

anyio = pytest.mark.anyio


@pytest.mark.parametrize(("count", "whole"), [(1, False), (399, False), (2, True), (400, True)])
def test_an_id_tells_how_many_writes_belong_to_its_commit_and_if_it_may_be_split(count, whole):
    commit = commit_id(count, whole=whole)
    assert (count_in(commit), is_whole(commit)) == (count, whole)
    assert commit != commit_id(count, whole=whole)


@anyio
async def test_a_commit_with_a_marker_can_be_made_once_only():
    memory = LocalMemory(clock=lambda: NOW)
    await memory.put(Note(id="a"))
    await memory.write([ONE_MORE, mark("c-1", NOW)])
    with pytest.raises(Conflict) as caught:
        await memory.write([ONE_MORE, mark("c-1", NOW)])
    assert [ref.key for ref in caught.value.refs] == ["c-1"]
    note = await memory.get(Note, "a")
    assert note.rank == 1


@anyio
async def test_a_marker_outlives_what_a_journal_keeps():
    now = NOW
    memory = LocalMemory(clock=lambda: now)
    await memory.write([mark("c-1", NOW)])
    now = NOW + timedelta(days=7, hours=23)
    with pytest.raises(Conflict):
        await memory.write([mark("c-1", now)])
    now = NOW + timedelta(days=8)
    assert await memory.get(Marker, "c-1") is None


def test_only_what_would_differ_if_applied_twice_needs_a_marker():
    assert needs_marker([Put(Note(id="b")), ONE_MORE])
    assert not needs_marker([Put(Note(id="a")), Put(Note(id="b"), ABSENT)])
    assert not needs_marker([Patch(A, set={"rank": 1}, add={"tags": ["x"]})])
    assert not needs_marker([Patch(A, increment={"rank": 1}, expect=7)])


def test_a_receipt_hides_the_marker_but_not_what_it_cost():
    receipt = without_marker(Receipt((5, None, 5), 5, billed=Billed(writes=2, deletes=1)))
    assert (receipt.revisions, receipt.count) == ((5, None), 2)
    assert receipt.billed == Billed(writes=2, deletes=1)


@anyio
async def test_a_marker_comes_on_top_of_what_one_commit_may_hold():
    memory = LocalMemory()
    notes = [Put(Note(id=f"n{n}")) for n in range(400)]
    await memory.write([*notes, mark("c-400w", NOW)])
    with pytest.raises(InvalidBatch, match="401 operations"):
        await memory.write([*notes, Put(Note(id="one more")), mark("d-401w", NOW)])


@pytest.mark.parametrize("name", ["markers", "conflicts", "parts", "namespaces"])
def test_records_of_users_cannot_be_in_our_collections(name):
    with pytest.raises(ConfigurationError, match="reserved"):

        class Theirs(Record, collection=name):
            id: str


def test_a_marker_without_its_times_is_no_marker():
    assert must_be_stored(Marker) == {"id"}
    assert {"at", "expiration"} <= {
        name for name, info in Marker.model_fields.items() if info.is_required()
    }


def test_exactly_once_is_an_option_that_a_call_may_set_aside():
    assert Options().over(Options(exactly_once=False)).exactly_once is False
    assert Options(exactly_once=True).over(Options(exactly_once=False)).exactly_once is True
