"""One call through a breaker: whether it may be made, and what became of it."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .breaker import Breaker


class Turn:
    """A call that a breaker lets through, as its one probe where it is open.

    Tell in its block how the call ended: `answered`, or `failed`. Where neither is told nothing is
    known of the dependency: nothing is counted, and somebody else may probe.

    Set ``missed`` where the call did not end within its whole deadline.
    """

    __slots__ = ("_began", "_breaker", "_probing", "missed")

    def __init__(self, breaker: Breaker, *, probing: bool) -> None:
        self.missed: bool = False
        self._breaker = breaker
        self._probing = probing
        self._began = breaker.clock()

    @classmethod
    def of(cls, breaker: Breaker) -> Turn | None:
        """A turn, or ``None`` while no call may be made."""
        if breaker.allows():
            return cls(breaker, probing=False)
        return cls(breaker, probing=True) if breaker.probe() else None

    def __enter__(self) -> Turn:
        return self

    def __exit__(self, *_: object) -> None:
        if self._probing:
            self._breaker.abandoned()

    @property
    def seconds(self) -> float:
        """How long ago it began."""
        return self._breaker.clock() - self._began

    def answered(self) -> None:
        if not self._probing:
            self._breaker.succeeded(self._began)
        elif self._probed(answered=not self._slow()):
            self._breaker.drained()

    def failed(self) -> None:
        if self._probing:
            self._probed(answered=False)
        elif self.missed:
            self._breaker.missed(self._began)
        else:
            self._breaker.failed(self._began)

    def _probed(self, *, answered: bool) -> bool:
        self._probing = False
        return self._breaker.probed(answered=answered)

    def _slow(self) -> bool:
        slow = self._breaker.settings.slow
        return slow is not None and self.seconds > slow
