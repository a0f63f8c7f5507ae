"""Records beyond Firestore's 1 MiB: large fields in part documents beneath the root.

The root's field ``_parts`` holds the generation, the number of parts and the names of the fields
they hold. A part ``{document}/parts/{n}`` holds ``generation``, ``data`` (a slice of the serialized
``google.firestore.v1.MapValue`` of those fields) and the record's ``expiration``. Root and parts
are written in one commit with a new generation, so every change changes the root.
"""

from __future__ import annotations

from typing import Any, Final
from uuid import uuid4

from ...codec.document import Document
from ...codec.firestore.decode import decode_fields
from ...codec.firestore.encode import map_bytes
from ...codec.firestore.messages import MapValue
from ...codec.size import MAX_ROOT_BYTES, may_outgrow_root, storage_size
from ...record import EXPIRATION, Record, spec_of

PARTS: Final = "_parts"
PART_COLLECTION: Final = "parts"
PART_BYTES: Final = 900_000
"""Bytes of data in one part; Firestore takes 1,048,487 in one field."""
PART_IDS: Final = range(4)
"""Enough for the 3 MiB a record may have."""


def part_name(name: str, number: int) -> str:
    return f"{name}/{PART_COLLECTION}/{number}"


def may_have_parts(model: type[Record]) -> bool:
    return bool(spec_of(model).large)


def split(model: type[Record], document: Document, size: int) -> tuple[Document, list[Document]]:
    """The root and its parts; no parts if the document, of `size` wire bytes, fits as it is."""
    large = spec_of(model).large
    if not large or not may_outgrow_root(size) or storage_size(document) <= MAX_ROOT_BYTES:
        return document, []
    moved = {name: document[name] for name in sorted(large) if name in document}
    data = map_bytes(moved)
    slices = [data[start : start + PART_BYTES] for start in range(0, len(data), PART_BYTES)]
    generation = uuid4().hex
    root = {**document, **dict.fromkeys(moved)}
    root[PARTS] = {"generation": generation, "count": len(slices), "fields": list(moved)}
    expiration = document.get(EXPIRATION)
    return root, [
        {"generation": generation, "data": data, EXPIRATION: expiration} for data in slices
    ]


def part_names(name: str, root: Document) -> list[str]:
    """The parts a root speaks of."""
    return [part_name(name, number) for number in range(root[PARTS]["count"])]


def joined(root: Document, parts: list[Document | None]) -> Document | None:
    """The whole document, ``None`` if a part is missing or of another generation."""
    marker: Any = root[PARTS]
    generation = marker.get("generation")
    if any(part is None or part.get("generation") != generation for part in parts):
        return None
    message = MapValue()
    message.ParseFromString(b"".join(part["data"] for part in parts if part))
    document = {**root, **decode_fields(message.fields)}
    del document[PARTS]
    return document
