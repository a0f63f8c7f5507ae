"""Other processes of a benchmark: modules of this package that serve until they are let go."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parent.parent


@dataclass(frozen=True, slots=True)
class Child:
    """A process, and the address it told when it was ready."""

    address: str
    pid: int


@contextmanager
def serving(module: str, *arguments: str) -> Iterator[Child]:
    """Run `module` until the context ends; it must print its address, and end with its stdin."""
    command = [sys.executable, "-m", f"{__package__}.{module}", *arguments]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=ROOT, text=True
    ) as process:
        try:
            assert process.stdout is not None
            address = process.stdout.readline().strip()
            if not address:
                raise RuntimeError(f"{module} ended before it served")
            yield Child(address, process.pid)
        finally:
            process.kill()
