"""One at a time for each document, and all documents of a write at once."""

from __future__ import annotations

from collections.abc import AsyncIterator, Collection
from contextlib import asynccontextmanager

import anyio

from ...resilience.journal import DocumentKey


class Turns:
    """Lets in who touches documents that nobody else in here does."""

    def __init__(self) -> None:
        self._taken: dict[DocumentKey, anyio.Event] = {}

    @asynccontextmanager
    async def turn(self, documents: Collection[DocumentKey]) -> AsyncIterator[None]:
        """Wait until all of these are free, and take them."""
        while ended := self._first_taken(documents):
            await ended.wait()
        event = anyio.Event()
        self._taken.update(dict.fromkeys(documents, event))
        try:
            yield
        finally:
            for document in documents:
                del self._taken[document]
            event.set()

    def _first_taken(self, documents: Collection[DocumentKey]) -> anyio.Event | None:
        if self._taken:
            for document in documents:
                if document in self._taken:
                    return self._taken[document]
        return None
