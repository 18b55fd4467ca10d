"""The ways of an agent for a browser: every cell answers the pointer, and every way can be shown alone."""

from html import escape
from typing import TYPE_CHECKING, Any

from .path_figures import AGENT, SHORTEST, count_steps

if TYPE_CHECKING:
    import pandas as pd

Chart = dict[str, Any]

DIGITS = 5
PALETTE = (
    *("#88CCEE", "#CC6677", "#DDCC77", "#117733", "#332288", "#AA4499"),
    *("#44AA99", "#999933", "#882255", "#661100", "#6699CC", "#888888"),
)
"""Colours of types (Tol 2021, "Colour schemes"); they begin anew after twelve."""


def path_chart(data: "pd.DataFrame") -> Chart:
    """Return ``data`` and ``layout`` as plotly reads them, from what `path_figures.path_data` gives.

    The episode with the longest shortest way is shown; the legend shows and hides the others.
    """
    cells, ways = data[data["series"] == "cells"], data[data["series"] != "cells"]
    traces = [
        cell_trace(str(kind), own, PALETTE[place % len(PALETTE)])
        for place, (kind, own) in enumerate(cells.groupby("type"))
    ]
    lengths = ways[ways["series"] == "shortest"].groupby("episode")["step"].max()
    episodes = list(lengths.sort_values(ascending=False, kind="stable").index)
    for episode in episodes:
        for series, colour in (("agent", AGENT), ("shortest", SHORTEST)):
            own = ways[(ways["episode"] == episode) & (ways["series"] == series)]
            traces.append(way_trace(own, series, colour, shown=episode == episodes[0]))
    layout: dict[str, Any] = {
        "height": 720,
        "hovermode": "closest",
        "xaxis": {"visible": False},
        "yaxis": {"visible": False, "scaleanchor": "x"},
        "margin": {"l": 20, "r": 20, "t": 20, "b": 20},
        "legend": {"groupclick": "togglegroup"},
    }
    note = "Ways on test cells beside shortest ones by the table; click in the legend to show or hide an episode."
    return {"data": traces, "layout": layout, "note": note}


def cell_trace(kind: str, cells: "pd.DataFrame", colour: str) -> dict[str, Any]:
    """Return the cells of a type as points."""
    return {
        "type": "scatter",
        "mode": "markers",
        "name": escape(kind),
        "x": cells["x"].astype(float).round(DIGITS).tolist(),
        "y": cells["y"].astype(float).round(DIGITS).tolist(),
        "text": [f"cell {cell}" for cell in cells["cell"]],
        "hovertemplate": "%{text}",
        "marker": {"size": 4, "color": colour, "opacity": 0.45},
    }


def way_trace(way: "pd.DataFrame", series: str, colour: str, *, shown: bool) -> dict[str, Any]:
    """Return a way as a line; each point tells the step, the action that led there and the type of the cell."""
    episode, steps = int(way["episode"].iloc[0]), int(way["step"].max())
    start, target = escape(str(way["type"].iloc[0])), escape(str(way["target_type"].iloc[0]))
    told = zip(way["step"], way["action_name"], way["type"], strict=True)
    return {
        "type": "scatter",
        "mode": "lines+markers",
        "name": f"{series}, {count_steps(steps)}",
        "legendgroup": f"episode {episode}",
        "legendgrouptitle": {"text": f"episode {episode}: {start} to {target}"},
        "visible": True if shown else "legendonly",
        "x": way["x"].astype(float).round(DIGITS).tolist(),
        "y": way["y"].astype(float).round(DIGITS).tolist(),
        "text": [escape(f"{step} {name or 'start'}: {kind}") for step, name, kind in told],
        "hovertemplate": "%{text}",
        "line": {"color": colour, "width": 2},
        "marker": {"size": 7, "symbol": "arrow", "angleref": "previous"},
    }
