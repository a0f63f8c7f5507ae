"""Found documents as rows, large records put together again."""

from __future__ import annotations

from typing import Any

from ...codec.firestore import decode_fields, decode_micros
from ...errors import CorruptRecord
from ...resilience.deadline import Deadline
from ...slices import sliced
from ..rows import Row
from .calls import Calls, Documents
from .parts import PARTS, joined, part_names
from .query import DISTANCE


async def rows_of(calls: Calls, documents: Documents, deadline: Deadline) -> dict[str, Row]:
    """Rows by document name, in the order found."""
    rows = {message.name: _row(message) async for message in sliced(documents.found)}
    torn = {
        name: part_names(name, row.document) for name, row in rows.items() if PARTS in row.document
    }
    if torn:
        # Read as of the same time as the roots, so that root and parts belong together.
        names = [part for parts in torn.values() for part in parts]
        found = await calls.get(names, deadline, as_of=documents.as_of)
        parts = {part.name: decode_fields(part.fields) for part in found.found}
        for name, wanted in torn.items():
            row = rows[name]
            whole = joined(row.document, [parts.get(part) for part in wanted])
            if whole is None:
                raise CorruptRecord(
                    "a part of a large record is missing; it was removed by other means than this "
                    "library",
                    key=row.stored_id,
                    collection=name.split("/")[-2],
                    fields=(PARTS,),
                )
            rows[name] = Row(row.stored_id, whole, row.revision, row.distance)
    return rows


def _row(message: Any) -> Row:
    document = decode_fields(message.fields)
    distance = document.pop(DISTANCE, None)
    stored_id = message.name.rpartition("/")[2]
    return Row(stored_id, document, decode_micros(message.update_time), distance)
