"""Records as payloads in Redis: checked text, of which nothing foreign or damaged decodes.

A payload is a format character, a CRC-32 in 8 hexadecimal digits, and JSON: ``[collection, key,
revision, definition, document, times, vectors, others]``. ``definition`` tells how the record type
was defined whose fields these are, all of them, if it can be told at all. The document is the
stored one; the last three name those of its fields that are not as JSON holds them: times, in ISO
8601; vectors, as lists; and those that hold any of these, or what else JSON has no type for,
further down: they are text by `codec.bytes`.
"""

# Stored values are of any type; telling them apart is what this module does.
# pyright: reportUnknownVariableType=false, reportUnknownArgumentType=false

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache
from json.encoder import encode_basestring as quoted
from typing import Any, Final, TypeVar
from zlib import crc32

from pydantic_core import from_json, to_json

from ...codec.bytes import dumps, loads, time_text
from ...codec.document import SCHEMA_VERSION, Document, decode
from ...codec.ids import stored_id
from ...codec.restoring import definition_of, restored
from ...errors import CorruptRecord, SchemaTooNew
from ...operations import Ref, Revision, Source, Stored
from ...record import Record, spec_of
from ...values import Vector
from ..sourced import SourcedRow, document_of
from .policy import CachePolicy

R = TypeVar("R", bound=Record)

FORMAT: Final = b"1"
_HEAD: Final = len(FORMAT) + 8


def stored_in(ref: Ref[R], payload: bytes, age: float = 0.0) -> Stored[R] | None:
    """The record in a payload, be it expired or not; ``None`` for all that is no entry of it.

    ``age`` is how many seconds ago the payload was filled in.
    """
    opened = _opened(ref, payload)
    if opened is None:
        return None
    document, revision, definition = opened
    ours, names = _definition(ref.model)
    if definition is not None and definition == ours:
        del document[SCHEMA_VERSION]
        return Stored(restored(ref.model, document, names), revision, Source.CACHE, age)
    try:
        return Stored(decode(ref, document, owned=True), revision, Source.CACHE, age)
    except (CorruptRecord, SchemaTooNew):
        return None


@cache
def _definition(model: type[Record]) -> tuple[str | None, set[str]]:
    """How the record type is defined, and its fields."""
    return definition_of(model), set(model.model_fields)


def row_in(ref: Ref[Any], payload: bytes, age: float = 0.0) -> SourcedRow | None:
    """The same as a row, to be looked at before it is made a record."""
    opened = _opened(ref, payload)
    if opened is None:
        return None
    document, revision, _ = opened
    return SourcedRow(stored_id(ref.key), document, revision, source=Source.CACHE, age=age)


def payload_of_read(ref: Ref[Any], stored: Stored[Any], policy: CachePolicy) -> bytes | None:
    """The payload for a record that was read, ``None`` if it is not to be kept."""
    return payload(ref, stored.revision, document_of(stored.record), policy)


def payload(
    ref: Ref[Any], revision: Revision, document: Document, policy: CachePolicy
) -> bytes | None:
    """The payload for a document that is stored, ``None`` if it is not to be kept.

    Of a record that was put it is what `encode` gives.
    """
    text = text_of(ref, document)
    return None if text is None else sealed(text, revision, policy)


@dataclass(frozen=True, slots=True)
class Text:
    """A payload but for the revision, which stands between these."""

    before: str
    after: str


def text_of(ref: Ref[Any], document: Document) -> Text | None:
    """``None`` where no text tells the document exactly: NaN in a vector further down."""
    fields: list[str] = []
    times: list[str] = []
    vectors: list[str] = []
    others: list[str] = []
    try:
        for name, value in document.items():
            kind = type(value)
            if kind is str:
                text = quoted(value)
            elif kind is datetime:
                times.append(name)
                text = f'"{time_text(value)}"'
            elif kind is Vector:
                vectors.append(name)
                text = to_json(value).decode()
            elif "$" in (text := dumps(value)):
                # Some mark, or what looks like one.
                others.append(name)
                text = quoted(text)
            fields.append(f"{quoted(name)}:{text}")
    except ValueError:
        return None
    named = ",".join(f"[{','.join(map(quoted, names))}]" for names in (times, vectors, others))
    model: type[Record] = ref.model
    definition, names = _definition(model)
    if document.keys() - {SCHEMA_VERSION} != names:
        definition = None
    return Text(
        f"[{quoted(ref.collection)},{quoted(ref.key)},",
        f",{dumps(definition)},{{{','.join(fields)}}},{named}]",
    )


def sealed(text: Text, revision: Revision, policy: CachePolicy) -> bytes | None:
    """The payload, ``None`` if it is too large to be kept."""
    body = f"{text.before}{revision}{text.after}".encode()
    if len(body) + _HEAD > policy.max_bytes:
        return None
    return b"%b%08x%b" % (FORMAT, crc32(body), body)


def _opened(ref: Ref[Any], payload: bytes) -> tuple[Document, Revision, object] | None:
    """The document, revision and definition in a payload of this record and schema version."""
    text = payload[_HEAD:]
    if payload[:_HEAD] != b"%b%08x" % (FORMAT, crc32(text)):
        return None
    spec = spec_of(ref.model)
    try:
        body = from_json(text, cache_strings="keys")
        collection, key, revision, definition, document, times, vectors, others = body
        for name in times:
            time = datetime.fromisoformat(document[name])
            document[name] = time if time.tzinfo is UTC else time.astimezone(UTC)
        if vectors or others:
            _convert(document, vectors, others)
        is_ours = (
            key == ref.key
            and collection == spec.collection
            and type(revision) is int
            and document[SCHEMA_VERSION] == spec.schema_version
        )
    except (ValueError, TypeError, AttributeError, KeyError):
        return None
    return (document, revision, definition) if is_ours else None


def _convert(document: Document, vectors: Iterable[str], others: Iterable[str]) -> None:
    for name in vectors:
        document[name] = Vector(document[name])
    for name in others:
        document[name] = loads(document[name])
