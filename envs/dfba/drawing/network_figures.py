"""The figure of who feeds whom: what every agent secreted and took up over an episode."""

import textwrap
from typing import TYPE_CHECKING

import numpy as np

from ..records.run_records import crossing_species
from .culture_figures import used_colours
from .panel_figures import SMALL
from .panels import shown_text

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

MOST_SPECIES, MOST_AGENTS = 12, 12
SHARE = 1e-3
"""Amounts below this share of the largest one are not drawn."""
SHOWN = 1e-6
"""Amounts below this share are rounding."""
WIDEST = 4.5
"""Points."""


def draw_network(amounts: "pd.DataFrame") -> "Figure":
    """Draw agents on the left, species on the right, and an arrow for every amount; species of two agents are bold.

    Widths grow with the square root of amounts (mmol/L over the episode), whose sums stand beside the species.
    """
    from matplotlib.figure import Figure

    largest = max(float(amounts[["secreted", "taken_up"]].to_numpy().max(initial=0.0)), 1e-12)
    agents = list(dict.fromkeys(amounts["agent"]))[:MOST_AGENTS]
    moved = amounts.assign(total=amounts["secreted"] + amounts["taken_up"])
    moved = moved[moved["agent"].isin(agents) & (moved["total"] > SHARE * largest)]
    totals = moved.groupby("species", sort=False)["total"].sum()
    # The species that connect agents say more than those that one agent alone exchanges.
    crossing = crossing_species(moved)
    order = sorted(totals.index, key=lambda name: (name not in crossing, -totals[name]))[:MOST_SPECIES]
    species = [name for name in totals.index if name in order]
    height = max(2.2, 0.55 * max(len(agents), len(species)) + 1.0)
    figure = Figure(figsize=(6.4, height), layout="constrained")
    axes = figure.subplots()
    axes.set_xlim(-0.3, 1.35)
    axes.set_ylim(-0.08, 1.08)
    axes.axis("off")
    left = dict(zip(agents, spread(len(agents)), strict=True))
    right = dict(zip(species, spread(len(species)), strict=True))
    for agent, colour in used_colours(agents).items():
        axes.text(-0.02, left[agent], agent, ha="right", va="center", fontsize=SMALL + 1, color=colour, weight="bold")
        rows = moved[(moved["agent"] == agent) & moved["species"].isin(species)]
        for name, secreted, taken_up in zip(rows["species"], rows["secreted"], rows["taken_up"], strict=True):
            both = min(secreted, taken_up) > SHARE * largest
            for amount, outward in ((secreted, True), (taken_up, False)):
                if amount > SHARE * largest:
                    ends = ((0.0, left[agent]), (1.0, right[name]))
                    bend = 0.06 if both else 0.0
                    draw_arrow(axes, ends, outward=outward, width=amount / largest, colour=colour, bend=bend)
    for name, height_of in right.items():
        weight = "bold" if name in crossing else "normal"
        rows = moved[moved["species"] == name]
        signed = (("+", rows["secreted"].sum()), ("−", rows["taken_up"].sum()))
        text = f"{name}: " + ", ".join(
            f"{sign}{shown_text(amount)}" for sign, amount in signed if amount > SHOWN * largest
        )
        axes.text(1.02, height_of, text, ha="left", va="center", fontsize=SMALL + 1, weight=weight)
    axes.set_title("Who feeds whom" if len(agents) > 1 else "What is exchanged", loc="left", fontsize=SMALL + 2)
    note = (
        "arrows to the right and +: secreted, to the left and −: taken up; numbers: mmol/L over the episode, all agents"
    )
    note += "; bold: secreted by one agent and taken up by another" if crossing else ""
    hidden = len(totals) - len(species)
    note += f"; {hidden} species with smaller amounts are not shown" if hidden else ""
    figure.supxlabel(textwrap.fill(note, 105), x=0.01, ha="left", fontsize=SMALL - 1, color="0.35")
    return figure


def draw_arrow(
    axes: "Axes",
    ends: tuple[tuple[float, float], tuple[float, float]],
    *,
    outward: bool,
    width: float,
    colour: str,
    bend: float,
) -> None:
    """Draw an arrow between an agent and a species."""
    from matplotlib.patches import FancyArrowPatch

    begin, end = ends if outward else ends[::-1]
    axes.add_patch(
        FancyArrowPatch(
            begin,
            end,
            arrowstyle="-|>",
            mutation_scale=10 + 10 * float(np.sqrt(width)),
            linewidth=0.6 + WIDEST * float(np.sqrt(width)),
            joinstyle="miter",
            capstyle="butt",
            color=colour,
            alpha=0.75,
            connectionstyle=f"arc3,rad={bend}",
            shrinkA=3,
            shrinkB=3,
        )
    )


def spread(count: int) -> list[float]:
    """Return evenly spaced heights from the top."""
    return [0.5] if count == 1 else [float(value) for value in np.linspace(1.0, 0.0, count)]
