"""Records as plain maps of stored values, and back: the public form of what is stored."""

# Stored values are of any type; telling them apart is what this module does.
# pyright: reportUnknownVariableType=false, reportUnknownArgumentType=false

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import Enum
from functools import cache
from typing import Any, TypeAlias, TypeVar

from pydantic import TypeAdapter, ValidationError
from pydantic_core import PydanticSerializationError

from ..errors import CorruptRecord, InvalidRecord, SchemaTooNew
from ..fieldpaths import default_of, kinds, split_path
from ..operations import Patch, Ref
from ..record import EXPIRATION, Record, spec_of
from ..values import (
    INT64_MAX,
    INT64_MIN,
    NORMALISERS,
    STORED,
    Vector,
    copied,
    is_list,
    is_map,
    sort_key,
    storable,
    to_utc,
    utc_now,
)

Document: TypeAlias = dict[str, Any]
R = TypeVar("R", bound=Record)

SCHEMA_VERSION = "schema_version"

_AS_IS = frozenset({str, bool, float, bytes, type(None), Vector})


@cache
def free_fields(model: type[Record]) -> frozenset[str]:
    """Fields of free JSON, whose values construction has made storable already."""
    return frozenset(
        name
        for name, info in model.model_fields.items()
        if any(getattr(mark, "func", None) in NORMALISERS for mark in info.metadata)
    )


def encode(record: Record) -> Document:
    """The stored form. Shares free JSON with the record; whoever keeps it copies it.

    Raises ``InvalidRecord`` for a value no store can hold.
    """
    model = type(record)
    free = free_fields(model)
    document: Document = dict(record.unknown_fields)
    for name, value in field_values(record, model.model_fields).items():
        if name in free or (type(value) in _AS_IS and _is_sound(value)):
            document[name] = value
        else:
            document[name] = encoded(model, name, value)
    document[SCHEMA_VERSION] = spec_of(model).schema_version
    return document


def field_values(record: Record, names: Collection[str]) -> Mapping[str, Any]:
    """The values of the fields with these `names`, which are all there are."""
    values = record.__dict__
    # A cached property of a user's record lies beside them.
    return values if len(values) == len(names) else {name: values[name] for name in names}


def _is_sound(value: Any) -> bool:
    """Whether construction left nothing to check: text may still hold lone surrogates."""
    return type(value) is not str or value.isascii()


def encoded(model: type[Record], name: str, value: Any) -> Any:
    try:
        return _plain(model, name, value)
    except (ValueError, PydanticSerializationError) as error:
        raise InvalidRecord(
            f"{model.__name__}.{name}: {error} (got {type(value).__name__})",
            model=model.__name__,
            field=name,
        ) from None


def _plain(model: type[Record], name: str, value: Any) -> Any:
    if type(value) is datetime:
        return to_utc(value)
    if type(value) is int and INT64_MIN <= value <= INT64_MAX:
        return value
    if isinstance(value, Enum):
        return value.value
    if "any" in kinds(model, name):
        return storable(value)
    try:
        return storable(_adapter(model, name).dump_python(value))
    except ValueError:
        if type(value) in (int, str, list, dict):
            raise
        # Types with a text form of their own: UUID, Decimal, date, Path, sets.
        return storable(_adapter(model, name).dump_python(value, mode="json"))


@cache
def _adapter(model: type[Record], name: str) -> TypeAdapter[Any]:
    annotation: Any = model.model_fields[name].annotation
    return TypeAdapter(annotation)


@cache
def must_be_stored(model: type[Record]) -> frozenset[str]:
    """Identity and times that construction would invent; reading must not."""
    invented = (
        name
        for name, info in model.model_fields.items()
        if info.default_factory is not None and datetime in kinds(model, name)
    )
    return frozenset({*spec_of(model).key, *invented})


@dataclass(frozen=True, slots=True)
class _Form:
    """What can be told beforehand of the documents of a record type."""

    version: int
    fields: set[str]
    needed: frozenset[str]


@cache
def _form(model: type[Record]) -> _Form:
    return _Form(spec_of(model).schema_version, set(model.model_fields), must_be_stored(model))


def decode(ref: Ref[R], document: Document, *, owned: bool = False) -> R:
    """The record in a stored document, sharing nothing mutable with it.

    A document that is `owned`, which nobody else holds, becomes part of the record instead of being
    copied; the fields of the record stay in it.
    Raises ``CorruptRecord`` naming the fields that do not fit, ``SchemaTooNew`` for a document of
    a newer version.
    """
    model = ref.model
    form = _form(model)
    if not owned:
        document = copied(document)
    if (version := document.pop(SCHEMA_VERSION, 0)) != form.version:
        # What an upgrade puts into documents may be the same for all.
        document = copied(_upgraded(ref, document, version))
    is_complete = document.keys() == form.fields
    unknown = None if is_complete else _unknown_of(ref, document, form)
    try:
        record: R = model.__pydantic_validator__.validate_python(document, context=STORED)
    except ValidationError as error:
        raise _misfit(ref, error) from None
    if record.key != ref.key:
        raise _corrupt(ref, spec_of(model).key, "of another record than the document's id")
    if unknown:
        record._unknown = unknown  # pyright: ignore[reportPrivateUsage]
    if is_complete:
        # One set for all: to the garbage collector, a set each is a third of the record.
        object.__setattr__(record, "__pydantic_fields_set__", form.fields)
    return record


def _unknown_of(ref: Ref[Any], document: Document, form: _Form) -> Document:
    """Take what this version does not know out of the document."""
    unknown = {name: document.pop(name) for name in document.keys() - form.fields}
    if missing := form.needed - document.keys():
        raise _corrupt(ref, sorted(missing), "missing")
    return unknown


def _misfit(ref: Ref[Any], error: ValidationError) -> CorruptRecord:
    details = error.errors(include_url=False)
    fields = {str(detail["loc"][0]) for detail in details if detail["loc"]}
    return _corrupt(ref, sorted(fields), "not as the record type declares them")


def _corrupt(ref: Ref[Any], fields: tuple[str, ...] | list[str], what: str) -> CorruptRecord:
    return CorruptRecord(
        f"{ref.collection}/{ref.key}: the stored fields {', '.join(fields)} are {what}",
        collection=ref.collection,
        key=ref.key,
        fields=fields,
    )


def _upgraded(ref: Ref[R], document: Document, stored: object) -> Document:
    """The document, `stored` by another version, in the form of this one."""
    known = _form(ref.model).version
    if type(stored) is not int or stored < 0:
        raise _corrupt(ref, [SCHEMA_VERSION], "no version")
    if stored > known:
        raise SchemaTooNew(
            f"{ref.collection}/{ref.key}: stored by version {stored} of {ref.model.__name__}, this "
            f"reader knows {known}; upgrade it",
            collection=ref.collection,
            key=ref.key,
            stored=stored,
            known=known,
        )
    return ref.model.upgrade_under(ref.key, copied(document), stored)


def key_in(model: type[Record], document: Document) -> str:
    """The id a document itself tells, by its key fields."""
    return model.key_of(*(str(document.get(name, "")) for name in spec_of(model).key))


def is_expired(document: Document, now: datetime | None = None) -> bool:
    expiration = document.get(EXPIRATION)
    return isinstance(expiration, datetime) and expiration <= (now or utc_now())


def patched(document: Document, patch: Patch) -> Document:
    """`document` as it is after `patch`, by Firestore's rules for its transforms."""
    result: Document = copied(document)
    for path, value in patch.set.items():
        place, name = _place(result, path)
        place[name] = copied(value)
    for path in patch.unset:
        _remove(result, path)
    result.update(unset_values(patch))
    for path, amount in patch.increment.items():
        place, name = _place(result, path)
        place[name] = _incremented(place.get(name), amount)
    for path, items in patch.add.items():
        place, name = _place(result, path)
        place[name] = _with_elements(place.get(name), items)
    for path, items in patch.remove.items():
        place, name = _place(result, path)
        place[name] = _without_elements(place.get(name), items)
    return result


def unset_values(patch: Patch) -> dict[str, Any]:
    """What unset top-level fields return to; map entries, which vanish, are left out."""
    model = patch.ref.model
    return {
        path: encoded(model, path, default_of(model, path))
        for path in patch.unset
        if "." not in path
    }


def _place(document: Document, path: str) -> tuple[Document, str]:
    """The map that holds the path's last part; what is no map on the way becomes one."""
    *parents, last = split_path(path)
    for name in parents:
        inner = document.get(name)
        document[name] = inner = inner if is_map(inner) else {}
        document = inner
    return document, last


def _remove(document: Document, path: str) -> None:
    *parents, last = split_path(path)
    for name in parents:
        inner = document.get(name)
        if not is_map(inner):
            return
        document = inner
    document.pop(last, None)


def _incremented(old: Any, amount: float) -> Any:
    if type(old) not in (int, float):
        return amount
    total = old + amount
    return max(INT64_MIN, min(INT64_MAX, total)) if type(total) is int else total


def _with_elements(old: Any, items: Any) -> list[Any]:
    result = list(old) if is_list(old) else []
    known = {sort_key(item) for item in result}
    for item in items:
        if sort_key(item) not in known:
            known.add(sort_key(item))
            result.append(copied(item))
    return result


def _without_elements(old: Any, items: Any) -> list[Any]:
    gone = {sort_key(item) for item in items}
    return [item for item in old if sort_key(item) not in gone] if is_list(old) else []
