"""By how much the process grows when it streams more: each measured in a process of its own."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass

from . import null
from .compare import WrongData
from .process import ROOT
from .result import Report
from .streaming import Streamed
from .summary import Spread

VERBS = {"put": "put_many", "scan": "scan"}


@dataclass(frozen=True, slots=True)
class Counts:
    """How many records are streamed, and how often."""

    few: int = 20_000
    many: int = 200_000
    rounds: int = 1


@dataclass(frozen=True, slots=True)
class Peaks:
    """The most memory of a process that streamed few, and of one that streamed many, in bytes."""

    verb: str
    few: int
    many: int

    @property
    def growth(self) -> float:
        """In MB of a million bytes."""
        return (self.many - self.few) / 1e6


@dataclass(frozen=True, slots=True)
class Growth:
    """What was measured, and how many records were read back and compared."""

    peaks: Sequence[Peaks]
    compared: int

    def of(self, verb: str) -> Spread:
        return Spread.of([peaks.growth for peaks in self.peaks if peaks.verb == verb])


def measured(counts: Counts, report: Report) -> Growth:
    """Stream to the null backend and back. Raises ``WrongData`` if what comes is not what went."""
    found: list[Peaks] = []
    for number in range(1, counts.rounds + 1):
        report(f"{counts.few:,} and {counts.many:,} records streamed, round {number}")
        with null.started() as server:
            few = _both(server.address, counts.few)
            many = _both(server.address, counts.many)
        found += (Peaks(VERBS[verb], few[verb].peak, many[verb].peak) for verb in VERBS)
    return Growth(found, counts.rounds * (counts.few + counts.many))


def _both(address: str, count: int) -> dict[str, Streamed]:
    found = {verb: _streamed(verb, address, count) for verb in VERBS}
    went, came = found["put"], found["scan"]
    if (went.records, went.digest) != (came.records, came.digest) or went.records != count:
        raise WrongData(f"{count:,} records were streamed, {came.records:,} came back, or others")
    return found


def _streamed(verb: str, address: str, count: int) -> Streamed:
    command = [sys.executable, "-m", f"{__package__}.streaming", verb, address, str(count)]
    answer = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, check=True)
    return Streamed(**json.loads(answer.stdout))
