"""Parts of a record by their names: entries of a map, and fields that are a call's arguments."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, TypeVar

from ..errors import InvalidRecord
from ..record import Record

R = TypeVar("R", bound=Record)


def entry_of(model: type[Record], field: str, name: str) -> str:
    """The path of a map's entry. Raises ``InvalidRecord`` for a name that would be a path."""
    if not name or "." in name:
        raise InvalidRecord(
            f"{model.__name__}.{field}: a name that is empty or has a '.' in it; use another",
            model=model.__name__,
            field=field,
        )
    return f"{field}.{name}"


def check_names(given: Iterable[str], known: type, call: str) -> None:
    """Raise ``TypeError`` for an argument that the ``TypedDict`` of a call's arguments lacks."""
    if unknown := set(given) - known.__annotations__.keys():
        raise TypeError(f"{call}() got an unexpected keyword argument {min(unknown)!r}")


def made(model: type[R], given: R | None, fields: Mapping[str, Any]) -> R:
    """A record of these fields, or the `given` one, changed where fields say otherwise."""
    if given is None:
        return model(**fields)
    return given.evolve(**fields) if fields else given
