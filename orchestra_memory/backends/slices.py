"""Work without I/O, done in slices so that the event loop can turn."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Iterable
from typing import Final, TypeVar

import anyio.lowlevel

T = TypeVar("T")

SLICE_SECONDS: Final = 0.002
"""How long work without I/O may hold the event loop before others get their turn."""


async def sliced(items: Iterable[T]) -> AsyncIterator[T]:
    """The items, with pauses in which the event loop can turn."""
    slice_end = time.monotonic() + SLICE_SECONDS
    for item in items:
        yield item
        if time.monotonic() > slice_end:
            await anyio.lowlevel.checkpoint()
            slice_end = time.monotonic() + SLICE_SECONDS
