"""Redis, asked within a deadline or not at all."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Awaitable, Callable, Iterable, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, TypeAlias, TypeVar

import anyio

from ...operations import Ref, Revision
from ...resilience.breaker import Breaker, BreakerSettings
from . import asks, replies
from .asking import AT_ONCE, FEW, Asker
from .asks import ReadGroup
from .coalescing import PATIENCE, Coalescer
from .counters import LinkStatus, Tally
from .failures import unavailable
from .healing import Healer
from .replies import Intended, Published
from .scripts import Mode
from .steps import Leased, RecordFill, Step, Target, WindowFill

if TYPE_CHECKING:
    from .asks import Ask
    from .keys import Keyspace
    from .scopes import Scope
    from .wire import Client

T = TypeVar("T")

ReadMode: TypeAlias = Mode
RecordReply: TypeAlias = asks.RecordReply
WindowReply: TypeAlias = asks.WindowReply


class Link:
    """The steps of the cache's protocol, each as a whole and within ``timeout`` seconds.

    ``timeout`` (50 ms by default) bounds what is done for up to 400 keys, with the wait for a
    connection, from when a call gets its turn: that is at once, unless so many are under way that
    more would only keep one another waiting. Every coroutine but `heal` and `connected` raises
    ``CacheUnavailable`` where Redis does not do what it is asked, for whatever reason; its message
    names the kind. Answers follow what was asked, in order. Nothing is asked until `heal` has
    connected.
    """

    def __init__(
        self,
        redis: Client,
        keyspace: Keyspace,
        *,
        timeout: float = 0.05,
        breaker: BreakerSettings | None = None,
        clock: Callable[[], float] = time.monotonic,
        chance: Callable[[], float] = random.random,
    ) -> None:
        self._clock = clock
        self._breaker = Breaker(breaker, clock=clock, chance=chance)
        self._asker = Asker(
            redis, keyspace, self._breaker, timeout=timeout, opened=self._opened, clock=clock
        )
        self._healer = Healer(self._asker, self._breaker, self._publish_late)
        self._reads: Coalescer[ReadGroup, Ref[Any], RecordReply] = Coalescer(
            self._read,
            asks.shared,
            partial(self._asker.refusal, "busy", "read"),
        )
        self._turns = anyio.Semaphore(AT_ONCE, fast_acquire=True)
        self._large = anyio.Semaphore(1, fast_acquire=True)
        self._publishing: set[asyncio.Task[None]] = set()
        self._tally = Tally()

    def __repr__(self) -> str:
        return f"<Link {self._healer.state}, {len(self._healer.pending)} pending>"

    @property
    def bypassed(self) -> bool:
        """Whether Redis is not to be asked now; coroutines raise at once while it is so."""
        return not self._healer.allows()

    def token(self) -> str:
        """A name for one write's intent that no process uses twice."""
        return self._asker.token()

    def now(self) -> Revision:
        """About Redis' time, in microseconds, for the age of an entry by its ``filled_at``."""
        return self._healer.now()

    async def connected(self) -> None:
        """Wait until the first attempt of `heal` to connect has ended, a second at most."""
        await self._healer.connected.wait()

    async def read(
        self, refs: Sequence[Ref[Any]], *, mode: ReadMode = "use", max_age: float | None = None
    ) -> list[RecordReply]:
        """What is known of each record; older than ``max_age`` seconds counts as unknown.

        ``Leased.token`` and ``Waiting.lease`` are the same text for the same flight; a token is
        unique to one script but not to one caller of `read`, so key flights by ref and token.
        Other readers may share a script: of several that ask for one ref, one is leased it.
        """
        self._check("read")
        oldest = self._oldest(max_age)
        if asks.fits_one(refs):
            group = ReadGroup(refs[0].namespace, mode, oldest)
            replies = await self._reads.ask(group, refs)
        else:
            found: dict[int, RecordReply] = {}
            for places in asks.together(refs):
                group = ReadGroup(refs[places[0]].namespace, mode, oldest)
                answers = await self._reads.ask(group, [refs[place] for place in places])
                found.update(zip(places, answers, strict=True))
            replies = [found[place] for place in range(len(refs))]
        self._tally.add(replies)
        return replies

    async def read_window(
        self, scope: Scope, *, mode: ReadMode = "use", max_age: float | None = None
    ) -> WindowReply:
        """What is known of the first records of a scope."""
        token = self.token()
        since = max(self._healer.since, self._oldest(max_age))
        found = await self._ask(asks.read_window(scope, mode, since, token))
        reply = Leased(token) if isinstance(found, replies.Leased) else found
        self._tally.add((reply,))
        return reply

    async def fill(self, fills: Sequence[RecordFill]) -> None:
        """Keep what was read below, unless something was written meanwhile."""
        for ask in asks.fill(fills):
            await self._ask(ask)

    async def fill_window(self, fill: WindowFill) -> None:
        """Keep the members of a scope, unless something in it was written meanwhile."""
        await self._ask(asks.fill_window(fill))

    async def intend(
        self,
        targets: Sequence[Target],
        *,
        token: str,
        seconds: float,
        meanwhile: Callable[[], object] | None = None,
    ) -> list[Intended]:
        """Fence the entries: no reader uses or fills them until published, or ``seconds`` later.

        ``meanwhile`` is called while Redis is at it, if there is one; it must not raise.
        """
        if asks.fits_one(targets):
            return await self._ask(asks.intend(targets, token, seconds, meanwhile))
        answers: dict[int, Intended] = {}
        for places in asks.together(targets):
            some = [targets[place] for place in places]
            told = await self._ask(asks.intend(some, token, seconds, meanwhile))
            answers.update(zip(places, told, strict=True))
        return [answers[place] for place in range(len(targets))]

    async def publish(self, steps: Sequence[Step], *, token: str) -> list[Published]:
        """Tell what became of a write, and lift its fence.

        When the caller is cancelled it is told all the same. What it could not tell is remembered
        as with `remember` before it raises. Call it while `bypassed`, too.
        """
        try:
            return await self._publish(steps, token, self._ask)
        except asyncio.CancelledError:
            # Telling it twice does no harm: the fence is gone then, and nothing is kept.
            task = asyncio.create_task(self._publish_or_remember(steps, token))
            self._publishing.add(task)
            task.add_done_callback(self._published)
            raise
        except BaseException:
            self._remember(steps)
            raise

    def remember(self, floors: Iterable[tuple[Target, Revision]]) -> None:
        """Invalidations Redis was not told; nothing is read from it until they are published.

        Beyond 10,000 the namespace gets a new epoch instead.
        """
        self._healer.remember(floors)

    def forget(self, namespaces: Iterable[str | None]) -> None:
        """Nothing that is kept of these namespaces is used again, as it may be wrong."""
        self._healer.forget(namespaces)

    async def tell_the_rest(self) -> None:
        """Tell Redis of what is pending, once `heal` is cancelled: nobody else knows of it."""
        try:
            await self._healer.tell_the_rest()
        finally:
            self._asker.stop()

    async def heal(self) -> None:
        """Connect, probe, and publish what is pending, for as long as the layer lives."""
        try:
            await self._healer.run()
        finally:
            self._reads.stop()
            self._asker.stop()

    def status(self) -> LinkStatus:
        """State and counts, without asking Redis."""
        return LinkStatus(
            state=self._healer.state,
            seconds=self._clock() - self._breaker.since,
            pending=len(self._healer.pending),
            counters=self._tally.as_dict(),
            errors=dict(self._asker.errors),
            error=self._asker.error,
        )

    def _check(self, operation: str) -> None:
        if not self._healer.allows():
            self._tally.bypassed += 1
            raise unavailable("bypassed", operation)

    async def _ask(self, ask: Ask[T]) -> T:
        self._check(ask.operation)
        turns = self._turns if len(ask.targets) <= FEW else self._large
        try:
            turns.acquire_nowait()
        except anyio.WouldBlock:
            return await self._waited(ask, turns)
        try:
            return await self._asker.ask(ask)
        finally:
            turns.release()

    async def _waited(self, ask: Ask[T], turns: anyio.Semaphore) -> T:
        try:
            async with asyncio.timeout(PATIENCE):
                await turns.acquire()
        except TimeoutError as error:
            raise self._asker.refusal("busy", ask.operation) from error
        try:
            self._check(ask.operation)  # again, as it has waited
            return await self._asker.ask(ask)
        finally:
            turns.release()

    async def _read(self, group: ReadGroup, refs: Sequence[Ref[Any]]) -> list[RecordReply]:
        self._check("read")  # again, as it may have waited for its turn
        token = self.token()
        ask = asks.read(group, refs, self._healer.since, token)
        answers = await self._asker.ask(ask)
        return [Leased(token) if isinstance(reply, replies.Leased) else reply for reply in answers]

    async def _publish_or_remember(self, steps: Sequence[Step], token: str) -> None:
        told = False
        try:
            await self._publish(steps, token, self._ask)
            told = True
        finally:
            if not told:
                self._remember(steps)

    def _remember(self, steps: Iterable[Step]) -> None:
        self.remember((step.target, step.action.floor) for step in steps)

    async def _publish(
        self,
        steps: Sequence[Step],
        token: str,
        send: Callable[[Ask[list[Published]]], Awaitable[list[Published]]],
    ) -> list[Published]:
        if asks.fits_one([step.target for step in steps]):
            return await send(asks.publish(steps, token))
        answers: dict[int, Published] = {}
        for places in asks.together(step.target for step in steps):
            ask = asks.publish([steps[place] for place in places], token)
            told = await send(ask)
            answers.update(zip(places, told, strict=True))
        return [answers[place] for place in range(len(steps))]

    async def _publish_late(self, steps: Sequence[Step]) -> None:
        # A token without an intent: the entry gets the floor, and nothing else is kept of it.
        await self._publish(steps, self.token(), self._asker.ask)

    def _published(self, task: asyncio.Task[None]) -> None:
        self._publishing.discard(task)
        if not task.cancelled():
            task.exception()  # its caller may be gone

    def _opened(self, kind: str) -> None:
        self._healer.opened(kind)

    def _oldest(self, max_age: float | None) -> Revision:
        return 0 if max_age is None else self.now() - round(max_age * 1_000_000)
