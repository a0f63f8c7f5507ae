"""Any number of records: in order, at most eight chunks at once, in flat memory, nothing lost."""

import asyncio
import gc
import weakref
from collections import defaultdict
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Sequence
from random import Random
from typing import Any

import anyio
import anyio.lowlevel
import pytest

from orchestra_memory import (
    ABSENT,
    Billed,
    Conflict,
    DeadlineExceeded,
    Delete,
    Durability,
    InvalidQuery,
    InvalidRecord,
    LocalMemory,
    MemoryManager,
    Options,
    PartialWrite,
    Patch,
    Put,
    Receipt,
    Ref,
    Unavailable,
)
from orchestra_memory.bulk import CHUNKS_IN_FLIGHT, write_chunks
from orchestra_memory.intake import CHUNK, LINGER
from orchestra_memory.operations import DEFAULT, Op
from orchestra_memory.testing.contract.models import Lease

pytestmark = pytest.mark.anyio

LONG = 20
"""Seconds after which something hangs."""
UNUSABLE = "é" * 1_000
"""An id that is too long."""


class Shelf(LocalMemory):
    """Notes what it is given, in the order in which it is applied.

    ``seed`` makes every write take its own time; ``fails`` says which ones do, before they apply.
    """

    def __init__(
        self,
        *,
        seed: int | None = None,
        fails: Callable[[Sequence[Op]], BaseException | None] = lambda _: None,
    ) -> None:
        super().__init__()
        self.begun: list[Sequence[Op]] = []
        self.applied: list[Op] = []
        self.options: list[Options] = []
        self.now = self.most = 0
        self.open = anyio.Event()
        self.open.set()
        self.fails = fails
        self._random = None if seed is None else Random(seed)

    async def write(self, ops: Sequence[Op], *, options: Options = DEFAULT) -> Receipt:
        self.begun.append(ops)
        self.options.append(options)
        self.now += 1
        self.most = max(self.most, self.now)
        try:
            await self._take_time()
            if (failure := self.fails(ops)) is not None:
                raise failure
            self.applied += ops
        finally:
            self.now -= 1
        revisions = tuple(None if isinstance(op, Delete) else _rank(op) for op in ops)
        return Receipt(revisions, len(self.applied), billed=Billed(writes=len(ops)))

    async def _take_time(self) -> None:
        await self.open.wait()
        for _ in range(1 if self._random is None else self._random.randrange(40)):
            await anyio.lowlevel.checkpoint()

    @property
    def keys(self) -> list[str]:
        return [op.ref.key for op in self.applied]


def _rank(op: Op) -> int:
    return op.record.rank if isinstance(op, Put) and isinstance(op.record, Lease) else 0


def leases(count: int, *, keys: int | None = None) -> list[Lease]:
    """Records with rising ranks; several of each id if there are fewer `keys`."""
    return [Lease(id=f"n{i if keys is None else i % keys}", rank=i) for i in range(count)]


def as_list(items: Iterable[Any]) -> Any:
    return list(items)


def as_iterator(items: Iterable[Any]) -> Any:
    return iter(items)


async def as_stream(items: Iterable[Any]) -> AsyncIterator[Any]:
    for item in items:
        yield item


async def as_halting_stream(items: Iterable[Any]) -> AsyncIterator[Any]:
    for number, item in enumerate(items):
        yield item
        if number % 97 == 0:
            await anyio.lowlevel.checkpoint()


class AsObject:
    """Asynchronous, and no generator."""

    def __init__(self, items: Iterable[Any]) -> None:
        self._items = iter(items)

    def __aiter__(self) -> "AsObject":
        return self

    async def __anext__(self) -> Any:
        for item in self._items:
            return item
        raise StopAsyncIteration


SOURCES = [as_list, as_iterator, as_stream, as_halting_stream, AsObject]
ITERATORS = SOURCES[1:]


def is_key(*keys: str) -> Callable[[Sequence[Op]], BaseException | None]:
    """Fails the writes with any of these."""

    def fails(ops: Sequence[Op]) -> BaseException | None:
        found = [op.ref for op in ops if op.ref.key in keys]
        return Conflict("in the way", refs=found) if found else None

    return fails


async def settled() -> None:
    for _ in range(100):
        await anyio.lowlevel.checkpoint()


# Order and number.


@pytest.mark.parametrize("source", SOURCES)
@pytest.mark.parametrize("keys", [1, 60, 1_300])
async def test_writes_of_one_record_keep_their_order(source, keys: int) -> None:
    records = leases(5_000, keys=keys)
    for seed in range(2):
        shelf = Shelf(seed=seed)
        receipt = await shelf.put_many(source(records))
        ranks: dict[str, list[int]] = defaultdict(list)
        for op in shelf.applied:
            ranks[op.ref.key].append(_rank(op))
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


# Receipts.


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


# Memory.


class Crowd(LocalMemory):
    """Forgets what it is given, having counted what is still there."""

    def __init__(self) -> None:
        super().__init__()
        self.alive = weakref.WeakSet[Any]()
        self.written = self.most = self.tasks = self.behind = self.given = 0

    def lease(self, key: str) -> Lease:
        lease = Lease.model_construct(id=key, rank=self.given, expiration=None)
        self.alive.add(lease)
        self.given += 1
        self.behind = max(self.behind, self.given - self.written)
        return lease

    async def write(self, ops: Sequence[Op], *, options: Options = DEFAULT) -> Receipt:
        for _ in range(6):
            # Others are taken meanwhile.
            await anyio.lowlevel.checkpoint()
        self.written += len(ops)
        self.most = max(self.most, len(self.alive))
        self.tasks = max(self.tasks, len(asyncio.all_tasks()))
        return Receipt((0,) * len(ops), self.written)


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


# Sources that fail.


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


# Stores that fail.


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
    shelf = Shelf(seed=0, fails=lambda ops: Conflict("in the way") if _rank(ops[0]) == 0 else None)
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


# Cancellation.


class Closing:
    """An endless source that tells whether it was closed."""

    def __init__(self, *, halts_at: int | None = None) -> None:
        self.closed = False
        self.halts_at = halts_at

    async def records(self) -> AsyncIterator[Lease]:
        number = 0
        try:
            while True:
                if number == self.halts_at:
                    await anyio.sleep_forever()
                yield Lease.model_construct(id=f"n{number}", rank=number, expiration=None)
                number += 1
        finally:
            self.closed = True


@pytest.mark.parametrize("halts_at", [None, 0, 200, 900])
async def test_cancelled_it_closes_the_generator_and_leaves_no_task(halts_at: int | None) -> None:
    for turns in (1, 2, 3, 5, 10, 30, 80):
        before = asyncio.all_tasks()
        source, shelf = Closing(halts_at=halts_at), Shelf(seed=turns)
        records = source.records()
        task = asyncio.create_task(shelf.put_many(records))
        for _ in range(turns):
            await anyio.lowlevel.checkpoint()
        task.cancel()
        await asyncio.wait([task])
        assert task.cancelled()
        assert source.closed or turns < 5
        assert records.ag_frame is None
        assert shelf.now == 0
        for _ in range(4):
            # Nor is there one that closes what was forgotten.
            assert asyncio.all_tasks() == before
            await anyio.lowlevel.checkpoint()


async def test_a_scope_cancels_it_likewise() -> None:
    before = asyncio.all_tasks()
    records = Closing().records()
    with anyio.move_on_after(0.05) as scope:
        await Shelf(seed=1).put_many(records)
    assert scope.cancelled_caught
    assert records.ag_frame is None
    assert asyncio.all_tasks() == before


@pytest.mark.parametrize("halts_at", [None, 2_000])
async def test_a_failure_closes_the_generator_too(halts_at: int | None) -> None:
    before = asyncio.all_tasks()
    source = Closing(halts_at=halts_at)
    with anyio.fail_after(LONG), pytest.raises(PartialWrite):
        await Shelf(fails=is_key("n500")).put_many(source.records())
    assert source.closed
    assert asyncio.all_tasks() == before


async def test_a_stream_that_is_no_generator_is_left_open() -> None:
    send, receive = anyio.create_memory_object_stream[Lease](4_800)
    for lease in leases(4_800):
        send.send_nowait(lease)
    send.close()
    shelf = Shelf(fails=is_key("n500"))
    with pytest.raises(PartialWrite) as caught:
        await shelf.put_many(receive)
    shelf.fails = lambda _: None
    await shelf.put_many([op.record for op in caught.value.remaining])
    await shelf.put_many(receive)
    receive.close()
    assert sorted(shelf.keys) == sorted(lease.id for lease in leases(4_800))


# Deadlines.


@pytest.mark.parametrize("halts_at", [0, 10, 1_000])
async def test_a_source_that_stands_still_is_left_at_the_deadline(halts_at: int) -> None:
    shelf, records = Shelf(), Closing(halts_at=halts_at).records()
    with anyio.fail_after(LONG), pytest.raises((DeadlineExceeded, PartialWrite)) as caught:
        await shelf.put_many(records, options=Options(timeout=0.3))
    error = caught.value
    cause = error.__cause__ if isinstance(error, PartialWrite) else error
    assert isinstance(cause, DeadlineExceeded)
    assert not cause.ambiguous
    assert records.ag_frame is None
    remaining = error.remaining if isinstance(error, PartialWrite) else ()
    assert len(shelf.applied) + len(remaining) == halts_at


@pytest.mark.parametrize("source", [as_iterator, as_stream])
async def test_an_endless_source_is_left_at_the_deadline(source) -> None:
    shelf = Crowd()
    with anyio.fail_after(LONG), pytest.raises(PartialWrite) as caught:
        await shelf.put_many(
            source(iter(lambda: shelf.lease("n"), None)), options=Options(timeout=0.3)
        )
    assert isinstance(caught.value.__cause__, DeadlineExceeded)
    assert caught.value.stored == shelf.written > 0
    assert caught.value.stored + len(caught.value.remaining) == shelf.given


@pytest.mark.parametrize("source", SOURCES)
@pytest.mark.parametrize("of_the_view", [False, True])
async def test_all_chunks_share_the_deadline_of_the_call(source, of_the_view: bool) -> None:
    shelf = Shelf(seed=1)
    memory: MemoryManager = shelf.with_options(timeout=50) if of_the_view else shelf
    options = DEFAULT if of_the_view else Options(timeout=50)
    await memory.put_many(source(leases(4_000)), options=options)
    left = [options.timeout for options in shelf.options if options.timeout is not None]
    assert len(left) == len(shelf.begun) >= 10
    assert 50 >= left[0] > left[-1] > 0
    assert left == sorted(left, reverse=True)


async def test_without_a_deadline_chunks_have_none() -> None:
    shelf = Shelf()
    await shelf.put_many(leases(1_000))
    assert {options.timeout for options in shelf.options} == {None}
