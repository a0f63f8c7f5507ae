"""Ways in which Firestore is away for as long as a context lasts."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Final, TypeAlias

from orchestra_memory.testing.faults import FaultProxy, stopped

HUNG: Final = "hung"
REFUSED: Final = "refused"
BLACK_HOLE: Final = "black hole"

Fault: TypeAlias = Callable[[], AbstractAsyncContextManager[None]]


def hung(pid: int) -> Fault:
    """The server is stopped: it takes connections and calls, and answers nothing."""

    @asynccontextmanager
    async def fault() -> AsyncIterator[None]:
        with stopped(pid):
            yield

    return fault


def refused(proxy: FaultProxy) -> Fault:
    """Connections are reset, and new ones refused."""

    def begin() -> None:
        proxy.refuse()
        proxy.drop()

    return _of(proxy, begin)


def black_hole(proxy: FaultProxy) -> Fault:
    """Nothing arrives any more, either way, and nothing is lost."""
    return _of(proxy, proxy.hold)


def _of(proxy: FaultProxy, begin: Callable[[], None]) -> Fault:
    @asynccontextmanager
    async def fault() -> AsyncIterator[None]:
        begin()
        try:
            yield
        finally:
            await proxy.heal()

    return fault
