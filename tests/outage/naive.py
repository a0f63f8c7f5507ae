"""What people write by hand: a fallback that keeps writes in memory and sends them again later.

It has to be caught: it forgets when its process dies, repeats what was applied already, and takes
what it does not know for absent.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from typing import Any

from orchestra_memory import (
    Conflict,
    Durability,
    Health,
    MemoryManager,
    Options,
    Page,
    Query,
    Receipt,
    Ref,
    Snapshot,
    Totals,
    Unavailable,
)
from orchestra_memory.operations import DEFAULT, Measure, Op

RETRY = 0.2
"""Seconds between two tries to send what is kept."""


class NaiveFallback(MemoryManager):
    """Around a store, in ``async with``."""

    def __init__(self, primary: MemoryManager) -> None:
        self._primary = primary
        self._kept: list[Sequence[Op]] = []
        self._sending: asyncio.Task[None] | None = None

    @property
    def waiting(self) -> int:
        return len(self._kept)

    async def __aenter__(self) -> NaiveFallback:
        self._sending = asyncio.create_task(self._send())
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._sending is not None:
            self._sending.cancel()

    async def read(self, refs: Sequence[Ref[Any]], *, options: Options = DEFAULT) -> Snapshot[Any]:
        try:
            return await self._primary.read(refs, options=options)
        except Unavailable:
            return Snapshot((None,) * len(refs))

    async def write(self, ops: Sequence[Op], *, options: Options = DEFAULT) -> Receipt:
        try:
            return await self._primary.write(ops, options=options)
        except Unavailable:
            self._kept.append(ops)
            return Receipt((None,) * len(ops), None, Durability.JOURNALED)

    async def find(self, query: Query[Any], *, options: Options = DEFAULT) -> Page[Any]:
        try:
            return await self._primary.find(query, options=options)
        except Unavailable:
            return Page(())

    async def aggregate(
        self, query: Query[Any], measures: Sequence[Measure], *, options: Options = DEFAULT
    ) -> Totals:
        return await self._primary.aggregate(query, measures, options=options)

    async def health(self) -> Health:
        return await self._primary.health()

    async def _send(self) -> None:
        while True:
            await asyncio.sleep(RETRY)
            with suppress(Unavailable):
                while self._kept:
                    await self._send_one(self._kept[0])
                    del self._kept[0]

    async def _send_one(self, ops: Sequence[Op]) -> None:
        # What is refused now would be refused for ever.
        with suppress(Conflict):
            await self._primary.write(ops)
