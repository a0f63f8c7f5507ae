"""`python -m benchmarks.guard KEPT NEW`: whether ratios have become worse than those kept.

Ratios on the null backend are much the same on every machine, so that those of a new run can be
compared with what is kept in the repository.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median, quantiles
from typing import Annotated, Any, Final, TypeAlias

import typer
from rich.console import Console

from .sheets import Sheet, number, screen
from .summary import CLIENT, SPEED, Ratio, Spread, closest

CLIENT_FLOOR: Final = 0.15
"""The least tolerance of processor time, as a share of the kept ratio.

It is the process's own, whatever else the machine does: ratios differed by no more than 10 % from
run to run without a cause.
"""
SPEED_FLOOR: Final = 0.4
"""The least tolerance of throughput, which shares the machine with all that runs on it.

Not even the two sides of a ratio lose alike: on a busy machine ratios moved by up to 35 % from run
to run, however steady the rounds of each run were. A library that works more is found by its
processor time; one that only waits more must lose more than this to be found.
"""
FLOORS: Final[Mapping[str, float]] = {CLIENT: CLIENT_FLOOR, SPEED: SPEED_FLOOR}
CEILING: Final = 0.3
"""A ratio whose rounds spread by a greater share tells nothing."""

Name: TypeAlias = tuple[str, int, str]
"""Task, size and figure of a ratio to the best way by hand."""
Rounds: TypeAlias = Sequence[float]
"""The ratios of a run's rounds."""

WIDTH: Final = 160
"""Columns of the table."""

app = typer.Typer(add_completion=False)


def unsteadiness(rounds: Rounds) -> float:
    """How far the middle half of the rounds reaches, as a share of the median."""
    if len(rounds) < 2:
        return 0.0
    low, _, high = quantiles(rounds, n=4, method="inclusive")
    return (high - low) / median(rounds)


@dataclass(frozen=True, slots=True)
class Comparison:
    """One ratio, as it is kept and as it is now; ``None`` if it is missing."""

    name: Name
    kept: Rounds
    now: Rounds | None

    @property
    def figure(self) -> str:
        return self.name[-1]

    @property
    def unsteadiness(self) -> float:
        """Of the less steady run."""
        return max(unsteadiness(self.kept), unsteadiness(self.now or self.kept))

    @property
    def tolerance(self) -> float:
        """What share of the kept median may be lost: as much as a run was unsteady by, or more."""
        return max(FLOORS[self.figure], self.unsteadiness)

    @property
    def lost(self) -> float:
        """What share of the kept median is gone; below 0 for a gain."""
        return 1 - median(self.now or self.kept) / median(self.kept)

    @property
    def failure(self) -> str | None:
        """Why this fails, if it does."""
        if self.now is None:
            return "was not measured"
        if self.unsteadiness > CEILING:
            return self._unsteady()
        if self.lost > self.tolerance:
            return f"is {self.lost:.0%} worse, {self.tolerance:.0%} is tolerated"
        return None

    def _unsteady(self) -> str | None:
        # Time passed is anybody's on a busy machine; processor time, ours alone, must tell then.
        if self.figure != CLIENT:
            return None
        return f"spread by {self.unsteadiness:.0%} from round to round: use a quieter machine"

    @property
    def verdict(self) -> str:
        if self.failure:
            return self.failure
        return "unsteady, not judged" if self.unsteadiness > CEILING else ""

    def __str__(self) -> str:
        task, size, figure = self.name
        return f"{task}, {size:,} records, {figure}"


def compared(kept: Mapping[Name, Rounds], now: Mapping[Name, Rounds]) -> list[Comparison]:
    """Every ratio that is kept with what it is now."""
    return [Comparison(name, rounds, now.get(name)) for name, rounds in kept.items()]


def failures(comparisons: Iterable[Comparison]) -> list[str]:
    return [f"{found} {found.failure}" for found in comparisons if found.failure]


def by_hand(ratios: Iterable[Ratio]) -> dict[Name, Rounds]:
    """The ratios to the best way by hand."""
    return {name: ratio.rounds for name, ratio in closest(ratios, side="by hand").items()}


def parsed(document: Mapping[str, Any]) -> list[Ratio]:
    """The ratios in a result's JSON."""
    return [
        Ratio(**{**ratio, "spread": Spread(**ratio["spread"]), "rounds": tuple(ratio["rounds"])})
        for ratio in document["ratios"]
    ]


def sheet(comparisons: Sequence[Comparison]) -> Sheet:
    lines = [
        (
            str(found),
            number(median(found.kept)),
            "" if found.now is None else number(median(found.now)),
            f"{-found.lost:+.0%}",
            f"{found.tolerance:.0%}",
            found.verdict,
        )
        for found in comparisons
    ]
    failed = [place for place, found in enumerate(comparisons) if found.failure]
    headings = ("over the best way by hand", "kept", "now", "change", "tolerance", "verdict")
    return Sheet("Ratios on the null backend, medians", headings, lines, strong=failed)


@app.command()
def main(
    kept: Annotated[Path, typer.Argument(help="The result that is kept.")],
    now: Annotated[Path, typer.Argument(help="The result of a new run.")],
) -> None:
    """Fail, naming the figures, if any ratio has become worse than its tolerance."""
    before, after = (by_hand(parsed(json.loads(path.read_text()))) for path in (kept, now))
    found = compared(before, after)
    Console(width=WIDTH, highlight=False).print(screen(sheet(found)))
    for failure in failures(found):
        typer.echo(f"WORSE: {failure}", err=True)
    raise typer.Exit(1 if failures(found) else 0)


if __name__ == "__main__":
    app()
