"""Operations taken a chunk at a time from whatever gives them."""

from __future__ import annotations

from collections.abc import AsyncIterable, Callable, Iterator
from contextlib import AsyncExitStack, aclosing
from inspect import isasyncgen
from itertools import islice
from math import inf
from typing import Final, Generic, Protocol, TypeVar

import anyio
import anyio.lowlevel

from .operations import Op
from .slices import mapped, sliced_stream

T = TypeVar("T")

CHUNK: Final = 400
"""Operations written at once, the most that one commit takes."""
LINGER: Final = 0.25
"""Seconds for which records of a slow source wait for a chunk to fill."""


class Source(Protocol):
    """Where chunks come from."""

    unusable: list[Exception]
    """Why some of the rest cannot be operations."""

    async def take(self) -> list[Op]:
        """The next chunk; an empty one at the end."""
        ...

    def rest(self) -> list[Op]:
        """What there is that was never taken."""
        ...

    async def feed(self) -> None:
        """Gather what comes, beside the taking."""
        ...


class Ready(Source, Generic[T]):
    """Chunks of what an iterator gives at once."""

    def __init__(self, items: Iterator[T], to_op: Callable[[T], Op], *, keep: bool) -> None:
        self._items = items
        self._to_op = to_op
        self._keep = keep
        self._gathered: list[Op] = []
        self._failure: Exception | None = None
        self.unusable: list[Exception] = []

    async def take(self) -> list[Op]:
        await anyio.lowlevel.checkpoint()
        if self._failure is None:
            try:
                await mapped(self._to_op, islice(self._items, CHUNK), into=self._gathered)
            except Exception as error:  # noqa: BLE001 -- raised when what came before it is taken
                self._failure = error
        chunk, self._gathered = self._gathered, []
        if self._failure is not None and not chunk:
            raise self._failure
        return chunk

    async def feed(self) -> None:
        return

    def rest(self) -> list[Op]:
        for item in self._items if self._keep else ():
            try:
                self._gathered.append(self._to_op(item))
            except Exception as error:  # noqa: BLE001 -- told beside what is raised already
                self.unusable.append(error)
        return self._gathered


class Arriving(Source, Generic[T]):
    """Chunks of what arrives: full ones, unless the source is slow."""

    def __init__(self, items: AsyncIterable[T], to_op: Callable[[T], Op]) -> None:
        self._items = items
        self._to_op = to_op
        self.unusable: list[Exception] = []
        self._waiting: list[Op] = []
        self._failure: Exception | None = None
        self._ended = False
        self._some, self._full, self._taken = anyio.Event(), anyio.Event(), anyio.Event()

    async def feed(self) -> None:
        try:
            async with AsyncExitStack() as closing:
                closing.push_async_callback(self._close)
                stream = aclosing(sliced_stream(self._items))
                await self._gather(await closing.enter_async_context(stream))
        except Exception as error:  # noqa: BLE001 -- whatever the source raises ends the write
            self._failure = error
        except anyio.get_cancelled_exc_class() as error:
            if is_cancelled():
                raise
            self._failure = RuntimeError("the source of the records was cancelled")
            self._failure.__cause__ = error
        finally:
            self._ended = True
            self._some.set()
            self._full.set()

    async def _close(self) -> None:
        items: object = self._items
        if isasyncgen(items):
            await items.aclose()

    async def _gather(self, items: AsyncIterable[T]) -> None:
        async for item in items:
            self._waiting.append(self._to_op(item))
            self._some.set()
            if len(self._waiting) >= CHUNK:
                self._full.set()
                await self._taken.wait()

    async def take(self) -> list[Op]:
        await self._some.wait()
        with anyio.move_on_after(LINGER):
            await self._full.wait()
        chunk, self._waiting = self._waiting, []
        if self._failure is not None and not chunk:
            raise self._failure
        self._taken.set()
        if not self._ended:
            self._some, self._full, self._taken = anyio.Event(), anyio.Event(), anyio.Event()
        return chunk

    def rest(self) -> list[Op]:
        return self._waiting


def is_cancelled() -> bool:
    """Whether it is this call that is cancelled, and not something it waits for."""
    return anyio.current_effective_deadline() == -inf
