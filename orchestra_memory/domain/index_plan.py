"""What a Firestore database must be told: indexes, exemptions and TTL policies, as values."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final, TypeAlias

from ..codec.ids import escaped_name
from ..fieldpaths import kinds, split_path
from ..layers.fallback.conflicts import Conflicted
from ..layers.fallback.erasures import Erasure
from ..layers.fallback.markers import Marker
from ..record import EXPIRATION, Record, spec_of
from .followers import Follower

PART_COLLECTION: Final = "parts"
"""The collection group of the part documents beneath large records."""
PART_DATA: Final = "data"
"""The field of a part document that holds bytes."""
OUR_OWN: Final[tuple[type[Record], ...]] = (Marker, Conflicted, Erasure, Follower)
"""Record types of the library itself: the markers expire."""

LISTS: Final = frozenset({list, tuple, set, frozenset, Sequence})
"""Types whose elements ``contains`` asks for."""

Declared: TypeAlias = tuple[str, ...]
"""An index as a record type declares it: field names, ``-`` for descending."""


class Mode(StrEnum):
    """How an index holds one of its fields."""

    ASCENDING = "ascending"
    DESCENDING = "descending"
    CONTAINS = "contains"
    VECTOR = "vector"


@dataclass(frozen=True, slots=True)
class IndexField:
    """One field of a composite index; ``dimension`` is the length of its vectors, if any."""

    path: str
    mode: Mode
    dimension: int = 0


@dataclass(frozen=True, slots=True)
class Index:
    """A composite or vector index of one collection id, at whatever depth."""

    collection: str
    fields: tuple[IndexField, ...]


@dataclass(frozen=True, slots=True)
class FieldRule:
    """What differs from Firestore's defaults for one field.

    ``indexed`` false takes its automatic indexes away; ``ttl`` has documents deleted once the time
    in it has passed.
    """

    collection: str
    path: str
    indexed: bool = False
    ttl: bool = False


@dataclass(frozen=True, slots=True)
class Plan:
    """Everything a database needs for some record types."""

    indexes: tuple[Index, ...]
    rules: tuple[FieldRule, ...]


def plan(
    record_types: Sequence[type[Record]],
    *,
    dimensions: int | None = None,
    collections: Mapping[str, str] | None = None,
) -> Plan:
    """What these types declare; without `dimensions` there are no vector indexes to make.

    `collections` renames: the keys are the collections the types declare.
    """
    names = collections or {}
    indexes: dict[Index, None] = {}
    rules: dict[FieldRule, None] = {}
    for model in dict.fromkeys(record_types):
        declared = spec_of(model).collection
        collection = names.get(declared, declared)
        indexes.update(dict.fromkeys(_indexes(model, collection, dimensions)))
        rules.update(dict.fromkeys(_rules(model, collection)))
    if any(spec_of(model).large for model in record_types):
        rules.update(dict.fromkeys(_part_rules()))
    return Plan(tuple(indexes), tuple(rules))


def _indexes(model: type[Record], collection: str, dimensions: int | None) -> Iterable[Index]:
    spec = spec_of(model)
    for declared in spec.indexes:
        # Firestore has an index of every single field by itself.
        if len(declared) > 1:
            yield Index(collection, tuple(_field(model, name) for name in declared))
    if dimensions is not None:
        for declared in spec.vector_indexes:
            vector = IndexField(field_path(declared[-1]), Mode.VECTOR, dimensions)
            filters = (_field(model, name) for name in declared[:-1])
            yield Index(collection, (*filters, vector))


def _field(model: type[Record], name: str) -> IndexField:
    path = field_path(name.removeprefix("-"))
    if name.startswith("-"):
        return IndexField(path, Mode.DESCENDING)
    if "." not in name and kinds(model, name) & LISTS:
        return IndexField(path, Mode.CONTAINS)
    return IndexField(path, Mode.ASCENDING)


def _rules(model: type[Record], collection: str) -> Iterable[FieldRule]:
    spec = spec_of(model)
    for name in sorted(spec.unindexed - {EXPIRATION}):
        yield FieldRule(collection, field_path(name))
    if EXPIRATION in model.model_fields:
        yield FieldRule(collection, EXPIRATION, indexed=EXPIRATION not in spec.unindexed, ttl=True)


def _part_rules() -> Iterable[FieldRule]:
    yield FieldRule(PART_COLLECTION, PART_DATA)
    yield FieldRule(PART_COLLECTION, EXPIRATION, ttl=True)


def field_path(path: str) -> str:
    """A path as Firestore spells it: quoted where a part is no plain name."""
    return ".".join(_quoted(escaped_name(name)) for name in split_path(path))


def _quoted(name: str) -> str:
    if name.isascii() and name.isidentifier():
        return name
    return "`" + name.replace("\\", "\\\\").replace("`", "\\`") + "`"
