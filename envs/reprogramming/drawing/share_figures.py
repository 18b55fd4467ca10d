"""Figures of shares: lengths of ways, successes by types, use of actions, and distances in the data set."""

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

BLUE, ORANGE, GREY = "#0072B2", "#D55E00", "0.75"
KINDS = {True: ("overexpression", BLUE), False: ("knock-out", ORANGE)}
MOST_ACTIONS = 20


def length_data(episodes: "pd.DataFrame") -> "pd.DataFrame":
    """Return how many episodes have which length: ``length``, and ``agent``, ``shortest`` (successes alone), ``all``.

    ``all`` counts shortest lengths of all episodes, those without a way under -1.
    """
    import pandas as pd

    won = episodes[episodes["success"]]
    counts = {
        "agent": won["length"].value_counts(),
        "shortest": won["optimal_length"].value_counts(),
        "all": episodes["optimal_length"].value_counts(),
    }
    table = pd.DataFrame(counts).fillna(0).astype(int).sort_index()
    return table.rename_axis("length").reset_index()


def draw_lengths(data: "pd.DataFrame") -> "Figure":
    """Draw how many steps successful episodes took, and how many they needed at least."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(6.4, 3.6), layout="constrained")
    axes = figure.subplots()
    series = (("agent", "agent", BLUE, -0.21), ("shortest", "shortest way by the table", ORANGE, 0.21))
    shown = data[data["length"] >= 0]
    for name, label, colour, offset in series:
        count = shown[name].sum()
        mean = f", mean {(shown['length'] * shown[name]).sum() / count:.2f}" if count else ""
        axes.bar(shown["length"] + offset, shown[name], width=0.42, color=colour, label=f"{label}{mean}")
    total, won = int(data["all"].sum()), int(data["agent"].sum())
    axes.set_title(f"{won:,} successes in {total:,} test episodes", loc="left", fontsize="medium")
    axes.set_xlabel("steps")
    axes.set_ylabel("episodes")
    axes.legend(frameon=False, fontsize="small")
    finish(axes)
    return figure


def type_data(episodes: "pd.DataFrame") -> "pd.DataFrame":
    """Return the share of successes of each pair: ``start_type``, ``target_type``, ``episodes``, ``success``."""
    grouped = episodes.groupby(["start_type", "target_type"])["success"]
    return grouped.agg(episodes="size", success="mean").reset_index()


def draw_types(data: "pd.DataFrame") -> "Figure":
    """Draw successes by start and target as a table of colours, the worst targets and starts at the lower right."""
    from matplotlib.figure import Figure

    wide = data.pivot_table(index="start_type", columns="target_type", values="success")
    wide = wide.loc[
        wide.mean(axis=1).sort_values(ascending=False, kind="stable").index,
        wide.mean().sort_values(ascending=False, kind="stable").index,
    ]
    rows, columns = wide.shape
    figure = Figure(figsize=(2.6 + 0.42 * columns, 1.7 + 0.36 * rows), layout="constrained")
    axes = figure.subplots()
    image = axes.imshow(100 * wide.to_numpy(), cmap="cividis", vmin=0, vmax=100, aspect="auto")
    axes.set_facecolor("white")
    axes.set_xticks(range(columns), [str(name) for name in wide.columns], rotation=60, horizontalalignment="right")
    axes.set_yticks(range(rows), [str(name) for name in wide.index])
    axes.tick_params(labelsize="small")
    if rows * columns <= 400:
        for (row, column), share in np.ndenumerate(wide.to_numpy()):
            if np.isfinite(share):
                colour = "white" if share < 0.55 else "black"
                text = f"{100 * share:.0f}"
                axes.text(column, row, text, ha="center", va="center", fontsize=7, color=colour)
    axes.set_xlabel("target type")
    axes.set_ylabel("type of the start")
    axes.set_title("success in test episodes, %", loc="left", fontsize="medium")
    figure.colorbar(image, ax=axes, label="episodes that succeed, %", pad=0.02)
    return figure


def action_data(actions: "pd.DataFrame") -> "pd.DataFrame":
    """Return actions with the most used first: ``action``, ``activates``, ``count`` and ``share``."""
    return actions.sort_values(["count", "action"], ascending=[False, True], kind="stable", ignore_index=True)


def draw_actions(data: "pd.DataFrame") -> "Figure":
    """Draw the twenty actions that are used most, and the share of both kinds."""
    from matplotlib.figure import Figure
    from matplotlib.patches import Patch

    shown = data[data["count"] > 0].head(MOST_ACTIONS)
    figure = Figure(figsize=(6.4, 1.5 + 0.23 * max(len(shown), 4)), layout="constrained")
    axes = figure.subplots()
    colours = [KINDS[bool(kind)][1] for kind in shown["activates"]]
    axes.barh(range(len(shown)), 100 * shown["share"], color=colours, height=0.75)
    axes.set_yticks(range(len(shown)), shown["action"].astype(str).tolist(), fontsize="small")
    axes.set_ylim(max(len(shown), 1) - 0.4, -0.6)
    used, steps = int((data["count"] > 0).sum()), int(data["count"].sum())
    axes.set_title(f"{used} of {len(data)} actions used in {steps:,} steps", loc="left", fontsize="medium")
    axes.set_xlabel("share of steps in test episodes, %")
    shares = data.groupby("activates")["share"].sum()
    handles = [
        Patch(color=colour, label=f"{name}, {100 * shares.get(kind, 0.0):.0f} % of steps")
        for kind, (name, colour) in KINDS.items()
    ]
    axes.legend(handles=handles, frameon=False, fontsize="small", loc="lower right")
    axes.spines[["top", "right"]].set_visible(False)
    return figure


def draw_distances(data: "pd.DataFrame") -> "Figure":
    """Draw how far all cells are from all other types, and from how many of them each type can be reached in time."""
    from matplotlib.figure import Figure

    targets = data["target_type"].nunique()
    figure = Figure(figsize=(10.5, max(3.6, 1.2 + 0.22 * targets)), layout="constrained")
    left, right = figure.subplots(1, 2, width_ratios=(1.5, 1))
    total = int(data["cells"].sum())
    solvable = data[data["solvable"]]
    late = data[~data["solvable"] & (data["distance"] >= 0)]
    none = int(data.loc[data["distance"] < 0, "cells"].sum())
    for part, colour, label in ((solvable, BLUE, "within the horizon"), (late, ORANGE, "beyond it")):
        if len(part):
            counts = part.groupby("distance")["cells"].sum()
            left.bar(counts.index, 100 * counts / total, color=colour, width=0.85, label=label)
    if none:
        place = int(data["distance"].max()) + 2
        left.bar([place], [100 * none / total], color=GREY, width=0.85, label="no way at all")
    left.set_xlabel("steps of the shortest way by the table")
    left.set_ylabel("pairs of cell and target type, %")
    known = data[data["distance"] >= 0]
    mean = (known["distance"] * known["cells"]).sum() / max(int(known["cells"].sum()), 1)
    share = solvable["cells"].sum() / total
    left.set_title(f"{100 * share:.1f} % of {total:,} pairs solvable, mean {mean:.2f}", loc="left", fontsize="medium")
    left.legend(frameon=False, fontsize="small")
    finish(left)
    by_target = (solvable.groupby("target_type")["cells"].sum() / data.groupby("target_type")["cells"].sum()).fillna(0)
    by_target = by_target.sort_values(ascending=False, kind="stable")
    right.barh(range(len(by_target)), 100 * by_target, color=BLUE, height=0.75)
    right.set_yticks(range(len(by_target)), [str(name) for name in by_target.index], fontsize="small")
    right.set_ylim(len(by_target) - 0.4, -0.6)
    right.set_xlim(0, 100)
    right.set_xlabel("cells that reach this target type within the horizon, %")
    right.spines[["top", "right"]].set_visible(False)
    return figure


def finish(axes: "Axes") -> None:
    """Put whole numbers on the horizontal axis, and take away what carries no information."""
    axes.locator_params(axis="x", integer=True)
    axes.spines[["top", "right"]].set_visible(False)
