"""Bounded waiting: every call answers within its deadline."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Awaitable, Callable, Iterator, Sequence
from contextlib import aclosing, contextmanager
from dataclasses import replace
from typing import Any, Final, TypeVar

import anyio

from ..errors import DeadlineExceeded
from ..health import Health, Status
from ..operations import DEFAULT, Measure, Op, Options, Page, Receipt, Ref, Snapshot, Totals
from ..protocol import MemoryManager
from ..queries import Query
from ..record import Record
from ..resilience.deadline import Deadline
from ..resilience.retry import Attempts, Retries, may_repeat, resumed, retried
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


class GuardedMemory(MemoryManager):
    """Adds a deadline and safe retries to the memory beneath.

    ``timeout`` is the deadline of a single operation in seconds, 2 by default; bulk calls get
    20 ms more for each record. A call's own ``Options(timeout=...)`` takes its place. Reads, and
    writes that leave the same when applied twice, are tried up to three times while time is left.

    Raises ``DeadlineExceeded``; ``ambiguous`` says that a write may have been applied.
    """

    def __init__(
        self, inner: MemoryManager, *, timeout: float = 2.0, retries: Retries | None = None
    ) -> None:
        self._inner = inner
        self._timeout = timeout
        self._retries = retries or Retries()

    def __repr__(self) -> str:
        return f"<GuardedMemory {self._timeout} s around {self._inner!r}>"

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
                with within("find", bounds):
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
        with anyio.move_on_after(self._timeout):
            return await self._inner.health()
        detail = f"no answer in {self._timeout:g} s"
        return Health("guarded", Status.DOWN, detail, self._timeout)

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
        deadline = Deadline.after(options.timeout)

        async def attempt() -> T:
            return await call(replace(options, timeout=deadline.left()))

        with within(operation, options):
            return await retried(
                attempt, policy=self._retries, deadline=deadline, repeatable=repeatable
            )


@contextmanager
def within(operation: str, options: Options) -> Iterator[None]:
    """Raise ``DeadlineExceeded`` where the store does not keep the deadline itself."""
    try:
        with anyio.fail_after((options.timeout or 0) + GRACE):
            yield
    except TimeoutError as error:
        if isinstance(error, DeadlineExceeded):
            raise
        raise DeadlineExceeded(
            f"no answer to {operation} in {options.timeout:g} s",
            operation=operation,
            ambiguous=operation == "write",
        ) from error


def timeout_for(size: int, single: float) -> float:
    """Seconds a call over `size` records may take."""
    return single + max(0, size - 1) * SECONDS_PER_RECORD
