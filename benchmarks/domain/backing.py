"""Backing up a store into a file, and restoring that into another store."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

from ..compare import WrongData
from ..records import streamed
from ..result import Report
from ..streaming import Digest
from . import stores
from .growing import Growth, Task
from .jobs import Doer, Job

BACKUP: Final = "backup"
RESTORE: Final = "restore"


async def measured(
    host: str, counts: Sequence[int], rounds: int, do: Doer, report: Report
) -> Growth:
    """Back up and restore so many records over SQLite and over the emulator at `host`.

    Raises ``WrongData`` unless a restored store holds what the first one was filled with.
    """
    found = Growth()
    for count in counts:
        given = str(Digest(streamed(count)))
        with TemporaryDirectory(prefix="backup-") as name:
            folder = Path(name)
            places: Mapping[str, stores.Fresh] = {
                "SQLite": stores.in_folder(folder),
                "Firestore": stores.on_emulator(host),
            }
            for store, fresh in places.items():
                report(f"{count:,} records of {store} into a file and back: {rounds} rounds")
                source = fresh()
                await do(Job("fill", source, count=count))
                for number in range(1, rounds + 1):
                    file = str(folder / f"{store}-{number}.jsonl.gz")
                    task = Task(store, BACKUP, number, count)
                    await found.done(task, Job(BACKUP, source, path=file), do)
                    task = Task(store, RESTORE, number, count)
                    done = await found.done(task, Job(RESTORE, fresh(), path=file), do)
                    if done.digest != given:
                        raise WrongData(f"{count:,} records of {store} were restored as others")
                    found.turns.compared += count
    return found
