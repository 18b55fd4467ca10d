"""What every figure of a report shares: colours, axes, legends and the baselines' lines."""

import math
import textwrap
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from matplotlib.axes import Axes

FIGURE_WIDTH = 7.0  # inches
LABEL_SIZE = 9  # points
LETTERS_PER_INCH = 14  # of LABEL_SIZE, on the safe side

# Okabe and Ito (2008), "Color universal design"; the yellow comes last and darker, because it is weak on white.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000", "#A79B00")
# Lengths on, off, on, ... in line widths: one pattern per colour, so that lines can be told apart in grey.
DASHES: tuple[tuple[float, ...], ...] = (
    (),
    (5, 1.5),
    (1.2, 1.2),
    (6, 1.5, 1.2, 1.5),
    (9, 2.5),
    (3, 1, 1, 1, 1, 1),
    (2.5, 2.5),
    (8, 1.5, 3, 1.5),
)
# More baselines than this are named in groups; lines of one group are closer than this share of the axis.
MOST_LABELS = 8
SAME_LINE = 0.02

BASELINE_COLOUR = "#7A7A7A"


def line_style(position: int) -> dict[str, Any]:
    """Return colour and dashes of the variant at a position; no pair comes twice among 64 variants."""
    count = len(COLOURS)
    dashes = DASHES[(position + position // count) % count]
    return {"color": COLOURS[position % count], "linestyle": (0, dashes) if dashes else "-"}


def band_opacity(count: int, most: float = 0.15) -> float:
    """Return the opacity of each of some shaded intervals; the more there are, the fainter, or they hide the lines."""
    return most * min(1.0, 4 / max(count, 1))


def plain_number(value: float, _: object = None) -> str:
    """Write a number for an axis: thousands set apart, no offset, no rounding noise."""
    return f"{value:,.10g}".replace("-", "−")


def furnish(axes: "Axes", *, xlabel: str, ylabel: str = "", title: str = "") -> None:
    """Label the axes and take away what carries no information."""
    from matplotlib.ticker import FuncFormatter, MaxNLocator

    axes.set_xlabel(xlabel, fontsize=LABEL_SIZE + 1)
    axes.set_ylabel(ylabel, fontsize=LABEL_SIZE + 1)
    axes.set_title(textwrap.fill(title, 85), fontsize=LABEL_SIZE + 1, loc="left")
    axes.tick_params(labelsize=LABEL_SIZE)
    axes.xaxis.set_major_locator(MaxNLocator(6, steps=[1, 2, 2.5, 5, 10]))
    axes.xaxis.set_major_formatter(FuncFormatter(plain_number))
    axes.spines[["top", "right"]].set_visible(False)


def write_large_numbers_out(axes: "Axes") -> None:
    """Keep the vertical axis free of the factor that would otherwise stand above it, where the title is."""
    from matplotlib.ticker import FuncFormatter

    largest = max(map(abs, axes.get_ylim()))
    if 1e-2 <= largest < 1e3:
        axes.ticklabel_format(axis="y", useOffset=False)
    else:
        axes.yaxis.set_major_formatter(FuncFormatter(plain_number))


def limits(values: Iterable[float], baselines: Iterable[float], *, least_share: float) -> tuple[float, float]:
    """Return the ends of an axis for all values, and for the baselines that leave them ``least_share`` of the axis.

    Without any value the baselines alone decide. Five per cent of margin is added at both ends.
    """
    finite = [value for value in values if math.isfinite(value)]
    others = [value for value in baselines if math.isfinite(value)]
    finite, others = (finite, others) if finite else (others or [0.0], [])
    low, high = min(finite), max(finite)
    span = high - low
    for other in sorted(others, key=lambda value: max(low - value, value - high)):
        wider = max(high, other) - min(low, other)
        # Values that are all equal have no span to keep.
        if span == 0 or span / wider >= least_share:
            low, high = min(low, other), max(high, other)
    margin = 0.05 * (high - low) or 0.05 * abs(high) or 0.05
    return low - margin, high + margin


def draw_baselines(axes: "Axes", baselines: Mapping[str, float]) -> None:
    """Draw each baseline as a thin grey line with its name at the right; one off the scale is named with its number.

    The limits of the vertical axis must be set before.
    """
    low, high = axes.get_ylim()
    shown = {label: value for label, value in baselines.items() if math.isfinite(value)}
    heights = {label: min(max((value - low) / (high - low), 0.0), 1.0) for label, value in shown.items()}
    ordered = sorted(heights, key=lambda label: heights[label])
    groups = neighbours(ordered, heights) if len(ordered) > MOST_LABELS else [[label] for label in ordered]
    for group, height in zip(groups, spread([heights[group[0]] for group in groups], gap=0.055), strict=True):
        label, text = group[0], group_label(group)
        value = shown[label]
        if low <= value <= high:
            axes.axhline(value, color=BASELINE_COLOUR, linewidth=0.8, zorder=1)
        else:
            text = f"{text}: {value:.3g} {'↓' if value < low else '↑'}".replace("-", "−")
        # A short stroke leads from the line's end to the label, which may have been moved to clear its neighbours.
        axes.plot(
            [1.0, 1.02],
            [heights[label], height],
            color=BASELINE_COLOUR,
            linewidth=0.6,
            transform=axes.transAxes,
            clip_on=False,
        )
        axes.text(
            1.027,
            height,
            text,
            color=BASELINE_COLOUR,
            fontsize=LABEL_SIZE - 1,
            verticalalignment="center",
            transform=axes.transAxes,
        )


def neighbours(ordered: Sequence[str], heights: Mapping[str, float]) -> list[list[str]]:
    """Group ascending baselines that lie so close together that their lines cannot be told apart."""
    groups: list[list[str]] = []
    for label in ordered:
        if groups and heights[label] - heights[groups[-1][0]] < SAME_LINE:
            groups[-1].append(label)
        else:
            groups.append([label])
    return groups


def group_label(group: Sequence[str]) -> str:
    """Name a group of baselines by its agents, without the tasks in brackets where there are several."""
    if len(group) == 1:
        return group[0]
    agents = list(dict.fromkeys(label.partition(" (")[0] for label in group))
    return ", ".join(agents[:3]) + (" and others" if len(agents) > 3 else "")


def spread(places: Sequence[float], gap: float) -> list[float]:
    """Move ascending places apart, as little as may be, until neighbours keep a gap.

    Neighbours that are too close become a block around their common centre; blocks that then touch are joined.
    """
    blocks: list[list[float]] = []
    for place in places:
        blocks.append([place])
        while len(blocks) > 1 and blocks[-1][0] - blocks[-2][-1] < gap * (1 - 1e-9):
            joined = blocks[-2] + blocks[-1]
            blocks[-2:] = [centred(joined, gap)]
    return [place for block in blocks for place in block]


def centred(places: Sequence[float], gap: float) -> list[float]:
    """Return evenly spaced places with the same mean."""
    return [float(np.mean(places)) + gap * (rank - (len(places) - 1) / 2) for rank in range(len(places))]


def legend_below(axes: "Axes", title: str) -> None:
    """Put the legend below the axes, in as many columns as fit, so that it hides no data."""
    handles, labels = axes.get_legend_handles_labels()
    letters = int(FIGURE_WIDTH * LETTERS_PER_INCH)
    wrapped = [textwrap.fill(label, letters) for label in labels]
    columns = max(1, min(4, letters // (max(map(len, labels)) + 8)))
    legend = axes.legend(
        handles,
        wrapped,
        title=title,
        loc="upper left",
        bbox_to_anchor=(0.0, -0.15),
        borderaxespad=0.0,
        ncol=columns,
        frameon=False,
        fontsize=LABEL_SIZE,
        title_fontsize=LABEL_SIZE - 1,
        handlelength=3.5,
    )
    legend.set_alignment("left")
