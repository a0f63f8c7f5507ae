"""Operations made ready for a store: encoded, measured, and cut into what one commit takes."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from ..codec.document import Document, encode
from ..codec.ids import stored_id
from ..codec.size import checked_size, fields_size
from ..errors import InvalidBatch, PartialWrite
from ..operations import Delete, Op, Patch, Put, Ref
from ..slices import sliced

MAX_OPERATIONS = 400
"""Operations in one commit."""
MAX_BYTES = 3 * 1024 * 1024
"""Encoded bytes in one commit; the Firestore emulator takes messages of 4 MiB, production 10."""

Address = tuple[str | None, str, str]
"""Namespace, collection and stored id: one document."""


@dataclass(frozen=True, slots=True)
class Prepared:
    """An operation with its address, its document (of a put, or to create by a patch) and size.

    ``size`` is in wire bytes, exact only where it comes near a limit; it is never too small.
    """

    op: Op
    address: Address
    document: Document | None
    size: int


def address_of(ref: Ref[Any]) -> Address:
    return ref.namespace, ref.collection, stored_id(ref.key)


def prepare(op: Op) -> Prepared:
    """Raises ``InvalidRecord`` for what no store can hold."""
    address = address_of(op.ref)
    if isinstance(op, Delete):
        return Prepared(op, address, None, 0)
    if isinstance(op, Patch) and op.or_create is None:
        return Prepared(op, address, None, _patch_size(op))
    record = op.record if isinstance(op, Put) else op.or_create
    assert record is not None
    document = encode(record)
    return Prepared(op, address, document, checked_size(type(record), document))


def _patch_size(patch: Patch) -> int:
    return fields_size({**patch.set, **patch.increment, **patch.add, **patch.remove})


async def prepare_all(ops: Iterable[Op]) -> list[Prepared]:
    """Every operation made ready, with pauses in which the event loop can turn."""
    return [prepare(op) async for op in sliced(ops)]


def check_atomic(prepared: Sequence[Prepared]) -> None:
    """Refuse what one commit cannot take, naming the bound."""
    if len(prepared) > MAX_OPERATIONS:
        raise InvalidBatch(
            f"{len(prepared):,} operations in one atomic write, at most {MAX_OPERATIONS}; "
            "use put_many, delete_many or Options(atomic=False)",
            bound="operations",
        )
    if sum(item.size for item in prepared) <= MAX_BYTES:
        return
    total = sum(_exact_size(item) for item in prepared)
    if total > MAX_BYTES and len(prepared) > 1:
        raise InvalidBatch(
            f"{total:,} bytes encoded in one atomic write, at most {MAX_BYTES:,}; "
            "use put_many or Options(atomic=False)",
            bound="bytes",
        )


def _exact_size(item: Prepared) -> int:
    return item.size if item.document is None else fields_size(item.document)


def cut(prepared: Sequence[Prepared]) -> Iterator[list[Prepared]]:
    """Consecutive chunks within both bounds."""
    chunk: list[Prepared] = []
    size = 0
    for item in prepared:
        if chunk and (len(chunk) == MAX_OPERATIONS or size + item.size > MAX_BYTES):
            yield chunk
            chunk, size = [], 0
        chunk.append(item)
        size += item.size
    if chunk:
        yield chunk


def chunks_for(prepared: Sequence[Prepared], *, atomic: bool | None) -> list[list[Prepared]]:
    """One chunk that is within bounds, or as many as it takes if `atomic` is ``False``."""
    if atomic is False:
        return list(cut(prepared))
    check_atomic(prepared)
    return [list(prepared)] if prepared else []


def predecessors(chunks: Sequence[Sequence[Prepared]]) -> list[set[int]]:
    """For each chunk the earlier ones that must be stored first, as they touch a document of it."""
    last: dict[Address, int] = {}
    result: list[set[int]] = []
    for number, chunk in enumerate(chunks):
        result.append({last[item.address] for item in chunk if item.address in last} - {number})
        last.update((item.address, number) for item in chunk)
    return result


def partial_write(
    chunks: Sequence[Sequence[Prepared]], done: Iterable[int], cause: BaseException
) -> PartialWrite:
    """What a chunked write that met `cause` has stored and what it has not."""
    stored = set(done)
    committed = [item.op for n, chunk in enumerate(chunks) if n in stored for item in chunk]
    remaining = [item.op for n, chunk in enumerate(chunks) if n not in stored for item in chunk]
    return PartialWrite(
        f"{len(committed):,} of {len(committed) + len(remaining):,} operations are stored, then: "
        f"{type(cause).__name__}; write the error's `remaining` again",
        committed=committed,
        remaining=remaining,
    )
