"""Bulk writes that are too big are divided; what is refused is told apart from what is stored."""

from collections import Counter
from collections.abc import Callable

import grpc
import pytest

from orchestra_memory import (
    InvalidBatch,
    InvalidRecord,
    Options,
    PartialWrite,
    PermissionDenied,
    Put,
)
from orchestra_memory.errors import StorageError
from orchestra_memory.operations import Op
from orchestra_memory.testing.contract.models import Lease, Note

from .bulk_writes import CHUNKED, Memories, ids, leases, once
from .grpc_server import FORBIDDEN, TOO_BIG, Commit, Refusal, Server

pytestmark = pytest.mark.anyio


def above(most: int) -> Callable[[Commit], Refusal | None]:
    """Refuses what is more than so many writes."""
    return lambda commit: TOO_BIG if len(commit.message.writes) > most else None


@pytest.mark.parametrize("most", [399, 70, 1])
async def test_what_is_too_big_is_halved_until_it_fits(on: Memories, most: int) -> None:
    server = Server(above(most))
    count = 1_000 if most > 1 else 120
    async with on(server) as memory:
        receipt = await memory.put_many(leases(count))
    assert server.applied == once(count)
    assert receipt.revisions == tuple(server.revisions[lease.id] for lease in leases(count))
    assert receipt.version == max(server.revisions.values())
    assert receipt.billed.writes == receipt.count == count


async def test_halves_keep_the_order_of_the_writes_to_one_record(on: Memories) -> None:
    server = Server(above(30))
    ops: list[Op] = [Put(Lease(id=f"n{i % 7}", rank=i)) for i in range(400)]
    async with on(server) as memory:
        await memory.write(ops, options=CHUNKED)
    ranks: dict[str, list[int]] = {}
    for commit in server.commits:
        if len(commit.message.writes) <= 30:
            for write in commit.message.writes:
                ranks.setdefault(write.update.name, []).append(
                    write.update.fields["rank"].integer_value
                )
    assert all(some == sorted(some) for some in ranks.values())
    assert sum(map(len, ranks.values())) == 400


async def test_one_operation_that_is_too_big_is_an_invalid_batch(on: Memories) -> None:
    server = Server(above(0))
    async with on(server) as memory:
        for options in (CHUNKED, Options()):
            with pytest.raises(InvalidBatch) as caught:
                await memory.put(Lease(id="a"), options=options)
            assert caught.value.bound == "index entries"
        with pytest.raises(InvalidBatch):
            await memory.put_many(leases(64))
    assert not server.applied


async def test_an_atomic_write_is_never_divided(on: Memories) -> None:
    server = Server(above(10))
    async with on(server) as memory:
        with pytest.raises(InvalidBatch) as caught:
            await memory.write([Put(lease) for lease in leases(400)])
    assert caught.value.bound == "index entries"
    assert server.sizes == [400]
    assert not server.applied


FAILURES: dict[str, tuple[Callable[[Commit], Refusal | None], type[Exception]]] = {
    "too big even alone": (
        lambda commit: TOO_BIG if {"n137", "n777"} & set(commit.ids) else above(100)(commit),
        InvalidBatch,
    ),
    "not permitted": (
        lambda commit: above(100)(commit) or (FORBIDDEN if "n777" in commit.ids else None),
        PermissionDenied,
    ),
}


@pytest.mark.parametrize("name", FAILURES)
@pytest.mark.parametrize("count", [800, 1_000, 4_000])
async def test_what_was_divided_and_failed_is_told_apart_exactly(
    on: Memories, name: str, count: int
) -> None:
    refuses, cause = FAILURES[name]
    server = Server(refuses)
    ops = [Put(lease) for lease in leases(count)]
    async with on(server) as memory:
        with pytest.raises(PartialWrite) as caught:
            await memory.write(ops, options=CHUNKED)
        error = caught.value
        assert isinstance(error.__cause__, cause)
        assert server.applied == Counter(ids(error.committed))
        committed, remaining = set(ids(error.committed)), set(ids(error.remaining))
        assert list(error.committed) == [op for op in ops if op.ref.key in committed]
        assert list(error.remaining) == [op for op in ops if op.ref.key in remaining]
        assert committed | remaining == set(ids(ops))
        assert not committed & remaining
        server.refuses = above(150)
        await memory.write(error.remaining, options=CHUNKED)
    assert server.applied == once(count)


@pytest.mark.parametrize("place", [0, 99, 100, 137, 200, 399])
async def test_a_chunk_that_was_divided_and_failed_loses_nothing(on: Memories, place: int) -> None:
    def refuses(commit: Commit) -> Refusal | None:
        return TOO_BIG if f"n{place}" in commit.ids else above(100)(commit)

    server = Server(refuses)
    ops = [Put(lease) for lease in leases(400)]
    async with on(server) as memory:
        with pytest.raises((PartialWrite, InvalidBatch)) as caught:
            await memory.write(ops, options=CHUNKED)
        error = caught.value
        committed = error.committed if isinstance(error, PartialWrite) else ()
        remaining = error.remaining if isinstance(error, PartialWrite) else tuple(ops)
        assert (*committed, *remaining) == tuple(ops)
        assert ids(remaining)[0] == f"n{place}"
        assert server.applied == Counter(ids(committed))
        server.refuses = above(100)
        await memory.write(remaining, options=CHUNKED)
    assert server.applied == once(400)


async def test_a_chunk_cut_by_bytes_and_then_divided_is_told_apart_too(on: Memories) -> None:
    def refuses(commit: Commit) -> Refusal | None:
        return FORBIDDEN if "n7" in commit.ids else above(2)(commit)

    server = Server(refuses)
    ops = [Put(Note(id=f"n{i}", body=str(i) * 700_000)) for i in range(12)]
    async with on(server) as memory:
        with pytest.raises(PartialWrite) as caught:
            await memory.write(ops, options=CHUNKED)
    assert isinstance(caught.value.__cause__, PermissionDenied)
    assert [*caught.value.committed, *caught.value.remaining] == ops
    assert server.applied == Counter(ids(caught.value.committed))
    assert "n7" in ids(caught.value.remaining)


async def test_a_record_that_cannot_be_encoded_is_named_and_no_other_is_lost(on: Memories) -> None:
    server = Server()
    items = leases(2_000)
    items[950] = items[950].model_copy(update={"rank": 2**64})
    async with on(server) as memory:
        with pytest.raises(PartialWrite) as caught:
            await memory.put_many(items)
    assert isinstance(caught.value.__cause__, InvalidRecord)
    assert caught.value.__cause__.field == "rank"
    assert server.applied == Counter(ids(caught.value.committed))
    assert set(ids(caught.value.committed)) | set(ids(caught.value.remaining)) == set(once(2_000))
    assert "n950" in ids(caught.value.remaining)


async def test_an_unknown_refusal_is_an_error_with_its_cause(on: Memories) -> None:
    server = Server(lambda _: Refusal(grpc.StatusCode.INVALID_ARGUMENT, "a secret is in here"))
    async with on(server) as memory:
        with pytest.raises(StorageError) as caught:
            await memory.put_many(leases(3))
    assert "secret" not in str(caught.value)
    assert "secret" in str(caught.value.__cause__)
