"""Drawings on paper: panels as matplotlib draws them."""

import textwrap
from typing import TYPE_CHECKING, Any

import numpy as np

from .panels import GREY, REFERENCE_DASHES, Bars, Drawing, FloatArray, Line, Map, Panel, shown_text, visible_ends

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

SMALL = 8.0
"""Points."""
LETTERS_PER_INCH = 15
"""Of SMALL, on the safe side."""
LABEL_GAP, LINE_BELOW = 0.12, 0.23
"""Inches beside the ticks' numbers, and from an axis to a label below one line of them."""
LONGEST_NUMBER = 8


def draw(drawing: Drawing) -> "Figure":
    """Draw all panels, with one legend below them."""
    from matplotlib.figure import Figure

    width, height = drawing.size
    figure = Figure(figsize=(max(width * drawing.columns, 4.0), 0.7 + height * drawing.rows), layout="constrained")
    grid = figure.subplots(
        drawing.rows, drawing.columns, squeeze=False, sharex=drawing.shared_x, sharey=drawing.shared_y
    )
    images: list[Any] = []
    for axes, panel in zip(grid.ravel(), drawing.panels, strict=False):
        draw_panel(axes, panel, images, letters=int((width - 0.6) * LETTERS_PER_INCH))
        if drawing.shared_x and not axes.get_subplotspec().is_last_row():
            axes.set_xlabel("")
        if drawing.shared_y and not axes.get_subplotspec().is_first_col():
            axes.set_ylabel("")
    for axes in grid.ravel()[len(drawing.panels) :]:
        axes.set_visible(False)
    if images:
        bar = figure.colorbar(images[0], ax=grid, shrink=0.8, pad=0.02, aspect=12 + 10 * drawing.rows)
        bar.set_label(next(panel.map.label for panel in drawing.panels if panel.map), fontsize=SMALL)
        bar.ax.tick_params(labelsize=SMALL)
    letters = int(figure.get_figwidth() * LETTERS_PER_INCH)
    if drawing.title:
        figure.suptitle(textwrap.fill(drawing.title, letters), fontsize=SMALL + 2, x=0.01, ha="left")
    entries: dict[str, Any] = {}
    for axes in grid.ravel():
        for handle, label in zip(*axes.get_legend_handles_labels(), strict=True):
            entries.setdefault(label, handle)
    if entries or drawing.note:
        columns = max(1, min(6, letters // (max(map(len, entries), default=1) + 9)))
        figure.legend(
            entries.values(),
            entries.keys(),
            loc="outside lower left",
            ncols=columns,
            frameon=False,
            fontsize=SMALL,
            title=textwrap.fill(drawing.note, letters) or None,
            title_fontsize=SMALL - 0.5,
            alignment="left",
            handlelength=3.0,
        )
    # Laid out once: every file would do it anew, which takes longer than drawing.
    figure.draw_without_rendering()
    figure.set_layout_engine("none")
    return figure


def draw_panel(axes: "Axes", panel: Panel, images: list[Any], *, letters: int) -> None:
    """Draw one panel; a map's image is added to ``images``."""
    for begin, end, colour in panel.shades:
        axes.axvspan(begin, end, color=colour, alpha=0.18, linewidth=0)
    if panel.map is not None:
        images.append(draw_map(axes, panel.map))
    if panel.bars is not None:
        draw_bars(axes, panel.bars, letters)
    for line in panel.lines:
        draw_line(axes, line)
    axes.set_title(textwrap.fill(panel.title, letters), fontsize=SMALL + 1, loc="left", y=1.0)
    axes.set_xlabel(panel.xlabel, fontsize=SMALL)
    axes.set_ylabel(panel.ylabel, fontsize=SMALL)
    axes.tick_params(labelsize=SMALL)
    axes.spines[["top", "right"]].set_visible(False)
    if panel.logarithmic:
        axes.set_yscale("log")
    elif panel.lines and panel.map is None:
        axes.set_ylim(visible_ends(panel))
        axes.locator_params(axis="y", nbins=5)
    elif panel.ends is not None:
        axes.set_ylim(panel.ends)
    if panel.bars is None:
        axes.locator_params(axis="x", nbins=5)
        if panel.xlabel == "simulator calls":
            axes.xaxis.set_major_formatter(thousands)
    draw_levels(axes, panel)
    place_labels(axes, below=panel.bars is None)


def place_labels(axes: "Axes", *, below: bool) -> None:
    """Put labels at distances that fit their ticks, which matplotlib would else look for anew in every pass."""
    from matplotlib.transforms import ScaledTranslation

    inches = axes.figure.dpi_scale_trans
    written = axes.yaxis.get_major_formatter().format_ticks(axes.get_yticks().tolist())
    beside = LABEL_GAP + min(max(map(len, written), default=0), LONGEST_NUMBER) / LETTERS_PER_INCH
    axes.yaxis.set_label_coords(0.0, 0.5, axes.transAxes + ScaledTranslation(-beside, 0.0, inches))
    if below:
        axes.xaxis.set_label_coords(0.5, 0.0, axes.transAxes + ScaledTranslation(0.0, -LINE_BELOW, inches))


def draw_line(axes: "Axes", line: Line) -> None:
    """Draw a line over its intervals."""
    for band, opacity in ((line.spread, 0.12), ((line.low, line.high), 0.25)):
        if band is not None and band[0] is not None and band[1] is not None:
            axes.fill_between(line.x, band[0], band[1], color=line.colour, alpha=opacity, linewidth=0)
    look: dict[str, Any] = {"linestyle": (0, line.dashes) if line.dashes else "-", "linewidth": line.width}
    if line.markers:
        look = {"linestyle": "", "marker": "o", "markersize": 3.5}
    elif len(line.x) == 1:
        look["marker"] = "o"
    if line.step:
        look["drawstyle"] = "steps-pre"
    axes.plot(line.x, line.y, color=line.colour, label=line.name or None, **look)


def draw_levels(axes: "Axes", panel: Panel) -> None:
    """Draw horizontal lines; one off the scale only has its number in the legend."""
    low, high = axes.get_ylim()
    for place, (name, value) in enumerate(panel.levels):
        dashes = REFERENCE_DASHES[place % len(REFERENCE_DASHES)]
        style: dict[str, Any] = {"color": GREY, "linewidth": 1.0, "linestyle": (0, dashes) if dashes else "-"}
        label = f"{name}: {shown_text(value)}"
        if low <= value <= high:
            axes.axhline(value, label=label, zorder=1, **style)
        else:
            axes.plot([], [], label=label, **style)


def draw_bars(axes: "Axes", bars: Bars, letters: int) -> None:
    """Draw bars with intervals, and points beside their middle."""
    places = np.arange(len(bars.names))
    axes.bar(places, bars.values, width=0.65, color=list(bars.colours) or GREY, alpha=0.75)
    known = np.isfinite(bars.low) & np.isfinite(bars.high)
    reach = np.maximum([bars.values - bars.low, bars.high - bars.values], 0.0)[:, known]
    axes.errorbar(places[known], bars.values[known], reach, fmt="none", ecolor="black", elinewidth=1.0, capsize=3)
    if bars.medians is not None:
        look: dict[str, Any] = {"marker": "D", "markersize": 4.5, "linestyle": "", "markeredgecolor": "black"}
        axes.plot(places, bars.medians, color="white", label="median", **look)
    for place, points in zip(places, bars.points, strict=False):
        spots = place + np.linspace(-0.2, 0.2, len(points)) if len(points) > 1 else np.full(len(points), place)
        axes.plot(spots, points, color="black", marker="o", markersize=2.5, linestyle="")
    axes.axhline(0, color="0.3", linewidth=0.6)
    crowded = sum(map(len, bars.names)) + 2 * len(bars.names) > letters
    axes.set_xticks(places, bars.names, rotation=30 if crowded else 0, ha="right" if crowded else "center")


def draw_map(axes: "Axes", shown: Map) -> Any:
    """Draw a map in colours."""
    low, high = shown.ends
    extent = (*cell_sides(shown.x), *cell_sides(shown.y))
    # An image, which is drawn much faster than a mesh of cells.
    image = axes.imshow(shown.values, extent=extent, origin="lower", aspect="auto", cmap="cividis", vmin=low, vmax=high)
    axes.set_xlim(shown.x[0], shown.x[-1])
    axes.set_ylim(shown.y[0], shown.y[-1])
    return image


def cell_sides(centres: FloatArray) -> tuple[float, float]:
    """Return where the first cell of an even grid begins and the last one ends."""
    half = 0.5 * float(centres[1] - centres[0])
    return float(centres[0]) - half, float(centres[-1]) + half


def thousands(value: float, _: object = None) -> str:
    """Write simulator calls shortly: 200000 as 200k, 3000000 as 3M."""
    if abs(value) >= 1e6:
        return f"{value / 1e6:g}M"
    return f"{value / 1000:g}k" if abs(value) >= 1000 else f"{value:g}"
