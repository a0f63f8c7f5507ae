"""Processes that hang, go on, or die at once. Not on Windows, which has no such signals."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager, suppress


def stop(pid: int) -> None:
    """Let the process hang: it keeps its connections and answers nothing until `resume`.

    Raises ``ProcessLookupError`` where there is none.
    """
    os.kill(pid, signal.SIGSTOP)


def resume(pid: int) -> None:
    """Let a process that hangs go on. Raises ``ProcessLookupError`` where there is none."""
    os.kill(pid, signal.SIGCONT)


def kill(pid: int) -> None:
    """End the process without giving it time for anything, as a lack of memory does.

    Raises ``ProcessLookupError`` where there is none.
    """
    os.kill(pid, signal.SIGKILL)


@contextmanager
def stopped(pid: int) -> Iterator[None]:
    """The process hangs for as long as the context lasts, and may be killed meanwhile."""
    stop(pid)
    try:
        yield
    finally:
        with suppress(ProcessLookupError):
            resume(pid)
