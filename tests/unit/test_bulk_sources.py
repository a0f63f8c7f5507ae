"""Sources that fail, and records that cannot be written: what else they gave is stored or told."""

import asyncio
from collections.abc import Iterator, Sequence

import pytest

from orchestra_memory import Conflict, InvalidQuery, InvalidRecord, PartialWrite
from orchestra_memory.testing.contract.models import Lease

from .shelves import Shelf, is_key
from .sources import ITERATORS, SOURCES, AsObject, as_stream, leases

pytestmark = pytest.mark.anyio

UNUSABLE = "é" * 1_000
"""An id that is too long."""


class SourceFailed(Exception):
    """What a source raises."""


def broken(count: int, error: BaseException | None = None) -> Iterator[Lease]:
    yield from leases(count)
    raise error or SourceFailed("broken")


@pytest.mark.parametrize("source", ITERATORS)
@pytest.mark.parametrize("given", [1, 400, 950, 4_000])
async def test_what_a_source_gave_before_it_failed_is_stored(source, given: int) -> None:
    shelf = Shelf(seed=2)
    with pytest.raises(PartialWrite) as caught:
        await shelf.put_many(source(broken(given)))
    assert isinstance(caught.value.__cause__, SourceFailed)
    assert caught.value.stored + len(caught.value.remaining) == given
    assert caught.value.committed == ()
    assert sorted([*shelf.keys, *(op.ref.key for op in caught.value.remaining)]) == sorted(
        lease.id for lease in leases(given)
    )


@pytest.mark.parametrize("source", ITERATORS)
async def test_a_source_that_fails_at_once_raises_what_it_raised(source) -> None:
    shelf = Shelf()
    with pytest.raises(SourceFailed):
        await shelf.put_many(source(broken(0)))
    assert shelf.begun == []


@pytest.mark.parametrize("source", [as_stream, AsObject])
async def test_a_source_that_was_cancelled_did_not_come_to_its_end(source) -> None:
    shelf = Shelf()
    with pytest.raises(PartialWrite) as caught:
        await shelf.put_many(source(broken(950, asyncio.CancelledError())))
    assert caught.value.stored == 950
    with pytest.raises(RuntimeError, match="source"):
        await shelf.put_many(source(broken(0, asyncio.CancelledError())))


def with_unusable(places: Sequence[int], count: int) -> list[Lease]:
    items = leases(count)
    for place in places:
        items[place] = Lease(id=UNUSABLE)
    return items


@pytest.mark.parametrize("place", [401, 950, 1_999])
async def test_an_unusable_record_of_a_list_loses_no_other(place: int) -> None:
    shelf = Shelf(seed=4)
    items = with_unusable([place], 2_000)
    with pytest.raises(PartialWrite) as caught:
        await shelf.put_many(items)
    assert isinstance(caught.value.__cause__, InvalidRecord)
    told = {op.ref.key for op in (*caught.value.committed, *caught.value.remaining)}
    assert told == {lease.id for lease in items} - {UNUSABLE}
    assert len(caught.value.committed) == caught.value.stored == len(shelf.applied)
    await shelf.put_many([op.record for op in caught.value.remaining])
    assert sorted(shelf.keys) == sorted(told)


async def test_of_several_unusable_records_the_others_are_told_too() -> None:
    with pytest.raises(PartialWrite) as caught:
        await Shelf().put_many(with_unusable([450, 1_200, 1_300], 2_000))
    assert isinstance(caught.value.__cause__, InvalidRecord)
    told = {op.ref.key for op in (*caught.value.committed, *caught.value.remaining)}
    assert len(told) == 1_997
    (note,) = caught.value.__notes__
    assert note.startswith("2 more cannot be written")
    assert "longer than 1500 bytes" in note


async def test_an_unusable_record_behind_a_failure_is_told() -> None:
    with pytest.raises(PartialWrite) as caught:
        await Shelf(fails=is_key("n10")).put_many(with_unusable([4_000], 5_000))
    assert isinstance(caught.value.__cause__, Conflict)
    assert len(caught.value.committed) + len(caught.value.remaining) == 4_999
    assert caught.value.__notes__


@pytest.mark.parametrize("source", ITERATORS)
async def test_an_unusable_record_of_an_iterator_ends_the_write_behind_those_before(source) -> None:
    shelf = Shelf()
    with pytest.raises(PartialWrite) as caught:
        await shelf.put_many(source(with_unusable([950], 2_000)))
    assert isinstance(caught.value.__cause__, InvalidRecord)
    assert caught.value.stored == len(shelf.applied) == 950


@pytest.mark.parametrize("source", SOURCES)
async def test_an_unusable_key_is_the_same_for_deletes(source) -> None:
    shelf = Shelf()
    keys = [f"n{i}" for i in range(800)]
    keys[500] = ""
    with pytest.raises(PartialWrite) as caught:
        await shelf.delete_many(Lease, source(keys))
    assert isinstance(caught.value.__cause__, InvalidQuery)
    assert caught.value.stored == len(shelf.applied) >= 500
