"""Performance profiles: the share of runs that do better than a score, along that score."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from .drawing import FIGURE_WIDTH, band_opacity, furnish, legend_below, limits, line_style
from .records import Metric
from .rows import Row
from .statistics import Floats, share_above

if TYPE_CHECKING:
    from matplotlib.figure import Figure

# With fewer the share takes too few values to be worth a line.
LEAST_SEEDS = 3

# The steps of few seeds have wide bands, which overlap.
BAND_OPACITY = 0.1


def performance_profile_figure(rows: Sequence[Row], metric: Metric) -> "Figure | None":
    """Draw the share of each variant's runs whose last policy does better than a score, as Agarwal et al. (2021) do.

    Parameters
    ----------
    rows
        Variants in the order that decides on colours; other rows are passed over.
    metric
        What is drawn.

    Returns
    -------
    Figure or None
        None unless every variant has a score for at least three seeds.
    """
    from matplotlib.figure import Figure

    scores = [
        (row.label, np.array(list(row.cell("last", metric.name).values.values())))
        for row in rows
        if row.role == "variant"
    ]
    if not scores or any(values.size < LEAST_SEEDS for _, values in scores):
        return None
    left, right = limits(np.concatenate([values for _, values in scores]), (), least_share=0.0)
    figure = Figure(figsize=(FIGURE_WIDTH, 4.2))
    axes = figure.add_subplot()
    for position, (label, values) in enumerate(scores):
        thresholds, share, low, high = profile(values, better=metric.better, ends=(left, right))
        style = line_style(position)
        axes.step(thresholds, share, where="post", label=f"{label} (n = {values.size})", linewidth=1.8, **style)
        opacity = band_opacity(len(scores), BAND_OPACITY)
        axes.fill_between(thresholds, low, high, step="post", color=style["color"], alpha=opacity, linewidth=0)
    axes.set_xlim(left, right)
    axes.set_ylim(-0.02, 1.02)
    furnish(
        axes,
        xlabel=f"{metric.name} ({metric.better} is better)",
        ylabel="share of runs that do better",
        title=metric.meaning,
    )
    legend_below(axes, "line: share of seeds, the higher the better; shaded: pointwise 95 % bootstrap interval")
    return figure


def profile(values: Floats, *, better: str, ends: tuple[float, float]) -> tuple[Floats, Floats, Floats, Floats]:
    """Return scores and the share of values that are better than them, with the ends of its interval.

    The share is constant from each of these scores to the next: they are the two ends and the values between them.
    """
    steps = np.unique(np.concatenate([values[np.isfinite(values)], ends]))
    if better == "higher":
        return (steps, *share_above(values, steps))
    # Just above a step the value at it is better already.
    return (steps, *share_above(-values, -np.nextafter(steps, np.inf)))
