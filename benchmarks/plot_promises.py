"""A picture of the promises: how far each figure is from what it must be at least."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

from .plot import FADED, GRID, STYLE
from .promises import Judged, told

COLORS: Final = {"aim reached": "#15803d", "yes": "#65a30d", "NO": "#b91c1c"}


def drawing(judgements: Sequence[Judged]) -> Callable[[Path, str], None]:
    """Writes a PNG to a path, with a caption."""

    def draw(path: Path, caption: str) -> None:
        _draw([found for found in judgements if progress(found) is not None], path, caption)

    return draw


def progress(found: Judged) -> float | None:
    """How many times as good as it must be at least; ``None`` if that cannot be said in times."""
    promise, least = found.promise, found.promise.at_least
    if found.measured is None or not least or not promise.aim or found.measured.median <= 0:
        return None
    median = found.measured.median
    return least / median if promise.less else median / least


def _draw(judgements: Sequence[Judged], path: Path, caption: str) -> None:
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot

    shown = list(judgements)[::-1]
    values = [progress(found) or 0.0 for found in shown]
    with pyplot.rc_context(STYLE):
        figure, axes = pyplot.subplots(figsize=(12, 0.55 * len(shown) + 1.4))
        drawn = axes.barh(
            [found.promise.work for found in shown],
            values,
            color=[COLORS.get(found.verdict, FADED) for found in shown],
            height=0.6,
        )
        axes.bar_label(
            drawn,
            [told(found) for found in shown],
            padding=4,
            fontsize=8.5,
            zorder=5,
            bbox={"facecolor": "white", "edgecolor": "none", "pad": 1.5},
        )
        axes.axvline(1, color=FADED, linewidth=1)
        for place, found in enumerate(shown):
            if found.promise.aim and found.promise.at_least:
                bounds = found.promise.aim, found.promise.at_least
                aim = max(bounds) / min(bounds)
                axes.plot([aim, aim], [place - 0.4, place + 0.4], color="#111827", linewidth=2)
        axes.set_xlabel("times as good as promised at least (line); the marks are the aims")
        axes.margins(x=0.35, y=0.01)
        axes.grid(axis="x", color=GRID, linewidth=0.8)
        axes.set_axisbelow(True)
        figure.text(0.01, 0.005, caption, fontsize=8, color=FADED)
        figure.tight_layout(rect=(0, 0.025, 1, 1))
        figure.savefig(path, dpi=130)
        pyplot.close(figure)
