"""A counter on standard error, for people who watch."""

from __future__ import annotations

import shlex
import sys
import time
from contextlib import AbstractContextManager
from types import TracebackType
from typing import Final

from .output import note

_PAUSE: Final = 0.1
_CLEAR: Final = "\r\x1b[K"


def again(*, resumed: bool) -> str:
    """The command line that goes on where this one, which may have been `resumed`, stopped."""
    return shlex.join(["orchestra-memory", *sys.argv[1:], *([] if resumed else ["--resume"])])


class Counter(AbstractContextManager["Counter"]):
    """Shows how many there are so far, and how fast; silent where nobody watches."""

    def __init__(self, noun: str) -> None:
        self._noun = noun
        self._watched = sys.stderr.isatty()
        self._start = time.monotonic()
        self._last = 0.0
        self._shown = False

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._clear()

    def show(self, total: int) -> None:
        now = time.monotonic()
        if not self._watched or now - self._last < _PAUSE:
            return
        self._last = now
        rate = total / max(now - self._start, _PAUSE)
        sys.stderr.write(f"{_CLEAR}{total:,} {self._noun}, {rate:,.0f} a second")
        sys.stderr.flush()
        self._shown = True

    def note(self, text: str) -> None:
        """A line above the counter."""
        self._clear()
        note(text)

    def _clear(self) -> None:
        if self._shown:
            sys.stderr.write(_CLEAR)
            sys.stderr.flush()
            self._shown = False
