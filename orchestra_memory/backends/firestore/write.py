"""Operations as Firestore's ``Write`` messages, and what their preconditions mean."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ...codec.document import Document, patched, unset_values
from ...codec.firestore.encode import document_bytes, encode_time, encode_value
from ...codec.firestore.messages import Value
from ...operations import ABSENT, PRESENT, Delete, Expect, Patch, Presence
from ..batches import Address, Prepared
from .parts import PART_IDS, may_have_parts, part_name, split
from .query import field_path


@dataclass(frozen=True, slots=True)
class Seen:
    """What a read told of a document: its revision, ``None`` if absent, and whether it expired."""

    revision: int | None
    expired: bool = False


@dataclass(frozen=True, slots=True)
class Step:
    """One operation as it is sent: what it needs of the stored document, and what it stores."""

    item: Prepared
    expect: Expect
    document: Document | None


def plan(chunk: Sequence[Prepared], seen: Mapping[Address, Seen]) -> list[Step]:
    """How each operation is sent, given what is known of some documents.

    Only the first operation on a document meets the store's state; later ones meet what the first
    ones leave, so that Firestore, which refuses such conditions, need not be asked.
    """
    left: dict[Address, Presence] = {}
    steps: list[Step] = []
    for item in chunk:
        address = item.address
        step = _later(item, left[address]) if address in left else _first(item, seen.get(address))
        left[address] = _leaves(item)
        steps.append(step)
    return steps


def _leaves(item: Prepared) -> Presence:
    return ABSENT if isinstance(item.op, Delete) else PRESENT


def contradictions(chunk: Sequence[Prepared]) -> list[Prepared]:
    """Operations that cannot follow the one before them on the same document."""
    left: dict[Address, Presence] = {}
    found: list[Prepared] = []
    for item in chunk:
        before = left.get(item.address)
        creates = isinstance(item.op, Patch) and item.op.or_create is not None
        expect = None if creates and item.op.expect is PRESENT else item.op.expect
        if before is not None and expect not in (None, before):
            found.append(item)
        left[item.address] = _leaves(item)
    return found


def _first(item: Prepared, seen: Seen | None) -> Step:
    op = item.op
    if isinstance(op, Patch) and op.or_create is not None and item.document is not None:
        if seen is not None and seen.revision is None:
            return Step(item, ABSENT, patched(item.document, op))
        return Step(item, op.expect, None)
    if op.expect is ABSENT and seen is not None and seen.expired:
        return Step(item, seen.revision, item.document)
    return Step(item, op.expect, None if isinstance(op, Patch) else item.document)


def _later(item: Prepared, left: Presence) -> Step:
    op = item.op
    if isinstance(op, Patch) and left is ABSENT and item.document is not None:
        return Step(item, None, patched(item.document, op))
    return Step(item, None, None if isinstance(op, Patch) else item.document)


def failed(chunk: Sequence[Prepared], seen: Mapping[Address, Seen]) -> list[Prepared]:
    """The operations whose precondition does not hold for what was seen."""
    return [item for item in chunk if not _holds(item, seen.get(item.address))]


def _holds(item: Prepared, seen: Seen | None) -> bool:
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


def conditional(chunk: Sequence[Prepared]) -> list[Prepared]:
    """The first operation on each document, where it depends on the store's state."""
    first: dict[Address, Prepared] = {}
    for item in chunk:
        first.setdefault(item.address, item)
    return [item for item in first.values() if item.op.expect is not None]


def add_writes(writes: Any, step: Step, name: str) -> int:
    """Append the messages of one step; returns the place of the one that tells the revision."""
    place = len(writes)
    op = step.item.op
    if isinstance(op, Delete):
        _add_delete(writes, step, name)
    elif step.document is None and isinstance(op, Patch):
        _add_patch(writes.add(), op, name)
        _require(writes[place], step.expect)
    else:
        _add_put(writes, step, name)
    return place


def _add_put(writes: Any, step: Step, name: str) -> None:
    item, document = step.item, step.document or {}
    root, parts = split(item.op.ref.model, document, item.size)
    write = writes.add()
    write.update.name = name
    write.update.MergeFromString(document_bytes(root))
    _require(write, step.expect)
    for number, part in enumerate(parts):
        write = writes.add()
        write.update.name = part_name(name, number)
        write.update.MergeFromString(document_bytes(part))


def _add_delete(writes: Any, step: Step, name: str) -> None:
    write = writes.add()
    write.delete = name
    _require(write, step.expect)
    if may_have_parts(step.item.op.ref.model):
        for number in PART_IDS:
            writes.add().delete = part_name(name, number)


def _add_patch(write: Any, patch: Patch, name: str) -> None:
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


def _require(write: Any, expect: Expect) -> None:
    if expect is None:
        return
    if isinstance(expect, Presence):
        write.current_document.exists = expect is PRESENT
    else:
        encode_time(write.current_document.update_time, expect)
