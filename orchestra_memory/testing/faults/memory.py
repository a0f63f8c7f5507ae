"""A memory that fails, loses answers, hangs and is late, as a test says."""

from __future__ import annotations

from collections import Counter
from collections.abc import Awaitable, Callable, Iterable, Sequence
from math import inf
from typing import Any, TypeVar

import anyio

from orchestra_memory.errors import DeadlineExceeded, Overloaded, Unavailable
from orchestra_memory.health import Health, Status
from orchestra_memory.operations import (
    DEFAULT,
    Measure,
    Op,
    Options,
    Page,
    Receipt,
    Ref,
    Snapshot,
    Totals,
)
from orchestra_memory.protocol import MemoryManager
from orchestra_memory.queries import Query
from orchestra_memory.record import Record

from .script import VERBS, Fault, Script, Verb, Way

R = TypeVar("R", bound=Record)
T = TypeVar("T")


class FaultyMemory(MemoryManager):
    """Stands around another memory and lets its calls go wrong, on demand or by plan.

    `fail`, `overload`, `lose_answers`, `hang` and `delay` take the verbs they are for, all of them
    if none is named, and ``times``: how many calls of each verb they meet, all until `heal` by
    default. The last of them that was set for a verb holds. `plan` lets single calls go wrong.

    Errors are those of a real store: a write whose outcome its caller cannot know is
    ``Unavailable`` or ``DeadlineExceeded`` with ``ambiguous``. ``calls`` counts the calls of each
    verb, ``reached`` those that `inner` was asked. Pages of a scan are calls of ``find``.
    """

    def __init__(self, inner: MemoryManager) -> None:
        self.calls: Counter[Verb] = Counter()
        self.reached: Counter[Verb] = Counter()
        self._inner = inner
        self._script = Script()
        self._healed = anyio.Event()

    def __repr__(self) -> str:
        calls = ", ".join(f"{self.calls[verb]} {verb}" for verb in VERBS if self.calls[verb])
        return f"<FaultyMemory {calls or 'not called'} around {self._inner!r}>"

    def fail(
        self,
        *verbs: Verb,
        times: int | None = None,
        error: Callable[[], Exception] | None = None,
    ) -> None:
        """Fail before anything is done: with ``Unavailable``, or with what ``error`` makes."""
        self._script.stand(Fault(Way.FAIL, error=error), verbs, times)

    def overload(self, *verbs: Verb, times: int | None = None) -> None:
        """Answer ``Overloaded``, before anything is done."""
        self._script.stand(Fault(Way.FAIL, error=_overloaded), verbs, times)

    def lose_answers(self, *verbs: Verb, times: int | None = None) -> None:
        """Carry calls out and lose their answers: a commit is applied, and nobody is told."""
        self._script.stand(Fault(Way.LOSE), verbs, times)

    def hang(self, *verbs: Verb, times: int | None = None, applied: bool = False) -> None:
        """Answer nothing until the deadline of the call; ``applied`` carries it out before.

        One that hangs when `heal` is called goes on, as where a network comes back.
        """
        self._script.stand(Fault(Way.HANG, applied=applied), verbs, times)

    def delay(self, seconds: float, *verbs: Verb, times: int | None = None) -> None:
        """Begin calls so many seconds late; one whose deadline is over by then is not begun."""
        self._script.stand(Fault(Way.DELAY, seconds), verbs, times)

    def plan(self, verb: Verb, faults: Iterable[Fault | None]) -> None:
        """Let the next calls of `verb` meet these, one each; ``None`` lets a call pass."""
        self._script.plan(verb, faults)

    def heal(self, *verbs: Verb) -> None:
        """End all faults of these verbs, or of all, planned ones too; what hangs goes on."""
        self._script.heal(verbs)
        self._healed.set()
        self._healed = anyio.Event()

    async def read(self, refs: Sequence[Ref[R]], *, options: Options = DEFAULT) -> Snapshot[R]:
        return await self._met("read", options, lambda: self._inner.read(refs, options=options))

    async def write(self, ops: Sequence[Op], *, options: Options = DEFAULT) -> Receipt:
        return await self._met("write", options, lambda: self._inner.write(ops, options=options))

    async def find(self, query: Query[R], *, options: Options = DEFAULT) -> Page[R]:
        return await self._met("find", options, lambda: self._inner.find(query, options=options))

    async def aggregate(
        self, query: Query[Any], measures: Sequence[Measure], *, options: Options = DEFAULT
    ) -> Totals:
        return await self._met(
            "aggregate", options, lambda: self._inner.aggregate(query, measures, options=options)
        )

    async def health(self) -> Health:
        try:
            return await self._met("health", DEFAULT, self._inner.health)
        except (Unavailable, Overloaded) as error:
            answered = not isinstance(error, Unavailable)
            return Health("faulty", Status.DOWN, str(error), answered=answered)

    async def _met(self, verb: Verb, options: Options, call: Callable[[], Awaitable[T]]) -> T:
        self.calls[verb] += 1
        fault = self._script.take(verb)
        if fault is None:
            return await self._reach(verb, call)
        match fault.way:
            case Way.FAIL:
                raise fault.error() if fault.error else _unavailable(verb, ambiguous=False)
            case Way.LOSE:
                await self._reach(verb, call)
                raise _unavailable(verb, ambiguous=verb == "write")
            case Way.HANG if fault.applied:
                answer = await self._reach(verb, call)
                await self._hung(verb, inf, options)
                return answer
            case Way.HANG:
                await self._hung(verb, inf, options)
            case Way.DELAY:
                await self._hung(verb, fault.seconds, options)
        return await self._reach(verb, call)

    async def _reach(self, verb: Verb, call: Callable[[], Awaitable[T]]) -> T:
        self.reached[verb] += 1
        return await call()

    async def _hung(self, verb: Verb, seconds: float, options: Options) -> None:
        """Wait so many seconds, or until healed. Raises if the deadline is over by then."""
        patience = inf if options.timeout is None else options.timeout
        healed = self._healed
        with anyio.move_on_after(min(seconds, patience)):
            await healed.wait()
            return
        if patience <= seconds:
            raise DeadlineExceeded(
                f"no answer to {verb} in {patience:g} s, as it was told",
                operation=verb,
                ambiguous=verb == "write",
            )


def _unavailable(verb: Verb, *, ambiguous: bool) -> Unavailable:
    what = "the answer was lost" if ambiguous else "it does not answer"
    return Unavailable(f"{what}, as it was told", operation=verb, ambiguous=ambiguous)


def _overloaded() -> Overloaded:
    return Overloaded("too much at once, as it was told")
