"""How large a document is on the wire and in storage, by Firestore's rules.

One measure for every backend, so that a record which one accepts is accepted by all.
"""

# Stored values are of any type; telling them apart is what this module does.
# pyright: reportUnknownVariableType=false, reportUnknownArgumentType=false

from __future__ import annotations

from typing import Any, Final

from ..errors import InvalidRecord
from ..record import Record, spec_of
from ..values import Vector, is_list, is_map
from .firestore.encode import map_bytes, value_bytes

MAX_RECORD_BYTES: Final = 3 * 1024 * 1024
"""Bytes of one record on the wire; beyond Firestore's 1 MiB, large fields move to parts."""
MAX_ROOT_BYTES: Final = 1_000_000
"""Bytes in storage of a document; Firestore's 1 MiB less room for its name and ours."""
MAX_INDEX_ENTRIES: Final = 40_000
"""Firestore's bound for the index entries of one document."""

_STORAGE_FACTOR = 4
"""A value never takes more bytes in storage than this many times those on the wire."""
_ENTRY_BOUND = 32
"""More than tags and lengths of one entry ever take, whatever its value."""


def text_size(text: str) -> int:
    return len(text) if text.isascii() else len(text.encode())


def fields_size(document: dict[str, Any]) -> int:
    """Bytes of the fields of a document, or of a map."""
    return len(map_bytes(document))


def storage_size(value: Any) -> int:
    """Bytes a value takes in storage.

    The rules: https://cloud.google.com/firestore/docs/storage-size
    """
    kind = type(value)
    if kind is str:
        return text_size(value) + 1
    if value is None or kind is bool:
        return 1
    if kind is dict:
        return sum(text_size(name) + 1 + storage_size(item) for name, item in value.items())
    if kind is list:
        return sum(storage_size(item) for item in value)
    if kind is Vector:
        return 8 * len(value) + 32
    if kind is bytes:
        return len(value)
    return 8


def size_bound(fields: dict[str, Any]) -> int:
    """Bytes the fields take on the wire at most: a third of the time it takes to tell exactly."""
    total = _ENTRY_BOUND * len(fields)
    for name, value in fields.items():
        total += text_size(name)
        kind = type(value)
        if kind is str:
            total += text_size(value)
        elif kind is dict or kind is list or kind is Vector or kind is bytes:
            total += _container_bound(value)
    return total


def _container_bound(value: Any) -> int:
    kind = type(value)
    if kind is dict:
        return size_bound(value)
    if kind is Vector:
        return 11 * len(value) + 2 * _ENTRY_BOUND
    if kind is bytes:
        return len(value)
    total = 2 * _ENTRY_BOUND * (len(value) + 1)
    for item in value:
        if type(item) is str:
            total += text_size(item)
        elif type(item) is not int and type(item) is not float:
            total += _container_bound(item) if isinstance(item, dict | list | bytes) else 0
    return total


def checked_size(model: type[Record], document: dict[str, Any]) -> int:
    """Wire bytes, exact where that matters; ``InvalidRecord`` if no backend takes so many."""
    size = size_bound(document)
    if may_break_limits(size):
        size = fields_size(document)
        _check_size(model, document, size)
    return size


def may_break_limits(size: int) -> bool:
    """Whether a document of at most so many wire bytes needs a closer look."""
    # An index entry takes no less than two bytes of the wire.
    return size > MAX_INDEX_ENTRIES * 2


def _check_size(model: type[Record], document: dict[str, Any], size: int) -> None:
    """Refuse a document of `size` wire bytes that no backend may hold."""
    if size > MAX_RECORD_BYTES:
        raise InvalidRecord(
            f"{model.__name__}: {size:,} bytes encoded, at most {MAX_RECORD_BYTES:,} "
            f"(largest: {_largest(document)}); split it into several records",
            model=model.__name__,
            field=_largest(document),
        )
    if may_outgrow_root(size):
        _check_root(model, document)
    if may_break_limits(size):
        _check_index_entries(model, document)


def may_outgrow_root(size: int) -> bool:
    """Whether a document of so many wire bytes may take more in storage than one document can."""
    return size * _STORAGE_FACTOR > MAX_ROOT_BYTES


def _check_root(model: type[Record], document: dict[str, Any]) -> None:
    large = spec_of(model).large
    root = {name: value for name, value in document.items() if name not in large}
    if storage_size(root) > MAX_ROOT_BYTES:
        raise InvalidRecord(
            f"{model.__name__}: more than {MAX_ROOT_BYTES:,} bytes outside its large fields "
            f"(largest: {_largest(root)}); declare that field large, or split the record",
            model=model.__name__,
            field=_largest(root),
        )


def _check_index_entries(model: type[Record], document: dict[str, Any]) -> None:
    spec = spec_of(model)
    entries = {
        name: index_entries(value)
        for name, value in document.items()
        if name not in spec.unindexed and type(value) in (dict, list)
    }
    if sum(entries.values()) > MAX_INDEX_ENTRIES:
        worst = max(entries, key=lambda name: entries[name])
        raise InvalidRecord(
            f"{model.__name__}.{worst}: {entries[worst]:,} index entries, at most "
            f"{MAX_INDEX_ENTRIES:,} in one record; declare the field unindexed",
            model=model.__name__,
            field=worst,
        )


def index_entries(value: Any) -> int:
    """Entries in automatic indexes: two for each value of a map, one for each of a list."""
    if is_map(value):
        return 2 + sum(index_entries(item) for item in value.values())
    return 2 + (len(value) if is_list(value) else 0)


def _largest(document: dict[str, Any]) -> str:
    return max(document, key=lambda name: len(value_bytes(document[name])), default="")
