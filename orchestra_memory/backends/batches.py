"""Operations made ready for a store: encoded, measured, and cut into what one commit takes."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeAlias, TypeVar

from ..bulk import cause_of, partial_write
from ..codec.document import Document, encode
from ..codec.ids import stored_id
from ..codec.size import checked_size, fields_size
from ..errors import InvalidBatch, PartialWrite
from ..intake import CHUNK
from ..operations import Op, Patch, Put, Ref
from ..record import MARKERS, Record
from ..values import is_map

MAX_OPERATIONS = CHUNK
"""Operations in one commit."""
MAX_BYTES = 3 * 1024 * 1024
"""Encoded bytes in one commit; the Firestore emulator takes messages of 4 MiB, production 10."""

D = TypeVar("D")

Address = tuple[str | None, str, str]
"""Namespace, collection and stored id: one document."""


@dataclass(slots=True)
class PreparedAs(Generic[D]):
    """An operation with its address, its document (of a put, or to create by a patch) and size.

    The document is in whatever form the store takes. ``size`` is in wire bytes, of a plain map
    exact only where it comes near a limit; it is never too small.
    """

    op: Op
    address: Address
    document: D | None
    size: int


Prepared: TypeAlias = PreparedAs[Document]
"""With its document as a plain map."""


def address_of(ref: Ref[Any]) -> Address:
    return ref.namespace, ref.collection, stored_id(ref.key)


def prepare(op: Op) -> Prepared:
    """Raises ``InvalidRecord`` for what no store can hold."""
    address = address_of(op.ref)
    record = record_of(op)
    if record is None:
        return Prepared(op, address, None, patch_size(op))
    document = encode(record)
    return Prepared(op, address, document, checked_size(type(record), document))


def record_of(op: Op) -> Record | None:
    """What is put, or created by a patch."""
    if isinstance(op, Put):
        return op.record
    return op.or_create if isinstance(op, Patch) else None


def patch_size(op: Op) -> int:
    """Wire bytes of what an operation without a document stores."""
    if not isinstance(op, Patch):
        return 0
    return fields_size({**op.set, **op.increment, **op.add, **op.remove})


def check_atomic(prepared: Sequence[PreparedAs[Any]]) -> None:
    """Refuse what one commit cannot take, naming the bound."""
    if prepared and prepared[-1].address[1] == MARKERS:
        # It is our own, and comes on top of what the caller may write.
        prepared = prepared[:-1]
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


def _exact_size(item: PreparedAs[Any]) -> int:
    # Only a plain map is measured roughly.
    return fields_size(item.document) if is_map(item.document) else item.size


def cut(prepared: Sequence[PreparedAs[D]]) -> Iterator[list[PreparedAs[D]]]:
    """Consecutive chunks within both bounds."""
    chunk: list[PreparedAs[D]] = []
    size = 0
    for item in prepared:
        if chunk and (len(chunk) == MAX_OPERATIONS or size + item.size > MAX_BYTES):
            yield chunk
            chunk, size = [], 0
        chunk.append(item)
        size += item.size
    if chunk:
        yield chunk


def chunks_for(
    prepared: Sequence[PreparedAs[D]], *, atomic: bool | None
) -> list[list[PreparedAs[D]]]:
    """One chunk that is within bounds, or as many as it takes if `atomic` is ``False``."""
    if atomic is False:
        return list(cut(prepared))
    check_atomic(prepared)
    return [list(prepared)] if prepared else []


def stopped(
    chunks: Sequence[Sequence[PreparedAs[Any]]], done: Iterable[int], cause: BaseException
) -> PartialWrite:
    """What a write whose first chunks, `done`, are stored has left when the next met `cause`."""
    stored = set(done)
    committed = [item.op for n, chunk in enumerate(chunks) if n in stored for item in chunk]
    remaining = [item.op for n, chunk in enumerate(chunks) if n not in stored for item in chunk]
    if isinstance(cause, PartialWrite):
        # That chunk was itself stored in part.
        remaining = [*cause.remaining, *remaining[cause.stored + len(cause.remaining) :]]
        committed += cause.committed
    return partial_write(committed, remaining, cause_of(cause))
