"""What a window of a scope is filled with, and how what is put into the scope changes it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Any, Final

from ...codec.document import Document
from ...matching import SortKey
from ...operations import Page
from ...queries import Query
from .members import Member
from .scopes import (
    Scope,
    bound_position,
    bound_text,
    is_bare,
    is_behind,
    is_whole,
    position,
    scope_of,
    sort_text,
)
from .windows import leaves_none_out

if TYPE_CHECKING:
    from .replies import Intended

MAX_SORT_BYTES: Final = 4_096
"""Windows with longer sort texts are not kept."""


@dataclass(frozen=True, slots=True)
class Contents:
    """What to fill a window with: all members of the scope, or those up to the bound."""

    complete: bool
    bound: bytes
    members: tuple[Member, ...]


def may_fill(query: Query[Any]) -> bool:
    """Whether what the query finds may fill its scope's window: records from the first one on.

    Only then is a lease of use; if a window is there that can't answer, get it with "refresh".
    """
    scope = scope_of(query)
    return scope is not None and query.after is None and is_bare(query, scope)


def contents_of(
    query: Query[Any], page: Page[Any], documents: Sequence[Document], most: int
) -> Contents | None:
    """What to keep of the page that such a query found below, ``None`` if nothing.

    ``documents`` are those of its records, by `document_of`; of more than ``most`` the first ones
    are kept.
    """
    scope = scope_of(query)
    if scope is None or not may_fill(query) or page.as_of is None or not page.complete:
        return None
    members = [
        (stored.record.key, sort_text(scope, document))
        for stored, document in zip(page.items, documents, strict=True)
    ]
    if any(len(sort) > MAX_SORT_BYTES for _, sort in members):
        return None
    if _is_exhaustive(query, page) and len(members) <= most:
        return Contents(True, b"", tuple(members)) if leaves_none_out(query, scope) else None
    if query.order_by != scope.order or not _are_in_order(scope, members):
        return None
    kept = members[:most]
    key, sort = kept[-1]
    return Contents(False, bound_text(scope, sort, key), tuple(kept))


def _is_exhaustive(query: Query[Any], page: Page[Any]) -> bool:
    if page.corrupt or page.cursor is not None:
        return False
    return query.limit is None or len(page.items) < query.limit


def _are_in_order(scope: Scope, members: Iterable[Member]) -> bool:
    """Whether their texts say so, too; there are some.

    Documents of an older version may be ordered by what they held before they were upgraded.
    """
    places = [position(scope, sort, key) for key, sort in members]
    whole = [place for place in places if place is not None and is_whole(scope, place)]
    in_order = all(is_behind(scope, after, before) for before, after in pairwise(whole))
    return 0 < len(whole) == len(places) and in_order


def change_for(
    scope: Scope, intended: Intended, sorts: Mapping[str, bytes], most: int
) -> tuple[Member, ...] | None:
    """How a window changes by records put into its scope; ``None`` if it is to be dropped.

    ``sorts`` are the sort texts of what is stored now, by key. ``most`` is how many members a
    window is filled with; at twice as many it is dropped.
    """
    bound = None if intended.complete else bound_position(scope, intended.bound)
    is_known = intended.complete or bound is not None
    if not intended.ready or not is_known or intended.count + len(sorts) > 2 * most:
        return None
    if any(len(sort) > MAX_SORT_BYTES for sort in sorts.values()):
        return None
    return tuple(
        [(key, b"" if _is_out(scope, sort, key, bound) else sort) for key, sort in sorts.items()]
    )


def _is_out(scope: Scope, sort: bytes, key: str, bound: SortKey | None) -> bool:
    """Whether a record stands behind the end of a window that is not complete."""
    if bound is None:
        return False
    place = position(scope, sort, key)
    return place is None or not is_whole(scope, place) or is_behind(scope, place, bound)
