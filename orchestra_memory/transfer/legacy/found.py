"""What a piece of an earlier system became."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from hashlib import sha256
from typing import Any

from ...errors import InvalidRecord, OrchestraMemoryError
from ...record import Record
from ..entries import DEFAULT_START, checked
from ..jsonl import record_line


@dataclass(frozen=True, slots=True)
class Origin:
    """Where a piece comes from.

    ``name`` is what the file is called, without its suffix; ``time`` stands in for times that the
    piece does not tell.
    """

    name: str = "migrated"
    time: datetime = DEFAULT_START


@dataclass(frozen=True, slots=True)
class Found:
    """A record and what was noticed on the way to it, or the problem why there is none.

    ``inside`` says where in its file it was, ``key`` is the record's id. ``defaulted`` are fields
    of which nothing was told. ``digest`` is the same for equal records; ``size`` is that of the
    record as JSON, in bytes.
    """

    inside: str
    record: Record | None = None
    problem: str = ""
    warnings: tuple[str, ...] = ()
    defaulted: tuple[str, ...] = ()
    key: str = ""
    digest: str = ""
    size: int = 0


def digest_of(record: Record) -> str:
    return sha256(record_line(record, None)).hexdigest()


def found(
    model: type[Record], inside: str, given: Mapping[str, Any], warnings: list[str] | None = None
) -> Found:
    """The record of what is `given`; ``None`` among it counts as not told."""
    told = {name: value for name, value in given.items() if value is not None}
    notes = tuple(warnings or ())
    try:
        record = checked(model(**told))
        # A composite id may be too long although each of its parts is not.
        _ = record.key
    except InvalidRecord as error:
        return Found(inside, problem=str(error), warnings=notes)
    defaulted = tuple(name for name in model.model_fields if name not in told)
    return of_record(record, inside, notes, defaulted)


def of_record(
    record: Record,
    inside: str,
    warnings: tuple[str, ...] = (),
    defaulted: tuple[str, ...] = (),
) -> Found:
    """A record that is there already."""
    try:
        line = record_line(record, None)
    except OrchestraMemoryError as error:
        return Found(inside, problem=str(error), warnings=warnings)
    digest = sha256(line).hexdigest()
    return Found(
        inside,
        record,
        warnings=warnings,
        defaulted=defaulted,
        key=record.key,
        digest=digest,
        size=len(line),
    )
