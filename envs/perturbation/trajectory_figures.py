"""Figures of mean trajectories: aligned with references by time warping, and in the plane of principal components."""

from typing import TYPE_CHECKING, Any

import numpy as np

from .sequence_metrics import dtw_alignment, dtw_per_dimension

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

SYSTEM, REFERENCE, GREY = "#0072B2", "#D55E00", "0.55"
TITLES = {
    "perturbed": "held-out perturbed cells",
    "control": "test controls",
    "twin": "embedding model",
}
MOST_PANELS = 6


def warping_table(trajectory: "pd.DataFrame") -> "pd.DataFrame":
    """Return the cost of the best alignment with each reference: ``reference``, ``gene`` and ``dtw`` (expression)."""
    import pandas as pd

    series = split_series(trajectory)
    system = series.pop("system")
    parts = [
        pd.DataFrame({"reference": name, "gene": system.columns, "dtw": dtw_per_dimension(system, points)})
        for name, points in series.items()
    ]
    return pd.concat(parts, ignore_index=True)


def split_series(trajectory: "pd.DataFrame") -> "dict[str, pd.DataFrame]":
    """Return the points (n_points, n_genes) of the system and of each reference by name."""
    return {
        str(name): rows.drop(columns=["series", "point"]) for name, rows in trajectory.groupby("series", sort=False)
    }


def draw_warping(trajectory: "pd.DataFrame") -> "Figure":
    """Draw the system's mean trajectory aligned with each reference, the costs, and the distance of every gene.

    The two series are those of the gene in which the system moved furthest.
    """
    from matplotlib.figure import Figure

    series, costs = split_series(trajectory), warping_table(trajectory)
    system = series.pop("system")
    gene = str((system.iloc[-1] - system.iloc[0]).abs().idxmax())
    figure = Figure(figsize=(10.5, 1.2 + 2.9 * len(series)), layout="constrained")
    panels = figure.subplots(len(series) + 1, 2, width_ratios=(1.7, 1), height_ratios=[2.6] * len(series) + [1.3])
    for (left, right), (name, points) in zip(panels, series.items(), strict=False):
        cost, path = dtw_alignment(system[gene].to_numpy(), points[gene].to_numpy())
        draw_alignment(left, system[gene].to_numpy(), points[gene].to_numpy(), path, f"{gene}, log expression")
        mean = float(costs.loc[costs["reference"] == name, "dtw"].mean())
        left.set_title(
            f"System against {TITLES.get(name, name)}: DTW {cost[-1, -1]:.3g} in {gene}, {mean:.3g} over genes",
            loc="left",
            fontsize="medium",
        )
        left.legend(
            [left.lines[-2], left.lines[-1]], ["system", TITLES.get(name, name)], frameon=False, fontsize="small"
        )
        draw_costs(right, cost, path, TITLES.get(name, name))
    for panel in panels[-1]:
        panel.remove()
    draw_strip(figure.add_subplot(panels[-1, 0].get_gridspec()[-1, :]), costs)
    return figure


def draw_alignment(
    axes: "Axes", system: "np.ndarray", reference: "np.ndarray", path: "np.ndarray", quantity: str
) -> None:
    """Draw two series (n_points,) and a line for each pair of points that the alignment puts together."""
    for i, j in path:
        axes.plot([i, j], [system[i], reference[j]], color="0.8", linewidth=0.9, zorder=1)
    axes.plot(system, color=SYSTEM, marker="o", markersize=4)
    axes.plot(reference, color=REFERENCE, marker="s", markersize=4, linestyle="--")
    axes.set_xlabel("point of the trajectory")
    axes.set_ylabel(quantity)
    axes.locator_params(axis="x", integer=True)
    axes.spines[["top", "right"]].set_visible(False)


def draw_costs(axes: "Axes", cost: "np.ndarray", path: "np.ndarray", name: str) -> None:
    """Draw accumulated costs and the best alignment through them."""
    image = axes.imshow(cost, origin="lower", cmap="cividis", aspect="auto")
    axes.plot(path[:, 1], path[:, 0], color="white", marker="o", markersize=3, linewidth=1.5)
    axes.set_xlabel(f"point of {name}")
    axes.set_ylabel("point of system")
    axes.locator_params(axis="both", integer=True)
    axes.figure.colorbar(image, ax=axes, label="accumulated cost", pad=0.02)


def draw_strip(axes: "Axes", costs: "pd.DataFrame") -> None:
    """Draw the distance in every gene as a row of cells per reference; genes are sorted by their mean distance."""
    wide = costs.pivot_table(index="reference", columns="gene", values="dtw").reindex(costs["reference"].unique())
    wide = wide[wide.mean().sort_values(ascending=False).index]
    image = axes.imshow(wide.to_numpy(), cmap="cividis", aspect="auto", vmin=0)
    axes.set_yticks(range(len(wide)), [TITLES.get(str(name), str(name)) for name in wide.index], fontsize="small")
    every = -(-len(wide.columns) // 60)
    shown = range(0, len(wide.columns), every)
    axes.set_xticks(shown, [str(wide.columns[place]) for place in shown], rotation=90, fontsize=6.5)
    axes.set_title("DTW per gene", loc="left", fontsize="medium")
    axes.figure.colorbar(image, ax=axes, label="DTW", pad=0.01)


def choose_groups(size: "pd.Series", most: int) -> "list[tuple[str, str, str]]":
    """Return the groups to draw, as (split, perturbation, cell type): the largest ones, half of them of split A.

    ``size`` is indexed by group. Where a split has too few the other ones fill its place.
    """
    ordered = [tuple(map(str, group)) for group in size.sort_values(ascending=False, kind="stable").index]
    seen = [group for group in ordered if group[0] == "A"]
    others = [group for group in ordered if group[0] != "A"]
    n_others = min(len(others), max(most // 2, most - len(seen)))
    chosen = seen[: most - n_others] + others[:n_others]
    return [(group[0], group[1], group[2]) for group in chosen]


def draw_plane(plane: "pd.DataFrame") -> "Figure":
    """Draw the mean way, its band and the observed mean of the perturbations whose observed mean is furthest away."""
    from matplotlib.figure import Figure

    first = plane[plane["point"] == 0].set_index(["split", "perturbation", "cell_type"])
    distance = np.hypot(first["target_1"] - first["mean_1"], first["target_2"] - first["mean_2"])
    groups = choose_groups(distance, MOST_PANELS)
    columns = min(3, len(groups))
    rows = -(-len(groups) // columns)
    figure = Figure(figsize=(3.5 * columns, 0.9 + 3.0 * rows), layout="constrained")
    panels = figure.subplots(rows, columns, sharex=True, sharey=True, squeeze=False).ravel()
    indexed = plane.set_index(["split", "perturbation", "cell_type"]).sort_index()
    several = len(set(plane["cell_type"])) > 1
    for panel, group in zip(panels, groups, strict=False):
        draw_way(panel, indexed.loc[[group]].sort_values("point"))
        panel.set_title(group_title(group, several=several), loc="left", fontsize="small")
    for panel in panels[len(groups) :]:
        panel.set_visible(False)
    share = [float(plane[f"share_{axis}"].iloc[0]) for axis in (1, 2)]
    figure.supxlabel(f"first principal component of training controls ({share[0]:.0%} of variance)", fontsize="medium")
    figure.supylabel(f"second principal component ({share[1]:.0%})", fontsize="medium")
    handles, labels = panels[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside upper center", ncols=3, frameon=False, fontsize="small")
    return figure


def draw_way(axes: "Axes", way: "pd.DataFrame") -> None:
    """Draw one mean way, where the cells start and end, and the mean of the observed cells."""
    from matplotlib.patches import Ellipse

    mean = way[["mean_1", "mean_2"]].to_numpy()
    low, high = (way[[f"{edge}_1", f"{edge}_2"]].to_numpy() for edge in ("low", "high"))
    styles: tuple[tuple[int, dict[str, Any]], ...] = (
        (0, {"fill": False, "edgecolor": "0.35", "linestyle": "--", "label": "start: 10 to 90 % of cells per axis"}),
        (-1, {"facecolor": SYSTEM, "alpha": 0.2, "linewidth": 0, "label": "end: 10 to 90 % of cells per axis"}),
    )
    for point, style in styles:
        centre, size = (low[point] + high[point]) / 2, high[point] - low[point]
        axes.add_patch(Ellipse((centre[0], centre[1]), size[0], size[1], **style))
    axes.plot(*mean.T, color=SYSTEM, marker=".", markersize=5, linewidth=1.4, label="mean way")
    axes.plot(*mean[0], color="black", marker="o", markersize=5, linestyle="", label="mean start")
    axes.plot(
        way["target_1"].iloc[0],
        way["target_2"].iloc[0],
        color=REFERENCE,
        marker="X",
        markersize=9,
        linestyle="",
        label="mean of observed cells",
    )
    axes.set_aspect("equal")
    axes.spines[["top", "right"]].set_visible(False)


def group_title(group: tuple[str, str, str], *, several: bool) -> str:
    """Name a group: its perturbation, its cell type where there are several, and its split."""
    split, perturbation, kind = group
    return f"{perturbation} in {kind} (split {split})" if several else f"{perturbation} (split {split})"
