"""Records that were read, as documents again, with where they come from."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from ..backends.rows import Row
from ..codec.document import Document, encode
from ..codec.ids import stored_id
from ..operations import Ref, Source, Stored
from ..record import Record


@dataclass(slots=True)
class SourcedRow(Row):
    """A stored document with where it comes from; ``age`` is in seconds."""

    source: Source = Source.PRIMARY
    age: float = 0.0


def row_of(ref: Ref[Any], stored: Stored[Any]) -> SourcedRow:
    """A record that was read, as a row; shares free JSON with the record."""
    return SourcedRow(
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
