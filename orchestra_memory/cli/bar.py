"""A progress bar on standard error, for people who watch."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

Show = Callable[[int, str], None]


@contextmanager
def bar(total: int | None) -> Iterator[Show]:
    """Takes how many of `total` are done, and what to say beside it; silent where nobody watches.

    Without a total it only pulses.
    """
    if not sys.stderr.isatty():
        yield _ignore
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

    columns = (BarColumn(), MofNCompleteColumn(), TextColumn("{task.description}"))
    screen = Console(stderr=True, highlight=False)
    with Progress(*columns, console=screen, transient=True) as progress:
        task = progress.add_task("", total=total)
        yield lambda done, text: progress.update(task, completed=done, description=text)


def _ignore(_done: int, _text: str) -> None:
    pass
