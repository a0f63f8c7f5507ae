"""What journals hold, for people and for programs."""

from __future__ import annotations

import json
from base64 import b64encode
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import cast

from ..resilience.journal import Entry, JournalFile, entries_in, journals
from ..values import from_micros
from .checks.durations import duration
from .output import clean, counted, plain


@dataclass(frozen=True, slots=True)
class Held:
    """An entry, and the journal it is in."""

    file: JournalFile
    entry: Entry

    @property
    def queued(self) -> datetime | None:
        """When it was appended; unknown where that was damaged."""
        try:
            return from_micros(self.entry.at)
        except OverflowError:
            return None

    def age(self, now: datetime) -> float | None:
        """Seconds since it was appended."""
        return None if self.queued is None else round((now - self.queued).total_seconds(), 1)

    @property
    def operation(self) -> Mapping[str, object] | None:
        """What its body says, whether or not the record type is known here."""
        try:
            said: object = json.loads(self.entry.body)
        except (ValueError, RecursionError):
            return None
        return cast("dict[str, object]", said) if isinstance(said, dict) else None


def age_of(file: JournalFile, now: datetime) -> float:
    """Seconds for which what waits in it has waited at most."""
    return 0.0 if file.oldest is None else (now - from_micros(file.oldest)).total_seconds()


def waits_in(file: JournalFile, now: datetime) -> str:
    """How much waits in a journal, and for how long."""
    if not file.entries:
        return "nothing waits"
    number = counted(file.entries, "entry waits", "entries wait")
    return f"{number}, for {duration(age_of(file, now))} at most, {file.bytes:,} bytes"


def dead_in(file: JournalFile) -> str:
    return counted(file.dead_letters, "dead letter", "dead letters")


async def held_in(directory: Path) -> tuple[list[Held], list[JournalFile]]:
    """All entries in the order in which they were queued, and the journals that cannot be read."""
    held: list[Held] = []
    refused: list[JournalFile] = []
    for path in [found.path for found in await journals(directory, target=None)]:
        file, entries = await entries_in(path)
        held += [Held(file, entry) for entry in entries]
        if file.refusal is not None:
            refused.append(file)
    held.sort(key=lambda each: (each.entry.at, each.entry.number))
    return held, refused


def facts_of(held: Held, now: datetime, *, show: bool) -> dict[str, object]:
    """An entry for programs; its content only if it is to be shown."""
    entry, said = held.entry, held.operation
    basis = cast("Mapping[str, object]", (said or {}).get("basis", {}))
    facts = {
        "id": entry.id,
        "journal": held.file.path.name,
        "living": held.file.living,
        **entry.document._asdict(),
        "operation": (said or {}).get("op"),
        "model": (said or {}).get("model"),
        "queued": held.queued,
        "age_seconds": held.age(now),
        "commit": entry.batch,
        "in_doubt": bool(basis.get("in_doubt")),
        "reason": entry.reason,
        "intact": entry.intact,
        "bytes": len(entry.body),
    }
    return facts | ({"content": said} if show else {})


def line_of(held: Held, now: datetime) -> str:
    """An entry on one line, for people: its age, what it does to which document, id and reason."""
    entry = held.entry
    age = held.age(now)
    namespace, collection, key = entry.document
    document = "/".join(filter(None, [namespace, collection, key]))
    kind = (held.operation or {}).get("op", "?")
    waited = "?" if age is None else duration(age)
    parts = [f"{waited:<10}", f"{kind!s:<6}", clean(document), entry.id]
    return "  ".join([*parts, *([f"dead letter: {clean(entry.reason)}"] if entry.reason else [])])


def export_line(held: Held) -> bytes:
    """An entry with all that is known of it, as a line of JSON."""
    entry, said = held.entry, held.operation
    body = {"operation": said} if said is not None else {"body": b64encode(entry.body).decode()}
    facts = {
        "id": entry.id,
        "journal": held.file.path.name,
        "store": held.file.target,
        "queued": held.queued,
        **entry.document._asdict(),
        "commit": entry.batch,
        "reason": entry.reason,
        "intact": entry.intact,
        **body,
    }
    return json.dumps(plain(facts), ensure_ascii=False).encode() + b"\n"
