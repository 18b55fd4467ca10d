"""Learning curves of every agent: over episodes in a run, and over seeds where there are several runs."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ..records.run_records import FloatArray, read_learning_agents, read_scores
from .panels import Drawing, Line, Panel, colour_of, dashes_of, named, visible_ends

if TYPE_CHECKING:
    import pandas as pd

COLUMNS = ("series", "agent", "simulator_calls", "mean", "low", "high")
REFERENCES = ("greedy", "constant", "schedule")
RESAMPLES = 1000
MOST_POINTS = 200


def learning_table(run_directory: Path) -> "pd.DataFrame":
    """Return the returns of every learning agent along training, with the smallest and largest over episodes.

    ``series`` is ``training`` (the episodes of an update) or ``validation``; columns as in ``COLUMNS``.
    """
    import pandas as pd

    agents = read_learning_agents(run_directory)
    parts = [pd.DataFrame(columns=list(COLUMNS))]
    progress = pd.read_csv(run_directory / "progress.csv") if (run_directory / "progress.csv").exists() else None
    for agent in agents:
        column = f"environment/{agent}/episode_return" if len(agents) > 1 else "environment/episode_return"
        if progress is None or column not in progress:
            continue
        rows = progress.dropna(subset=[column])
        spread = [rows.get(f"{column}_{side}", np.nan) for side in ("min", "max")]
        parts.append(curve("training", agent, rows["simulator_calls"], rows[column], *spread))
    path = run_directory / "evaluations.csv"
    if path.exists():
        found = pd.read_csv(path)
        found = found[found["split"] == "validation"]
        for agent in agents:
            if f"return_{agent}" in found and len(found):
                groups = found.groupby("simulator_calls")[f"return_{agent}"]
                kept = groups.agg(["mean", "min", "max"]).reset_index()
                parts.append(
                    curve("validation", agent, *(kept[key] for key in ("simulator_calls", "mean", "min", "max")))
                )
    return pd.concat([part for part in parts if len(part)] or parts[:1], ignore_index=True)


def curve(series: str, agent: str, calls: "pd.Series", mean: "pd.Series", low: object, high: object) -> "pd.DataFrame":
    """Return one agent's rows."""
    import pandas as pd

    columns = {"simulator_calls": calls, "mean": mean, "low": low, "high": high}
    return pd.DataFrame({"series": series, "agent": agent} | columns)[list(COLUMNS)]


def reference_levels(scores: Mapping[str, Mapping[str, float]]) -> tuple[tuple[str, float], ...]:
    """Return the mean returns of the references that were measured."""
    return named([(name, scores[name].get("mean_return", np.nan)) for name in REFERENCES if name in scores])


def draw_learning(table: "pd.DataFrame", scores: Mapping[str, Mapping[str, float]]) -> Drawing:
    """Return the curves of one run: its whole training, and the second half on a scale of its own."""
    agents = list(dict.fromkeys(table["agent"]))
    lines = []
    for place, agent in enumerate(agents):
        for series, rows in table[table["agent"] == agent].groupby("series", sort=False):
            x, mean, low, high = rows[["simulator_calls", "mean", "low", "high"]].to_numpy(dtype=float).T
            alone = series == "validation"
            # Validation takes the most probable actions, training draws them.
            name = f"{agent}, {series}"
            spread = None if alone or not np.isfinite(low).any() else (low, high)
            lines.append(
                Line(x, mean, name, colour_of(place), () if alone else dashes_of(place), spread=spread, markers=alone)
            )
    levels = reference_levels(scores)
    whole = Panel("whole training", "simulator calls", "return of an episode", tuple(lines), levels)
    whole = replace(whole, ends=visible_ends(whole, least_share=0.0))
    half = 0.5 * float(table["simulator_calls"].max())
    later = Panel(
        "second half", "simulator calls", "", tuple(part for line in lines if (part := after(line, half))), levels
    )
    note = (
        "lines: mean over the training episodes of an update; shaded: smallest to largest of them; points: validation"
    )
    if later.lines:
        later = replace(later, ends=visible_ends(later, least_share=0.7))
    return Drawing((whole, later) if later.lines else (whole,), 2, "Return of every agent", note, size=(4.2, 3.1))


def after(line: Line, begin: float) -> Line | None:
    """Return the part of a line from here on, None where it has none."""
    kept = line.x >= begin
    if not kept.any():
        return None
    spread = None if line.spread is None else (line.spread[0][kept], line.spread[1][kept])
    low, high = (None if part is None else part[kept] for part in (line.low, line.high))
    return Line(
        line.x[kept], line.y[kept], line.name, line.colour, line.dashes, line.width, low, high, spread, line.markers
    )


def pooled(tables: Sequence["pd.DataFrame"], series: str, agent: str | None) -> "pd.DataFrame | None":
    """Return the mean over runs with its 95 % bootstrap interval, and the range of all episodes of all runs.

    Columns simulator_calls, mean, low, high, least, most. Each run counts from its first to its last point. Without an
    agent it is the mean over agents.
    """
    import pandas as pd

    curves = []
    for table in tables:
        rows = table[table["series"] == series]
        rows = rows if agent is None else rows[rows["agent"] == agent]
        rows = rows.groupby("simulator_calls")[["mean", "low", "high"]].mean().reset_index()
        if len(rows):
            curves.append(rows.to_numpy(dtype=float))
    if not curves:
        return None
    axis = np.unique(np.concatenate([rows[:, 0] for rows in curves]))
    if len(axis) > MOST_POINTS:
        axis = np.linspace(axis[0], axis[-1], MOST_POINTS)
    mean, low, high = (
        np.array([np.interp(axis, rows[:, 0], rows[:, column], left=np.nan, right=np.nan) for rows in curves])
        for column in (1, 2, 3)
    )
    centre, bottom, top = mean_interval(mean)
    columns = {"simulator_calls": axis, "mean": centre, "low": bottom, "high": top}
    return pd.DataFrame(columns | {"least": extreme(low, np.fmin), "most": extreme(high, np.fmax)})


def extreme(values: FloatArray, pick: np.ufunc) -> FloatArray:
    """Return the smallest or largest known value of every column (NaN where none is)."""
    found: FloatArray = pick.reduce(values, axis=0)
    return found


def mean_interval(values: FloatArray) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Return mean and 95 % bootstrap interval over rows (n_seeds, n_points); NaN are left out, one seed has none."""
    known = np.isfinite(values)
    count = known.sum(axis=0)
    filled = np.where(known, values, 0.0)
    with np.errstate(invalid="ignore"):
        mean = filled.sum(axis=0) / count
        drawn = np.random.default_rng(0).integers(len(values), size=(RESAMPLES, len(values)))
        weights = np.stack([np.bincount(row, minlength=len(values)) for row in drawn]).astype(float)
        means = (weights @ filled) / (weights @ known)
    low, high = (np.full(mean.shape, np.nan) for _ in range(2))
    several = count > 1
    if several.any():
        low[several], high[several] = np.nanpercentile(means[:, several], [2.5, 97.5], axis=0)
    return mean, low, high


def draw_variants(variants: Mapping[str, Sequence[Path]], most: int = 6) -> Drawing | None:
    """Return a panel per variant with a line per agent: mean over seeds, its interval, and the range of episodes."""
    panels = []
    for label, directories in list(variants.items())[:most]:
        tables = [learning_table(directory) for directory in directories]
        levels = reference_levels(read_scores(directories[0]))
        lines = []
        for place, agent in enumerate(dict.fromkeys(agent for table in tables for agent in table["agent"])):
            found = pooled(tables, "training", agent)
            found = pooled(tables, "validation", agent) if found is None else found
            if found is not None:
                lines.append(variant_line(found, agent, place))
        if lines:
            seeds = "1 seed" if len(tables) == 1 else f"{len(tables)} seeds"
            title = f"{label} ({seeds})"
            panels.append(Panel(title, "simulator calls", "return of an episode", tuple(lines), levels))
    note = (
        "lines: mean over seeds of an update's mean; darker: 95 % bootstrap interval over seeds; lighter: smallest to "
        "largest episode of all seeds"
    )
    columns = min(len(panels), 3)
    return Drawing(tuple(panels), columns, "Return of every agent", note, size=(3.6, 2.8)) if panels else None


def variant_line(found: "pd.DataFrame", name: str, place: int) -> Line:
    """Return the line of what `pooled` gives."""
    x, mean, low, high, least, most = (
        found[key].to_numpy() for key in ("simulator_calls", "mean", "low", "high", "least", "most")
    )
    spread = (least, most) if np.isfinite(least).any() else None
    known = np.isfinite(low).any()
    return Line(
        x,
        mean,
        name,
        colour_of(place),
        dashes_of(place),
        low=low if known else None,
        high=high if known else None,
        spread=spread,
    )
