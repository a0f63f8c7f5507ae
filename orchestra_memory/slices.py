"""Work without I/O, done in slices so that the event loop can turn."""

from __future__ import annotations

import time
from collections.abc import (
    AsyncGenerator,
    AsyncIterable,
    AsyncIterator,
    Callable,
    Iterable,
    Iterator,
)
from typing import Any, Final, TypeVar, overload

import anyio.lowlevel

T = TypeVar("T")
U = TypeVar("U")

SLICE_SECONDS: Final = 0.002
"""How long work without I/O may hold the event loop before others get their turn."""
PACE_SECONDS: Final = 0.001
"""How long a thread may keep the interpreter from the event loop's; there may be several."""
PAUSE_SECONDS: Final = 0.000_02
"""A true pause: only then does another thread get the interpreter at once."""


async def sliced(items: Iterable[T]) -> AsyncIterator[T]:
    """The items, with pauses in which the event loop can turn."""
    slice_end = time.monotonic() + SLICE_SECONDS
    for item in items:
        yield item
        if time.monotonic() > slice_end:
            await anyio.lowlevel.checkpoint()
            slice_end = time.monotonic() + SLICE_SECONDS


@overload
async def mapped(
    function: Callable[[T], U], items: Iterable[T], /, *, into: list[U] | None = None
) -> list[U]: ...
@overload
async def mapped(
    function: Callable[..., U], /, *items: Iterable[Any], into: list[U] | None = None
) -> list[U]: ...
async def mapped(
    function: Callable[..., U], /, *items: Iterable[Any], into: list[U] | None = None
) -> list[U]:
    """What `function` makes of each item, with pauses in which the event loop can turn.

    As with `map`, several iterables give an argument each. It is put `into` a list if one is given,
    which has what came before an error.
    """
    results = [] if into is None else into
    add, clock = results.append, time.monotonic
    slice_end = clock() + SLICE_SECONDS
    for result in map(function, *items):
        add(result)
        if clock() > slice_end:
            await anyio.lowlevel.checkpoint()
            slice_end = clock() + SLICE_SECONDS
    return results


async def sliced_stream(items: AsyncIterable[T]) -> AsyncGenerator[T, None]:
    """The same of items that may come without ever pausing."""
    slice_end = time.monotonic() + SLICE_SECONDS
    async for item in items:
        yield item
        if time.monotonic() > slice_end:
            await anyio.lowlevel.checkpoint()
            slice_end = time.monotonic() + SLICE_SECONDS


def paced(items: Iterable[T]) -> Iterator[T]:
    """The items, on a thread of one's own, with pauses in which the event loop can turn."""
    slice_end = time.monotonic() + PACE_SECONDS
    for item in items:
        yield item
        if time.monotonic() > slice_end:
            time.sleep(PAUSE_SECONDS)
            slice_end = time.monotonic() + PACE_SECONDS
