"""Final scores: a point and an interval per variant, its seeds behind them, baselines below a rule."""

import math
import textwrap
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from .drawing import BASELINE_COLOUR, FIGURE_WIDTH, LABEL_SIZE, furnish, limits, line_style
from .records import Metric
from .rows import Cell, Row

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# Scores may lie close together, far from the baselines: that is worth seeing, unless the scores become one point.
LEAST_SHARE = 0.02
LABEL_LETTERS = 44  # a longer label is folded
ROW_HEIGHT = 0.34  # inches; a row of up to two lines of label is 1 high in the figure's own units
LINE_HEIGHT = 0.5  # of a row
RULE = 0.6  # of a row, left free between variants and baselines


def final_scores_figure(rows: Sequence[Row], metric: Metric) -> "Figure | None":
    """Draw the last policy's score of each row; None if no variant has one.

    Parameters
    ----------
    rows
        Variants, then baselines, from top to bottom.
    metric
        What is drawn.
    """
    from matplotlib.figure import Figure

    drawn = [(row, row.cell("last", metric.name)) for row in rows]
    drawn = [(row, cell) for row, cell in drawn if row.role == "variant" or cell.values]
    of_variants = [score for row, cell in drawn if row.role == "variant" for score in cell.values.values()]
    if not of_variants:
        return None
    of_baselines = [cell.centre for row, cell in drawn if row.role == "baseline"]
    labels = [textwrap.fill(f"{row.label} (n = {len(cell.values)})", LABEL_LETTERS) for row, cell in drawn]
    room = np.array([max(1.0, LINE_HEIGHT * (label.count("\n") + 1.4)) for label in labels])
    is_baseline = np.array([row.role == "baseline" for row, _ in drawn])
    heights = np.cumsum(room) - room / 2 + RULE * is_baseline
    bottom = heights[-1] + room[-1] / 2
    figure = Figure(figsize=(FIGURE_WIDTH, 1.1 + ROW_HEIGHT * bottom))
    axes = figure.add_subplot()
    axes.set_xlim(limits(of_variants, of_baselines, least_share=LEAST_SHARE))
    axes.set_ylim(bottom, 0)
    for position, ((row, cell), height) in enumerate(zip(drawn, heights, strict=True)):
        draw_score(axes, cell, height, BASELINE_COLOUR if row.role == "baseline" else line_style(position)["color"])
    if of_baselines:
        axes.axhline(room[~is_baseline].sum() + RULE / 2, color="black", linewidth=0.6)
    furnish(axes, xlabel=f"{metric.name} ({metric.better} is better)", title=metric.meaning)
    axes.set_yticks(heights, labels)
    axes.tick_params(axis="y", length=0)
    axes.grid(axis="x", color="#DDDDDD", linewidth=0.6)
    axes.set_axisbelow(True)
    axes.annotate(
        "point: interquartile mean over seeds; bar: 95 % bootstrap interval; faint: single seeds",
        xy=(0, 0),
        xytext=(0, -38),
        xycoords="axes fraction",
        textcoords="offset points",
        fontsize=LABEL_SIZE - 1,
        verticalalignment="top",
    )
    return figure


def draw_score(axes: "Axes", cell: Cell, height: float, colour: str) -> None:
    """Draw one row: seeds, interval and point; an arrow with the number where the point is off the scale."""
    if not cell.values:
        axes.text(
            0.01, height, "no finished run", transform=axes.get_yaxis_transform(), va="center", fontsize=LABEL_SIZE
        )
        return
    left, right = axes.get_xlim()
    if not left <= cell.centre <= right:
        below = cell.centre < left
        text = f"◂ {cell.centre:.3g}" if below else f"{cell.centre:.3g} ▸"
        axes.text(
            0.01 if below else 0.99,
            height,
            text.replace("-", "−"),
            transform=axes.get_yaxis_transform(),
            horizontalalignment="left" if below else "right",
            verticalalignment="center",
            color=colour,
            fontsize=LABEL_SIZE,
        )
        return
    # Seeds stand a little apart in height, in their order, so that equal scores do not hide one another.
    seeds = list(cell.values.values())
    offsets = np.linspace(-0.18, 0.18, len(seeds)) if len(seeds) > 1 else np.zeros(1)
    axes.scatter(seeds, height + offsets, s=14, color=colour, alpha=0.45, linewidths=0, zorder=2)
    low, high = cell.interval
    if not math.isnan(low):
        axes.plot([low, high], [height, height], color=colour, linewidth=2.2, solid_capstyle="butt", zorder=3)
    axes.plot([cell.centre], [height], marker="o", markersize=6.5, color=colour, markeredgecolor="white", zorder=4)
