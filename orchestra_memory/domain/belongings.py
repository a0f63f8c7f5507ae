"""What belongs to a user in one namespace: where to look for it, and what loses in outages."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Iterable
from contextlib import aclosing
from dataclasses import dataclass
from typing import Any, Final

from ..codec.cursor import Position, encode_cursor
from ..codec.ids import stored_id
from ..layers.fallback.conflicts import Conflicted
from ..layers.fallback.kept import of_conflict, of_user
from ..layers.fallback.queue import known_models
from ..models import SHIPPED
from ..operations import Options, Page
from ..ownership import owner_paths
from ..protocol import MemoryManager
from ..queries import Query
from ..record import Record, spec_of
from ..values import is_map
from . import issued
from .bulk import PAGE, check_complete

AS_STORED: Final = Options(cache="bypass", corrupt="skip", timeout=30.0)
"""Past the cache, and with what no record type fits, which is somebody's, too."""


@dataclass(frozen=True, slots=True)
class Place:
    """Records of one type that say by `path` whose they are, unless one of `earlier` does."""

    model: type[Record]
    path: str
    earlier: tuple[str, ...] = ()

    def query(self, user_id: str, behind: str | None = None) -> Query[Any]:
        """The user's records here, ordered by id; those behind this one."""
        query = issued.owned_by(user_id, self.model, self.path, page_size=PAGE)
        return query if behind is None else _behind(query, behind)

    def is_first_of(self, record: Record, user_id: str) -> bool:
        """Whether no earlier place has the record; it is taken from the first one only."""
        return not any(_at(record, path) == user_id for path in self.earlier)

    def has(self, record: Record, user_id: str) -> bool:
        """Whether the record is taken from here."""
        is_here = type(record) is self.model and _at(record, self.path) == user_id
        return is_here and self.is_first_of(record, user_id)


def places(models: Iterable[type[Record]]) -> list[Place]:
    """Where to look, in an order that stays: by collection.

    Of several types of one collection one will do; a shipped one, if there is one.
    """
    among = set(models)
    ordered = [each for each in SHIPPED if each in among]
    ordered += sorted(among - {*ordered}, key=lambda each: each.__name__)
    chosen: dict[str, type[Record]] = {}
    for model in ordered:
        chosen.setdefault(spec_of(model).collection, model)
    found: list[Place] = []
    for _, model in sorted(chosen.items()):
        paths = owner_paths(model)
        found += [Place(model, path, paths[:number]) for number, path in enumerate(paths)]
    return found


def _at(record: Record, path: str) -> object:
    name, _, inner = path.partition(".")
    value = getattr(record, name)
    if not inner:
        return value
    return value.get(inner) if is_map(value) else None


async def pages(memory: MemoryManager, query: Query[Any]) -> AsyncGenerator[Page[Any]]:
    """All pages of a query. Raises ``Unavailable`` rather than leave something out."""
    async with aclosing(memory.pages(query, options=AS_STORED)) as found:
        async for page in found:
            check_complete(page, query)
            yield page


async def conflicts_of(
    memory: MemoryManager, user_id: str, behind: str | None = None
) -> AsyncGenerator[list[Conflicted]]:
    """Versions that lost and are the user's, page by page."""
    models = known_models()
    query: Query[Any] = Query(Conflicted, page_size=PAGE)
    query = query if behind is None else _behind(query, behind)
    async with aclosing(pages(memory, query)) as found:
        async for page in found:
            kept = [of_conflict(each, None, models) for each in page.records]
            theirs = await of_user(memory, kept, user_id)
            yield [each for each, is_theirs in zip(page.records, theirs, strict=True) if is_theirs]


def _behind(query: Query[Any], key: str) -> Query[Any]:
    return query.with_(after=encode_cursor(query, Position((), stored_id(key), 0)))
