"""Verbs about the journals of outages: status, list, export, discard."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import anyio
import typer

from ..plan import journal_directory
from ..resilience.journal import Bounds, Journal, JournalFile, journals
from ..resilience.journal.files import DAMAGED, PREFIX
from ..resilience.journal.medium import detect
from ..values import from_micros, utc_now
from .codes import Code
from .held import Held, dead_in, export_line, facts_of, held_in, line_of, waits_in
from .opening import settings_of
from .output import clean, counted, emit, note
from .private_file import write_lines
from .verb import Target

STDOUT: Final = "-"
LIMITLESS: Final = Bounds(max_bytes=2**62, max_entries=2**62, max_age=1e12)
"""What others were allowed to keep, who takes it over has to take."""


@dataclass(frozen=True, slots=True)
class Chosen:
    """Which entries, as the options say it; all of them if they say nothing."""

    ids: tuple[str, ...] = ()
    dead_letters: bool = False

    def among(self, held: Iterable[Held]) -> list[Held]:
        """The entries chosen. Raises ``typer.BadParameter`` for an id that none of them has."""
        fitting = [each for each in held if each.entry.reason is not None or not self.dead_letters]
        if not self.ids:
            return fitting
        found = [each for each in fitting if each.entry.id in self.ids]
        if missing := {*self.ids} - {each.entry.id for each in found}:
            raise typer.BadParameter(f"no such entry: {', '.join(sorted(missing))}")
        return found


def directory_of(target: Target, given: Path | None) -> Path:
    return journal_directory(settings_of(target)) if given is None else given.expanduser()


def status(target: Target, given: Path | None) -> None:
    directory = directory_of(target, given)
    files = anyio.run(_journals, directory)
    aside = sorted(path.name for path in directory.glob(f"{PREFIX}*{DAMAGED}"))
    if target.as_json:
        emit(_status(directory, files, aside))
    else:
        _show_status(directory, files)
    for name in aside:
        note(f"{name} was damaged, and put aside; what could be read of it was taken over")
    if any(not file.living and file.entries for file in files):
        note(
            "the next process that opens this store here takes over what dead ones left, or: "
            "orchestra-memory journal replay"
        )
    if aside or any(file.dead_letters or file.damaged or file.refusal for file in files):
        sys.stdout.flush()
        raise typer.Exit(Code.PROBLEMS)


async def _journals(directory: Path) -> list[JournalFile]:
    return await journals(directory, target=None)


def _status(directory: Path, files: Iterable[JournalFile], aside: list[str]) -> dict[str, object]:
    files = list(files)
    return {
        "directory": str(directory),
        "medium": detect(directory) if directory.is_dir() else None,
        "entries": sum(file.entries for file in files),
        "dead_letters": sum(file.dead_letters for file in files),
        "journals": [_file_facts(file) for file in files],
        "put_aside": aside,
    }


def _file_facts(file: JournalFile) -> dict[str, object]:
    return {
        "journal": file.path.name,
        "living": file.living,
        "process": file.holder,
        "store": file.target or None,
        "entries": file.entries,
        "dead_letters": file.dead_letters,
        "bytes": file.bytes,
        "oldest": None if file.oldest is None else from_micros(file.oldest),
        "created": from_micros(file.created) if file.created else None,
        "release": file.library or None,
        "damaged": file.damaged,
        "refusal": file.refusal,
    }


def _show_status(directory: Path, files: list[JournalFile]) -> None:
    print(f"{directory}: {counted(len(files), 'journal', 'journals') if files else 'no journals'}")
    for file in files:
        print(file.path.name, *(f"  {line}" for line in _said(file)), sep="\n")


def _said(file: JournalFile) -> Iterable[str]:
    """Short lines, that a narrow terminal has room for."""
    process = "?" if file.holder is None else file.holder
    whose = f"in use by process {process}" if file.living else f"left behind by process {process}"
    if file.refusal is not None:
        yield f"{whose}; {clean(file.refusal)}"
        return
    yield f"{whose}, for {clean(file.target)}"
    dead = [dead_in(file)] if file.dead_letters else []
    damaged = ["damaged"] if file.damaged else []
    yield "; ".join([waits_in(file, utc_now()), *dead, *damaged])


def list_(target: Target, given: Path | None, chosen: Chosen, *, show: bool) -> None:
    directory = directory_of(target, given)
    held, refused = anyio.run(held_in, directory)
    found = chosen.among(held)
    _show_list(target, found, show=show)
    if not found and not target.as_json:
        note(f"nothing waits in {directory}")
    _tell_refused(refused)


def _show_list(target: Target, held: Iterable[Held], *, show: bool) -> None:
    now = utc_now()
    for each in held:
        if target.as_json:
            emit(facts_of(each, now, show=show))
            continue
        print(line_of(each, now))
        if show:
            emit(each.operation)


def _tell_refused(refused: Iterable[JournalFile]) -> None:
    for file in refused:
        note(f"{file.path.name} was not read: {file.refusal}")


def export(target: Target, given: Path | None, file: str) -> None:
    if file != STDOUT and Path(file).exists():
        # It may be all there is of what has been discarded since.
        raise typer.BadParameter(f"there is a {file} already; name another file, or remove it")
    held, refused = anyio.run(held_in, directory_of(target, given))
    lines = map(export_line, held)
    if file == STDOUT:
        sys.stdout.buffer.writelines(lines)
    else:
        write_lines(Path(file), lines)
    text = f"exported {counted(len(held), 'entry', 'entries')}"
    if file == STDOUT:
        note(text)
    elif target.as_json:
        emit({"entries": len(held), "file": file})
    else:
        print(f"{text} to {file}")
    _tell_refused(refused)


def discard(target: Target, given: Path | None, chosen: Chosen, *, yes: bool) -> None:
    directory = directory_of(target, given)
    held, refused = anyio.run(held_in, directory)
    found = _with_what_belongs_to_it(chosen.among(held), held)
    dead = [each for each in found if not each.file.living]
    living = len(found) - len(dead)
    if yes:
        _show_discarded(target, anyio.run(_discard, directory, dead))
    else:
        _show_list(target, dead, show=False)
        lost = counted(len(dead), "entry", "entries")
        note(f"{lost} would be lost for good; add --yes to discard them")
    if living:
        left = counted(living, "entry is", "entries are")
        note(f"{left} left alone: living processes have their journals open")
    _tell_refused(refused)
    sys.stdout.flush()
    if dead and not yes:
        raise typer.Exit(Code.USAGE)
    if living or refused:
        raise typer.Exit(Code.PROBLEMS)


def _with_what_belongs_to_it(chosen: list[Held], held: Iterable[Held]) -> list[Held]:
    """A commit goes whole: what is left of one would be taken for applied."""
    commits = {each.entry.batch for each in chosen if each.entry.reason is None} - {None}
    ids = {each.entry.id for each in chosen}
    return [each for each in held if each.entry.id in ids or each.entry.batch in commits]


async def _discard(directory: Path, held: Iterable[Held]) -> int:
    ids = {each.entry.id for each in held}
    return sum(
        [
            await _discard_from(directory, store, ids)
            for store in {each.file.target for each in held}
        ]
    )


async def _discard_from(directory: Path, store: str, ids: set[str]) -> int:
    async with Journal.open(directory, target=store, bounds=LIMITLESS) as journal:
        await journal.adopt()
        entries = [*await journal.pending(), *await journal.dead_letters()]
        gone = [entry.number for entry in entries if entry.id in ids]
        await journal.settle(gone)
    return len(gone)


def _show_discarded(target: Target, number: int) -> None:
    if target.as_json:
        emit({"discarded": number})
    else:
        print(f"discarded {counted(number, 'entry', 'entries')}")
