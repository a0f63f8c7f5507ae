"""A file with content that only its owner may read."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

from ..resilience.journal.files import OWNER_ONLY


def write_lines(path: Path, lines: Iterable[bytes]) -> None:
    """Write the file anew; it has its name only when it is whole and on the disk."""
    part = path.with_name(path.name + ".part")
    part.unlink(missing_ok=True)
    with os.fdopen(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, OWNER_ONLY), "wb") as file:
        file.writelines(lines)
        file.flush()
        os.fsync(file.fileno())
    part.replace(path)
