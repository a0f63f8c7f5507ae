"""Stores that fail: what is stored and what remains is told apart, and can be gone on with."""

import asyncio
from collections import defaultdict
from collections.abc import Iterator, Sequence

import anyio
import pytest

from orchestra_memory import Conflict, Options, PartialWrite, Receipt, Unavailable
from orchestra_memory.bulk import CHUNKS_IN_FLIGHT
from orchestra_memory.intake import CHUNK
from orchestra_memory.operations import DEFAULT, Op
from orchestra_memory.testing.contract.models import Lease

from .shelves import Shelf, is_key, rank_of, settled
from .sources import ITERATORS, SOURCES, as_list, leases

pytestmark = pytest.mark.anyio


@pytest.mark.parametrize("seed", range(4))
async def test_a_list_of_which_a_chunk_fails_is_told_apart_exactly(seed: int) -> None:
    shelf = Shelf(seed=seed, fails=is_key("n2500"))
    items = leases(8_000)
    with pytest.raises(PartialWrite) as caught:
        await shelf.put_many(items)
    error = caught.value
    assert isinstance(error.__cause__, Conflict)
    assert [op.record for op in error.committed] == sorted(
        (op.record for op in shelf.applied), key=lambda lease: lease.rank
    )
    kept = {op.ref.key for op in error.committed}
    assert [op.record for op in error.remaining] == [x for x in items if x.id not in kept]
    assert error.stored == len(error.committed)
    assert {f"n{i}" for i in range(2_400, 2_800)} <= {op.ref.key for op in error.remaining}


@pytest.mark.parametrize("source", ITERATORS)
async def test_an_iterator_of_which_a_chunk_fails_tells_what_had_been_taken(source) -> None:
    shelf = Shelf(seed=7, fails=is_key("n2500"))
    taken: list[str] = []

    def given() -> Iterator[Lease]:
        for lease in leases(20_000):
            taken.append(lease.id)
            yield lease

    with pytest.raises(PartialWrite) as caught:
        await shelf.put_many(source(given()))
    assert isinstance(caught.value.__cause__, Conflict)
    assert caught.value.committed == ()
    assert caught.value.stored == len(shelf.applied)
    remaining = [op.ref.key for op in caught.value.remaining]
    assert sorted([*shelf.keys, *remaining], key=lambda key: int(key[1:])) == taken
    assert len(taken) < 20_000


async def test_what_remains_can_be_written_again_until_all_is_there_once() -> None:
    shelf, items, rounds = Shelf(seed=9), leases(9_000), 0
    while len(items) > CHUNK:
        shelf.fails = is_key(items[len(items) // 2].id)
        with pytest.raises(PartialWrite) as caught:
            await shelf.put_many(items)
        items = [op.record for op in caught.value.remaining]
        rounds += 1
    shelf.fails = lambda _: None
    await shelf.put_many(items)
    assert rounds > 1
    assert sorted(shelf.keys) == sorted(lease.id for lease in leases(9_000))


async def test_an_iterator_can_be_gone_on_with_after_a_failure() -> None:
    shelf = Shelf(fails=is_key("n900"))
    items = iter(leases(4_800))
    with pytest.raises(PartialWrite) as caught:
        await shelf.put_many(items)
    shelf.fails = lambda _: None
    await shelf.put_many([op.record for op in caught.value.remaining])
    await shelf.put_many(items)
    assert sorted(shelf.keys) == sorted(lease.id for lease in leases(4_800))


async def test_after_a_failure_nothing_begins_and_what_is_under_way_finishes() -> None:
    gates = defaultdict[int, anyio.Event](anyio.Event)

    class Gated(Shelf):
        async def write(self, ops: Sequence[Op], *, options: Options = DEFAULT) -> Receipt:
            number = len(self.begun)
            self.begun.append(ops)
            await gates[number].wait()
            if number == 2:
                raise Conflict("in the way")
            self.applied += ops
            return Receipt((0,) * len(ops), 1)

    shelf, caught = Gated(), []

    async def put() -> None:
        with pytest.raises(PartialWrite) as raised:
            await shelf.put_many(leases(20 * CHUNK))
        caught.append(raised.value)

    async with anyio.create_task_group() as group:
        group.start_soon(put)
        await settled()
        gates[2].set()
        await settled()
        assert not caught
        for number in range(20):
            gates[number].set()
    assert len(shelf.begun) == CHUNKS_IN_FLIGHT
    assert caught[0].stored == len(shelf.applied) == (CHUNKS_IN_FLIGHT - 1) * CHUNK
    assert [op.ref.key for op in caught[0].remaining] == [
        f"n{i}" for i in (*range(2 * CHUNK, 3 * CHUNK), *range(8 * CHUNK, 20 * CHUNK))
    ]


async def test_what_waits_for_a_failed_write_of_its_record_is_not_begun() -> None:
    shelf = Shelf(
        seed=0, fails=lambda ops: Conflict("in the way") if rank_of(ops[0]) == 0 else None
    )
    items = leases(4 * CHUNK, keys=CHUNK)
    with pytest.raises(PartialWrite) as caught:
        await shelf.put_many(items)
    assert shelf.applied == []
    assert [op.record for op in caught.value.remaining] == items


async def test_a_chunk_that_was_stored_in_part_is_counted_as_that() -> None:
    def half(ops: Sequence[Op]) -> BaseException | None:
        if ops[0].ref.key != "n400":
            return None
        error = PartialWrite("half", committed=ops[:150], remaining=ops[150:])
        error.__cause__ = Conflict("in the way")
        return error

    for source in SOURCES:
        shelf = Shelf(seed=3, fails=half)
        with pytest.raises(PartialWrite) as caught:
            await shelf.put_many(source(leases(1_200)))
        error = caught.value
        assert isinstance(error.__cause__, Conflict)
        assert error.stored == len(shelf.applied) + 150
        remaining = [op.ref.key for op in error.remaining]
        assert remaining[:250] == [f"n{i}" for i in range(550, 800)]
        if source is as_list:
            committed = [op.ref.key for op in error.committed]
            assert committed == [f"n{i}" for i in range(1_200) if f"n{i}" not in remaining]


@pytest.mark.parametrize("source", SOURCES)
@pytest.mark.parametrize("count", [1, 400])
async def test_the_error_of_a_single_chunk_is_raised_as_it_is(source, count: int) -> None:
    shelf = Shelf(fails=is_key("n0"))
    with pytest.raises(Conflict) as caught:
        await shelf.put_many(source(leases(count)))
    assert [ref.key for ref in caught.value.refs] == ["n0"]


@pytest.mark.parametrize("source", SOURCES)
async def test_a_call_that_something_else_cancelled_is_no_success(source) -> None:
    failures = [asyncio.CancelledError()]
    shelf = Shelf(fails=lambda ops: failures.pop() if ops[0].ref.key == "n400" else None)
    with pytest.raises(PartialWrite) as caught:
        await shelf.put_many(source(leases(1_600)))
    cause = caught.value.__cause__
    assert isinstance(cause, Unavailable)
    assert cause.ambiguous
    assert caught.value.stored == len(shelf.applied) <= 1_200
    assert {f"n{i}" for i in range(400, 800)} <= {op.ref.key for op in caught.value.remaining}
