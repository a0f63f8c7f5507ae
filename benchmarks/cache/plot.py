"""A picture of the cache: what calls take, and which reads it saves."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final

from ..plot import BY_HAND, FADED, GRID, MARKERS, OURS, STYLE, whiskers
from . import turns
from .turns import Line
from .zipf import Rate

if TYPE_CHECKING:
    from matplotlib.axes import Axes

ACROSS: Final = 3
COLORS: Final = {turns.OURS: OURS, turns.FIRESTORE: BY_HAND[0], turns.UNCACHED: FADED}
"""What goes to Redis alone has a color of its own."""
REDIS: Final = BY_HAND[1]


def draw(lines: Sequence[Line], rates: Sequence[Rate], path: Path, *, caption: str) -> None:
    """Write a PNG to `path`."""
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot

    tasks = list(dict.fromkeys(line.task for line in lines))
    down = -(-(len(tasks) + 1) // ACROSS)
    with pyplot.rc_context(STYLE):
        figure, grid = pyplot.subplots(
            down, ACROSS, figsize=(6.4 * ACROSS, 3.6 * down), squeeze=False
        )
        axes = [each for row in grid for each in row]
        for place, task in enumerate(tasks):
            bars(axes[place], [line for line in lines if line.task == task], task)
        saved(axes[len(tasks)], rates)
        for unused in axes[len(tasks) + 1 :]:
            unused.set_visible(False)
        figure.text(0.01, 0.005, caption, fontsize=8, color=FADED)
        figure.tight_layout(rect=(0, 0.025, 1, 1))
        figure.savefig(path, dpi=130)
        pyplot.close(figure)


def bars(axes: Axes, lines: Sequence[Line], task: str) -> None:
    """One task: a bar for the time of each way."""
    shown = lines[::-1]
    spreads = [line.us for line in shown]
    medians = [spread.median for spread in spreads]
    drawn = axes.barh(
        [line.way for line in shown],
        medians,
        xerr=whiskers(spreads),
        color=[COLORS.get(line.kind, REDIS) for line in shown],
        height=0.6,
    )
    axes.bar_label(drawn, [f"{value:,.0f}" for value in medians], padding=4, fontsize=8.5)
    axes.set_title(f"{task}: µs a call (less is better)", fontsize=11, fontweight="bold")
    axes.margins(x=0.18)
    axes.tick_params(labelsize=8)
    axes.grid(axis="x", color=GRID, linewidth=0.8)
    axes.set_axisbelow(True)


def saved(axes: Axes, rates: Sequence[Rate]) -> None:
    """Reads saved by skew, a line for each size and TTL."""
    for place, setting in enumerate(dict.fromkeys(rate.setting for rate in rates)):
        shown = [rate for rate in rates if rate.setting == setting]
        axes.plot(
            [f"{rate.skew:g}" for rate in shown],
            [100 * rate.saved for rate in shown],
            label=setting,
            color=[OURS, *BY_HAND][place],
            marker=["o", *MARKERS][place],
        )
    axes.set_ylim(0, 100)
    axes.set_title("Firestore reads saved, % (more is better)", fontsize=11, fontweight="bold")
    axes.set_xlabel("exponent of Zipf's law: how uneven reads are")
    axes.legend(frameon=False, fontsize=8.5)
    axes.grid(axis="y", color=GRID, linewidth=0.8)
