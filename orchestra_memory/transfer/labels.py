"""The first and the last line of a backup: what is to be in it, and what is.

They are headers to :mod:`.jsonl`, so that a backup can be imported like any export.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from ..codec.bytes import dumps, loads
from ..operations import Revision
from .entries import UnreadableFile, as_map
from .jsonl import FORMAT, VERSION

_BEGINNING: Final = f'{{"format":"{FORMAT}"'.encode()
LABEL: Final = "backup"
SEAL: Final = "seal"
LEFT_OUT: Final = "left_out"
_SEALED: Final = f'{{"format":"{FORMAT}","version":{VERSION},"{SEAL}":'.encode()


@dataclass(frozen=True, slots=True)
class Kind:
    """A record type in a backup: its name, where it is kept, and how many there were."""

    name: str
    collection: str
    schema_version: int
    records: int = 0


@dataclass(frozen=True, slots=True)
class Label:
    """Where a backup comes from.

    ``as_of`` is the moment it shows, on the store's clock; ``None`` if the store went on meanwhile.
    ``records`` of its kinds are what the store counted at the beginning.
    """

    source: str
    namespace: str | None
    release: str
    taken_at: datetime
    as_of: Revision | None
    kinds: tuple[Kind, ...]

    @property
    def line(self) -> bytes:
        types = {
            kind.name: {
                "collection": kind.collection,
                "schema_version": kind.schema_version,
                "records": kind.records,
            }
            for kind in self.kinds
        }
        content: dict[str, Any] = {"collections": [kind.collection for kind in self.kinds]}
        content |= {} if self.namespace is None else {"namespace": self.namespace}
        content[LABEL] = {
            "source": self.source,
            "release": self.release,
            "taken_at": self.taken_at,
            "as_of": self.as_of,
            "types": types,
        }
        return _line(content)

    def is_of(self, other: Label) -> bool:
        """Whether the other one is of the same records, be it of another moment."""
        return (self.source, self.namespace, _forms(self)) == (
            other.source,
            other.namespace,
            _forms(other),
        )


@dataclass(frozen=True, slots=True)
class Seal:
    """What is in a backup: records by type, and the SHA-256 of every byte before this line.

    ``as_of`` is the label's, or ``None`` where a later run had to go on with a later moment.
    """

    records: Mapping[str, int]
    left_out: int
    as_of: Revision | None
    sha256: str

    @property
    def total(self) -> int:
        return sum(self.records.values())

    @property
    def line(self) -> bytes:
        content = {
            "records": dict(self.records),
            "left_out": self.left_out,
            "as_of": self.as_of,
            "sha256": self.sha256,
        }
        return _line({SEAL: content})


def left_out_line(collection: str, key: str) -> bytes:
    """The place of a document that could not be read."""
    return _line({LEFT_OUT: f"{collection}/{key}"})


def is_frame(line: bytes) -> bool:
    """Whether a line is no record."""
    return line.startswith(_BEGINNING)


def is_seal(line: bytes) -> bool:
    """Whether a line, or a block of them, begins with a seal."""
    return line.startswith(_SEALED)


def type_on(line: bytes) -> str:
    """The record type on a line of this library's own writing."""
    _, _, rest = line.partition(b'{"type":"')
    return rest.partition(b'"')[0].decode()


def frame(line: bytes) -> Label | Seal | str | None:
    """What a line that is no record says; text is the place of what was left out.

    Raises ``UnreadableFile`` if it is damaged.
    """
    try:
        found = as_map(loads(line)) or {}
        if (label := as_map(found.get(LABEL))) is not None:
            return _label(label, found.get("namespace"))
        if (seal := as_map(found.get(SEAL))) is not None:
            return Seal(seal["records"], seal["left_out"], seal["as_of"], seal["sha256"])
        place: str | None = found.get(LEFT_OUT)
    except (ValueError, KeyError, TypeError, AttributeError):
        raise UnreadableFile("the backup is damaged: what frames it cannot be read") from None
    return place


def _label(label: Mapping[str, Any], namespace: str | None) -> Label:
    return Label(
        source=label["source"],
        namespace=namespace,
        release=label["release"],
        taken_at=label["taken_at"],
        as_of=label["as_of"],
        kinds=tuple(Kind(name, **kind) for name, kind in label["types"].items()),
    )


def _forms(label: Label) -> list[tuple[str, str, int]]:
    return [(kind.name, kind.collection, kind.schema_version) for kind in label.kinds]


def _line(content: Mapping[str, Any]) -> bytes:
    return dumps({"format": FORMAT, "version": VERSION, **content}).encode() + b"\n"
