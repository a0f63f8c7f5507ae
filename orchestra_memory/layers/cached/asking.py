"""One script on Redis: within a deadline, in the namespace's present epoch, through the breaker."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, Final, TypeVar, cast

from redis.exceptions import NoScriptError

from ...errors import CacheUnavailable
from ...operations import Revision
from ...resilience.breaker import Breaker, Missed
from ...resilience.lag import LagTolerantTimeout, LoopLag
from .epochs import Epochs
from .failures import BUGS, FAILURES, Refusal, kind_of, unavailable
from .replies import OtherEpoch
from .scripts import Argument
from .wire import Client, Wire

if TYPE_CHECKING:
    from .asks import Ask
    from .keys import Keyspace

T = TypeVar("T")

EPOCHS: Final = 4
"""How often one call follows a namespace into another epoch."""
EXCUSED: Final = 1.0
"""Seconds without an answer that a busy event loop excuses: a dead Redis would hide behind more."""
AT_ONCE: Final = 4
"""Scripts under way at once, besides the reads that share some; the others wait for their turn.
Each needs a connection, and where that has to be made first, an answer takes several times as
long."""
FEW: Final = 50
"""Entries of a script beside which others may be under way. Of those with more, for which Redis
does nothing else for milliseconds, one is under way at a time: else one would wait for the other
within the time that it has for itself."""
TICKS: Final = 4
"""How often the loop's lag is looked at in the time of one call."""
RESTARTED: Final = frozenset({"connection", "refused", "loading", "readonly"})
"""Failures after which another run of the server, or another server, may answer."""


class Asker:
    """Runs scripts, tells the breaker how that went, and makes one error of all failures.

    ``opened`` is called with the kind of the failure that opened the breaker.
    """

    def __init__(
        self,
        redis: Client,
        keyspace: Keyspace,
        breaker: Breaker,
        *,
        timeout: float,
        opened: Callable[[str], None],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.errors: Counter[str] = Counter()
        self.error: str = ""
        self.timeout = timeout
        self._wire = Wire(redis)
        self._keyspace = keyspace
        self._epochs = Epochs(self._wire, keyspace)
        self._breaker = breaker
        self._opened = opened
        self._clock = clock
        self._lag = LoopLag(timeout / TICKS)
        self._excused: float | None = None

    def token(self) -> str:
        """A text that no process uses twice."""
        return self._epochs.token()

    def refusal(self, kind: str, operation: str) -> CacheUnavailable:
        """The error for what failed before Redis was asked, counted."""
        self._count(kind)
        return unavailable(kind, operation)

    def stop(self) -> None:
        """Leave nothing behind on the event loop."""
        self._lag.stop()

    async def ask(self, ask: Ask[T]) -> T:
        """The answer. Raises ``CacheUnavailable``, and counts the kind, where there is none."""
        began, deadline = self._clock(), LagTolerantTimeout(self._lag, self.timeout)
        try:
            with deadline:
                answer = await self._answer(ask)
        except BUGS:
            raise
        except FAILURES as error:
            kind = self._failed(error, began, deadline)
            raise unavailable(kind, ask.operation) from error
        self._excused = None
        if self._breaker.succeeded(began):
            self._opened("slow")
        return answer

    async def probe(self, budget: float) -> Revision:
        """The time of Redis in microseconds, if it takes writes within ``budget`` seconds.

        A new connection is included in that. How it ends is for the caller to tell the breaker.
        """
        async with self._within(budget, "probe"):
            return await self._epochs.probe()

    async def replace_epoch(self, namespace: str | None) -> None:
        """No entry of the namespace is used again, by any process."""
        async with self._within(self.timeout, "replace_epoch"):
            await self._epochs.replace(namespace)

    async def _answer(self, ask: Ask[T]) -> T:
        epochs = self._epochs
        for _ in range(EPOCHS):
            if epochs.run is None:
                await epochs.probe()
            run = epochs.run
            answer: T | OtherEpoch | None = None
            if ask.known is not None:
                answer = await self._known(ask, ask.known)
            if answer is None:
                answer = _parsed(ask, await self._reply(ask))
            if isinstance(answer, OtherEpoch):
                await epochs.follow(ask.namespace, answer.epoch)
                continue
            if epochs.in_doubt():
                await epochs.probe()
            if run == epochs.run:
                return answer
        raise Refusal("epoch")

    async def _known(self, ask: Ask[T], known: Callable[[Any, str], T | None]) -> T | None:
        """What is known without a script, which takes several times as long."""
        epoch = self._epochs.of(ask.namespace)
        if epoch is None:
            return None
        return known(await self._wire.run("MGET", *self._keys(ask, epoch)), epoch)

    async def _reply(self, ask: Ask[Any]) -> object:
        """What the script replies, sent along only where Redis does not know it."""
        try:
            command = self._command(ask)
            return await self._wire.run(
                "EVALSHA", ask.script.sha, *command, meanwhile=ask.meanwhile
            )
        except NoScriptError:
            await self._epochs.probe()  # as it may have been restarted
        return await self._wire.run("EVAL", ask.script.source, *self._command(ask))

    def _command(self, ask: Ask[Any]) -> Sequence[Argument]:
        known = self._epochs.known(ask.namespace)
        keys = self._keys(ask, known.epoch)
        return len(keys), *keys, *ask.arguments(known)

    def _keys(self, ask: Ask[Any], epoch: str) -> list[str]:
        """That of the epoch, and those of the entries."""
        return self._keyspace.keys(ask.namespace, ask.targets, epoch)

    @asynccontextmanager
    async def _within(self, seconds: float, operation: str) -> AsyncIterator[None]:
        try:
            async with asyncio.timeout(seconds):
                yield
        except BUGS:
            raise
        except FAILURES as error:
            raise self.refusal(kind_of(error), operation) from error

    def _failed(self, error: Exception, began: float, deadline: LagTolerantTimeout) -> str:
        kind = kind_of(error)
        if kind in RESTARTED:
            self._epochs.run = None
        if kind == "deadline" and deadline.lagged and self._excuses():
            kind = "lag"
        elif kind == "deadline":
            if self._breaker.missed(began) is Missed.OPENED:
                self._opened(kind)
        elif self._breaker.failed(began):
            self._opened(kind)
        self._count(kind)
        return kind

    def _excuses(self) -> bool:
        """Whether the busy event loop may still be all there is to it."""
        now = self._clock()
        if self._excused is None:
            self._excused = now
        return now - self._excused < EXCUSED

    def _count(self, kind: str) -> None:
        self.errors[kind] += 1
        self.error = kind


def _parsed(ask: Ask[T], reply: object) -> T | OtherEpoch:
    try:
        answer = ask.parse(reply)
    except (LookupError, ValueError) as error:
        raise Refusal("reply") from error
    # The first part of an answer says what it is; one for each target follows.
    if not isinstance(answer, OtherEpoch) and len(cast("list[object]", reply)) <= len(ask.targets):
        raise Refusal("reply")
    return answer
