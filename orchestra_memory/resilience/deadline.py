"""One end for all the requests that a call makes."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from typing import Final

from ..operations import Options

LONGEST_REQUEST: Final = 60.0
"""Seconds for one request where nobody set a deadline."""
_SHORTEST_REQUEST: Final = 0.001


@dataclass(frozen=True, slots=True)
class Deadline:
    """A point on the monotonic clock, or none."""

    at: float | None = None

    @classmethod
    def after(cls, seconds: float | None) -> Deadline:
        """The deadline of a call that may take `seconds`; ``None`` sets none."""
        return cls(None if seconds is None else time.monotonic() + seconds)

    def left(self) -> float:
        """Seconds a request started now may take, never zero, as zero means no bound to gRPC."""
        if self.at is None:
            return LONGEST_REQUEST
        return max(_SHORTEST_REQUEST, self.at - time.monotonic())

    def allows(self, pause: float) -> bool:
        """Whether there is time left after a pause of so many seconds."""
        return self.at is None or time.monotonic() + pause < self.at


def remaining(options: Options, deadline: Deadline) -> Options:
    """The options of a call that ends at `deadline`, for what is still to be asked."""
    return options if deadline.at is None else replace(options, timeout=deadline.left())
