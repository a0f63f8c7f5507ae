"""Tests on a real event loop whose clock jumps to the next timer instead of waiting for it."""

import asyncio
import selectors
from collections.abc import Awaitable, Callable
from functools import wraps
from typing import Any

ASLEEP = 24 * 3600.0
"""Seconds that no test means to wait."""


class JumpingLoop(asyncio.SelectorEventLoop):
    def __init__(self) -> None:
        super().__init__(_Selector(self._jump))
        self._now = 1000.0

    def time(self) -> float:
        return self._now

    def _jump(self, seconds: float | None) -> float:
        if seconds is None or seconds >= ASLEEP:
            raise RuntimeError("nothing happens any more: a task waits for what never comes")
        self._now += max(0.0, seconds)
        return 0.0


class _Selector(selectors.DefaultSelector):
    def __init__(self, jump: Callable[[float | None], float]) -> None:
        super().__init__()
        self._jump = jump

    def select(self, timeout: float | None = None) -> list[Any]:
        return super().select(self._jump(timeout))


def jumping(test: Callable[..., Awaitable[None]]) -> Callable[..., None]:
    """Run an asynchronous test so, and fail it if it leaves a task behind."""

    @wraps(test)
    def run(*args: Any, **kwargs: Any) -> None:
        async def alone() -> None:
            await test(*args, **kwargs)
            assert asyncio.all_tasks() == {asyncio.current_task()}, "a task is left behind"

        with asyncio.Runner(loop_factory=JumpingLoop) as runner:
            runner.run(alone())

    return run


def now() -> float:
    return asyncio.get_running_loop().time()
