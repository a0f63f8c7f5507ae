"""Collections under other names, and how a setting says so."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Annotated, TypeAlias, cast

from pydantic import BeforeValidator, PlainSerializer

from .operations import checked_namespace
from .record import RESERVED_COLLECTIONS


class Collections(Mapping[str, str]):
    """Names of collections as the store has them: single ones renamed, or all prefixed."""

    def __init__(self, renamed: Mapping[str, str] | None = None, *, prefix: str = "") -> None:
        self._renamed = dict(renamed or {})
        self._prefix = prefix

    def __getitem__(self, name: str) -> str:
        if self._prefix:
            return self._prefix + name
        return self._renamed[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._renamed)

    def __len__(self) -> int:
        return len(self._renamed)

    def __bool__(self) -> bool:
        return bool(self._prefix or self._renamed)

    def __repr__(self) -> str:
        return f"Collections({self})"

    def __str__(self) -> str:
        return self._prefix or json.dumps(self._renamed)


def _collections(value: object) -> object:
    if isinstance(value, Collections):
        return value
    if isinstance(value, str) and not value.lstrip().startswith("{"):
        return Collections(prefix=_collection_name(value.strip()))
    pairs = _renamed(value)
    if pairs is None:
        raise ValueError('give a prefix such as acme_, or a JSON map {"memory_items": "items"}')
    if len(set(pairs.values())) < len(pairs):
        raise ValueError("two collections have been given the same name")
    return Collections(pairs)


def _renamed(value: object) -> dict[str, str] | None:
    given = _json(value) if isinstance(value, str) else value
    if not isinstance(given, Mapping):
        return None
    renamed = cast("Mapping[object, object]", given)
    return {_collection_name(old): _collection_name(new) for old, new in renamed.items()}


def _json(text: str) -> object:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return None


def _collection_name(value: object) -> str:
    if not isinstance(value, str) or value in RESERVED_COLLECTIONS or value.startswith("__"):
        raise ValueError("a collection's name must be text, not reserved and without '__' in front")
    checked_namespace(value)
    return value


AnyCollections: TypeAlias = Annotated[
    Collections, BeforeValidator(_collections), PlainSerializer(str)
]
"""A field of settings: a prefix, or a map in JSON."""
