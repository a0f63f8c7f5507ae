"""What is promised of the library's speed, and whether a run kept it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Final, Literal, TypeAlias

from .sheets import Sheet, number
from .summary import CALLBACK, CLIENT, SPEED, STALL, Spread

Verdict: TypeAlias = Literal["aim reached", "yes", "NO", "not measured", ""]

HEADINGS: Final = ("promise", "at least", "aim", "measured (least to greatest)", "met?")
TASKS: Final = ("write", "read", "scan")


@dataclass(frozen=True, slots=True)
class Promise:
    """A figure, what it must at least be, and what is aimed at.

    ``figures`` are names as `report.figures` gives them; of several the worst counts. ``unit``
    follows the number. With ``less``, less is better. Without bounds it is told for information.
    """

    work: str
    figures: tuple[str, ...]
    at_least: float | None
    aim: float | None
    unit: str = " x"
    less: bool = False

    @property
    def part(self) -> str:
        """The part of a run that measures it."""
        return self.figures[0].partition(".")[0]


@dataclass(frozen=True, slots=True)
class Judged:
    """A promise with what was measured of it, ``None`` if it was not."""

    promise: Promise
    measured: Spread | None

    @property
    def verdict(self) -> Verdict:
        if self.measured is None:
            return "not measured"
        if self._within(self.promise.aim):
            return "aim reached"
        if self.promise.at_least is None:
            return ""
        return "yes" if self._within(self.promise.at_least) else "NO"

    def _within(self, bound: float | None) -> bool:
        if self.measured is None or bound is None:
            return False
        median = self.measured.median
        return median <= bound if self.promise.less else median >= bound


def _callbacks(part: str) -> tuple[str, ...]:
    return tuple(f"{part}.{task}.{CALLBACK}" for task in TASKS)


def _stalls(part: str) -> tuple[str, ...]:
    return tuple(f"{part}.{task}.{STALL}/idle" for task in TASKS)


PROMISES: Final = (
    Promise(
        "Bulk write, null backend: throughput over the best way by hand",
        (f"null.write.{SPEED}/by hand",),
        at_least=9,
        aim=13,
    ),
    Promise(
        "Bulk write, emulator: throughput over the best way by hand",
        (f"emulator.write.{SPEED}/by hand",),
        at_least=4,
        aim=6,
    ),
    Promise(
        "Bulk write: client's processor time by hand over ours, a record",
        (f"null.write.{CLIENT}/by hand",),
        at_least=9,
        aim=13,
    ),
    Promise(
        "Bulk write, emulator: throughput over the limit, bytes encoded beforehand",
        (f"emulator.write.{SPEED}/limit",),
        at_least=0.75,
        aim=0.95,
    ),
    Promise(
        "Bulk read by id, emulator: throughput over the best way by hand",
        (f"emulator.read.{SPEED}/by hand",),
        at_least=2.5,
        aim=3.5,
    ),
    Promise(
        "Scan of a query, emulator: throughput over a stream by hand",
        (f"emulator.scan.{SPEED}/by hand",),
        at_least=1.7,
        aim=2.5,
    ),
    Promise(
        "Bulk write with embeddings, emulator: throughput over the best way by hand",
        (f"embeddings.write.{SPEED}/by hand",),
        at_least=14,
        aim=20,
    ),
    Promise(
        "Bulk read with embeddings, emulator: throughput over the best way by hand",
        (f"embeddings.read.{SPEED}/by hand",),
        at_least=8,
        aim=12,
    ),
    Promise(
        "Bulk write, 20 ms away: throughput over batches of 400 one after another",
        (f"far.write.{SPEED}/batches of 400",),
        at_least=4,
        aim=7,
    ),
    Promise(
        "Longest callback on the event loop, processor time: write, read, scan",
        _callbacks("null"),
        at_least=10,
        aim=5,
        unit=" ms",
        less=True,
    ),
    Promise(
        "Longest callback likewise, of records with embeddings",
        _callbacks("embeddings"),
        at_least=10,
        aim=5,
        unit=" ms",
        less=True,
    ),
    Promise(
        "Longest stall of the event loop, null backend: time over an idle loop's",
        _stalls("null"),
        at_least=None,
        aim=None,
        less=True,
    ),
    Promise(
        "Growth of memory from 20,000 to 200,000 streamed records, put_many and scan",
        ("memory.put_many.growth_mb", "memory.scan.growth_mb"),
        at_least=30,
        aim=0,
        unit=" MB",
        less=True,
    ),
    *(
        Promise(
            f"Single {task}, emulator: time over the plain client's",
            (f"emulator.{task}.time/by hand",),
            at_least=1,
            aim=0.7,
            less=True,
        )
        for task in ("put", "put, 64 at once", "get", "get, 64 at once")
    ),
)


def judged(figures: Mapping[str, Spread]) -> list[Judged]:
    return [Judged(promise, measured(promise, figures)) for promise in PROMISES]


def measured(promise: Promise, figures: Mapping[str, Spread]) -> Spread | None:
    """The worst of the promise's figures, ``None`` unless all of them are known."""
    if not all(name in figures for name in promise.figures):
        return None
    worst = max if promise.less else min
    return worst((figures[name] for name in promise.figures), key=lambda found: found.median)


def sheet(judgements: Sequence[Judged]) -> Sheet:
    lines = [
        (
            judgement.promise.work,
            bound(judgement.promise, judgement.promise.at_least),
            bound(judgement.promise, judgement.promise.aim),
            told(judgement),
            judgement.verdict,
        )
        for judgement in judgements
    ]
    missed = [place for place, found in enumerate(judgements) if found.verdict == "NO"]
    return Sheet("What is promised, and what was measured", HEADINGS, lines, strong=missed)


def bound(promise: Promise, value: float | None) -> str:
    if value is None:
        return ""
    return f"{'at most ' if promise.less else ''}{value:g}{promise.unit}"


def told(judgement: Judged) -> str:
    found, unit = judgement.measured, judgement.promise.unit
    if found is None:
        return ""
    return f"{number(found.median)}{unit} ({number(found.least)} to {number(found.greatest)})"


def document(judgements: Sequence[Judged]) -> list[dict[str, Any]]:
    return [
        {
            **asdict(judgement.promise),
            "measured": judgement.measured and asdict(judgement.measured),
            "met": judgement.verdict,
        }
        for judgement in judgements
    ]
