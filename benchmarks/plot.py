"""A picture of a result: throughput and processor time of each way, by size or side by side."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from .summary import CLIENT, SPEED, Row, Spread

if TYPE_CHECKING:
    from matplotlib.axes import Axes

TITLES: Final = {"write": "Write", "read": "Read by id", "scan": "Read a query's answer"}
PANELS: Final = {
    SPEED: "records per second\n(more is better)",
    CLIENT: "client processor time,\nµs per record (less is better)",
}
OURS: Final = "#c2410c"
LIMIT: Final = "#111827"
BY_HAND: Final = ("#1d4ed8", "#0891b2", "#64748b", "#7c3aed", "#be185d")
MARKERS: Final = "sD^vP"
GRID: Final = "#e2e8f0"
FADED: Final = "#475569"
STYLE: Final[Any] = {"font.size": 10, "axes.spines.top": False, "axes.spines.right": False}

Style = dict[str, Any]


def draw(rows: Sequence[Row], path: Path, *, caption: str) -> None:
    """Write a PNG to `path`."""
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot

    tasks = [task for task in TITLES if any(row.task == task for row in rows)]
    by_size = any(len({row.size for row in rows if row.task == task}) > 1 for task in tasks)
    with pyplot.rc_context(STYLE):
        figure, axes = pyplot.subplots(
            len(PANELS),
            len(tasks),
            figsize=(5.2 * len(tasks), 8.6 if by_size else 6.4),
            squeeze=False,
        )
        for across, task in enumerate(tasks):
            shown = [row for row in rows if row.task == task]
            for down, name in enumerate(PANELS):
                (lines if by_size else bars)(axes[down][across], shown, name)
            axes[0][across].set_title(
                TITLES[task], fontsize=13, fontweight="bold", pad=58 if by_size else 10
            )
            if by_size:
                label(axes[0][across], axes[-1][across])
        for down, text in enumerate(PANELS.values()):
            axes[down][0].set_ylabel(text)
        figure.text(0.01, 0.005, caption, fontsize=8, color=FADED)
        figure.tight_layout(rect=(0, 0.025, 1, 1))
        figure.savefig(path, dpi=130)
        pyplot.close(figure)


def label(top: Axes, bottom: Axes) -> None:
    top.legend(loc="lower left", bbox_to_anchor=(-0.06, 1.0), ncols=2, frameon=False, fontsize=8.5)
    bottom.set_xlabel("records in one call")


def styles(rows: Sequence[Row]) -> dict[str, Style]:
    """By way: ours stands out, the limit is dashed."""
    by_hand = iter(zip(BY_HAND, MARKERS, strict=True))
    found: dict[str, Style] = {}
    for way, side in dict.fromkeys((row.way, row.side) for row in rows):
        if side == "ours":
            found[way] = {"color": OURS, "marker": "o", "zorder": 3, "linewidth": 2.6}
        elif side == "limit":
            found[way] = {"color": LIMIT, "marker": "x", "linestyle": "--", "linewidth": 1.2}
        else:
            color, marker = next(by_hand)
            found[way] = {"color": color, "marker": marker, "linewidth": 1.5}
    return found


def lines(axes: Axes, rows: Sequence[Row], name: str) -> None:
    """One figure of one task by size: a line for each way, its spread as a band."""
    from matplotlib.ticker import LogLocator

    sizes = sorted({row.size for row in rows})
    for way, style in styles(rows).items():
        shown = [row for row in rows if row.way == way and name in row.figures]
        shown.sort(key=lambda row: row.size)
        if shown:
            _line(axes, shown, name, sizes, style)
    axes.set_yscale("log", subs=())
    axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axes.yaxis.set_major_formatter(lambda value, _: f"{value:,.0f}")
    axes.grid(axis="y", color=GRID, linewidth=0.8)
    axes.set_xticks(range(len(sizes)), [f"{size:,}" for size in sizes])


def _line(axes: Axes, rows: Sequence[Row], name: str, sizes: Sequence[int], style: Style) -> None:
    places = [sizes.index(row.size) for row in rows]
    spreads = [row.figures[name] for row in rows]
    medians = [spread.median for spread in spreads]
    axes.plot(places, medians, label=called(rows[0]), markersize=5, **style)
    axes.fill_between(
        places,
        [spread.least for spread in spreads],
        [spread.greatest for spread in spreads],
        color=style["color"],
        alpha=0.14,
        linewidth=0,
    )


def bars(axes: Axes, rows: Sequence[Row], name: str) -> None:
    """One figure of one task at one size: a bar for each way, its spread as a whisker."""
    shown = [row for row in rows if name in row.figures][::-1]
    spreads = [row.figures[name] for row in shown]
    colors = [styles(rows)[row.way]["color"] for row in shown]
    medians = [spread.median for spread in spreads]
    drawn = axes.barh(
        [called(row) for row in shown], medians, xerr=whiskers(spreads), color=colors, height=0.6
    )
    axes.bar_label(drawn, [f"{median:,.0f}" for median in medians], padding=4, fontsize=8.5)
    axes.margins(x=0.18)
    axes.xaxis.set_major_formatter(lambda value, _: f"{value:,.0f}")
    axes.tick_params(axis="x", labelsize=8)
    axes.grid(axis="x", color=GRID, linewidth=0.8)
    axes.set_axisbelow(True)


def whiskers(spreads: Sequence[Spread]) -> list[list[float]]:
    """What bars reach below and above their medians."""
    return [
        [spread.median - spread.least for spread in spreads],
        [spread.greatest - spread.median for spread in spreads],
    ]


def called(row: Row) -> str:
    return {"ours": f"orchestra-memory: {row.way}", "limit": f"limit: {row.way}"}.get(
        row.side, row.way
    )
