"""Entries of maps, as the paths by which a ``Patch`` changes one and leaves the others."""

from __future__ import annotations

from ..errors import InvalidRecord
from ..record import Record


def entry_of(model: type[Record], field: str, name: str) -> str:
    """The path of a map's entry. Raises ``InvalidRecord`` for a name that would be a path."""
    if not name or "." in name:
        raise InvalidRecord(
            f"{model.__name__}.{field}: a name that is empty or has a '.' in it; use another",
            model=model.__name__,
            field=field,
        )
    return f"{field}.{name}"
