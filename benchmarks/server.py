"""The emulator that is measured, with room for what a run stores."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Final

from orchestra_memory.testing import emulator
from orchestra_memory.testing.emulator import BRIEF, KIND, Emulator
from orchestra_memory.testing.launch import serving
from orchestra_memory.testing.service import Program

HEAP: Final = "-Xmx4g"
"""It forgets nothing, not even what was deleted; short of room it would spend its time on that."""


@contextmanager
def started() -> Iterator[Emulator]:
    """Our own from the jar of gcloud, whose process can be watched; else what there is."""
    program = emulator.find_program()
    if not isinstance(program, Program):
        with emulator.start() as running:
            yield running
        return
    with serving(KIND, (roomy(program),)) as served:
        yield Emulator(str(served.address), served.how, served.pid)


def roomy(program: Program) -> Program:
    """The program with more memory, and its code compiled as for a server that stays."""
    kept = (part for part in program.command if part != BRIEF)
    return replace(
        program, command=tuple(HEAP if part.startswith("-Xmx") else part for part in kept)
    )
