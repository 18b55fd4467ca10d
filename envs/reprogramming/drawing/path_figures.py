"""The way of an agent through the drawing of cells, beside a shortest one."""

import textwrap
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np

from .legends import legend_below

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.lines import Line2D

AGENT, SHORTEST, START, TARGET, CELLS = "#0072B2", "#D55E00", "#56B4E9", "#E69F00", "0.87"
MOST_COLUMNS = 3
MOST_NAMED = 9
"""Actions of a way that are written out."""
CLOSE = 0.035
"""Names and numbers nearer than this share of the drawing would cover each other."""


def path_data(paths: "pd.DataFrame", shortest: "pd.DataFrame", drawing: "pd.DataFrame") -> "pd.DataFrame":
    """Return the places of all cells and of the ways of the episodes that have a shortest one.

    Columns: ``series`` (``cells``, ``agent`` or ``shortest``), ``episode``, ``step``, ``cell``, ``type``, ``x``, ``y``,
    ``action_name`` (what led there), ``target_type`` and ``success``; step 0 is the start.
    """
    import pandas as pd

    episodes = shortest["episode"].unique()
    own = paths[paths["episode"].isin(episodes)]
    facts = own.groupby("episode").agg(target_type=("target_type", "last"), success=("success", "last"))
    parts = [drawing.assign(series="cells")]
    for series, steps in (("agent", own), ("shortest", shortest)):
        columns = ["episode", "step", "cell", "action_name"]
        first = steps[steps["step"] == 1].assign(step=0, action_name="")[columns]
        way = pd.concat([first, steps.drop(columns="cell").rename(columns={"next": "cell"})[columns]])
        way = way.merge(drawing, on="cell").merge(facts, left_on="episode", right_index=True)
        parts.append(way.assign(series=series).sort_values(["episode", "step"]))
    order = ["series", "episode", "step", "cell", "type", "x", "y", "action_name", "target_type", "success"]
    return pd.concat(parts, ignore_index=True).reindex(columns=order)


def draw_paths(data: "pd.DataFrame") -> "Figure":
    """Draw a column per episode: the agent's way above, a shortest one by the table below."""
    from matplotlib.figure import Figure

    cells = data[data["series"] == "cells"]
    ways = data[data["series"] != "cells"]
    episodes = choose_columns(ways)
    figure = Figure(figsize=(max(4.2 * len(episodes), 9.0), 9.5), layout="constrained")
    panels = figure.subplots(2, len(episodes), sharex=True, sharey=True, squeeze=False)
    for row, (series, colour) in zip(panels, (("agent", AGENT), ("shortest", SHORTEST)), strict=True):
        for panel, episode in zip(row, episodes, strict=True):
            way = ways[(ways["series"] == series) & (ways["episode"] == episode)].sort_values("step")
            draw_cells(panel, cells, str(way["type"].iloc[0]), str(way["target_type"].iloc[0]))
            draw_way(panel, way, colour, extent_of(cells))
            panel.set_title(title_of(way, series), loc="left", fontsize="medium")
            panel.set_xlabel(list_actions(way), fontsize=7.5, loc="left")
    legend_below(figure, handles=make_key(), ncols=6)
    return figure


def make_key() -> "list[Line2D]":
    """Return what the signs mean."""
    from matplotlib.lines import Line2D

    marks = (
        ("first cell", "black", "o"),
        ("last cell", "black", "X"),
        ("cells of the first type", START, "."),
        ("cells of the target type", TARGET, "."),
    )
    lines = (("agent", AGENT), ("a shortest way by the table", SHORTEST))
    return [
        *(Line2D([], [], color=colour, marker=mark, linestyle="", label=text) for text, colour, mark in marks),
        *(Line2D([], [], color=colour, label=text) for text, colour in lines),
    ]


def choose_columns(ways: "pd.DataFrame", most: int = MOST_COLUMNS) -> list[int]:
    """Return the episodes to draw: of middling and of largest shortest length, and the one that was kept last."""
    lengths = ways[ways["series"] == "shortest"].groupby("episode")["step"].max()
    agent = ways[ways["series"] == "agent"].groupby("episode").agg(length=("step", "max"), success=("success", "last"))
    excess = agent["length"] - lengths + 1000 * ~agent["success"].astype(bool)
    worst = int(excess.idxmax())
    others = lengths.drop(worst).sort_values(kind="stable").index
    picked = [int(others[len(others) // 2]), int(others[-1])] if len(others) > 1 else [int(one) for one in others]
    return list(dict.fromkeys([*picked, worst]))[:most]


def draw_cells(axes: "Axes", cells: "pd.DataFrame", start: str, target: str) -> None:
    """Draw all cells, those of both types in colour, and the names of all types where most of their cells are."""
    colours = {start: START, target: TARGET}
    for kind, colour in [(None, CELLS), *colours.items()]:
        own = ~cells["type"].isin(colours) if kind is None else cells["type"] == kind
        axes.scatter(cells.loc[own, "x"], cells.loc[own, "y"], s=4, color=colour, linewidths=0, rasterized=True)
    middles = cells.groupby("type")[["x", "y"]].median()
    middles = middles.loc[[*colours, *(kind for kind in middles.index if kind not in colours)]]
    gap = CLOSE * extent_of(cells)
    for kind, (x, y) in zip(middles.index, part_names(middles.to_numpy(dtype=float), 3 * gap, gap), strict=True):
        axes.text(
            x,
            y,
            str(kind),
            fontsize=7.5,
            color="black" if kind in colours else "0.4",
            fontweight="bold" if kind in colours else "normal",
            horizontalalignment="center",
            verticalalignment="center",
            zorder=3,
        )
    axes.set_xticks([])
    axes.set_yticks([])
    axes.spines[:].set_visible(False)


def part_names(places: "np.ndarray", width: float, height: float) -> "np.ndarray":
    """Return places (n, 2) of names, each moved down until it is clear of those before it."""
    free: list[np.ndarray] = []
    for place in places:
        moved = place.copy()
        while any(abs(moved[0] - other[0]) < width and abs(moved[1] - other[1]) < height for other in free):
            moved[1] -= height / 4
        free.append(moved)
    return np.array(free)


def extent_of(cells: "pd.DataFrame") -> float:
    """Return the longer side of the drawing."""
    return float(np.ptp(cells[["x", "y"]].to_numpy(dtype=float), axis=0).max()) or 1.0


def draw_way(axes: "Axes", way: "pd.DataFrame", colour: str, extent: float) -> None:
    """Draw arrows from cell to cell, with the numbers of steps beside the cells that are reached."""
    place = way[["x", "y"]].to_numpy(dtype=float)
    for first, second in pairwise(place):
        style = {"arrowstyle": "-|>", "color": colour, "linewidth": 1.3, "shrinkA": 0, "shrinkB": 0}
        axes.annotate("", xy=second, xytext=first, arrowprops=style, zorder=4)
    axes.plot(*place[0], color="black", marker="o", markersize=6, linestyle="", zorder=5)
    axes.plot(*place[-1], color="black", marker="X", markersize=8, linestyle="", zorder=5)
    for text, spot in number_steps(place, CLOSE * extent):
        axes.annotate(
            text,
            (spot[0], spot[1]),
            xytext=(4, 4),
            textcoords="offset points",
            fontsize=8,
            color=colour,
            fontweight="bold",
            bbox={"facecolor": "white", "alpha": 0.7, "linewidth": 0, "pad": 0.4},
            zorder=6,
        )


def number_steps(place: "np.ndarray", gap: float) -> "list[tuple[str, np.ndarray]]":
    """Return the numbers to write and where, such as ``3`` or ``3-5`` for steps that end near to each other.

    Parameters
    ----------
    place
        (steps + 1, 2), the start first.
    gap
        Steps in a row that end within this of the first of them share their numbers; other places nearer than this
        to one that has numbers go without.
    """
    labels: list[tuple[int, int, np.ndarray]] = []
    for step in range(1, len(place)):
        if labels and np.linalg.norm(place[step] - labels[-1][2]) < gap and labels[-1][1] == step - 1:
            labels[-1] = (labels[-1][0], step, labels[-1][2])
        elif all(np.linalg.norm(place[step] - spot) >= gap for *_, spot in labels):
            labels.append((step, step, place[step]))
    return [(f"{first}" if first == last else f"{first}-{last}", spot) for first, last, spot in labels]


def title_of(way: "pd.DataFrame", series: str) -> str:
    """Say from where to where, and in how many steps."""
    steps = int(way["step"].max())
    count = count_steps(steps)
    types = f"{way['type'].iloc[0]} to {way['target_type'].iloc[0]}"
    if series == "shortest":
        return f"shortest: {count}"
    return f"{types}\nagent: {count}" if way["success"].iloc[-1] else f"{types}\nagent: not reached in {count}"


def count_steps(steps: int) -> str:
    """Return a number of steps in words."""
    return "1 step" if steps == 1 else f"{steps} steps"


def list_actions(way: "pd.DataFrame") -> str:
    """Return the actions of a way with their numbers, the first of many."""
    names = way.loc[way["step"] > 0, "action_name"].astype(str).tolist()
    named = [f"{step} {name}" for step, name in enumerate(names[:MOST_NAMED], 1)]
    rest = [f"and {len(names) - MOST_NAMED} more"] if len(names) > MOST_NAMED else []
    return textwrap.fill(",  ".join([*named, *rest]), 62)
