"""Records made again of what was kept of equal ones, without validating it once more.

Validation takes a third of the time in which a kept record is read. It finds nothing in what was
made of a valid record, as long as its type is still defined in the same way.
"""

# Schemas are nested maps of any values.
# pyright: reportUnknownVariableType=false, reportUnknownArgumentType=false

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from hashlib import sha256
from typing import Any, Final, TypeVar, cast

from pydantic import BaseModel

from ..record import Record, spec_of
from ..values import NORMALISERS, to_utc, vector_of
from .document import Document

R = TypeVar("R", bound=Record)

_OF_STORED_TYPES: Final = frozenset({"none", "str", "bool", "int", "float", "bytes", "datetime"})
_OURS: Final = frozenset({*NORMALISERS, to_utc, vector_of})
"""Validators that leave what is stored as it is."""
_NOTHING_UNKNOWN: Final[dict[str, Any]] = {"_unknown": None}
"""One for all, as nobody tells a record of unknown fields later."""
_NO_MATTER: Final = frozenset({"metadata", "ref", "serialization"})


@cache
def definition_of(model: type[Record]) -> str | None:
    """A short text that is another one once the fields of the record type are defined otherwise.

    ``None`` for a type whose records cannot be restored: values in them are of other types than
    those stored, or code of its own takes part in making them.
    """
    schema: Any = model.__pydantic_core_schema__
    if schema["type"] != "model" or schema["custom_init"] or not _is_plainly_made(model):
        return None
    try:
        fields = [
            (name, _said(field["schema"])) for name, field in schema["schema"]["fields"].items()
        ]
    except _CannotTell:
        return None
    spec = spec_of(model)
    said = (model.__module__, model.__qualname__, spec.collection, spec.schema_version, fields)
    return sha256(repr(said).encode()).hexdigest()[:12]


def restored(model: type[R], document: Document, names: set[str]) -> R:
    """The record in a document that was made of one, by the same definition of its type.

    The document becomes part of the record; its keys are `names`, those of all fields.
    """
    record = object.__new__(model)
    _put_fields(record, document)
    _put_fields_set(record, names)
    _put_extra(record, None)
    _put_private(record, _NOTHING_UNKNOWN)
    return record


# Records are frozen. By way of `object.__setattr__` this takes half as long again.
_put_fields, _put_fields_set, _put_extra, _put_private = (
    cast("Callable[[Record, object], None]", vars(BaseModel)[name].__set__)
    for name in (
        "__dict__",
        "__pydantic_fields_set__",
        "__pydantic_extra__",
        "__pydantic_private__",
    )
)


def _is_plainly_made(model: type[Record]) -> bool:
    """Whether nothing is done to a new record but what is done to all."""
    return (
        len(model.__private_attributes__) == 1
        and model.model_post_init.__module__ == Record.__module__
        and model.__new__ is object.__new__
    )


class _CannotTell(Exception):
    """A field's values may be other than what is stored of them."""


def _said(schema: Any) -> str:
    """All of a field's schema that its values depend on. Raises ``_CannotTell``."""
    kind = schema["type"]
    if kind in _OF_STORED_TYPES:
        return repr(sorted((k, v) for k, v in schema.items() if k not in _NO_MATTER))
    if kind in ("default", "nullable"):
        return f"{kind} {_said(schema['schema'])}"
    if kind == "union":
        return f"union {[_said(each) for each in schema['choices']]}"
    function: Any = schema["function"]["function"] if kind.startswith("function-") else None
    if function in _OURS:
        return f"{kind} {function.__name__}"
    raise _CannotTell
