"""Large records, put together again."""

from __future__ import annotations

from dataclasses import replace

from ...errors import CorruptRecord
from ...resilience.deadline import Deadline
from ..rows import Row
from .calls import Calls, Documents
from .parts import PARTS, joined, part_names


async def whole_rows(calls: Calls, found: Documents, deadline: Deadline) -> dict[str, Row]:
    """The rows found, by document name and in order, with what lies in their parts.

    The answers of the parts are added to those of `found`.
    """
    rows = found.rows
    torn = {name: part_names(name, rows[name].document) for name in found.torn}
    if not torn:
        return rows
    # Read as of the same time as the roots, so that root and parts belong together.
    names = [part for parts in torn.values() for part in parts]
    parts = await calls.get(names, deadline, as_of=found.as_of)
    found.answers += parts.answers
    for name, wanted in torn.items():
        rows[name] = _whole(name, rows[name], [parts.rows.get(part) for part in wanted])
        if rows[name].fault is not None and found.as_of is None:
            # The root may have changed before its parts were read: again, as of one time.
            again = await calls.get(rows, deadline)
            rows = await whole_rows(calls, again, deadline)
            found.answers += again.answers
            break
    return rows


def _whole(name: str, root: Row, parts: list[Row | None]) -> Row:
    document = joined(root.document, [part.document if part else None for part in parts])
    if document is None:
        return replace(root, fault=_lacks_parts(root.stored_id, collection=name.split("/")[-2]))
    return replace(root, document=document)


def _lacks_parts(key: str, collection: str) -> CorruptRecord:
    return CorruptRecord(
        f"{collection}/{key}: a part of a large record is missing; it was removed by other means "
        "than this library",
        key=key,
        collection=collection,
        fields=(PARTS,),
    )
