"""Another answer where the first does not come."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Awaitable, Callable, Coroutine, Iterable
from dataclasses import dataclass
from functools import wraps
from math import inf
from typing import Any, Final, Generic, ParamSpec, TypeAlias, TypeVar, cast

from ..errors import BreakerOpen, DeadlineExceeded
from .breaker import Breaker, BreakerSettings, State
from .fitting import must_fit, name_of
from .turn import Turn

P = ParamSpec("P")
R = TypeVar("R")
S = TypeVar("S")
To_co = TypeVar("To_co", bound=Callable[..., Awaitable[object]], covariant=True)

_NEVER: Final = BreakerSettings(consecutive=sys.maxsize, least=sys.maxsize, confirm=inf)


@dataclass(frozen=True, slots=True)
class Degraded:
    """What a hook is told of a call just before the substitute is called.

    ``name`` is the module and qualified name of the function, ``failure`` the type of what it
    failed with after so many ``seconds``, ``state`` that of the breaker from now on.
    """

    name: str
    failure: type[Exception]
    seconds: float
    state: State


On: TypeAlias = type[Exception] | tuple[type[Exception], ...] | Callable[[Exception], bool]
Hook: TypeAlias = Callable[[Degraded], None]


class Fallback(Generic[To_co]):
    """Has a substitute answer where a coroutine function or method fails.

    ``on`` says which failures deserve it: an exception type, several, or a predicate. There is no
    default, as whoever takes any failure hides the bugs. Everything else is raised as it is. So is
    the caller's cancellation, which is never a failure.

    ``to`` is called with the failure and the arguments of the call, those of a method beginning
    with its ``self``. What it raises is raised.

    ``deadline`` is how many seconds the function may take, by default as long as it likes, since
    only the caller knows what is long. Then it is cancelled, and ``DeadlineExceeded`` is its
    failure, if ``on`` takes it.

    ``breaker`` spares the callers a function that keeps failing: the substitute is called at once,
    with ``BreakerOpen``, until one call at a time finds that the function answers again. Without
    one, as by default, each call is tried: a failure that is quick and rare costs nothing. Set a
    ``deadline`` with it, as the call that tries might hang. Missed deadlines open it as
    `BreakerSettings` say; with ``confirm``, they count like other failures, as nothing else is
    there to confirm with. All functions that this decorates, and all instances of a class,
    share it: let them have one dependency. A `Breaker` may be given to several.

    ``hooks`` are called with a `Degraded` each time, and should not raise: the caller would get
    that instead of an answer.
    """

    def __init__(
        self,
        *,
        on: On,
        to: To_co,
        deadline: float | None = None,
        breaker: Breaker | BreakerSettings | None = None,
        hooks: Iterable[Hook] = (),
    ) -> None:
        if deadline is not None and not deadline > 0:
            raise ValueError(f"deadline: {deadline} s is no time at all; None sets none")
        self.breaker: Breaker = (
            breaker if isinstance(breaker, Breaker) else Breaker(breaker or _NEVER)
        )
        self._failures, self._takes = _taken(on)
        self._to = to
        self._deadline = deadline
        self._hooks = tuple(hooks)

    def __call__(
        self: Fallback[Callable[..., Awaitable[S]]], function: Callable[P, Awaitable[R]]
    ) -> Callable[P, Coroutine[Any, Any, R | S]]:
        """The function, with the substitute behind it.

        Raises ``TypeError`` if the substitute does not take the same arguments, rather than in the
        first outage.
        """
        must_fit(self._to, function)
        name = name_of(function)

        @wraps(function)
        async def call(*args: P.args, **kwargs: P.kwargs) -> R | S:
            turn = Turn.of(self.breaker)
            if turn is None:
                return await self._to(self._refusal(name), *args, **kwargs)
            with turn:
                try:
                    answer = await self._within(turn, name, function(*args, **kwargs))
                except self._failures as failure:
                    if not self._takes(failure):
                        raise
                    turn.failed()
                    self._tell(name, failure, turn.seconds)
                    return await self._to(failure, *args, **kwargs)
                turn.answered()
                return answer

        return call

    async def _within(self, turn: Turn, name: str, answer: Awaitable[R]) -> R:
        if self._deadline is None:
            return await answer
        limit = asyncio.timeout(self._deadline)
        try:
            async with limit:
                return await answer
        except TimeoutError as error:
            if not limit.expired():
                raise
            text = f"{name} did not answer in {self._deadline:g} s"
            raise DeadlineExceeded(text, operation=name, ambiguous=True) from error
        finally:
            turn.missed = limit.expired()

    def _refusal(self, name: str) -> BreakerOpen:
        refusal = BreakerOpen(f"{name} failed too often to be called", operation=name)
        self._tell(name, refusal, 0.0)
        return refusal

    def _tell(self, name: str, failure: Exception, seconds: float) -> None:
        degraded = Degraded(name, type(failure), seconds, self.breaker.state)
        for hook in self._hooks:
            hook(degraded)


fallback = Fallback
"""`Fallback`, as a decorator: ``@fallback(on=Unavailable, to=substitute)``."""


def _taken(on: On) -> tuple[tuple[type[Exception], ...], Callable[[Exception], bool]]:
    """What to catch, and what to ask of it then."""
    given = cast("tuple[object, ...]", on if isinstance(on, tuple) else (on,))
    types = [kind for kind in given if isinstance(kind, type) and issubclass(kind, Exception)]
    if types and len(types) == len(given):
        return tuple(types), lambda _: True
    if isinstance(on, type | tuple) or not callable(on):
        kind = type(cast("object", on)).__name__
        raise TypeError(
            f"on: this {kind} names no failures; give a subclass of Exception, a tuple of them, "
            "or a predicate"
        )
    return (Exception,), on
