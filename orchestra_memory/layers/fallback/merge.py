"""Writes of two sides to one document, made one where they changed different fields."""

from __future__ import annotations

import json
from hashlib import sha256

from ...codec.bytes import dumps
from ...codec.document import SCHEMA_VERSION, Document, decode, encode
from ...errors import CorruptRecord, InvalidRecord
from ...matching import MISSING, value_at
from ...operations import Patch, Put
from ...record import Record
from ...values import same


def changed_fields(before: Document, after: Document) -> Document | None:
    """The values in `before` of the fields that `after` has changed, for `merged` to compare.

    ``None`` if it has a field that was not there: then it cannot be merged.
    """
    if after.keys() - before.keys():
        return None
    return {
        name: value
        for name, value in before.items()
        if name != SCHEMA_VERSION and (name not in after or not same(value, after[name]))
    }


def patched_fields(patch: Patch, before: Document) -> Document:
    """The values in `before` at the paths that a patch assigns or unsets, where there are any."""
    values = {path: value_at(before, path) for path in _assigned(patch)}
    return {path: value for path, value in values.items() if value is not MISSING}


def fingerprint(document: Document) -> str | None:
    """What only documents of this content have, in whatever order; ``None`` where no text tells."""
    try:
        content = json.loads(dumps(document))
    except ValueError:
        return None
    return sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def merged(put: Put, fields: Document | None, remote: Document) -> Record | None:
    """The remote version with the fields that the local one changed.

    ``None`` where both changed one of them, or what comes out is no record of its type. `fields`
    has the values that the local changes began with.
    """
    if fields is None:
        return None
    local = encode(put.record)
    result = dict(remote)
    for name, value in fields.items():
        theirs, ours = remote.get(name, MISSING), local.get(name, MISSING)
        if not (same(theirs, value) or same(theirs, ours)):
            return None
        if ours is MISSING:
            result.pop(name, None)
        else:
            result[name] = ours
    try:
        return decode(put.ref, result)
    except (CorruptRecord, InvalidRecord):
        return None


def is_apart(patch: Patch, fields: Document | None, remote: Document) -> bool:
    """Whether nobody else changed what the patch assigns; increments and sets never conflict.

    Without `fields`, the values it began with, that is not known of a patch that expects a
    revision; any other is for whatever is there.
    """
    if fields is None:
        return is_commuting(patch) or not isinstance(patch.expect, int)
    began = {path: fields.get(path, MISSING) for path in _assigned(patch)}
    return all(
        same(theirs, value) or same(theirs, patch.set.get(path, MISSING))
        for path, value in began.items()
        for theirs in [value_at(remote, path)]
    )


def is_commuting(patch: Patch) -> bool:
    """Whether the patch leaves the same in whatever order it and others are applied."""
    return not _assigned(patch)


def _assigned(patch: Patch) -> list[str]:
    return [*patch.set, *patch.unset]


def unlike(a: Record, b: Record) -> bool:
    """Whether two records would be stored differently."""
    return not same(encode(a), encode(b))
