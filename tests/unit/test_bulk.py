"""Any number of records: in order, at most eight chunks at once, in flat memory, nothing lost."""

import asyncio
import gc
from collections import defaultdict
from collections.abc import AsyncIterator, Iterator, Sequence

import anyio
import anyio.lowlevel
import pytest

from orchestra_memory import ABSENT, Billed, Delete, Durability, Options, Patch, Put, Receipt, Ref
from orchestra_memory.bulk import CHUNKS_IN_FLIGHT, write_chunks
from orchestra_memory.intake import CHUNK, LINGER
from orchestra_memory.operations import DEFAULT, Op
from orchestra_memory.testing.contract.models import Lease

from .shelves import LONG, Crowd, Shelf, rank_of, settled
from .sources import ITERATORS, SOURCES, as_stream, leases

pytestmark = pytest.mark.anyio


@pytest.mark.parametrize("source", SOURCES)
@pytest.mark.parametrize("keys", [1, 60, 1_300])
async def test_writes_of_one_record_keep_their_order(source, keys: int) -> None:
    records = leases(5_000, keys=keys)
    for seed in range(2):
        shelf = Shelf(seed=seed)
        receipt = await shelf.put_many(source(records))
        ranks: dict[str, list[int]] = defaultdict(list)
        for op in shelf.applied:
            ranks[op.ref.key].append(rank_of(op))
        assert receipt.count == len(shelf.applied) == 5_000
        assert len(ranks) == keys
        assert all(some == sorted(some) for some in ranks.values())


async def test_records_that_share_nothing_overtake_one_another() -> None:
    # Else the order kept above would show nothing.
    shelf = Shelf(seed=1)
    await shelf.put_many(leases(8_000))
    assert shelf.keys != [f"n{i}" for i in range(8_000)]
    assert sorted(shelf.keys) == sorted(f"n{i}" for i in range(8_000))


@pytest.mark.parametrize("source", SOURCES)
async def test_eight_chunks_are_under_way_at_once_and_never_more(source) -> None:
    shelf = Shelf()
    shelf.open = anyio.Event()
    async with anyio.create_task_group() as group:
        group.start_soon(shelf.put_many, source(leases(20 * CHUNK)))
        with anyio.fail_after(LONG):
            while shelf.now < CHUNKS_IN_FLIGHT:
                await anyio.lowlevel.checkpoint()
        await settled()
        assert shelf.now == CHUNKS_IN_FLIGHT == 8
        shelf.open.set()
    assert shelf.most == CHUNKS_IN_FLIGHT
    assert len(shelf.applied) == 20 * CHUNK


@pytest.mark.parametrize("source", SOURCES)
@pytest.mark.parametrize("count", [0, 1, 399, 400, 401, 1_999, 2_000])
async def test_chunks_are_full_and_everything_is_written_once(source, count: int) -> None:
    shelf = Shelf()
    receipt = await shelf.put_many(source(leases(count)))
    assert sorted(shelf.keys) == sorted(lease.id for lease in leases(count))
    assert receipt.count == count
    full, rest = divmod(count, CHUNK)
    sizes = [len(ops) for ops in shelf.begun if ops]
    assert sizes == [CHUNK] * full + ([rest] if rest else [])


async def test_deletes_and_patches_keep_their_place_too() -> None:
    shelf = Shelf(seed=5)
    ops: list[Op] = []
    for i in range(2_000):
        ref = Ref(Lease, f"n{i % 7}")
        ops.append([Put(Lease(id=ref.key)), Patch(ref, increment={"rank": 1}), Delete(ref)][i % 3])
    await write_chunks(ops, shelf.write)
    for key in {op.ref.key for op in ops}:
        mine = [op for op in shelf.applied if op.ref.key == key]
        assert mine == [op for op in ops if op.ref.key == key]


async def test_revisions_of_a_collection_follow_it() -> None:
    for collection in (
        leases(1_500),
        tuple(leases(1_500)),
        dict(enumerate(leases(1_500))).values(),
    ):
        receipt = await Shelf(seed=3).put_many(collection)
        assert receipt.revisions == tuple(range(1_500))


@pytest.mark.parametrize("source", ITERATORS)
async def test_revisions_of_an_iterator_are_counted_and_not_kept(source) -> None:
    receipt = await Shelf().put_many(source(leases(1_500)))
    assert receipt.revisions == ()
    assert receipt.count == 1_500
    assert receipt.version == 1_500
    assert receipt.billed == Billed(writes=1_500)


async def test_the_receipt_tells_the_worst_of_all_chunks() -> None:
    class Uneven(Shelf):
        async def write(self, ops: Sequence[Op], *, options: Options = DEFAULT) -> Receipt:
            receipt = await super().write(ops, options=options)
            first = ops[0].ref.key == "n400"
            return Receipt(
                receipt.revisions,
                7 if first else 5,
                Durability.VOLATILE if first else Durability.JOURNALED,
                "pending" if first else "done",
                Billed(writes=1),
            )

    receipt = await Uneven().put_many(leases(1_200))
    assert receipt.version == 7
    assert receipt.durability is Durability.VOLATILE
    assert receipt.cache_invalidation == "pending"
    assert receipt.billed == Billed(writes=3)


@pytest.mark.parametrize("source", SOURCES)
async def test_deletes_go_the_same_way(source) -> None:
    shelf = Shelf()
    receipt = await shelf.delete_many(Lease, source(f"n{i}" for i in range(1_000)))
    assert sorted(shelf.keys) == sorted(f"n{i}" for i in range(1_000))
    assert all(isinstance(op, Delete) for op in shelf.applied)
    assert receipt.count == 1_000


async def test_the_condition_is_that_of_every_record() -> None:
    shelf = Shelf()
    await shelf.put_many(as_stream(leases(900)), expect=ABSENT)
    assert {op.expect for op in shelf.applied} == {ABSENT}
    assert {options.atomic for options in shelf.options} == {False}


@pytest.mark.parametrize("keys", ["all different", "the same", "each in two chunks"])
@pytest.mark.parametrize("kind", ["async", "halting", "sync"])
async def test_memory_is_flat_however_many_come(kind: str, keys: str) -> None:
    chunks = 30
    crowd = Crowd()
    before = len(asyncio.all_tasks())

    def key(number: int) -> str:
        number = number // 2 if keys == "each in two chunks" else number
        return "n" if keys == "the same" else f"n{number}"

    def endless() -> Iterator[Lease]:
        for number in range(chunks * CHUNK):
            yield crowd.lease(key(number if keys != "each in two chunks" else number + CHUNK))

    async def stream() -> AsyncIterator[Lease]:
        for lease in endless():
            if kind == "halting" and lease.rank % 100 == 0:
                await anyio.lowlevel.checkpoint()
            yield lease
            del lease

    receipt = await crowd.put_many(endless() if kind == "sync" else stream())
    gc.collect()
    assert receipt.count == crowd.written == chunks * CHUNK
    # Those in flight, those gathered for the next, and one that is being taken.
    assert crowd.most <= (CHUNKS_IN_FLIGHT + 2) * CHUNK
    assert crowd.behind <= (CHUNKS_IN_FLIGHT + 2) * CHUNK
    assert crowd.tasks - before <= CHUNKS_IN_FLIGHT + 1
    assert not crowd.alive


async def test_a_slow_source_is_not_kept_waiting_for_a_full_chunk() -> None:
    stored = anyio.Event()

    class Telling(Shelf):
        async def write(self, ops: Sequence[Op], *, options: Options = DEFAULT) -> Receipt:
            receipt = await super().write(ops, options=options)
            stored.set()
            return receipt

    async def slow() -> AsyncIterator[Lease]:
        for lease in leases(3):
            yield lease
        # Who lets them lie until there are more waits for ever.
        with anyio.fail_after(LONG):
            await stored.wait()
        yield Lease(id="last")

    assert LINGER < 1
    shelf = Telling()
    await shelf.put_many(slow())
    assert [len(ops) for ops in shelf.begun] == [3, 1]
