"""Drawings in a browser: panels as plotly reads them, in plain dictionaries."""

import math
from html import escape
from typing import Any

import numpy as np

from .panels import GREY, REFERENCE_DASHES, Bars, Drawing, FloatArray, Line, Map, Panel, shown_text, visible_ends

Chart = dict[str, Any]

GAP_X, GAP_Y = 0.09, 0.14
"""Between panels, shares of the figure for one column and row; more panels have less."""
PANEL_HEIGHT, AROUND = 260, 150
"""Pixels."""
OPACITY = {"spread": "1f", "interval": "40"}
DIGITS = 6


def chart(drawing: Drawing) -> Chart:
    """Return ``data`` and ``layout`` of all panels; equal names answer to one legend entry."""
    data: list[dict[str, Any]] = []
    layout: dict[str, Any] = {
        "title": {"text": escape(drawing.title, quote=False), "x": 0.01, "font": {"size": 15}},
        "height": PANEL_HEIGHT * drawing.rows + AROUND,
        "hovermode": "closest",
        "legend": {"orientation": "h", "x": 0, "y": -0.18 / drawing.rows, "yanchor": "top"},
        "annotations": [],
        "shapes": [],
        "margin": {"l": 60, "r": 20, "t": 60, "b": 60},
    }
    named: set[str] = set()
    first_map = True
    for place, panel in enumerate(drawing.panels):
        number = place + 1
        row, column = divmod(place, drawing.columns)
        x, y = domain(column, drawing.columns, GAP_X), domain(drawing.rows - 1 - row, drawing.rows, GAP_Y)
        layout |= axes_of(panel, number, x, y)
        layout["annotations"].append(heading(panel.title, x[0], y[1]))
        suffix = axis_suffix(number)
        for begin, end, colour in panel.shades:
            shape = {"type": "rect", "xref": f"x{suffix}", "yref": f"y{suffix} domain", "x0": begin, "x1": end}
            layout["shapes"].append(shape | {"y0": 0, "y1": 1, "fillcolor": colour + "33", "line": {"width": 0}})
        found = [trace for line in panel.lines for trace in line_traces(line)]
        if panel.map is not None:
            found.insert(0, map_trace(panel.map, shown_scale=first_map))
            first_map = False
        if panel.bars is not None:
            found += bar_traces(panel.bars)
        found += level_traces(panel)
        for trace in found:
            name = trace.get("name", "")
            trace["showlegend"] = bool(name) and name not in named and trace.get("showlegend", True)
            if trace["showlegend"]:
                named.add(name)
            data.append(trace | {"xaxis": f"x{suffix}", "yaxis": f"y{suffix}"})
    return {"data": data, "layout": layout, "note": drawing.note}


def axis_suffix(number: int) -> str:
    """Return what plotly calls the axes of the panel with this number, from 1: nothing, 2, 3 and so on."""
    return "" if number == 1 else str(number)


def domain(place: int, count: int, gap: float) -> tuple[float, float]:
    """Return the part of the figure that a column or row has."""
    gap = min(gap, 0.5 / count)
    width = (1 - gap * (count - 1)) / count
    begin = place * (width + gap)
    return begin, min(begin + width, 1.0)


def axes_of(panel: Panel, number: int, x: tuple[float, float], y: tuple[float, float]) -> dict[str, Any]:
    """Return the layout of a panel's axes."""
    suffix = axis_suffix(number)
    shared = {"automargin": True, "zeroline": False, "showline": True, "exponentformat": "power"}
    horizontal = shared | {"domain": list(x), "anchor": f"y{suffix}", "title": title(panel.xlabel)}
    if panel.xlabel == "simulator calls":
        horizontal["tickformat"] = "~s"
    vertical = shared | {"domain": list(y), "anchor": f"x{suffix}", "title": title(panel.ylabel)}
    if panel.logarithmic:
        vertical["type"] = "log"
    elif panel.ends is not None or (panel.lines and panel.map is None):
        vertical["range"] = list(visible_ends(panel))
    if panel.bars is not None:
        horizontal["type"] = "category"
    return {f"xaxis{suffix}": horizontal, f"yaxis{suffix}": vertical}


def title(text: str) -> dict[str, Any]:
    """Return the title of an axis."""
    return {"text": escape(text, quote=False), "standoff": 6, "font": {"size": 12}}


def heading(text: str, x: float, y: float) -> dict[str, Any]:
    """Return a panel's title as an annotation above its left corner."""
    place = {"xref": "paper", "yref": "paper", "x": x, "y": y, "xanchor": "left", "yanchor": "bottom"}
    return place | {"text": escape(text, quote=False), "showarrow": False, "font": {"size": 13}}


def line_traces(line: Line) -> list[dict[str, Any]]:
    """Return a line, and before it its intervals; all of them answer to the line's entry in the legend."""
    traces: list[dict[str, Any]] = []
    for kind, band in (("spread", line.spread), ("interval", (line.low, line.high))):
        if band is None or band[0] is None or band[1] is None:
            continue
        known = np.isfinite(band[0]) & np.isfinite(band[1])
        x, low, high = line.x[known], band[0][known], band[1][known]
        outline = {"x": numbers(np.concatenate([x, x[::-1]])), "y": numbers(np.concatenate([high, low[::-1]]))}
        traces.append(
            {"type": "scatter", **outline, "mode": "lines", "line": {"width": 0, "color": line.colour}}
            | {"fill": "toself", "fillcolor": line.colour + OPACITY[kind], "hoverinfo": "skip"}
            | {"legendgroup": line.name, "showlegend": False}
        )
    dash = ",".join(f"{length * line.width:g}px" for length in line.dashes) or "solid"
    shape = {"shape": "vh"} if line.step else {}
    traces.append(
        {"type": "scatter", "x": numbers(line.x), "y": numbers(line.y), "name": escape(line.name, quote=False)}
        | {"mode": "markers" if line.markers or len(line.x) == 1 else "lines", "legendgroup": line.name}
        | {"line": {"width": line.width + 0.4, "color": line.colour, "dash": dash, **shape}}
        | {"marker": {"color": line.colour, "size": 6}}
    )
    return traces


def level_traces(panel: Panel) -> list[dict[str, Any]]:
    """Return horizontal lines along all that the panel shows."""
    known = np.concatenate([np.asarray(line.x, dtype=np.float64) for line in panel.lines] or [np.zeros(1)])
    traces = []
    for place, (name, value) in enumerate(panel.levels):
        dash = ",".join(f"{length * 1.2:g}px" for length in REFERENCE_DASHES[place % len(REFERENCE_DASHES)]) or "solid"
        label = f"{escape(name, quote=False)}: {shown_text(value)}"
        traces.append(
            {"type": "scatter", "x": numbers(np.linspace(known.min(), known.max(), 20)), "y": [value] * 20}
            | {"mode": "lines", "name": label, "legendgroup": label}
            | {"line": {"width": 1.2, "color": GREY, "dash": dash}}
        )
    return traces


def bar_traces(bars: Bars) -> list[dict[str, Any]]:
    """Return bars with their intervals, and the single values."""
    up, down = numbers(bars.high - bars.values), numbers(bars.values - bars.low)
    found: list[dict[str, Any]] = [
        {"type": "bar", "x": list(bars.names), "y": numbers(bars.values), "opacity": 0.8}
        | {"marker": {"color": list(bars.colours) or GREY}, "showlegend": False}
        | {"error_y": {"type": "data", "array": up, "arrayminus": down, "symmetric": False}}
    ]
    if bars.medians is not None:
        look = {"color": "white", "size": 8, "symbol": "diamond", "line": {"width": 1, "color": "black"}}
        found.append(
            {"type": "scatter", "x": list(bars.names), "y": numbers(bars.medians), "mode": "markers"}
            | {"marker": look, "name": "median", "legendgroup": "median"}
        )
    for name, points in zip(bars.names, bars.points, strict=False):
        found.append(
            {"type": "scatter", "x": [name] * len(points), "y": numbers(points), "mode": "markers"}
            | {"marker": {"color": GREY, "size": 6, "line": {"width": 1, "color": "white"}}, "showlegend": False}
        )
    return found


def map_trace(shown: Map, *, shown_scale: bool = True) -> dict[str, Any]:
    """Return a map in colours, with the scale that all maps share beside the first."""
    low, high = shown.ends
    return {
        "type": "heatmap",
        "x": numbers(shown.x),
        "y": numbers(shown.y),
        "z": [numbers(row) for row in shown.values],
        "zmin": low,
        "zmax": high,
        "colorscale": "Cividis",
        "showscale": shown_scale,
        "colorbar": {"title": {"text": escape(shown.label, quote=False), "side": "right"}},
    }


def numbers(values: FloatArray) -> list[float | None]:
    """Round to a few digits; what is not finite becomes null, as JSON knows no NaN."""
    return [float(f"{value:.{DIGITS}g}") if math.isfinite(value) else None for value in np.asarray(values, float)]
