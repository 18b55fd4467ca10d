"""Figures of effects: predicted against observed ones gene by gene, and how far each is from every other."""

from typing import TYPE_CHECKING

import numpy as np
from scipy.spatial.distance import cdist

from .metrics import pearson_delta
from .trajectory_figures import choose_groups, group_title

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

MOST_PANELS = 8
NAMED_GENES = 4
MOST_RANKED = 40
"""Perturbations on each side of a heat map, at most."""
MOST_WRITTEN = 30
"""Up to so many perturbations have their ranks written on the diagonal."""
GROUP = ["split", "perturbation", "cell_type"]


def draw_effects(effects: "pd.DataFrame") -> "Figure":
    """Draw predicted against observed effects over genes, a panel for each of the strongest perturbations.

    The perturbation's own target gene is left out, as it is from ``pearson_delta``.
    """
    from matplotlib.figure import Figure

    kept = effects[~effects["own_target"]]
    strength = kept["observed"].pow(2).groupby([kept[name] for name in GROUP]).mean()
    groups = choose_groups(strength, MOST_PANELS)
    columns = min(4, len(groups))
    rows = -(-len(groups) // columns)
    figure = Figure(figsize=(0.6 + 2.9 * columns, 0.9 + 2.8 * rows), layout="constrained")
    figure.get_layout_engine().set(h_pad=0.09)  # type: ignore[union-attr, call-arg]
    panels = figure.subplots(rows, columns, squeeze=False).ravel()
    by_group = kept.set_index(GROUP).sort_index()
    several = len(set(effects["cell_type"])) > 1
    for panel, group in zip(panels, groups, strict=False):
        draw_group(panel, by_group.loc[[group]], group_title(group, several=several))
    for panel in panels[len(groups) :]:
        panel.set_visible(False)
    figure.supxlabel("observed effect, log expression", fontsize="medium")
    figure.supylabel("predicted effect, log expression", fontsize="medium")
    handles, labels = panels[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside upper center", ncols=4, frameon=False, fontsize="small")
    return figure


def draw_group(axes: "Axes", genes: "pd.DataFrame", title: str) -> None:
    """Draw the genes of one perturbation, those that differ significantly in colour, and name the largest of them."""
    observed, predicted = genes["observed"].to_numpy(), genes["predicted"].to_numpy()
    significant = genes["significant"].to_numpy(dtype=bool)
    low, high = min(observed.min(), predicted.min()), max(observed.max(), predicted.max())
    margin = 0.08 * (high - low) or 0.1
    ends = (low - margin, high + margin)
    axes.plot(ends, ends, color="0.6", linewidth=0.9, linestyle="--", label="predicted = observed", zorder=1)
    for chosen, colour, marker, label in (
        (~significant, "0.6", "o", "gene, no significant change"),
        (significant, "#0072B2", "D", "gene, significant change (q < 0.05)"),
    ):
        axes.scatter(
            observed[chosen], predicted[chosen], s=14, color=colour, marker=marker, alpha=0.8, linewidth=0, label=label
        )
    axes.set(xlim=ends, ylim=ends, aspect="equal")
    axes.set_title(f"{title}\nPearson {pearson_delta(predicted, observed):.2f}", loc="left", fontsize="small")
    axes.tick_params(labelsize="small")
    axes.spines[["top", "right"]].set_visible(False)
    largest = np.argsort(-np.abs(observed) * significant, kind="stable")[:NAMED_GENES]
    name_genes(axes, observed, predicted, genes["gene"].to_numpy(), largest[significant[largest]])


def name_genes(
    axes: "Axes", observed: "np.ndarray", predicted: "np.ndarray", names: "np.ndarray", chosen: "np.ndarray"
) -> None:
    """Write names beside genes, on the inner side, moved apart vertically with a stroke to each gene."""
    low, high = axes.get_ylim()
    gap, middle = 0.085 * (high - low), (low + high) / 2
    for side in (-1, 1):
        here = sorted((gene for gene in chosen if (observed[gene] > middle) == (side > 0)), key=lambda g: predicted[g])
        places = apart([float(predicted[gene]) for gene in here], gap)
        shift = max(0.0, low + gap / 2 - places[0]) - max(0.0, places[-1] + gap / 2 - high) if places else 0.0
        for gene, place in zip(here, places, strict=True):
            axes.annotate(
                str(names[gene]),
                (float(observed[gene]), float(predicted[gene])),
                (float(observed[gene]) - side * 0.07 * (high - low), place + shift),
                fontsize=7.5,
                horizontalalignment="right" if side > 0 else "left",
                verticalalignment="center",
                arrowprops={"arrowstyle": "-", "color": "0.5", "linewidth": 0.6, "shrinkA": 0, "shrinkB": 1},
            )


def apart(places: list[float], gap: float) -> list[float]:
    """Move ascending places apart until neighbours keep a gap, with their mean unchanged."""
    if not places:
        return []
    moved = [places[0]]
    for place in places[1:]:
        moved.append(max(place, moved[-1] + gap))
    offset = float(np.mean(places) - np.mean(moved))
    return [place + offset for place in moved]


def discrimination_table(effects: "pd.DataFrame") -> "pd.DataFrame":
    """Return L1 distances that ``pds`` ranks, of the first perturbations of every split and cell type.

    Columns: ``split``, ``cell_type``, ``predicted``, ``observed``, ``distance``; of the predicted one ``nearer``, how
    many of all ``rivals`` are nearer than the right one (ties count half), and ``pds``; and ``mean_pds`` of all. Target
    genes of all perturbations are left out. Where fewer than two are to be told apart there are no rows.
    """
    import pandas as pd

    parts = []
    for (split, kind), rows in effects[~effects["any_target"]].groupby(["split", "cell_type"], sort=True):
        predicted, observed = (
            rows.pivot_table(index="perturbation", columns="gene", values=name) for name in ("predicted", "observed")
        )
        if len(predicted) < 2:
            continue
        values = cdist(predicted, observed, "cityblock")
        nearer = count_nearer(values)
        names, shown = predicted.index.to_numpy(), slice(MOST_RANKED)
        long = pd.DataFrame(values[shown, shown], names[shown], names[shown]).melt(
            ignore_index=False, var_name="observed", value_name="distance"
        )
        order = np.tile(np.arange(len(names[shown])), len(names[shown]))
        columns = {
            "split": split,
            "cell_type": kind,
            "predicted": long.index.to_numpy(),
            "observed": long["observed"].to_numpy(),
            "distance": long["distance"].to_numpy(),
            "nearer": nearer[order],
            "rivals": len(names) - 1,
            "pds": (1.0 - nearer / (len(names) - 1))[order],
            "mean_pds": 1.0 - nearer.mean() / (len(names) - 1),
        }
        parts.append(pd.DataFrame(columns))
    return pd.concat(parts, ignore_index=True) if parts else pd.DataFrame(columns=["split", "cell_type"])


def count_nearer(distance: "np.ndarray") -> "np.ndarray":
    """Return how many other columns are nearer than the diagonal in each row (K, K), (K,); ties count half."""
    own = np.diagonal(distance)[:, None]
    nearer: np.ndarray = (distance < own).sum(axis=1) + 0.5 * ((distance == own).sum(axis=1) - 1)
    return nearer


def draw_discrimination(distances: "pd.DataFrame") -> "Figure":
    """Draw distances of predicted (rows) to observed effects (columns), a panel per split, with ranks on the diagonal.

    Of several cell types in a split the first one is drawn.
    """
    from matplotlib.figure import Figure

    several = len(set(distances["cell_type"])) > 1
    contests = {
        (str(split), str(rows["cell_type"].iloc[0])): rows[rows["cell_type"] == rows["cell_type"].iloc[0]]
        for split, rows in distances.groupby("split", sort=True)
    }
    sizes = [max(len(set(rows["predicted"])), 5) for rows in contests.values()]
    widths = [1.6 + 0.27 * size for size in sizes]
    figure = Figure(figsize=(sum(widths) + 1.4, 1.7 + 0.25 * max(sizes)), layout="constrained")
    panels = figure.subplots(1, len(contests), squeeze=False, width_ratios=widths).ravel()
    for panel, ((split, kind), rows) in zip(panels, contests.items(), strict=True):
        draw_distances(panel, rows, f"Split {split}, {kind}" if several else f"Split {split}")
    figure.supxlabel(
        "on the diagonal: how many other perturbations are nearer to the prediction (0: none, the best)",
        fontsize="small",
    )
    return figure


def draw_distances(axes: "Axes", rows: "pd.DataFrame", title: str) -> None:
    """Draw the distances of one split and cell type."""
    table = rows.pivot_table(index="predicted", columns="observed", values="distance")
    values, nearer = table.to_numpy(dtype=float), rows.groupby("predicted")["nearer"].first()
    image = axes.imshow(values, cmap="cividis", aspect="equal")
    middle = (values.min() + values.max()) / 2
    if len(table) <= MOST_WRITTEN:
        for place, rank in enumerate(nearer):
            colour = "black" if values[place, place] > middle else "white"
            axes.text(place, place, f"{rank:g}", color=colour, ha="center", va="center", fontsize=7)
    names = [str(name) for name in table.index]
    axes.set_xticks(range(len(names)), names, rotation=90, fontsize=7)
    axes.set_yticks(range(len(names)), names, fontsize=7)
    axes.set_xlabel("observed effect of")
    axes.set_ylabel("predicted effect of")
    total = int(rows["rivals"].iloc[0]) + 1
    shown = "" if len(table) == total else f", first {len(table)} of {total}"
    axes.set_title(f"{title}: PDS {rows['mean_pds'].iloc[0]:.3g}{shown}", loc="left", fontsize="medium")
    axes.figure.colorbar(image, ax=axes, label="L1 distance over genes", shrink=0.8)
