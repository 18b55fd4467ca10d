"""What a figure shows, before it is drawn: lines, bars and maps in panels, for paper and browser alike."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]

# Okabe and Ito (2008), "Color universal design", without its yellow.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
DASHES: tuple[tuple[float, ...], ...] = ((), (5, 1.5), (1.2, 1.2), (6, 1.5, 1.2, 1.5), (9, 2.5), (3, 1, 1, 1, 1, 1))
GREY = "#7A7A7A"
REFERENCE_DASHES: tuple[tuple[float, ...], ...] = ((), (4, 2), (1, 1.5), (6, 2, 1, 2))


def colour_of(position: int) -> str:
    """Return the colour of the agent or variant at a position."""
    return COLOURS[position % len(COLOURS)]


def dashes_of(position: int) -> tuple[float, ...]:
    """Return its pattern, as lengths on and off in line widths; no pair comes twice among 42."""
    return DASHES[(position + position // len(COLOURS)) % len(DASHES)]


@dataclass(frozen=True)
class Line:
    """A quantity along the horizontal axis, with an interval where it has one.

    Attributes
    ----------
    name
        In the legend, where equal names stand once; empty: not there.
    spread
        Further intervals, drawn fainter, such as of episodes where ``low`` and ``high`` are those of seeds.
    markers
        Points instead of a line.
    step
        The value holds from its point to the next.
    """

    x: FloatArray
    y: FloatArray
    name: str = ""
    colour: str = COLOURS[0]
    dashes: tuple[float, ...] = ()
    width: float = 1.6
    low: FloatArray | None = None
    high: FloatArray | None = None
    spread: tuple[FloatArray, FloatArray] | None = None
    markers: bool = False
    step: bool = False


@dataclass(frozen=True)
class Bars:
    """A value for each of some names, with its interval (NaN: none), the single values behind it, and their medians."""

    names: tuple[str, ...]
    values: FloatArray
    low: FloatArray
    high: FloatArray
    points: tuple[FloatArray, ...] = ()
    colours: tuple[str, ...] = ()
    medians: FloatArray | None = None


@dataclass(frozen=True)
class Map:
    """Values (n_y, n_x) over two quantities, on a scale that all maps of a figure share."""

    x: FloatArray
    y: FloatArray
    values: FloatArray
    label: str
    ends: tuple[float, float]


@dataclass(frozen=True)
class Panel:
    """One pair of axes.

    Attributes
    ----------
    levels
        Horizontal lines by name, such as of baselines.
    shades
        Stretches of the horizontal axis and their colour.
    ends
        Of the vertical axis; None: all that is shown, but for levels that lie far away.
    logarithmic
        Whether the vertical axis is.
    """

    title: str = ""
    xlabel: str = ""
    ylabel: str = ""
    lines: tuple[Line, ...] = ()
    levels: tuple[tuple[str, float], ...] = ()
    shades: tuple[tuple[float, float, str], ...] = ()
    bars: Bars | None = None
    map: Map | None = None
    ends: tuple[float, float] | None = None
    logarithmic: bool = False


@dataclass(frozen=True)
class Drawing:
    """A figure: panels in rows, a title and what must be known to read them.

    Attributes
    ----------
    size
        Of one panel, inches.
    shared_x, shared_y
        All panels have the same axis, which is labelled at the bottom or at the left alone.
    """

    panels: tuple[Panel, ...]
    columns: int
    title: str = ""
    note: str = ""
    size: tuple[float, float] = (3.2, 2.3)
    shared_x: bool = False
    shared_y: bool = False

    @property
    def rows(self) -> int:
        """How many rows the panels need."""
        return -(-len(self.panels) // self.columns)


def stretches(x: FloatArray, marked: NDArray[np.bool_]) -> list[tuple[float, float]]:
    """Return where a condition held, as (begin, end); a point stands for the time since the point before it."""
    if not len(x):
        return []
    before = np.concatenate([[2 * x[0] - x[1] if len(x) > 1 else x[0]], x[:-1]])
    edges = np.flatnonzero(np.diff(np.concatenate([[False], marked, [False]]).astype(int)))
    return [(float(before[a]), float(x[b - 1])) for a, b in zip(edges[::2], edges[1::2], strict=True)]


def visible_ends(panel: Panel, least_share: float = 0.3) -> tuple[float, float]:
    """Return the ends of a vertical axis: for all lines, and for levels that leave those ``least_share`` of it."""
    if panel.ends is not None:
        return panel.ends
    seen: list[FloatArray] = []
    for line in panel.lines:
        seen += [line.y, *(part for part in (line.low, line.high, *(line.spread or ())) if part is not None)]
    values = np.concatenate([*seen, np.empty(0)])
    values = values[np.isfinite(values)]
    levels = [value for _, value in panel.levels if np.isfinite(value)]
    if not len(values):
        values = np.array(levels or [0.0, 1.0])
    low, high = float(values.min()), float(values.max())
    for level in sorted(levels, key=lambda value: max(low - value, value - high)):
        wider = max(high, level) - min(low, level)
        if high == low or (high - low) / wider >= least_share:
            low, high = min(low, level), max(high, level)
    margin = 0.05 * (high - low) or 0.05 * abs(high) or 0.05
    return low - margin, high + margin


def shown_text(value: float) -> str:
    """Write a number shortly."""
    return f"{value:.3g}".replace("-", "−")


def named(entries: Sequence[tuple[str, float]]) -> tuple[tuple[str, float], ...]:
    """Return levels whose value is known."""
    return tuple((name, value) for name, value in entries if np.isfinite(value))
