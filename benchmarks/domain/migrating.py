"""Bringing the state files of an earlier system into SQLite, and once more."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

from ..compare import WrongData
from ..outage.turns import WARM_UP
from ..result import Report
from . import samples, stores
from .growing import Growth, Task
from .jobs import Doer, Job

MIGRATE: Final = "migrate"
AGAIN: Final = "migrate again"
BY_HAND: Final = "migrate by hand"
TASK: Final = "migration into SQLite"


@dataclass(frozen=True, slots=True)
class Files:
    """How many files there are, with so many agents in each."""

    files: int
    agents: int

    @property
    def states(self) -> int:
        return self.files * self.agents


async def measured(sizes: Sequence[Files], rounds: int, do: Doer, report: Report) -> Growth:
    """Migrate folders of these sizes, and again; compare each field with the files' afterwards.

    Raises ``WrongData`` unless every state is there, and the second time changes nothing.
    """
    found = Growth()
    least = min(sizes, key=lambda size: size.states)
    for size in sizes:
        with TemporaryDirectory(prefix="migration-") as folder:
            source = Path(folder, "source")
            samples.write_files(source, size.files, size.agents)
            for number in range(1, rounds + 1):
                report(f"{size.states:,} agents in {size.files:,} files, {number} of {rounds}")
                await _round(found, number, size.states, Path(folder), do)
            if size is least:
                await _watched(found, size.states, Path(folder), do)
    return found


async def _round(found: Growth, number: int, states: int, folder: Path, do: Doer) -> None:
    fresh = stores.in_folder(folder)
    ours, by_hand = fresh(), fresh()
    digests: set[str] = set()
    for verb, url in ((MIGRATE, ours), (AGAIN, ours), (BY_HAND, by_hand)):
        report = folder / f"{states}-{number}-{verb}.jsonl"
        job = Job(verb, url, path=str(folder / "source"), report=str(report))
        done = await found.done(Task(TASK, verb, number, states), job, do)
        digests.add(done.digest)
    verified = await do(Job("verify", ours, path=str(folder / "source")))
    # By hand, the same states become the same records: two readers of the files agree.
    if len(digests) != 1 or verified.records != states:
        raise WrongData(f"{states:,} states: not the same after another migration, or by hand")
    found.turns.compared += 3 * states


async def _watched(found: Growth, states: int, folder: Path, do: Doer) -> None:
    report = str(folder / "watched.jsonl")
    job = Job(MIGRATE, stores.in_folder(folder)(), path=str(folder / "source"), report=report)
    await found.watched(Task(TASK, MIGRATE, WARM_UP, states), job, do)
