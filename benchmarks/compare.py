"""Whether what came back is what was given."""

from __future__ import annotations

from collections.abc import Sequence

from orchestra_memory import MemoryItem

from .records import Job


class WrongData(Exception):
    """What was stored or read is not what was given; no figure of such a run is worth anything."""


def compared(what: str, jobs: Sequence[Job], found: Sequence[Job]) -> int:
    """How many records were compared. Raises ``WrongData``, naming `what`, if any differs."""
    given = [by_id(job) for job in jobs]
    if given != [by_id(records) for records in found]:
        raise WrongData(f"{what}: {sum(map(len, given)):,} records did not come back as they were")
    return sum(map(len, given))


def by_id(records: Job) -> list[MemoryItem]:
    """In one order, for stores promise none; what came twice stays twice."""
    return sorted(records, key=lambda record: record.id)
