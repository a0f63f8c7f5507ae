"""A picture of a result: throughput and processor time by size."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from .summary import Row

if TYPE_CHECKING:
    from matplotlib.axes import Axes

TITLES: Final = {"write": "Write", "read": "Read by id", "scan": "Read a query's answer"}
PANELS: Final = {
    "records_per_second": "records per second\n(more is better)",
    "client_us_per_record": "client processor time,\nµs per record (less is better)",
}
OURS: Final = "#c2410c"
BY_HAND: Final = ("#1d4ed8", "#0891b2", "#64748b", "#7c3aed")
MARKERS: Final = "sD^v"


def draw(rows: Sequence[Row], path: Path, *, caption: str) -> None:
    """Write a PNG to `path`."""
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot

    tasks = [task for task in TITLES if any(row.task == task for row in rows)]
    with pyplot.rc_context({"font.size": 10, "axes.spines.top": False, "axes.spines.right": False}):
        figure, axes = pyplot.subplots(
            len(PANELS),
            len(tasks),
            figsize=(5.2 * len(tasks), 8.6),
            sharex="col",
            sharey="row",
            squeeze=False,
        )
        for across, task in enumerate(tasks):
            shown = [row for row in rows if row.task == task]
            for down, name in enumerate(PANELS):
                panel(axes[down][across], shown, name)
            axes[0][across].set_title(TITLES[task], fontsize=13, fontweight="bold", pad=58)
            axes[0][across].legend(
                loc="lower left", bbox_to_anchor=(-0.06, 1.0), ncols=2, frameon=False, fontsize=8.5
            )
            axes[-1][across].set_xlabel("records in one call")
        for down, label in enumerate(PANELS.values()):
            axes[down][0].set_ylabel(label)
        figure.text(0.01, 0.005, caption, fontsize=8, color="#475569")
        figure.tight_layout(rect=(0, 0.025, 1, 1))
        figure.savefig(path, dpi=130)
        pyplot.close(figure)


def panel(axes: Axes, rows: Sequence[Row], name: str) -> None:
    """One figure of one task: a line for each way, its spread as a band."""
    from matplotlib.ticker import LogLocator

    sizes = sorted({row.size for row in rows})
    ways = list(dict.fromkeys(row.way for row in rows))
    by_hand = iter(zip(BY_HAND, MARKERS, strict=True))
    for way in ways:
        shown = [row for row in rows if row.way == way and name in row.figures]
        ours = any(row.ours for row in shown)
        color, marker = (OURS, "o") if ours else next(by_hand)
        style: dict[str, Any] = {"color": color, "marker": marker, "zorder": 3 if ours else 2}
        _line(axes, shown, name, sizes, {**style, "linewidth": 2.6 if ours else 1.5})
    axes.set_yscale("log", subs=())
    axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axes.yaxis.set_major_formatter(lambda value, _: f"{value:,.0f}")
    axes.tick_params(labelleft=True)
    axes.grid(axis="y", color="#e2e8f0", linewidth=0.8)
    axes.set_xticks(range(len(sizes)), [f"{size:,}" for size in sizes])


def _line(
    axes: Axes, rows: Sequence[Row], name: str, sizes: Sequence[int], style: dict[str, Any]
) -> None:
    places = [sizes.index(row.size) for row in rows]
    spreads = [row.figures[name] for row in rows]
    label = f"orchestra-memory: {rows[0].way}" if rows[0].ours else rows[0].way
    axes.plot(places, [spread.median for spread in spreads], label=label, markersize=5, **style)
    axes.fill_between(
        places,
        [spread.least for spread in spreads],
        [spread.greatest for spread in spreads],
        color=style["color"],
        alpha=0.14,
        linewidth=0,
    )
