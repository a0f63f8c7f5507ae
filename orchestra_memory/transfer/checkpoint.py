"""How far an import has come, kept in a small file, so that it can go on after an interruption."""

from __future__ import annotations

import json
import os
from dataclasses import asdict, dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any, Final

from .entries import UnreadableFile

_SAMPLE_BYTES: Final = 64 * 1024


@dataclass(frozen=True, slots=True)
class Progress:
    """Whole units behind us, and what they held.

    ``last`` is the number of the last one: a line, or a conversation.
    """

    units: int = 0
    last: int = 0
    records: int = 0
    problems: int = 0


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """Progress of one file into one store.

    ``identity`` tells the file and the store; progress kept for others is refused.
    """

    path: Path
    identity: str

    def load(self) -> Progress:
        """Raises ``UnreadableFile`` when there is nothing to continue."""
        try:
            kept: dict[str, Any] = json.loads(self.path.read_bytes())
            identity, progress = kept.pop("identity"), Progress(**kept)
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            raise UnreadableFile(
                "no interrupted import of this file into this store; start it without --resume"
            ) from None
        if identity != self.identity:
            raise UnreadableFile("the file has changed since; start without --resume")
        return progress

    def save(self, progress: Progress) -> None:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        fresh = self.path.with_suffix(f".{os.getpid()}.new")
        fresh.write_text(json.dumps({"identity": self.identity, **asdict(progress)}))
        fresh.replace(self.path)

    def clear(self) -> None:
        self.path.unlink(missing_ok=True)


def checkpoint_for(source: Path, target: str, folder: Path) -> Checkpoint:
    """Where the progress of `source` into the store called `target` is kept.

    The file is known by its size and its beginning. Raises ``UnreadableFile``.
    """
    try:
        with source.open("rb") as stream:
            sample, size = stream.read(_SAMPLE_BYTES), os.fstat(stream.fileno()).st_size
    except OSError as error:
        raise UnreadableFile(f"cannot read {source}: {error.strerror}") from None
    name = sha256(f"{source.resolve()}\n{target}".encode()).hexdigest()[:24]
    identity = sha256(sample + str(size).encode()).hexdigest()
    return Checkpoint(folder / f"{name}.json", identity)
