"""Operations as Firestore's ``Write`` messages, and what their preconditions mean."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any, TypeAlias

from ...codec.document import Document, encode, patched, unset_values
from ...codec.firestore.encode import document_bytes, encode_time, encode_value, record_bytes
from ...codec.firestore.messages import SERVER_TIME, Precondition, Value, Write
from ...codec.firestore.varints import delimited, varint
from ...codec.size import checked_size, may_break_limits
from ...operations import ABSENT, PRESENT, Billed, Delete, Expect, Op, Patch, Presence
from ...record import Record, spec_of, timed_by_store
from ..batches import Address, PreparedAs, address_of, patch_size, record_of
from .parts import PART_IDS, may_have_parts, part_name, split
from .query import field_path

Body: TypeAlias = tuple[bytes, ...]
"""The fields of a document, encoded, and those of its parts if it is large."""
Item: TypeAlias = PreparedAs[Body]


def prepare(op: Op) -> Item:
    """An operation with its record encoded. Raises ``InvalidRecord`` for what cannot be stored."""
    address = address_of(op.ref)
    record = record_of(op)
    if record is None:
        return PreparedAs(op, address, None, patch_size(op))
    body = _body(record)
    return PreparedAs(op, address, body, len(body[0]) if len(body) == 1 else sum(map(len, body)))


def _body(record: Record) -> Body:
    fields = record_bytes(record)
    if may_break_limits(len(fields)):
        return _body_of_document(type(record), encode(record))
    return (fields,)


def _body_of_document(model: type[Record], document: Document) -> Body:
    root, parts = split(model, document, checked_size(model, document))
    return tuple(map(document_bytes, (root, *parts)))


@dataclass(frozen=True, slots=True)
class Seen:
    """What a read told of a document: its revision, ``None`` if absent, and whether it expired."""

    revision: int | None
    expired: bool = False


@dataclass(slots=True)
class Step:
    """One operation as it is sent: what it needs of the stored document, and what it stores."""

    item: Item
    expect: Expect
    body: Body | None


def plan(chunk: Sequence[Item], seen: Mapping[Address, Seen]) -> tuple[list[Step], list[Item]]:
    """How each operation is sent, given what is known of some documents, and which cannot be.

    Only the first operation on a document meets the store's state; later ones meet what the first
    ones leave, so that Firestore, which refuses such conditions, need not be asked. Those that
    cannot follow the one before them are impossible.
    """
    left: dict[Address, Presence] = {}
    steps: list[Step] = []
    impossible: list[Item] = []
    for item in chunk:
        before = left.get(item.address)
        if before is None:
            steps.append(_first(item, seen.get(item.address)))
        else:
            steps.append(_later(item, before))
            if _contradicts(item.op, before):
                impossible.append(item)
        left[item.address] = _leaves(item)
    return steps, impossible


def _contradicts(op: Op, left: Presence) -> bool:
    creates = isinstance(op, Patch) and op.or_create is not None
    expect = None if creates and op.expect is PRESENT else op.expect
    return expect not in (None, left)


def _leaves(item: Item) -> Presence:
    return ABSENT if isinstance(item.op, Delete) else PRESENT


def _first(item: Item, seen: Seen | None) -> Step:
    op = item.op
    if isinstance(op, Patch) and op.or_create is not None:
        if seen is not None and seen.revision is None:
            return Step(item, ABSENT, _created(op, op.or_create))
        return Step(item, op.expect, None)
    if op.expect is ABSENT and seen is not None and seen.expired:
        return Step(item, seen.revision, item.document)
    return Step(item, op.expect, None if isinstance(op, Patch) else item.document)


def _created(patch: Patch, record: Record) -> Body:
    return _body_of_document(type(record), patched(encode(record), patch))


def _later(item: Item, left: Presence) -> Step:
    op = item.op
    if isinstance(op, Patch) and left is ABSENT and op.or_create is not None:
        return Step(item, None, _created(op, op.or_create))
    return Step(item, None, None if isinstance(op, Patch) else item.document)


def failed(chunk: Sequence[Item], seen: Mapping[Address, Seen]) -> list[Item]:
    """The operations whose precondition does not hold for what was seen."""
    return [item for item in chunk if not _holds(item, seen.get(item.address))]


def _holds(item: Item, seen: Seen | None) -> bool:
    expect = item.op.expect
    if seen is None or expect is None:
        return True
    if isinstance(item.op, Patch) and item.op.or_create is not None and expect is PRESENT:
        return True
    if expect is ABSENT:
        return seen.revision is None or seen.expired
    if expect is PRESENT:
        return seen.revision is not None
    return seen.revision == expect


def conditional(chunk: Sequence[Item]) -> list[Item]:
    """The first operation on each document, where it depends on the store's state."""
    first: dict[Address, Item] = {}
    for item in chunk:
        first.setdefault(item.address, item)
    return [item for item in first.values() if item.op.expect is not None]


class Writes:
    """The ``Write`` messages of one commit, in their order and in their bytes."""

    def __init__(self) -> None:
        self.messages: list[bytes] = []
        self._deletes = 0

    @property
    def billed(self) -> Billed:
        return Billed(writes=len(self.messages) - self._deletes, deletes=self._deletes)

    def add(self, step: Step, name: str) -> int:
        """Append one step's; returns the place of the one that tells the revision."""
        place, op = len(self.messages), step.item.op
        if isinstance(op, Delete):
            self._delete(step, name)
        elif step.body is not None:
            self._put(step, step.body, name)
        elif isinstance(op, Patch):
            self.messages.append(_patch(op, name, step.expect))
        return place

    def _put(self, step: Step, body: Body, name: str) -> None:
        message = _update(name, body[0], step.expect)
        self.messages.append(message + _commit_time(step.item.op))
        for number, part in enumerate(body[1:]):
            self.messages.append(_update(part_name(name, number), part))

    def _delete(self, step: Step, name: str) -> None:
        parts = PART_IDS if may_have_parts(step.item.op.ref.model) else ()
        self.messages.append(Write(delete=name).SerializeToString() + _precondition(step.expect))
        self.messages += [
            Write(delete=part_name(name, number)).SerializeToString() for number in parts
        ]
        self._deletes += 1 + len(parts)


def _update(name: str, fields: bytes, expect: Expect = None) -> bytes:
    """A ``Write`` that stores a document; most are just this."""
    document = delimited(b"\x0a", name.encode())
    head = b"\x0a" + varint(len(document) + len(fields))
    return b"%b%b%b%b" % (head, document, fields, _precondition(expect))


def _commit_time(op: Op) -> bytes:
    """What has the store put in its own time, to be appended to the bytes of a ``Write``."""
    if spec_of(op.ref.model).commit_time is None:
        return b""
    record = record_of(op)
    field = None if record is None else timed_by_store(record)
    return b"" if field is None else _timing(field)


@cache
def _timing(field: str) -> bytes:
    write = Write()
    _transform(write, field).set_to_server_value = SERVER_TIME
    return bytes(write.SerializeToString())


def _precondition(expect: Expect) -> bytes:
    """What a ``Write`` requires, to be appended to its bytes."""
    if expect is None:
        return b""
    required = Precondition()
    if isinstance(expect, Presence):
        required.exists = expect is PRESENT
    else:
        encode_time(required.update_time, expect)
    return delimited(b"\x22", required.SerializeToString())


def _patch(patch: Patch, name: str, expect: Expect) -> bytes:
    write = Write()
    write.update.name = name
    write.update_mask.SetInParent()
    values = {**patch.set, **unset_values(patch)}
    nested: Document = {}
    for path, value in values.items():
        _set_at(nested, path, value)
    write.update.MergeFromString(document_bytes(nested))
    write.update_mask.field_paths.extend(
        field_path(path) for path in dict.fromkeys((*values, *patch.unset))
    )
    for path, amount in patch.increment.items():
        encode_value(_transform(write, path).increment, amount)
    for path, items in patch.add.items():
        _fill_array(_transform(write, path).append_missing_elements, items)
    for path, items in patch.remove.items():
        _fill_array(_transform(write, path).remove_all_from_array, items)
    message: bytes = write.SerializeToString()
    return message + _precondition(expect)


def _set_at(document: Document, path: str, value: Any) -> None:
    *parents, last = path.split(".")
    for name in parents:
        document = document.setdefault(name, {})
    document[last] = value


def _transform(write: Any, path: str) -> Any:
    transform = write.update_transforms.add()
    transform.field_path = field_path(path)
    return transform


def _fill_array(array: Any, items: Sequence[Any]) -> None:
    holder = Value()
    encode_value(holder, list(items))
    array.CopyFrom(holder.array_value)
