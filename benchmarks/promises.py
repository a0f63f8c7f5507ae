"""Whether a run kept what is promised."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Final, Literal, TypeAlias

from .promised import PROMISES, Promise
from .sheets import Sheet, number
from .summary import Spread

Verdict: TypeAlias = Literal["aim reached", "yes", "NO", "not measured", ""]

HEADINGS: Final = ("promise", "at least", "aim", "measured (least to greatest)", "met?")


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


def judged(figures: Mapping[str, Spread]) -> list[Judged]:
    return [Judged(promise, measured(promise, figures)) for promise in PROMISES]


def measured(promise: Promise, figures: Mapping[str, Spread]) -> Spread | None:
    """The worst of the promise's figures, ``None`` unless all of them are known."""
    if not all(name in figures for name in promise.figures):
        return None
    worst = max if promise.less else min
    return worst((figures[name] for name in promise.figures), key=lambda found: found.median)


def sheet(judgements: Sequence[Judged], *, judge: bool = True) -> Sheet:
    """What is promised and what was measured, and unless `judge` is off, whether that will do."""
    lines = [
        (
            judgement.promise.work,
            bound(judgement.promise, judgement.promise.at_least),
            bound(judgement.promise, judgement.promise.aim),
            told(judgement),
            judgement.verdict if judge else "",
        )
        for judgement in judgements
    ]
    missed = [place for place, found in enumerate(judgements) if judge and found.verdict == "NO"]
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
