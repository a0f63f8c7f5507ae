"""Documents to keep: they share nothing that can change with anybody, and are weighed."""

# Stored values are of any type; telling them apart is what weighing them does.
# pyright: reportUnknownVariableType=false, reportUnknownArgumentType=false

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache
from sys import getsizeof
from types import NoneType
from typing import Any, Final, TypeAlias

from ...codec.document import SCHEMA_VERSION, Document, encode, encoded, free_fields
from ...record import Record, spec_of
from ...values import Vector
from ..sourced import document_of

OVERHEAD: Final = 1_500
"""Bytes that a document takes in the process, roughly, beside its texts, lists and maps."""
_CONTAINER: Final = 100
_ENTRY: Final = 120
_ITEM: Final = 32
_SMALL: Final = frozenset({int, float, bool, NoneType})


Kept: TypeAlias = tuple[Document, int]
"""A document that nobody else holds, and about how many bytes it takes in the process."""


@dataclass(frozen=True, slots=True)
class _Form:
    """What can be told beforehand of the documents of a record type."""

    fields: int
    free: frozenset[str]
    version: int


@cache
def _form(model: type[Record]) -> _Form:
    return _Form(len(model.model_fields), free_fields(model), spec_of(model).schema_version)


def of_written(record: Record) -> Kept:
    """What a store has of a record that was put."""
    form = _form(type(record))
    if len(record.__dict__) != form.fields or record.unknown_fields:
        return of_document(encode(record))
    return _of_all(record, form)


def of_read(record: Record) -> Kept:
    """What a store has of a record that was read: without the fields its document lacks."""
    if len(record.__pydantic_fields_set__) != _form(type(record)).fields:
        return of_document(document_of(record))
    return of_written(record)


def of_document(document: Document) -> Kept:
    own, size = _own(document)
    return own, OVERHEAD + size


def _of_all(record: Record, form: _Form) -> Kept:
    """All fields, in one go: this is done for every record while all is well.

    A store has taken them, so that there is nothing to check.
    """
    values = record.__dict__
    document, size = values.copy(), OVERHEAD
    for name, value in values.items():
        kind = type(value)
        if kind is str:
            size += getsizeof(value)
        elif kind not in _SMALL and not (kind is datetime and value.tzinfo is UTC):
            is_stored = name in form.free or kind is Vector
            stored = value if is_stored else encoded(type(record), name, value)
            document[name], more = _own(stored)
            size += more
    document[SCHEMA_VERSION] = form.version
    return document, size


def _own(value: Any) -> tuple[Any, int]:  # noqa: ANN401 -- what users store may be anything
    """A value that shares nothing that can change, and about how many bytes it takes."""
    kind = type(value)
    if kind is Vector:
        return Vector(value), _CONTAINER + _ITEM * len(value)
    if kind is dict:
        items, size = value.items(), _CONTAINER + _ENTRY * len(value)
    elif kind is list:
        items, size = enumerate(value), _CONTAINER + _ITEM * len(value)
    else:
        return value, getsizeof(value)
    own = value.copy()
    for place, item in items:
        kind = type(item)
        if kind is str:
            size += getsizeof(item)
        elif kind not in _SMALL:
            own[place], more = _own(item)
            size += more
    return own, size
