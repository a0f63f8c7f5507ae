"""Any number of operations, written chunk by chunk in memory that does not grow with them."""

from __future__ import annotations

from collections.abc import (
    AsyncIterable,
    Awaitable,
    Callable,
    Collection,
    Hashable,
    Iterable,
    Mapping,
    Sequence,
)
from dataclasses import dataclass, field
from math import inf
from typing import Final, NoReturn, TypeVar

import anyio
import anyio.abc

from .errors import DeadlineExceeded, PartialWrite, Unavailable
from .intake import CHUNK, Arriving, Ready, Source, is_cancelled
from .operations import Billed, Durability, Invalidation, Op, Receipt

T = TypeVar("T")

CHUNKS_IN_FLIGHT: Final = 8
"""Chunks under way at once: enough to keep one core encoding while others wait for the network."""
Write = Callable[[Sequence[Op]], Awaitable[Receipt]]


async def write_many(
    items: Iterable[T] | AsyncIterable[T],
    to_op: Callable[[T], Op],
    write: Write,
    *,
    end: float = inf,
) -> Receipt:
    """Write an operation for each of `items`, in chunks of at most 400 under way side by side.

    Operations on one record keep their order. After a failure no chunk begins, those under way
    finish, and ``PartialWrite`` is raised; if all of it was one chunk, its own error is.

    Of a collection the receipt tells every revision. An iterator may be endless: it is taken from
    as chunks are stored, and only the receipt's totals are kept. What it gave before it failed is
    stored; an asynchronous generator is closed when the write ends early. At `end`, on anyio's
    clock, waiting for more of it is ``DeadlineExceeded``.
    """
    if isinstance(items, Collection) and len(items) <= CHUNK:
        return await write([to_op(item) for item in items])
    keep = isinstance(items, Collection)
    source: Source
    if isinstance(items, AsyncIterable):
        source = Arriving(items, to_op)
    else:
        source = Ready(iter(items), to_op, keep=keep)
    return await _Run(source, write, keep=keep, end=end).receipt()


async def write_chunks(ops: Sequence[Op], write: Write) -> Receipt:
    """The same of operations that are there already."""
    return await _Run(Ready(iter(ops), _itself, keep=True), write, keep=True).receipt()


def _itself(op: Op) -> Op:
    return op


def partial_write(
    committed: Sequence[Op],
    remaining: Sequence[Op],
    cause: BaseException,
    *,
    stored: int | None = None,
) -> PartialWrite:
    """What a chunked write that met `cause` has stored and what it has not."""
    count = len(committed) if stored is None else stored
    return PartialWrite(
        f"{count:,} of {count + len(remaining):,} operations are stored, then: "
        f"{type(cause).__name__}; write the error's `remaining` again",
        committed=committed,
        remaining=remaining,
        stored=count,
    )


def cause_of(error: BaseException) -> BaseException:
    """What went wrong, beneath what a part of a write says of it."""
    return (isinstance(error, PartialWrite) and error.__cause__) or error


@dataclass(eq=False, slots=True)
class _Chunk:
    """Operations under way, and the ends of earlier chunks that must be stored first."""

    number: int
    ops: Sequence[Op]
    touches: frozenset[Hashable]
    earlier: Sequence[anyio.Event]
    ended: anyio.Event = field(default_factory=anyio.Event)


@dataclass(slots=True)
class _Sum:
    """What the receipts of all chunks come to."""

    stored: int = 0
    version: int | None = None
    durability: Durability = Durability.COMMITTED
    cache_invalidation: Invalidation = "none"
    billed: Billed = field(default_factory=Billed)

    def add(self, receipt: Receipt, count: int) -> None:
        self.stored += count
        self.billed += receipt.billed
        if receipt.version is not None:
            self.version = max(self.version or 0, receipt.version)
        self.durability = min(self.durability, receipt.durability, key=_DURABILITIES.index)
        worst = max(
            map(_INVALIDATIONS.index, (self.cache_invalidation, receipt.cache_invalidation))
        )
        self.cache_invalidation = _INVALIDATIONS[worst]


_DURABILITIES: Final = tuple(Durability)
_INVALIDATIONS: Final[tuple[Invalidation, ...]] = ("none", "done", "pending")


class _Run:
    """One write of many chunks. Workers are added as there is work for them."""

    def __init__(self, source: Source, write: Write, *, keep: bool, end: float = inf) -> None:
        self._source = source
        self._write = write
        self._keep = keep
        self._end = end
        self._taking = anyio.Lock()
        self._feeding = anyio.CancelScope()
        self._under_way: dict[int, _Chunk] = {}
        self._chunks = 0
        self._workers = 1
        self._failure: Exception | None = None
        self._sum = _Sum()
        self._revisions: dict[int, tuple[int | None, ...]] = {}
        self._committed: dict[int, Sequence[Op]] = {}
        self._remaining: dict[int, Sequence[Op]] = {}

    async def receipt(self) -> Receipt:
        async with anyio.create_task_group() as group:
            group.start_soon(self._feed)
            group.start_soon(self._work, group)
        if self._failure is not None:
            self._raise(self._failure)
        total = self._sum
        return Receipt(
            tuple(_in_order(self._revisions)),
            total.version,
            total.durability,
            total.cache_invalidation,
            total.billed,
            total.stored,
        )

    async def _feed(self) -> None:
        with self._feeding:
            await self._source.feed()

    async def _work(self, group: anyio.abc.TaskGroup) -> None:
        while chunk := await self._take():
            if self._workers < CHUNKS_IN_FLIGHT:
                self._workers += 1
                group.start_soon(self._work, group)
            for ended in chunk.earlier:
                await ended.wait()
            await self._store(chunk)

    async def _take(self) -> _Chunk | None:
        async with self._taking:
            if self._failure is not None:
                return None
            try:
                ops = await self._next()
            except Exception as error:  # noqa: BLE001 -- whatever the source raises ends the write
                self._fail(error)
                return None
            if not ops:
                return None
            chunk = self._begun(ops)
            self._under_way[chunk.number] = chunk
            return chunk

    async def _next(self) -> list[Op]:
        with anyio.CancelScope(deadline=self._end):
            return await self._source.take()
        raise DeadlineExceeded("the records did not come in time", operation="write")

    def _begun(self, ops: Sequence[Op]) -> _Chunk:
        touches = frozenset(_record(op) for op in ops)
        earlier = [o.ended for o in self._under_way.values() if not touches.isdisjoint(o.touches)]
        self._chunks += 1
        return _Chunk(self._chunks, ops, touches, earlier)

    async def _store(self, chunk: _Chunk) -> None:
        try:
            if self._failure is not None:
                self._remaining[chunk.number] = chunk.ops
                return
            receipt = await self._write(chunk.ops)
        except Exception as error:  # noqa: BLE001 -- told as the cause of what is raised
            self._not_stored(chunk, error)
        except anyio.get_cancelled_exc_class() as cancelled:
            if is_cancelled():
                raise
            # So end the calls of a client that is closed.
            ended = Unavailable("the call was cancelled", operation="write", ambiguous=True)
            ended.__cause__ = cancelled
            self._not_stored(chunk, ended)
        else:
            self._sum.add(receipt, len(chunk.ops))
            if self._keep:
                self._revisions[chunk.number] = receipt.revisions
                self._committed[chunk.number] = chunk.ops
        finally:
            del self._under_way[chunk.number]
            chunk.ended.set()

    def _not_stored(self, chunk: _Chunk, error: Exception) -> None:
        self._fail(error)
        if not isinstance(error, PartialWrite):
            self._remaining[chunk.number] = chunk.ops
            return
        self._remaining[chunk.number] = error.remaining
        self._sum.stored += error.stored
        if self._keep:
            self._committed[chunk.number] = error.committed

    def _fail(self, error: Exception) -> None:
        self._failure = self._failure or error
        self._feeding.cancel()

    def _raise(self, failure: Exception) -> NoReturn:
        untaken = self._source.rest()
        if self._chunks <= 1 and not untaken and not self._sum.stored:
            raise failure
        cause = cause_of(failure)
        error = partial_write(
            _in_order(self._committed),
            [*_in_order(self._remaining), *untaken],
            cause,
            stored=self._sum.stored,
        )
        if unusable := self._source.unusable:
            error.add_note(f"{len(unusable):,} more cannot be written, the first: {unusable[0]}")
        raise error from cause


def _in_order(chunks: Mapping[int, Sequence[T]]) -> list[T]:
    return [item for number in sorted(chunks) for item in chunks[number]]


def _record(op: Op) -> Hashable:
    ref = op.ref
    return ref.namespace, ref.collection, ref.key
