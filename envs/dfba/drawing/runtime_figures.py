"""Simulation times: the table of a run, and bars over the cases or learners of several runs."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ..records.runtime import LEVELS
from .panels import Bars, Drawing, Panel, colour_of

if TYPE_CHECKING:
    import pandas as pd
    from rich.table import Table

PANELS = ("optimisation", "step", "batch", "simulation")
SCALES = ((1.0, "s"), (1e-3, "ms"), (1e-6, "µs"))
OF = {"optimisation": "call of linear programs", "policy": "call", "step": "decision", "batch": "update"}


def read_runtime(run_directory: Path) -> dict[str, Any] | None:
    """Return what ``tables/runtime.json`` says, None if there is none."""
    path = run_directory / "tables" / "runtime.json"
    return json.loads(path.read_text()) if path.exists() else None


def runtime_table(found: Mapping[str, Any]) -> "Table":
    """Return the printed table of one run."""
    from rich import box
    from rich.table import Table

    levels, copies = found["levels"], found["copies"]
    table = Table(box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0), pad_edge=False, title_justify="left")
    skip = found["decision_steps"]
    often = "decisions every step" if skip == 1 else f"decisions every {skip} steps"
    table.title = f"Simulation times: {copies} copies of {counted(found['agents'])}, {often}"
    for name in ("level", "mean", "SD", "median", "calls", "for one"):
        table.add_column(name, justify="left" if name == "level" else "right", no_wrap=True)
    for name in LEVELS:
        level = levels.get(name)
        if level is None:
            continue
        times = (written(level["mean"]), written(level["sd"]))
        if name == "simulation":
            mark = "extrapolated" if level["extrapolated"] else "measured"
            table.add_row(name, *times, "", mark, f"{level['simulator_calls'] / 1e6:g} million steps")
        else:
            one = f"{written(level['mean_per_unit'])} a {level['unit']}"
            table.add_row(name, *times, written(level["median"]), str(level["calls"]), one)
    hardware = found["hardware"]
    table.caption = f"{hardware['processor']}, {hardware['cores']} cores; seconds with whatever else ran there"
    table.caption_justify = "left"
    return table


def counted(agents: int) -> str:
    """Return a number of agents in words."""
    return "1 agent" if agents == 1 else f"{agents} agents"


def written(seconds: float | None) -> str:
    """Write a time with a fitting unit."""
    if seconds is None:
        return "–"
    if seconds >= 7200:
        return f"{seconds / 3600:.3g} h"
    if seconds >= 1000:
        return f"{seconds:.0f} s"
    for scale, unit in SCALES:
        if seconds >= scale:
            return f"{seconds / scale:.3g} {unit}"
    return f"{seconds * 1e6:.3g} µs"


def comparison_table(variants: Mapping[str, Sequence[Path]]) -> "pd.DataFrame":
    """Return a row per variant, run and level of ``tables/runtime.json``.

    ``mean``, ``sd`` and ``median`` are seconds per call, ``per_unit`` for one program or step of a copy; a
    ``simulation`` is a whole one.
    """
    import pandas as pd

    rows = []
    for label, directories in variants.items():
        for run, directory in enumerate(directories):
            found = read_runtime(directory)
            for name, level in (found["levels"] if found else {}).items():
                extrapolated = bool(level.get("extrapolated", False))
                kept = (level["mean"], level["sd"], level.get("median"), level.get("mean_per_unit"), extrapolated)
                rows.append((label, found["agents"], found["copies"], run, name, *kept))  # type: ignore[index]
    names = ["variant", "agents", "copies", "run", "level", "mean", "sd", "median", "per_unit", "extrapolated"]
    return pd.DataFrame(rows, columns=names)


def draw_comparison(table: "pd.DataFrame") -> Drawing:
    """Return bars for optimisation, step, batch and simulation, a bar per variant in the order of its agents.

    A bar is the mean over runs of the runs' means, its whiskers the mean of their deviations over calls, its diamond
    that of their medians, its points the runs.
    """
    order = table.drop_duplicates("variant").sort_values("agents", kind="stable")
    labels = [str(name) for name in order["variant"]]
    counts = dict(zip(order["variant"], order["agents"], strict=True))
    names = tuple(f"{label} ({counts[label]})" for label in labels)
    panels = []
    for level in PANELS:
        rows = table[table["level"] == level]
        if rows.empty:
            continue
        means = [rows.loc[rows["variant"] == label, "mean"].to_numpy(dtype=float) for label in labels]
        spread = [rows.loc[rows["variant"] == label, "sd"].astype(float).mean() for label in labels]
        middle = [rows.loc[rows["variant"] == label, "median"].astype(float).mean() for label in labels]
        values = np.array([part.mean() if len(part) else np.nan for part in means])
        scale, unit = scale_of(float(np.nanmax(values)))
        deviation = np.nan_to_num(np.array(spread, dtype=np.float64)) / scale
        bars = Bars(
            names,
            values / scale,
            np.maximum(values / scale - deviation, 0.0),
            values / scale + deviation,
            tuple(part / scale for part in means),
            tuple(colour_of(place) for place in range(len(labels))),
            None if level == "simulation" else np.array(middle, dtype=np.float64) / scale,
        )
        extrapolated = level == "simulation" and bool(rows["extrapolated"].any())
        title = level + (" of 20 million steps, extrapolated" if extrapolated else "")
        panels.append(Panel(title, ylabel=f"{unit} per {OF[level]}" if level in OF else unit, bars=bars))
    copies = sorted({int(count) for count in table["copies"]})
    counted = str(copies[0]) if len(copies) == 1 else f"{copies[0]} to {copies[-1]}"
    note = (
        "bars: mean over runs, whiskers: standard deviation over calls, diamonds: median of calls, points: runs; in "
        f"brackets: agents; {counted} copies in a call; update: playing and fitting without evaluations"
    )
    return Drawing(tuple(panels), 2, "Simulation times", note, size=(4.0, 2.6))


def scale_of(seconds: float) -> tuple[float, str]:
    """Return a unit for an axis, in seconds, with its name."""
    if seconds >= 7200:
        return 3600.0, "h"
    return next(((scale, unit) for scale, unit in SCALES if seconds >= scale), SCALES[-1])
