"""What the modules of the peers share; imported in their processes, so of the standard library."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final, TypeAlias

RECENT: Final = 50
"""Records in one page of the newest."""

Jobs: TypeAlias = Sequence[Sequence[Any]]
"""The records of each session, oldest first, in the form that the peer takes."""
Plain: TypeAlias = dict[str, Any]
"""A record as JSON."""


@dataclass(frozen=True, slots=True)
class Way:
    """One way to do a task with a prepared store. One that `writes` returns nothing."""

    task: str
    name: str
    run: Callable[[Any, Jobs], Awaitable[Jobs]]
    writes: bool = False


def flat(jobs: Jobs) -> list[Any]:
    return [record for job in jobs for record in job]
