"""What was said: adding to conversations, reading them back, searching and forgetting."""

from __future__ import annotations

from collections.abc import AsyncIterable, AsyncIterator, Collection, Iterable, Sequence
from datetime import datetime
from hashlib import sha256
from typing import TypedDict, Unpack

from ..errors import InvalidQuery, InvalidRecord
from ..models import MemoryItem, UserSession
from ..operations import Count, Page, Receipt
from ..protocol import MemoryManager
from ..queries import Metric
from ..slices import mapped
from ..values import Embedding, JsonMap, utc_now
from . import issued
from .bulk import PAGE, delete_all, delete_unchanged, first
from .entries import made
from .issued import ItemFilters, Window


class ItemFields(TypedDict, total=False):
    """The fields of a :class:`~orchestra_memory.MemoryItem`."""

    id: str
    user_id: str
    session_id: str | None
    item_type: str
    timestamp: datetime
    text_content: str
    persona_active: str | None
    embedding: Embedding | None
    metadata: JsonMap
    expiration: datetime | None
    content_hash: str | None


class Conversations:
    """The conversations in `memory`.

    Every call is about one user: ``user_id`` is compared as a whole, so that ``"ann"`` never sees
    what is ``"anna"``'s. ``dimensions`` is the length of the embeddings; vectors of another length
    are refused before any I/O. ``None``, the default, takes any.
    """

    def __init__(self, memory: MemoryManager, *, dimensions: int | None = None) -> None:
        self._memory = memory
        self._dimensions = dimensions

    def __repr__(self) -> str:
        return f"<Conversations dimensions={self._dimensions} in {self._memory!r}>"

    async def add(
        self, item: MemoryItem | None = None, /, **fields: Unpack[ItemFields]
    ) -> MemoryItem:
        """Store an item, given ready, by its fields, or both: then they change it; returns it.

        ``content_hash`` becomes the hash of the text if it is ``None``. How safely it must be kept
        is said on the memory: ``memory.with_options(min_durability=...)``. Raises
        ``InvalidRecord`` for fields that do not fit.
        """
        item = self._prepared(made(MemoryItem, item, fields))
        await self._memory.put(item)
        return item

    async def add_many(self, items: Iterable[MemoryItem] | AsyncIterable[MemoryItem]) -> Receipt:
        """Store any number of items, as ``memory.put_many`` does.

        Nothing is written if one item of a list does not fit; of an iterator, what came before may
        be. Raises ``PartialWrite`` if some chunks fail; writing its ``remaining`` again, or all of
        it, is safe.
        """
        prepared: Iterable[MemoryItem] | AsyncIterable[MemoryItem]
        if isinstance(items, AsyncIterable):
            prepared = (self._prepared(item) async for item in items)
        elif isinstance(items, Collection):
            prepared = await mapped(self._prepared, items)
        else:
            prepared = map(self._prepared, items)
        return await self._memory.put_many(prepared)

    async def history(
        self,
        user_id: str,
        *,
        session_id: str | None = None,
        item_type: str | None = None,
        persona: str | None = None,
        **window: Unpack[Window],
    ) -> Page[MemoryItem]:
        """A page of the user's items, newest first.

        ``start`` and ``end`` are aware times, the end not included. ``page_size`` is 50 by
        default, ``limit`` the number of items over all pages; ``after`` takes the ``cursor`` of the
        page before.
        """
        query = issued.history(
            user_id=user_id, session_id=session_id, item_type=item_type, persona=persona, **window
        )
        return await self._memory.find(query)

    def scan(
        self,
        user_id: str,
        *,
        session_id: str | None = None,
        item_type: str | None = None,
        persona: str | None = None,
        **window: Unpack[Window],
    ) -> AsyncIterator[MemoryItem]:
        """All of what :meth:`history` would page through, newest first.

        Raises ``Unavailable`` where an outage hides part of it.
        """
        query = issued.history(
            user_id=user_id, session_id=session_id, item_type=item_type, persona=persona, **window
        )
        return self._memory.scan(query)

    async def search(
        self,
        user_id: str,
        *,
        embedding: Sequence[float] | None = None,
        limit: int = 10,
        metric: Metric = "cosine",
        **filters: Unpack[ItemFilters],
    ) -> Page[MemoryItem]:
        """The user's items nearest to `embedding`, nearest first, each with its ``distance``.

        Without an embedding, the newest ones. ``session_id``, ``item_type`` and ``persona``
        narrow both. `limit` is 1 to 1,000; `metric` is ``cosine``, ``euclidean`` or
        ``dot_product``. Raises ``InvalidQuery`` for a vector of another length than ``dimensions``.
        """
        if embedding is None:
            newest = issued.history(user_id=user_id, page_size=limit, limit=limit, **filters)
            return await self._memory.find(newest)
        self._check_length(embedding)
        query = issued.similar(
            user_id=user_id, embedding=embedding, limit=limit, metric=metric, **filters
        )
        return await self._memory.find(query)

    async def is_duplicate(self, user_id: str, text: str) -> bool:
        """Whether the user has an item with exactly this text. Costs one read."""
        query = issued.with_hash(user_id=user_id, content_hash=content_hash(text))
        return first(await self._memory.find(query), query) is not None

    async def count(self, user_id: str, **filters: Unpack[ItemFilters]) -> int:
        """How many items the user has; ``session_id``, ``item_type``, ``persona`` narrow it."""
        query = issued.items_of(user_id=user_id, **filters)
        totals = await self._memory.aggregate(query, [Count()])
        return int(totals["count"] or 0)

    async def forget_session(self, user_id: str, session_id: str) -> int:
        """Delete a session's items, expired ones too, and then its record; how many items.

        The :class:`~orchestra_memory.UserSession` goes last: as long as it is listed, items may
        remain, and repeating this finishes the job. Raises ``Unavailable`` or ``PartialWrite``
        where some could not be deleted.
        """
        query = issued.items_of(
            user_id=user_id, session_id=session_id, expired_too=True, page_size=PAGE
        )
        key = UserSession.key_of(user_id, session_id)
        deleted = await delete_all(self._memory, query)
        await self._memory.delete(UserSession, key)
        return deleted

    async def cleanup_expired(self, user_id: str) -> int:
        """Delete the user's expired items now; how many that were.

        Expired items are invisible at once and need no cleaning to stay so. Firestore's TTL policy
        (``orchestra-memory indexes`` prints it) deletes them in the whole database within about a
        day, SQLite purges itself. This is for stores without such a policy, or to save storage
        sooner. An item that is given a new expiration meanwhile stays.
        """
        query = issued.expired(
            MemoryItem, of="user_id", owner=user_id, now=utc_now(), page_size=PAGE
        )
        return await delete_unchanged(self._memory, query)

    def _prepared(self, item: MemoryItem) -> MemoryItem:
        if item.embedding is not None and not self._fits(item.embedding):
            reason = f"MemoryItem.{self._mismatch(item.embedding)}"
            raise InvalidRecord(reason, model="MemoryItem", field="embedding")
        if item.content_hash is not None:
            return item
        return item.evolve(content_hash=content_hash(item.text_content))

    def _check_length(self, embedding: Sequence[float]) -> None:
        if not self._fits(embedding):
            raise InvalidQuery(self._mismatch(embedding), field="embedding")

    def _fits(self, embedding: Sequence[float]) -> bool:
        return self._dimensions is None or len(embedding) == self._dimensions

    def _mismatch(self, embedding: Sequence[float]) -> str:
        return (
            f"embedding: a vector of {len(embedding)} numbers, this memory takes "
            f"{self._dimensions}; use one embedding model for all of it"
        )


def content_hash(text: str) -> str:
    """The SHA-256 of the text's UTF-8 bytes, in hexadecimal."""
    return sha256(text.encode("utf-8", "surrogatepass")).hexdigest()
