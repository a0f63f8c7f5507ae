"""Records as payloads in Redis: checked text, of which nothing foreign or damaged decodes.

A payload is a format character, a CRC-32 in 8 hexadecimal digits, and JSON:
``[collection, key, revision, plain, times, vectors, others]``. The last four are the stored
document, its fields apart by how they are written: what JSON holds as it is; times in ISO 8601;
vectors; the text by `codec.bytes` of what holds any of these further down.
"""

# Stored values are of any type; telling them apart is what this module does.
# pyright: reportUnknownVariableType=false, reportUnknownArgumentType=false

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from json.encoder import encode_basestring as quoted
from typing import Any, Final, TypeVar
from zlib import crc32

from pydantic_core import from_json, to_json

from ...backends.rows import Row
from ...codec.bytes import dumps, loads, time_text
from ...codec.document import SCHEMA_VERSION, Document, decode, encode
from ...codec.ids import stored_id
from ...errors import CorruptRecord, SchemaTooNew
from ...operations import Ref, Revision, Source, Stored
from ...record import Record, spec_of
from ...values import Vector
from .policy import CachePolicy

R = TypeVar("R", bound=Record)

FORMAT: Final = b"1"
_HEAD: Final = len(FORMAT) + 8


@dataclass(slots=True)
class CachedRow(Row):
    """A stored document with where it comes from; ``age`` is in seconds."""

    source: Source = Source.CACHE
    age: float = 0.0


def stored_in(ref: Ref[R], payload: bytes, age: float = 0.0) -> Stored[R] | None:
    """The record in a payload, be it expired or not; ``None`` for all that is no entry of it.

    ``age`` is how many seconds ago the payload was filled in.
    """
    opened = _opened(ref, payload)
    if opened is None:
        return None
    document, revision = opened
    try:
        record = decode(ref, document, owned=True)
    except (CorruptRecord, SchemaTooNew):
        return None
    return Stored(record, revision, Source.CACHE, age)


def row_in(ref: Ref[Any], payload: bytes, age: float = 0.0) -> CachedRow | None:
    """The same as a row, to be looked at before it is made a record."""
    opened = _opened(ref, payload)
    if opened is None:
        return None
    document, revision = opened
    return CachedRow(stored_id(ref.key), document, revision, age=age)


def row_of(ref: Ref[Any], stored: Stored[Any]) -> CachedRow:
    """A record that was read below, as a row; shares free JSON with the record."""
    return CachedRow(
        stored_id(ref.key),
        document_of(stored.record),
        stored.revision,
        source=stored.source,
        age=stored.age,
    )


def document_of(record: Record) -> Document:
    """What is stored of a record that was read: without the fields its document lacks."""
    document = encode(record)
    stored = record.model_fields_set
    if len(stored) < len(type(record).model_fields):
        for name in type(record).model_fields.keys() - stored:
            del document[name]
    return document


def payload_of_read(ref: Ref[Any], stored: Stored[Any], policy: CachePolicy) -> bytes | None:
    """The payload for a record that was read, ``None`` if it is not to be kept."""
    return payload(ref, stored.revision, document_of(stored.record), policy)


def payload(
    ref: Ref[Any], revision: Revision, document: Document, policy: CachePolicy
) -> bytes | None:
    """The payload for a document that is stored, ``None`` if it is not to be kept.

    Of a record that was put it is what `encode` gives.
    """
    try:
        body = _body(ref, revision, document).encode()
    except ValueError:
        # No text tells the value exactly: NaN in a vector further down.
        return None
    if len(body) + _HEAD > policy.max_bytes:
        return None
    return b"%b%08x%b" % (FORMAT, crc32(body), body)


def _body(ref: Ref[Any], revision: Revision, document: Document) -> str:
    plain: list[str] = []
    times: list[str] = []
    vectors: list[str] = []
    others: list[str] = []
    for name, value in document.items():
        kind = type(value)
        if kind is str:
            plain.append(f"{quoted(name)}:{quoted(value)}")
        elif kind is datetime:
            times.append(f'{quoted(name)}:"{time_text(value)}"')
        elif kind is Vector:
            vectors.append(f"{quoted(name)}:{to_json(value).decode()}")
        elif "$" in (text := dumps(value)):
            # Some mark, or what looks like one.
            others.append(f"{quoted(name)}:{quoted(text)}")
        else:
            plain.append(f"{quoted(name)}:{text}")
    maps = ",".join(f"{{{','.join(entries)}}}" for entries in (plain, times, vectors, others))
    return f"[{quoted(ref.collection)},{quoted(ref.key)},{revision},{maps}]"


def _opened(ref: Ref[Any], payload: bytes) -> tuple[Document, Revision] | None:
    """The document and revision in a payload, if it is one of this record and schema version."""
    text = payload[_HEAD:]
    if payload[:_HEAD] != b"%b%08x" % (FORMAT, crc32(text)):
        return None
    spec = spec_of(ref.model)
    try:
        body = from_json(text, cache_strings="keys")
        collection, key, revision, document, times, vectors, others = body
        for name, iso in times.items():
            time = datetime.fromisoformat(iso)
            document[name] = time if time.tzinfo is UTC else time.astimezone(UTC)
        if vectors or others:
            _add(document, vectors, others)
        is_ours = (
            key == ref.key
            and collection == spec.collection
            and type(revision) is int
            and document[SCHEMA_VERSION] == spec.schema_version
        )
    except (ValueError, TypeError, AttributeError, KeyError):
        return None
    return (document, revision) if is_ours else None


def _add(document: Document, vectors: Mapping[str, list[float]], others: Mapping[str, str]) -> None:
    for name, numbers in vectors.items():
        document[name] = Vector(numbers)
    for name, text in others.items():
        document[name] = loads(text)
