"""A picture of the outage fallback: its cost, its answers, and its rates."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final

from ..plot import BY_HAND, FADED, GRID, OURS, STYLE, whiskers
from ..summary import Spread
from . import appending, replaying, writing
from .calls import microseconds
from .outages import milliseconds
from .turns import Turn

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from .report import Outcome

ACROSS: Final = 4
OTHERS: Final = BY_HAND[0]
WAYS: Final = (appending.OURS, writing.OURS, replaying.REPLAY)
"""Ours, where there are others."""


def draw(outcome: Outcome, path: Path, *, caption: str) -> None:
    """Write a PNG to `path`."""
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot

    panels = panels_of(outcome)
    down = -(-len(panels) // ACROSS)
    with pyplot.rc_context(STYLE):
        figure, grid = pyplot.subplots(
            down, ACROSS, figsize=(6.8 * ACROSS, 3.4 * down), squeeze=False
        )
        axes = [each for row in grid for each in row]
        for place, (title, spreads) in zip(axes, panels.items(), strict=False):
            bars(place, title, spreads)
        for unused in axes[len(panels) :]:
            unused.set_visible(False)
        figure.text(0.01, 0.005, caption, fontsize=8, color=FADED)
        figure.tight_layout(rect=(0, 0.025, 1, 1))
        figure.savefig(path, dpi=130)
        pyplot.close(figure)


def panels_of(outcome: Outcome) -> dict[str, dict[str, Spread]]:
    """What is drawn: bars by their names, by title."""
    away = outcome.outages
    extra = {
        f"{task}, {store}": microseconds(rounds, lambda each: each.extra_cpu)
        for (task, store), rounds in outcome.calls.groups()
    }
    first = {
        fault: milliseconds([each.over for each in away.of(fault)])
        for fault in away.faults
        if min(each.over for each in away.of(fault)) > 0
    }
    later = {fault: milliseconds([each.later for each in away.of(fault)]) for fault in away.faults}
    empty = {fault: Spread.of([each.empty for each in away.of(fault)]) for fault in away.faults}
    tasks = (outcome.appends, outcome.writes, outcome.replays)
    return {
        "healthy: extra µs of processor time a call (less is better)": extra,
        "first answer, ms beyond the deadline (less is better)": first,
        "later answers, ms (less is better)": later,
        "Firestore is back: s until all is stored (less is better)": empty,
        **{
            f"{task}: records/s (more is better)": _speeds(ways)
            for found in tasks
            for task, ways in found.tasks().items()
        },
    }


def _speeds(ways: Mapping[str, Sequence[Turn]]) -> dict[str, Spread]:
    ours_first = sorted(ways, key=lambda way: way not in WAYS)
    return {way: Spread.of([turn.speed for turn in ways[way]]) for way in ours_first}


def bars(axes: Axes, title: str, spreads: Mapping[str, Spread]) -> None:
    """A bar for each, ours in a color of their own."""
    compares = any(name in WAYS for name in spreads)
    names = list(spreads)[::-1]
    medians = [spreads[name].median for name in names]
    drawn = axes.barh(
        names,
        medians,
        xerr=whiskers([spreads[name] for name in names]),
        color=[OURS if name in WAYS or not compares else OTHERS for name in names],
        height=0.6,
    )
    labels = [f"{value:,.0f}" if value >= 20 else f"{value:.2g}" for value in medians]
    axes.bar_label(drawn, labels, padding=4, fontsize=8.5)
    axes.set_title(title, fontsize=11, fontweight="bold", loc="left")
    axes.margins(x=0.18)
    axes.tick_params(labelsize=8)
    axes.grid(axis="x", color=GRID, linewidth=0.8)
    axes.set_axisbelow(True)
