"""What a journal keeps: opaque bodies, each meant for one document, each with a checksum."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from os import urandom
from typing import Any, Final, NamedTuple
from zlib import crc32

from ...values import checked_text

OVERHEAD: Final = 64
"""Bytes an entry takes beside its texts and its body, roughly."""
UNSOUND: Final = "its checksum does not match: the file was damaged"
"""The reason given for an entry that was found damaged and taken over all the same."""


_TEXTS: Final = ("id", "namespace", "collection", "key", "batch")


class DocumentKey(NamedTuple):
    """Which document an entry is for."""

    namespace: str | None
    collection: str
    key: str


def random_id() -> str:
    return urandom(16).hex()


@dataclass(frozen=True, slots=True)
class Draft:
    """What is to be appended.

    ``body`` is for whoever replays it; the journal does not look inside. ``id`` tells this write
    from every other one, in every process: replay goes by it to apply a write only once. Random by
    default. ``batch`` names what it is to be applied together with; ``None`` leaves that open.

    Raises ``TypeError`` or ``ValueError`` for what no journal can hold.
    """

    document: DocumentKey
    body: bytes = field(repr=False)
    id: str = field(default_factory=random_id)
    batch: str | None = None

    def __post_init__(self) -> None:
        namespace, collection, key = self.document
        texts = (self.id, namespace or "", collection, key, self.batch or "")
        for name, text in zip(_TEXTS, texts, strict=True):
            if type(text) is not str or not text.isascii():
                check_text(name, text)
        if type(self.body) is not bytes:
            _check_type("body", self.body, bytes)

    @property
    def size(self) -> int:
        """Bytes by which it fills the journal."""
        return size_of(self.id, self.document, self.body)


@dataclass(frozen=True, slots=True)
class Entry:
    """A write that is kept.

    ``number`` names it as long as this journal is open. ``at`` is when it was appended, in
    microseconds since 1970, and never less than that of an entry appended earlier to the same
    journal. ``batch`` is shared by what is to be applied together. ``reason`` is why it is a dead
    letter, ``None`` if it is none. Only a dead letter can fail to be ``intact``.
    """

    number: int
    id: str
    document: DocumentKey
    at: int
    body: bytes = field(repr=False)
    reason: str | None = None
    intact: bool = True
    batch: str | None = None


class Row(NamedTuple):
    """An entry as the file has it. In a damaged file, anything may be of any type."""

    number: int
    id: str
    namespace: str | None
    collection: str
    key: str
    at: int
    checksum: int
    body: bytes
    reason: str | None
    batch: str | None

    @property
    def document(self) -> DocumentKey:
        return DocumentKey(self.namespace, self.collection, self.key)

    @property
    def size(self) -> int:
        return size_of(self.id, self.document, self.body)


_TYPES: Final[Mapping[str, Any]] = {
    "id": str,
    "namespace": str | None,
    "collection": str,
    "key": str,
    "at": int,
    "checksum": int,
    "body": bytes,
    "reason": str | None,
    "batch": str | None,
}


def values_of(draft: Draft, number: int, at: int) -> tuple[object, ...]:
    """What a draft is in the file: the values of a `Row`."""
    entry_id, document, body, batch = draft.id, draft.document, draft.body, draft.batch
    checksum = checksum_of(entry_id, document, at, body) | seal_of(batch)
    return number, entry_id, *document, at, checksum, body, None, batch


def entry_of(row: Row, *, intact: bool = True) -> Entry:
    return Entry(row.number, row.id, row.document, row.at, row.body, row.reason, intact, row.batch)


def is_intact(row: Row) -> bool:
    """Whether the row is what was appended. Why it is a dead letter is not looked at."""
    if not all(isinstance(getattr(row, name), kind) for name, kind in _TYPES.items()):
        return False
    found = checksum_of(row.id, row.document, row.at, row.body)
    return row.checksum == found | seal_of(row.batch)


def as_dead_letter(row: Row) -> Row:
    """What can be kept of a damaged row: types a table takes, and a reason."""
    found: dict[str, Any] = row._asdict()
    at, checksum, body = (found[name] for name in ("at", "checksum", "body"))
    reason, batch = found["reason"], found["batch"]
    return Row(
        row.number,
        str(found["id"]),
        None if found["namespace"] is None else str(found["namespace"]),
        str(found["collection"]),
        str(found["key"]),
        at if isinstance(at, int) else 0,
        checksum if isinstance(checksum, int) else -1,
        body if isinstance(body, bytes) else b"",
        reason if isinstance(reason, str) else UNSOUND,
        batch if isinstance(batch, str) else None,
    )


def checksum_of(entry_id: str, document: DocumentKey, at: int, body: bytes) -> int:
    namespace, collection, key = document
    space = "-" if namespace is None else f"+{namespace}"
    head = f"{entry_id}\0{space}\0{collection}\0{key}\0{at}"
    return crc32(body, crc32(head.encode()))


def seal_of(batch: str | None) -> int:
    """The upper half of a checksum; apart, so that binding an entry need not read its body."""
    return 0 if batch is None else (crc32(f"+{batch}".encode()) & 0x7FFF_FFFF) << 32


def size_of(entry_id: str, document: DocumentKey, body: bytes) -> int:
    texts = len(entry_id) + len(document.collection) + len(document.key)
    return OVERHEAD + texts + len(document.namespace or "") + len(body)


def check_text(name: str, value: object) -> None:
    _check_type(name, value, str)
    checked_text(str(value), name)


def _check_type(name: str, value: object, kind: type) -> None:
    if not isinstance(value, kind):
        raise TypeError(f"Draft.{name} must be {kind.__name__} (got {type(value).__name__})")
