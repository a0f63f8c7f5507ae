"""How the cache fares, in numbers."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass

from .asks import RecordReply, WindowReply
from .replies import Absent, Found, Window
from .steps import Leased


@dataclass(slots=True)
class Tally:
    """Entries found, not found, and being written or filled by others; calls without Redis."""

    hits: int = 0
    misses: int = 0
    waits: int = 0
    bypassed: int = 0

    def add(self, replies: Iterable[RecordReply | WindowReply]) -> None:
        for reply in replies:
            kind = type(reply)
            if kind is Found or kind is Absent or kind is Window:
                self.hits += 1
            elif kind is Leased:
                self.misses += 1
            else:
                self.waits += 1

    def as_dict(self) -> dict[str, int]:
        return asdict(self)


@dataclass(frozen=True, slots=True)
class LinkStatus:
    """How the link fares.

    ``state`` is ``connecting``, ``closed`` (in use), ``open`` (bypassed), ``half-open`` (probed) or
    ``draining`` (pending invalidations are being published), ``seconds`` how long it has been so.
    ``pending`` counts invalidations that Redis has yet to be told. ``counters`` are those of
    `Tally`; ``errors`` has failures by their kind, the last of which is ``error``.
    """

    state: str
    seconds: float
    pending: int
    counters: dict[str, int]
    errors: dict[str, int]
    error: str
