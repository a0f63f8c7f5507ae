"""Bounded waiting: every call answers within its deadline."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Awaitable, Callable, Iterator, Sequence
from contextlib import AbstractContextManager, aclosing, contextmanager, nullcontext
from contextvars import ContextVar
from dataclasses import replace
from typing import Any, Final, TypeVar

import anyio

from ..errors import BreakerOpen, DeadlineExceeded, Unavailable
from ..health import Health, Status
from ..operations import DEFAULT, Measure, Op, Options, Page, Receipt, Ref, Snapshot, Totals
from ..protocol import MemoryManager
from ..queries import Query
from ..record import Record
from ..resilience.breaker import Breaker, State
from ..resilience.deadline import Deadline
from ..resilience.retry import Attempts, Retries, may_repeat, resumed, retried
from ..resilience.watch import Watch
from ..scanning import PAGE_SIZE

R = TypeVar("R", bound=Record)
T = TypeVar("T")

SECONDS_PER_RECORD: Final = 0.02
"""What each further record of a bulk call adds to its deadline, in seconds: eight calls at once may
then share a slow 400 records a second."""
AGGREGATE_FACTOR: Final = 5
"""An aggregation may take this many times as long as a single operation."""
GRACE: Final = 0.05
"""Seconds the store is given to report its own deadline, which knows more than ours."""
REFUSED: Final = "the store did not answer of late, and is not asked now"
_CATCHING_UP: Final = ContextVar[object]("catching_up", default=None)


class GuardedMemory(MemoryManager):
    """Adds a deadline, safe retries and, if it is given one, a breaker to the memory beneath.

    ``timeout`` is the deadline of a single operation in seconds, 2 by default; bulk calls get
    20 ms more for each record. A call's own ``Options(timeout=...)`` takes its place. Reads, and
    writes that leave the same when applied twice, are tried up to three times while time is left.

    ``breaker`` is told what became of the calls: answers, ``Unavailable`` and missed deadlines. A
    caller's cancellation and what the store refuses say nothing of it, nor does a deadline that
    this process was too busy to keep. While it is not closed, calls are refused at once with
    ``BreakerOpen``; whoever gives one has a `Prober` close it again. Reads under way when it opens
    are ended with ``BreakerOpen``, too: they would wait in vain. Writes are left to their deadline,
    as they may be applied.

    ``Options(cache="only")`` is answered by nobody here: ``Unavailable``, at once.

    Raises ``DeadlineExceeded``; ``ambiguous`` says that a write may have been applied.
    """

    def __init__(
        self,
        inner: MemoryManager,
        *,
        timeout: float = 2.0,
        retries: Retries | None = None,
        breaker: Breaker | None = None,
    ) -> None:
        self.breaker: Breaker | None = breaker
        self._inner = inner
        self._timeout = timeout
        self._retries = retries or Retries()
        self._watch = None if breaker is None else Watch(breaker, self.probe)
        self._reading: set[anyio.CancelScope] = set()
        if breaker is not None:
            breaker.hooks.append(self._end_reads)

    def __repr__(self) -> str:
        breaker = "" if self.breaker is None else f", {self.breaker!r}"
        return f"<GuardedMemory {self._timeout} s{breaker} around {self._inner!r}>"

    @property
    def error(self) -> str:
        """The last failure that counted, in words; empty if there was none."""
        return "" if self._watch is None else self._watch.error

    @property
    def lags(self) -> int:
        """How many deadlines were missed as this process was too busy to keep them."""
        return 0 if self._watch is None else self._watch.lags

    @contextmanager
    def catching_up(self) -> Iterator[None]:
        """Let the calls in this block through while there is something to catch up."""
        token = _CATCHING_UP.set(self)
        try:
            yield
        finally:
            _CATCHING_UP.reset(token)

    async def probe(self, seconds: float) -> bool:
        """Whether the store answers within `seconds`, be it with a refusal; asks it in any case."""
        with anyio.move_on_after(seconds):
            return (await self._inner.health()).answered
        return False

    async def read(self, refs: Sequence[Ref[R]], *, options: Options = DEFAULT) -> Snapshot[R]:
        options = self._bounded(options, len(refs))
        return await self._guard("read", options, lambda o: self._inner.read(refs, options=o))

    async def write(self, ops: Sequence[Op], *, options: Options = DEFAULT) -> Receipt:
        options = self._bounded(options, len(ops))
        return await self._guard(
            "write", options, lambda o: self._inner.write(ops, options=o), may_repeat(ops)
        )

    async def find(self, query: Query[R], *, options: Options = DEFAULT) -> Page[R]:
        options = self._bounded(options, query.page_size)
        return await self._guard("find", options, lambda o: self._inner.find(query, options=o))

    def pages(self, query: Query[R], *, options: Options = DEFAULT) -> AsyncGenerator[Page[R]]:
        refuse_cache_only("find", options)
        later = self._bounded(options, max(query.page_size, PAGE_SIZE))

        def attempts() -> Attempts:
            return Attempts(self._retries, Deadline.after(later.timeout), repeatable=True)

        return resumed(lambda rest: self._pages(rest, options), query, attempts)

    async def _pages(self, query: Query[R], options: Options) -> AsyncGenerator[Page[R]]:
        bounds = self._bounded(options, query.page_size)
        # Pages that follow the first may be larger, in whatever way the store makes them.
        later = self._bounded(options, max(query.page_size, PAGE_SIZE))
        async with aclosing(self._inner.pages(query, options=later)) as pages:
            while True:
                self._check_breaker("find")
                with self._watched(bounds), within("find", bounds, self._reading):
                    page = await anext(pages, None)
                if page is None:
                    return
                yield page
                bounds = later

    async def aggregate(
        self, query: Query[Any], measures: Sequence[Measure], *, options: Options = DEFAULT
    ) -> Totals:
        if options.timeout is None:
            options = replace(options, timeout=self._timeout * AGGREGATE_FACTOR)
        return await self._guard(
            "aggregate", options, lambda o: self._inner.aggregate(query, measures, options=o)
        )

    async def health(self) -> Health:
        if self.breaker is not None and self.breaker.state is not State.CLOSED:
            detail = f"not asked, the breaker is {self.breaker.state.value} ({self.error})"
            return Health("guarded", Status.DOWN, detail, answered=False)
        with anyio.move_on_after(self._timeout):
            return await self._inner.health()
        detail = f"no answer in {self._timeout:g} s"
        return Health("guarded", Status.DOWN, detail, self._timeout, answered=False)

    def _bounded(self, options: Options, size: int) -> Options:
        if options.timeout is not None:
            return options
        return replace(options, timeout=timeout_for(size, self._timeout))

    async def _guard(
        self,
        operation: str,
        options: Options,
        call: Callable[[Options], Awaitable[T]],
        repeatable: bool = True,
    ) -> T:
        refuse_cache_only(operation, options)
        deadline = Deadline.after(options.timeout)
        doubt = False

        async def attempt() -> T:
            nonlocal doubt
            try:
                self._check_breaker(operation)
                return await call(replace(options, timeout=deadline.left()))
            except Unavailable as error:
                # Of a write that was sent twice, the first may have been applied.
                doubt = error.ambiguous = doubt or error.ambiguous
                raise

        reading = None if operation == "write" else self._reading
        with self._watched(options), within(operation, options, reading):
            return await retried(
                attempt, policy=self._retries, deadline=deadline, repeatable=repeatable
            )

    def _watched(self, options: Options) -> AbstractContextManager[None]:
        if self._watch is None:
            return nullcontext()
        timeout = options.timeout or 0
        return self._watch.call(timeout, short=timeout < self._timeout)

    def _check_breaker(self, operation: str) -> None:
        breaker = self.breaker
        if breaker is None or (breaker.state is State.DRAINING and _CATCHING_UP.get() is self):
            return
        if not breaker.allows():
            raise BreakerOpen(REFUSED, operation=operation)

    def _end_reads(self) -> None:
        """Let nobody wait on for what the breaker has just given up."""
        if self.breaker is not None and self.breaker.state is State.OPEN:
            for scope in self._reading:
                scope.cancel()


def refuse_cache_only(operation: str, options: Options) -> None:
    if options.cache == "only":
        raise Unavailable(
            'there is no cache that knows; without cache="only" the store is asked',
            operation=operation,
        )


@contextmanager
def within(
    operation: str, options: Options, endable: set[anyio.CancelScope] | None = None
) -> Iterator[None]:
    """Raise ``DeadlineExceeded`` where the store does not keep the deadline itself.

    Meanwhile its scope is in `endable`: who cancels it there makes this raise ``BreakerOpen``.
    """
    scope = anyio.CancelScope(deadline=anyio.current_time() + (options.timeout or 0) + GRACE)
    if endable is not None:
        endable.add(scope)
    try:
        with scope:
            yield
    except TimeoutError as error:
        if isinstance(error, DeadlineExceeded):
            raise
        raise missed(operation, options) from error
    finally:
        if endable is not None:
            endable.discard(scope)
    if scope.cancelled_caught:
        if anyio.current_time() < scope.deadline:
            raise BreakerOpen(REFUSED, operation=operation)
        raise missed(operation, options)


def missed(operation: str, options: Options) -> DeadlineExceeded:
    return DeadlineExceeded(
        f"no answer to {operation} in {options.timeout:g} s",
        operation=operation,
        ambiguous=operation == "write",
    )


def timeout_for(size: int, single: float) -> float:
    """Seconds a call over `size` records may take."""
    return single + max(0, size - 1) * SECONDS_PER_RECORD
