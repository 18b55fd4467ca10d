"""A figure of nonlinear validation: which share of perturbed starts returns, and how."""

from typing import TYPE_CHECKING

import numpy as np

from .figures import COLOURS, STYLES
from .network import FloatArray
from .robustness import TOLERANCE

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

LINES_SHOWN = 6
"""Trajectories drawn by name: those of the species that stay away longest."""


def draw_robustness(
    table: "pd.DataFrame", times: FloatArray, concentration_ratio: FloatArray, species: tuple[str, ...]
) -> "Figure":
    """Draw the share of returning starts of every set against the displacement, and one start's concentrations.

    Parameters
    ----------
    table
        From `robustness.validation_table`.
    times
        Hours, ``(n_times,)``; a time of 0 is not drawn, as the axis is logarithmic.
    concentration_ratio
        ``x / x*`` from `integrators.trajectory`, ``(n_times, n_species)``.
    species
        Names of the columns.
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(11, 4.6), layout="constrained")
    shares, trajectories = figure.subplots(1, 2)
    _draw_shares(shares, table)
    _draw_trajectories(trajectories, times, concentration_ratio, species)
    return figure


def _draw_shares(axes: "Axes", table: "pd.DataFrame") -> None:
    displacements = np.sort(table["displacement"].unique())
    by_set = table.pivot_table(index="set", columns="displacement", values="robustness")[list(displacements)]
    offsets = np.linspace(-0.2, 0.2, len(by_set)) if len(by_set) > 1 else np.zeros(1)
    positions = np.arange(len(displacements))
    for row, (_, values) in enumerate(by_set.iterrows()):
        # Sets stand side by side, since most of them share the value 1.
        label = "one set" if row == 0 else None
        axes.plot(
            positions + offsets[row], values, color=COLOURS[0], marker="o", markersize=4, linewidth=0.6, label=label
        )
    axes.plot(
        positions, by_set.mean(), color="black", marker="_", markersize=20, linestyle="none", label="mean of sets"
    )
    axes.set_xticks(positions, [f"{displacement:.0%}" for displacement in displacements])
    axes.set_ylim(-0.05, 1.05)
    axes.set_xlabel("displacement of the start, of each concentration")
    axes.set_ylabel("share of starts that return")
    axes.set_title("Robustness", loc="left")
    axes.legend(loc="upper center", bbox_to_anchor=(0.5, -0.2), ncols=3, frameon=False, fontsize="small")


def _draw_trajectories(
    axes: "Axes", times: FloatArray, concentration_ratio: FloatArray, species: tuple[str, ...]
) -> None:
    drawn = times > 0
    times, ratio = times[drawn], concentration_ratio[drawn]
    away = np.nan_to_num(np.abs(ratio - 1.0), nan=0.0).sum(axis=0)
    order = np.argsort(-away, kind="stable")
    for column in order[LINES_SHOWN:]:
        axes.plot(times, ratio[:, column], color="0.8", linewidth=0.6, zorder=1)
    for index, column in enumerate(order[:LINES_SHOWN]):
        axes.plot(times, ratio[:, column], color=COLOURS[index], linestyle=STYLES[index], label=species[column])
    axes.axhspan(1.0 - TOLERANCE, 1.0 + TOLERANCE, color="0.6", linewidth=0, label=f"within {TOLERANCE:.0%}", zorder=0)
    axes.set_xscale("log")
    axes.set_xlabel("time, h")
    axes.set_ylabel("concentration over its steady value")
    axes.set_title("One start; named where it stays away longest", loc="left")
    axes.legend(loc="upper center", bbox_to_anchor=(0.5, -0.2), ncols=4, frameon=False, fontsize="small")
    axes.margins(x=0)
