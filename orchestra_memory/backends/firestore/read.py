"""Large records, put together again."""

from __future__ import annotations

from dataclasses import replace

from ...errors import CorruptRecord
from ...resilience.deadline import Deadline
from ..rows import Row
from .calls import Calls, Documents
from .parts import PARTS, joined, part_names


async def whole_rows(calls: Calls, found: Documents, deadline: Deadline) -> dict[str, Row]:
    """The rows found, by document name and in order, with what lies in their parts."""
    rows = found.rows
    torn = {
        name: part_names(name, row.document) for name, row in rows.items() if PARTS in row.document
    }
    if not torn:
        return rows
    # Read as of the same time as the roots, so that root and parts belong together.
    names = [part for parts in torn.values() for part in parts]
    parts = (await calls.get(names, deadline, as_of=found.as_of)).rows
    for name, wanted in torn.items():
        rows[name] = _whole(name, rows[name], [parts.get(part) for part in wanted])
    return rows


def _whole(name: str, root: Row, parts: list[Row | None]) -> Row:
    document = joined(root.document, [part.document if part else None for part in parts])
    if document is None:
        raise CorruptRecord(
            "a part of a large record is missing; it was removed by other means than this library",
            key=root.stored_id,
            collection=name.split("/")[-2],
            fields=(PARTS,),
        )
    return replace(root, document=document)
