"""The report of a migration, a file that grows line by line; it can be continued and undone.

JSON lines: a header; before each commit what it is about to create, and that it did; what became
of every record and file; how far the run has come; at the end a summary. No line holds content.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import IO, Any, Final, NamedTuple

from ...resilience.journal.files import OWNER_ONLY
from ...values import utc_now
from ..entries import UnreadableFile, as_map
from .chunks import Position

FORMAT: Final = "orchestra-memory-migration"
VERSION: Final = 1


class Created(NamedTuple):
    """A record a run created, or was about to create: by its digest it is known again."""

    type: str
    key: str
    digest: str


@dataclass(frozen=True, slots=True)
class Header:
    """Which migration a report is of."""

    source: str
    target: str
    namespace: str | None = None
    dry_run: bool = False


@dataclass(slots=True)
class Past:
    """What a report says of a run that may have been interrupted.

    ``settled`` lines hold up to ``position``; ``merged`` are the places that told of the system;
    ``pending`` is what may have been created since.
    """

    header: Header
    position: Position | None = None
    settled: int = 0
    merged: set[str] = field(default_factory=set[str])
    pending: dict[tuple[str, str], str] = field(default_factory=dict[tuple[str, str], str])
    finished: bool = False


class Ledger:
    """Writes a report; without a path it writes nothing."""

    def __init__(self, path: Path | None, header: Header, *, resume: bool = False) -> None:
        self.path = path
        self.past: Past = Past(header)
        self._stream: IO[bytes] | None = None
        if path is None:
            return
        if resume:
            self.past = _checked(past_of(path), header)
            _drop_torn_line(path)
        path.parent.mkdir(parents=True, exist_ok=True)
        self._stream = _opened(path, fresh=not resume)
        if not resume:
            self._write([{"format": FORMAT, "version": VERSION, **asdict(header), **_now()}])
            self._sync()

    def close(self) -> None:
        if self._stream is not None:
            self._stream.close()

    def creating(self, created: Sequence[Created]) -> None:
        """To be called before a commit; back when it is on the disk."""
        self._write([{"creating": created}])
        self._sync()

    def created(self, count: int) -> None:
        self._write([{"created": count}])

    def settled(self, lines: Sequence[Mapping[str, Any]], position: Position | None) -> None:
        """What became of records and files, up to `position`."""
        at = [{"at": asdict(position)}] if position is not None else []
        self._write([*lines, *at])

    def finish(self, summary: Mapping[str, Any]) -> None:
        self._write([{"summary": summary, **_now()}])
        self._sync()

    def _write(self, lines: Sequence[Mapping[str, Any]]) -> None:
        if self._stream is not None:
            self._stream.write(b"".join(json.dumps(line).encode() + b"\n" for line in lines))
            self._stream.flush()

    def _sync(self) -> None:
        if self._stream is not None:
            os.fsync(self._stream.fileno())


def _opened(path: Path, *, fresh: bool) -> IO[bytes]:
    """The report, for its owner's eyes: ids and file names may tell something, too."""
    how = os.O_CREAT | os.O_EXCL if fresh else 0
    return os.fdopen(os.open(path, os.O_WRONLY | os.O_APPEND | how, OWNER_ONLY), "ab")


def _now() -> dict[str, str]:
    return {"time": utc_now().isoformat()}


def lines_of(path: Path) -> Iterator[dict[str, Any]]:
    """The lines of a report; the last one may be torn. Raises ``UnreadableFile``."""
    try:
        with path.open("rb") as stream:
            for number, raw in enumerate(stream):
                value = _value(raw)
                if number == 0 and (value or {}).get("format") != FORMAT:
                    raise UnreadableFile("not the report of a migration")
                if value is None:
                    return
                yield value
    except OSError as error:
        raise UnreadableFile(f"cannot read the report: {error.strerror}") from None


def _value(raw: bytes) -> dict[str, Any] | None:
    try:
        return as_map(json.loads(raw)) if raw.endswith(b"\n") else None
    except ValueError:
        return None


def header_of(path: Path) -> Header:
    """Raises ``UnreadableFile`` for what is no report, or of a newer version."""
    first = next(lines_of(path), None)
    if first is None:
        raise UnreadableFile("the report is empty")
    if first.get("version") != VERSION:
        raise UnreadableFile("the report is of another version; use the release that wrote it")
    return Header(first["source"], first["target"], first["namespace"], first["dry_run"])


def past_of(path: Path) -> Past:
    """How far a run has come."""
    past = Past(header_of(path))
    merged: set[str] = set()
    for number, line in enumerate(lines_of(path), 1):
        if "creating" in line:
            past.pending |= {(kind, key): digest for kind, key, digest in line["creating"]}
        elif "at" in line:
            past.position = Position(**line["at"])
            past.settled, past.pending = number, {}
            past.merged |= merged
        elif line.get("result") == "merged":
            merged.add(line["place"])
        past.finished = past.finished or "summary" in line
    return past


def created_in(path: Path) -> Iterator[list[Created]]:
    """What a run created, commit by commit, and what it may have created when it ended early."""
    pending: list[Created] = []
    for line in lines_of(path):
        if "creating" in line:
            pending = [Created(*one) for one in line["creating"]]
        elif "created" in line:
            yield pending
            pending = []
        elif "at" in line or "summary" in line:
            # It went on: somebody else had created these.
            pending = []
    if pending:
        yield pending


def _checked(past: Past, header: Header) -> Past:
    if past.header != header:
        raise UnreadableFile(
            "the report is of another migration: source, target, namespace and --dry-run must be "
            "the same; start without --resume"
        )
    if past.finished:
        raise UnreadableFile("that migration is finished; start another without --resume")
    return past


def _drop_torn_line(path: Path) -> None:
    """A line that a crash cut short must not swallow the next one."""
    raw = path.read_bytes()
    if raw and not raw.endswith(b"\n"):
        os.truncate(path, raw.rfind(b"\n") + 1)
