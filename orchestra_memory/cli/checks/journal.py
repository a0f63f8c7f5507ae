"""The journals of outages: where they are, whose, what waits in them, and for how long."""

from __future__ import annotations

import os
import shutil
from collections.abc import AsyncGenerator, Iterator, Sequence
from datetime import datetime
from pathlib import Path
from typing import Final

import anyio.to_thread

from ...resilience.journal import JournalFile, Medium, journals
from ...resilience.journal.bounds import WARN_AT, Bounds
from ...resilience.journal.files import DAMAGED, PREFIX
from ...resilience.journal.medium import detect
from ...settings import Settings
from ...values import utc_now
from ..findings import Finding, Grade, fail, ok, warn
from ..held import age_of, dead_in, waits_in
from .durations import duration

WHAT: Final = "journal"
LONG: Final = 3_600.0
"""Seconds after which an entry that still waits deserves a look."""
BOUNDS: Final = Bounds()
NO_ROOM: Final = 1 << 20
"""Bytes without which a journal cannot even be made."""
LIST: Final = "orchestra-memory journal list"


async def journal_findings(
    directory: Path, target: str, settings: Settings
) -> AsyncGenerator[Finding]:
    """`target` names the store that entries have to be for."""
    place = await anyio.to_thread.run_sync(place_finding, directory, settings)
    yield place
    if place.grade is Grade.FAIL:
        return
    for finding in room_findings(directory, await anyio.to_thread.run_sync(_free, directory)):
        yield finding
    for finding in file_findings(await journals(directory, target=target), utc_now()):
        yield finding
    for path in await anyio.to_thread.run_sync(_put_aside, directory):
        yield warn(
            WHAT,
            f"{path.name}: damaged, and put aside; all that could be read was taken over",
            "keep a copy if what is missing matters, then remove it",
        )


def place_finding(directory: Path, settings: Settings) -> Finding:
    """Whether journals can be made there, and would outlive the machine; blocks."""
    there = _nearest(directory)
    remedy = "set ORCHESTRA_JOURNAL_DIR to a directory on a local disk that this user may write to"
    if not there.is_dir():
        return fail(WHAT, f"{directory}: {there} is no directory", remedy)
    if not os.access(there, os.W_OK | os.X_OK | os.R_OK):
        return fail(WHAT, f"{directory}: this user may not write to {there}", remedy)
    where = f"{directory}" if there == directory.absolute() else f"{directory}, not made yet"
    return medium_finding(where, detect(there), settings.journal_medium)


def _nearest(directory: Path) -> Path:
    """The directory itself, or the nearest above it that exists."""
    directory = directory.absolute()
    return next((path for path in (directory, *directory.parents) if path.exists()), directory)


def medium_finding(where: str, found: Medium, declared: Medium | None) -> Finding:
    """What is known of the medium by a look at it, and by what the operator says."""
    if declared == "persistent" and found == "ephemeral":
        return warn(
            WHAT,
            f"{where}: persistent, as ORCHESTRA_JOURNAL_MEDIUM says; it looks like memory",
            "make sure that it is a disk which outlives the machine, or unset the variable",
        )
    if declared == "persistent" or (declared is None and found == "persistent"):
        said = "as ORCHESTRA_JOURNAL_MEDIUM says" if declared else "as far as it can be told"
        return ok(WHAT, f"{where}: persistent, {said}")
    return warn(
        WHAT,
        f"{where}: ephemeral, what an outage leaves there goes with the machine",
        "set ORCHESTRA_JOURNAL_DIR to a mounted disk; without one, what is journalled is VOLATILE",
    )


def _free(directory: Path) -> int:
    return shutil.disk_usage(_nearest(directory)).free


def room_findings(directory: Path, free: int) -> Iterator[Finding]:
    """Whether its disk has the ``free`` bytes that an outage may take."""
    if free < BOUNDS.max_bytes:
        detail = f"{directory}: {free / (1 << 20):,.1f} MiB are free, a journal may take "
        detail += f"{BOUNDS.max_bytes >> 20}"
        remedy = "make room; on a full disk no write of an outage is kept, and no process starts"
        yield (fail if free < NO_ROOM else warn)(WHAT, detail, remedy)


def file_findings(files: Sequence[JournalFile], now: datetime) -> Iterator[Finding]:
    """What each journal tells; those in use of which nothing waits, together."""
    quiet = [file for file in files if file.living and not _speaks(file)]
    if quiet:
        number = f"{len(quiet)} are" if len(quiet) > 1 else "one is"
        yield ok(WHAT, f"{number} in use (process {_holders(quiet)}); nothing waits")
    for file in files:
        if file not in quiet:
            yield _waiting(file, now)
            yield from _faults(file)
    if not files:
        yield ok(WHAT, "there is none: no process has one open, and none was left behind")


def _speaks(file: JournalFile) -> bool:
    return bool(file.entries or file.dead_letters or file.damaged or file.refusal)


def _holders(files: Sequence[JournalFile]) -> str:
    return ", ".join(str(file.holder or "?") for file in files)


def _waiting(file: JournalFile, now: datetime) -> Finding:
    waits, age = f"{file.path.name}: {waits_in(file, now)}", age_of(file, now)
    if file.refusal is not None:
        return warn(
            WHAT,
            f"{file.path.name}: nobody here takes it over: {file.refusal}",
            "run orchestra-memory journal replay where the settings name that store",
        )
    if not file.living:
        left = f"{waits}; its process ({file.holder or '?'}) is gone"
        if not file.entries:
            return ok(WHAT, left)
        return warn(
            WHAT,
            left,
            "the next process with this directory takes it over, within a minute; or now: "
            "orchestra-memory journal replay",
        )
    holder = f"{waits}; process {file.holder or '?'} has it"
    share = _share(file)
    if share >= WARN_AT:
        return warn(WHAT, f"{holder}; it is {share:.0%} full", f"see what fills it: {LIST}")
    if age > LONG:
        left = duration(BOUNDS.max_age - age)
        return warn(WHAT, holder, f"does the store answer? In {left} it takes no more; {LIST}")
    return ok(WHAT, holder)


def _share(file: JournalFile) -> float:
    """How full it is, but for its age, by the bounds that journals have by default."""
    entries = (file.entries + file.dead_letters) / BOUNDS.max_entries
    return max(entries, file.bytes / BOUNDS.max_bytes)


def _faults(file: JournalFile) -> Iterator[Finding]:
    if file.dead_letters:
        yield warn(
            WHAT,
            f"{file.path.name}: {dead_in(file)}: not replayed any more",
            f"{LIST} shows why; then replay or discard them",
        )
    if file.damaged:
        yield fail(WHAT, f"{file.path.name}: damaged", "copy the directory before anything else")


def _put_aside(directory: Path) -> list[Path]:
    return sorted(directory.glob(f"{PREFIX}*{DAMAGED}"))
