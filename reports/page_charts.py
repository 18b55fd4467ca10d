"""Learning curves for a browser: traces and layout as plotly reads them, in plain dictionaries."""

import math
import textwrap
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from html import escape
from typing import Any

import numpy as np

from .curves import LEAST_SHARE, TRAINING_SCALARS, Curve, learning_curve
from .drawing import BASELINE_COLOUR, COLOURS, DASHES, limits
from .records import Metric
from .rows import baseline_rows
from .statistics import Floats
from .table_formats import three_digits
from .variants import Variant

LINE_WIDTH = 2  # pixels
BAND_OPACITY = "26"  # hexadecimal, of 255: 15 %
FAINT_OPACITY = "0d"  # 5 %
LABEL_LETTERS = 44  # a longer label is folded
DIGITS = 6  # significant ones in the page, more than a screen can show

# A longer curve is drawn without markers, a shorter one shows where it was measured.
MOST_MARKERS = 30

# With more lines than this, a box with all their values would hide the curves, so that each line answers by itself;
# and intervals as strong as usual would hide one another.
MOST_TOGETHER = 12

# A line answers the pointer only where it has points.
BASELINE_POINTS = 50

Trace = dict[str, Any]


@dataclass(frozen=True)
class Chart:
    """One quantity along simulator calls.

    Attributes
    ----------
    title, meaning
        What stands above the chart; the meaning may be empty.
    traces, layout
        As ``Plotly.react`` takes them; colours that depend on the scheme are left to the page.
    """

    title: str
    meaning: str
    traces: list[Trace]
    layout: dict[str, Any]


def charts(members: Sequence[Variant], metrics: Sequence[Metric]) -> list[Chart]:
    """Return the learning curves of one environment's variants: every metric, then the rewards of training."""
    rows = baseline_rows(members, metrics)
    found = [
        learning_curve_chart(
            members,
            f"evaluation/{metric.name}",
            title=f"{metric.name} ({metric.better} is better)",
            meaning=metric.meaning,
            baselines={row.label: row.cell("last", metric.name).centre for row in rows},
        )
        for metric in metrics
    ]
    found += [
        learning_curve_chart(members, column, title=quantity, meaning="", baselines={})
        for column, quantity in TRAINING_SCALARS.items()
    ]
    return [chart for chart in found if chart is not None]


def learning_curve_chart(
    drawn: Sequence[Variant], column: str, *, title: str, meaning: str, baselines: Mapping[str, float]
) -> Chart | None:
    """Return the chart of a column of ``progress.csv``, a line per variant; None if no run has a value in it.

    Parameters
    ----------
    drawn
        The order decides on colours.
    column
        For example ``evaluation/incidence``.
    title, meaning
        What stands above the chart.
    baselines
        Final scores by label, drawn as horizontal lines; one off the scale only has its number in the legend.
    """
    curves = {position: learning_curve(variant.runs, column) for position, variant in enumerate(drawn)}
    present = {position: curve for position, curve in curves.items() if curve is not None}
    if not present:
        return None
    seen = np.concatenate([values for curve in present.values() for values in (curve.centre, curve.low, curve.high)])
    low, high = limits(seen, baselines.values(), least_share=LEAST_SHARE)
    calls = np.concatenate([curve.calls for curve in present.values()])
    together = len(present) <= MOST_TOGETHER
    opacity = BAND_OPACITY if together else FAINT_OPACITY
    traces = [
        trace
        for position, curve in present.items()
        for trace in curve_traces(position, drawn[position].label, curve, opacity=opacity)
    ]
    known = {label: value for label, value in baselines.items() if math.isfinite(value)}
    for position, (label, value) in enumerate(known.items()):
        off_scale = "" if low <= value <= high else f": {three_digits(value)} {'↓' if value < low else '↑'}"
        axis = np.linspace(calls.min(), calls.max(), BASELINE_POINTS)
        traces.append(baseline_trace(position, f"{label}{off_scale} (baseline)", value, axis))
    return Chart(title, meaning, traces, layout(title, (low, high), together=together))


def curve_traces(position: int, label: str, curve: Curve, *, opacity: str) -> Iterator[Trace]:
    """Yield the line of a variant, and before it its interval where it has one; both answer to one legend entry."""
    colour = COLOURS[position % len(COLOURS)]
    group = f"variant {position}"
    x, y = band(curve)
    if x:
        yield {
            "type": "scatter",
            "x": x,
            "y": y,
            "mode": "lines",
            "line": {"width": 0, "color": colour},
            "fill": "toself",
            "fillcolor": colour + opacity,
            "hoverinfo": "skip",
            "legendgroup": group,
            "showlegend": False,
        }
    seeds = "1 seed" if curve.seeds == 1 else f"{curve.seeds} seeds"
    yield {
        "type": "scatter",
        "name": folded(f"{label} ({seeds})"),
        "x": numbers(curve.calls),
        "y": numbers(curve.centre),
        "text": [value_text(*values) for values in zip(curve.centre, curve.low, curve.high, strict=True)],
        "mode": "lines+markers" if curve.calls.size <= MOST_MARKERS else "lines",
        "line": {"width": LINE_WIDTH, "color": colour, "dash": dash(position)},
        "marker": {"size": 5},
        "hovertemplate": "%{text}",
        "legendgroup": group,
    }


def baseline_trace(position: int, label: str, value: float, calls: Floats) -> Trace:
    """Return the thin grey line of a baseline along simulator calls."""
    return {
        "type": "scatter",
        "name": folded(label),
        "x": numbers(calls),
        "y": numbers(np.full(calls.shape, value)),
        "mode": "lines",
        "line": {"width": 1.2, "color": BASELINE_COLOUR, "dash": dash(position)},
        "hovertemplate": three_digits(value),
    }


def band(curve: Curve) -> tuple[list[float | None], list[float | None]]:
    """Return the outline of the interval: a polygon for each stretch in which it is known, null between them."""
    known = np.isfinite(curve.low) & np.isfinite(curve.high)
    stretches = np.split(np.arange(known.size), np.flatnonzero(np.diff(known)) + 1)
    x: list[float | None] = []
    y: list[float | None] = []
    for stretch in stretches:
        if known[stretch].all() and stretch.size > 1:
            x += [*numbers(curve.calls[stretch]), *numbers(curve.calls[stretch][::-1]), None]
            y += [*numbers(curve.high[stretch]), *numbers(curve.low[stretch][::-1]), None]
    return x[:-1], y[:-1]


def numbers(values: Floats) -> list[float | None]:
    """Round to a few digits, which keeps the page small; what is not finite becomes null, as JSON knows no NaN."""
    return [float(f"{value:.{DIGITS}g}") if math.isfinite(value) else None for value in values]


def value_text(centre: float, low: float, high: float) -> str:
    """Return what the pointer is told of a point."""
    interval = f" [{three_digits(low)}, {three_digits(high)}]" if math.isfinite(low) else ""
    return f"{three_digits(centre)}{interval}"


def dash(position: int) -> str:
    """Return the pattern of the variant at a position, as matplotlib's figures have it."""
    count = len(COLOURS)
    lengths = DASHES[(position + position // count) % count]
    return ",".join(f"{length * LINE_WIDTH:g}px" for length in lengths) or "solid"


def folded(label: str) -> str:
    """Break a long label into lines; plotly reads a few tags in it, so that the label's own must be escaped."""
    return "<br>".join(escape(line, quote=False) for line in textwrap.wrap(label, LABEL_LETTERS))


def layout(title: str, ends: tuple[float, float], *, together: bool) -> dict[str, Any]:
    """Return the axes and how the pointer is answered: with all values at once, or with those of one line."""
    axis = {"separatethousands": True, "automargin": True}
    return {
        "xaxis": axis
        | {
            "title": {"text": "simulator calls", "standoff": 8},
            "nticks": 6,
            "tickformat": ",.10~g",
            "hoverformat": ",.0f",
        },
        "yaxis": axis
        | {"exponentformat": "power"}
        | {"title": {"text": escape(title, quote=False), "standoff": 8}, "range": numbers(np.array(ends))},
        "hovermode": "x unified" if together else "closest",
    }
