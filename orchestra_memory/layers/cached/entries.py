"""Records as payloads in Redis: checked text, of which nothing foreign or damaged decodes.

A payload is a format character, JSON, and the CRC-32 of both. The JSON is ``[kind, key, revision,
document, times, vectors, others]``. ``kind`` is the collection, the schema version and, if the
document has all fields of a record type and it can be told, how that was defined. The document is
the stored one but for the schema version; the last three name those of its fields that are not as
JSON holds them: times, in ISO 8601; vectors, as lists; and those that hold any of these, or what
else JSON has no type for, further down: they are text by `codec.bytes`.
"""

# Stored values are of any type; telling them apart is what this module does.
# pyright: reportUnknownVariableType=false, reportUnknownArgumentType=false

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
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

FORMAT: Final = b"2"
_SUM_BYTES: Final = 4
_INTACT: Final = 0x2144DF1C
"""The CRC-32 of anything that ends with its own CRC-32, the lowest byte first."""
# Looked up once, as every record needs them: an enum takes its time to find a member.
_CACHE: Final = Source.CACHE
_time_of: Final = datetime.fromisoformat


def stored_in(ref: Ref[R], payload: bytes, age: float = 0.0) -> Stored[R] | None:
    """The record in a payload, be it expired or not; ``None`` for all that is no entry of it.

    ``age`` is how many seconds ago the payload was filled in.
    """
    kind = _kind(ref.model)
    opened = _opened(ref, payload, kind)
    if opened is None:
        return None
    document, revision, said = opened
    if said == kind.exact:
        return Stored(restored(ref.model, document, kind.fields), revision, _CACHE, age)
    document[SCHEMA_VERSION] = kind.schema_version
    try:
        return Stored(decode(ref, document, owned=True), revision, _CACHE, age)
    except (CorruptRecord, SchemaTooNew):
        return None


def row_in(ref: Ref[Record], payload: bytes, age: float = 0.0) -> SourcedRow | None:
    """The same as a row, to be looked at before it is made a record."""
    kind = _kind(ref.model)
    opened = _opened(ref, payload, kind)
    if opened is None:
        return None
    document, revision, _ = opened
    document[SCHEMA_VERSION] = kind.schema_version
    return SourcedRow(stored_id(ref.key), document, revision, source=_CACHE, age=age)


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
    return None if text is None else sealed(text, revision, policy.max_bytes)


@dataclass(frozen=True, slots=True)
class Text:
    """A payload but for the revision, which stands between these."""

    before: str
    after: str


def text_of(ref: Ref[Record], document: Document) -> Text | None:
    """``None`` where no text tells the document exactly: NaN in a vector further down."""
    fields: list[str] = []
    times: list[str] = []
    vectors: list[str] = []
    others: list[str] = []
    try:
        for name, value in document.items():
            kind = type(value)
            if name == SCHEMA_VERSION:
                continue
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
    ours = _kind(ref.model)
    is_whole = document.keys() - {SCHEMA_VERSION} == ours.fields
    return Text(
        f"[{quoted((is_whole and ours.exact) or ours.name)},{quoted(ref.key)},",
        f",{{{','.join(fields)}}},{named}]",
    )


def sealed(text: Text, revision: Revision, most: int) -> bytes | None:
    """The payload, ``None`` if it has more than ``most`` bytes."""
    body = FORMAT + f"{text.before}{revision}{text.after}".encode()
    if len(body) + _SUM_BYTES > most:
        return None
    return body + crc32(body).to_bytes(_SUM_BYTES, "little")


@dataclass(frozen=True, slots=True)
class _Kind:
    """What payloads say of a record type: they begin with ``name``, however it was defined.

    ``exact`` they say of all its fields as it is defined now, if that can be told.
    """

    name: str
    exact: str | None
    schema_version: int
    fields: set[str]


@cache
def _kind(model: type[Record]) -> _Kind:
    spec, definition = spec_of(model), definition_of(model)
    name = f"{spec.collection}/{spec.schema_version}/"
    exact = None if definition is None else name + definition
    return _Kind(name, exact, spec.schema_version, set(model.model_fields))


def _opened(ref: Ref[Record], payload: bytes, kind: _Kind) -> tuple[Document, Revision, str] | None:
    """The document, its revision and what is said of its kind, in a payload of this record."""
    if crc32(payload) != _INTACT or payload[:1] != FORMAT:
        return None
    try:
        body = from_json(payload[1:-_SUM_BYTES], cache_strings="keys")
        said, key, revision, document, times, vectors, others = body
        for name in times:
            document[name] = _time_of(document[name])
        if vectors or others:
            _convert(document, vectors, others)
        is_ours = (
            key == ref.key
            and said.startswith(kind.name)
            and type(revision) is int
            and type(document) is dict
        )
    except (ValueError, TypeError, AttributeError, KeyError):
        return None
    return (document, revision, said) if is_ours else None


def _convert(document: Document, vectors: Iterable[str], others: Iterable[str]) -> None:
    for name in vectors:
        document[name] = Vector(document[name])
    for name in others:
        document[name] = loads(document[name])
