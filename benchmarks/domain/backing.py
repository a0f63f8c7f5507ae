"""Backing up a store into a file, and restoring that into another store."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

from ..compare import WrongData
from ..outage.turns import WARM_UP
from ..records import streamed
from ..result import Report
from ..streaming import Digest
from . import stores
from .growing import Growth, Task
from .jobs import Doer, Job

BACKUP: Final = "backup"
RESTORE: Final = "restore"


@dataclass(frozen=True, slots=True)
class Place:
    """A store with so many records, at `source`; ``fresh`` gives an empty one of its kind."""

    store: str
    fresh: stores.Fresh
    source: str
    folder: Path
    count: int

    def jobs(self, number: int) -> Sequence[tuple[Task, Job]]:
        """Back it up, and restore that."""
        file = str(self.folder / f"{self.store}-{number}.jsonl.gz")
        return (
            (Task(self.store, BACKUP, number, self.count), Job(BACKUP, self.source, path=file)),
            (Task(self.store, RESTORE, number, self.count), Job(RESTORE, self.fresh(), path=file)),
        )


async def measured(
    host: str, counts: Sequence[int], rounds: int, do: Doer, report: Report
) -> Growth:
    """Back up and restore so many records over SQLite and over the emulator at `host`.

    Raises ``WrongData`` unless a restored store holds what the first one was filled with.
    """
    found = Growth()
    for count in counts:
        with TemporaryDirectory(prefix="backup-") as name:
            folder = Path(name)
            kinds: Mapping[str, stores.Fresh] = {
                "SQLite": stores.in_folder(folder),
                "Firestore": stores.on_emulator(host),
            }
            for store, fresh in kinds.items():
                report(f"{count:,} records of {store} into a file and back: {rounds} rounds")
                place = Place(store, fresh, fresh(), folder, count)
                await do(Job("fill", place.source, count=count))
                await _rounds(found, place, rounds, do)
                if count == min(counts):
                    for task, job in place.jobs(WARM_UP):
                        await found.watched(task, job, do)
    return found


async def _rounds(found: Growth, place: Place, rounds: int, do: Doer) -> None:
    given = str(Digest(streamed(place.count)))
    for number in range(1, rounds + 1):
        done = [await found.done(task, job, do) for task, job in place.jobs(number)]
        if done[-1].digest != given:
            raise WrongData(f"{place.count:,} records of {place.store} were restored as others")
        found.turns.compared += place.count
