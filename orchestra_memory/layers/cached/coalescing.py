"""Few scripts with many keys rather than many with few, where many read at once."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Hashable, Sequence
from functools import partial
from typing import Final, Generic, TypeVar

from ...errors import CacheUnavailable

Key = TypeVar("Key", bound=Hashable)
Answer = TypeVar("Answer")
Group = TypeVar("Group", bound=Hashable)

LANES: Final = 4
"""Scripts under way at once. One more adds a connection, and no answer comes sooner for it, as
Redis runs one script at a time."""
PATIENCE: Final = 1.0
"""Longest wait for a turn, in seconds. A turn is as short as its deadline, and all who wait are let
go once Redis is given up, so that only a process with more to do than it can waits for so long."""
MOST_KEYS: Final = 400
"""Keys of one script, for which Redis then does nothing else."""


class _Batch(Generic[Group, Key, Answer]):
    """What waits for a turn together."""

    __slots__ = ("group", "keys", "timer", "waiting")

    def __init__(self, group: Group) -> None:
        self.group = group
        self.keys: dict[Key, int] = {}
        self.waiting: list[tuple[asyncio.Future[list[Answer]], list[int]]] = []
        self.timer: asyncio.TimerHandle | None = None

    def join(self, keys: Sequence[Key]) -> asyncio.Future[list[Answer]]:
        places = [self.keys.setdefault(key, len(self.keys)) for key in keys]
        future: asyncio.Future[list[Answer]] = asyncio.get_running_loop().create_future()
        self.waiting.append((future, places))
        return future


class Coalescer(Generic[Group, Key, Answer]):
    """Asks at once while less than ``lanes`` are asking; what comes meanwhile goes in together.

    ``run(group, keys)`` asks for up to ``most`` different keys. Only what has an equal group is
    asked together. A key that several ask for is asked for once, and who did not ask first gets
    what ``shared`` makes of the answer. ``busy`` makes the error for who waited for a turn for
    ``patience`` seconds.
    """

    def __init__(
        self,
        run: Callable[[Group, Sequence[Key]], Awaitable[list[Answer]]],
        shared: Callable[[Answer], Answer],
        busy: Callable[[], CacheUnavailable],
        *,
        patience: float = PATIENCE,
        lanes: int = LANES,
        most: int = MOST_KEYS,
    ) -> None:
        self._run = run
        self._shared = shared
        self._busy = busy
        self._patience = patience
        self._lanes = lanes
        self._most = most
        self._running = 0
        self._queue: deque[_Batch[Group, Key, Answer]] = deque()
        self._open: dict[Group, _Batch[Group, Key, Answer]] = {}
        self._tasks: set[asyncio.Task[list[Answer]]] = set()

    async def ask(self, group: Group, keys: Sequence[Key]) -> list[Answer]:
        """The answers, in the order of ``keys``, at most ``most``."""
        if self._running >= self._lanes or self._queue:
            return await self._joined(group, keys)
        self._running += 1
        try:
            return await self._run(group, keys)
        finally:
            self._running -= 1
            self._go_on()

    def stop(self) -> None:
        """Ask nothing more; who waits is told that the cache is unavailable."""
        for task in self._tasks:
            task.cancel()
        while self._queue:
            self._fail(self._taken(), self._busy())

    def _joined(self, group: Group, keys: Sequence[Key]) -> asyncio.Future[list[Answer]]:
        batch = self._open.get(group)
        if batch is None or len(batch.keys) + len(keys) > self._most:
            batch = self._begun(group)
        return batch.join(keys)

    def _begun(self, group: Group) -> _Batch[Group, Key, Answer]:
        batch: _Batch[Group, Key, Answer] = _Batch(group)
        batch.timer = asyncio.get_running_loop().call_later(self._patience, self._expired, batch)
        self._open[group] = batch
        self._queue.append(batch)
        return batch

    def _go_on(self) -> None:
        while self._queue and self._running < self._lanes:
            self._running += 1
            batch = self._taken()
            task = asyncio.create_task(self._turn(batch))
            self._tasks.add(task)
            task.add_done_callback(partial(self._done, batch))

    def _taken(self) -> _Batch[Group, Key, Answer]:
        batch = self._queue.popleft()
        self._close(batch)
        return batch

    def _close(self, batch: _Batch[Group, Key, Answer]) -> None:
        if self._open.get(batch.group) is batch:
            del self._open[batch.group]
        if batch.timer is not None:
            batch.timer.cancel()

    def _expired(self, batch: _Batch[Group, Key, Answer]) -> None:
        self._queue.remove(batch)
        self._close(batch)
        self._fail(batch, self._busy())

    async def _turn(self, batch: _Batch[Group, Key, Answer]) -> list[Answer]:
        return await self._run(batch.group, list(batch.keys))

    def _done(self, batch: _Batch[Group, Key, Answer], task: asyncio.Task[list[Answer]]) -> None:
        self._tasks.discard(task)
        self._running -= 1
        if task.cancelled():
            self._fail(batch, self._busy())
        elif error := task.exception():
            self._fail(batch, error)
        else:
            self._deliver(batch, task.result())
        self._go_on()

    def _deliver(self, batch: _Batch[Group, Key, Answer], answers: list[Answer]) -> None:
        given: set[int] = set()
        for future, places in batch.waiting:
            # Who has gone does not take an answer that only one can have.
            if not future.done():
                future.set_result(
                    [self._shared(answers[n]) if n in given else answers[n] for n in places]
                )
                given.update(places)

    def _fail(self, batch: _Batch[Group, Key, Answer], error: BaseException) -> None:
        for future, _ in batch.waiting:
            if not future.done():
                future.set_exception(_another(error))


def _another(error: BaseException) -> BaseException:
    """An error of its own for each who waits, as raising it adds to its traceback."""
    if not isinstance(error, CacheUnavailable):
        return error
    own = CacheUnavailable(str(error), operation=error.operation)
    own.__cause__ = error.__cause__
    return own
