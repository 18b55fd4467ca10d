"""Curves of success along training, with the phases of a curriculum."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from .legends import legend_below

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

VALIDATION, PHASE = "evaluation/success", "environment/phase"
COLUMNS = {VALIDATION: "validation", PHASE: "phase"}
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000", "#A79B00")
DASHES = ("-", "--", "-.", ":")


def success_table(progress: "pd.DataFrame") -> "pd.DataFrame":
    """Return ``simulator_calls``, ``validation`` (success) and ``phase`` of every update, where there are any."""
    found = {column: name for column, name in COLUMNS.items() if column in progress}
    if VALIDATION not in found:
        return progress.iloc[:0][["simulator_calls"]]
    return progress[["simulator_calls", *found]].rename(columns=found)


def draw_success(curve: "pd.DataFrame") -> "Figure":
    """Draw the share of successes in validation episodes; phases of a curriculum begin at grey lines."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(6.8, 3.8), layout="constrained")
    axes = figure.subplots()
    rows = curve[["simulator_calls", "validation"]].dropna()
    marker = "o" if len(rows) < 40 else ""
    axes.plot(rows["simulator_calls"], 100 * rows["validation"], color=COLOURS[0], marker=marker, markersize=3.5)
    mark_phases(axes, phase_starts(curve))
    furnish(axes)
    return figure


def phase_starts(curve: "pd.DataFrame") -> dict[int, float]:
    """Return at how many simulator calls each phase after the first was seen to have begun, by its number."""
    if "phase" not in curve:
        return {}
    rows = curve[["simulator_calls", "phase"]].dropna().astype({"phase": int})
    starts = rows.groupby("phase")["simulator_calls"].min()
    return {int(phase): float(calls) for phase, calls in starts.items() if phase > rows["phase"].min()}


def study_success_table(variants: Mapping[str, Sequence[Path]]) -> "pd.DataFrame":
    """Return the curves of all runs: ``variant``, ``run`` and the columns of `success_table`."""
    import pandas as pd

    parts = []
    for variant, directories in variants.items():
        for run, directory in enumerate(directories):
            path = directory / "progress.csv"
            curve = success_table(pd.read_csv(path)) if path.exists() else pd.DataFrame()
            if len(curve):
                parts.append(curve.assign(variant=variant, run=run))
    return pd.concat(parts, ignore_index=True) if parts else pd.DataFrame()


def draw_success_of_study(curves: "pd.DataFrame") -> "Figure":
    """Draw the mean success in validation episodes of every variant, with a band from the worst to the best seed.

    Lines of phases are those at which half of a variant's seeds have begun the phase.
    """
    from matplotlib.figure import Figure

    variants = list(curves["variant"].unique())
    figure = Figure(figsize=(7.4, 4.0 + 0.2 * (len(variants) > 2) * len(variants)), layout="constrained")
    axes = figure.subplots()
    for place, variant in enumerate(variants):
        own = curves[curves["variant"] == variant]
        colour = COLOURS[place % len(COLOURS)]
        calls, shares = common_curve(own)
        runs = f", {shares.shape[0]} seeds" if shares.shape[0] > 1 else ""
        line = DASHES[place // len(COLOURS) % len(DASHES)]
        axes.plot(calls, 100 * shares.mean(axis=0), color=colour, linestyle=line, label=f"{variant}{runs}")
        axes.fill_between(calls, *(100 * edge for edge in (shares.min(axis=0), shares.max(axis=0))), color=colour,
                          alpha=0.18, linewidth=0)  # fmt: skip
        starts = [phase_starts(part) for _, part in own.groupby("run")]
        phases = sorted({phase for found in starts for phase in found})
        medians = {phase: float(np.median([found[phase] for found in starts if phase in found])) for phase in phases}
        mark_phases(axes, medians, colour=colour if len(variants) > 1 else "0.6")
    furnish(axes)
    axes.set_title("mean over seeds, band from worst to best", loc="left", fontsize="medium", pad=14)
    legend_below(figure, ncols=2)
    return figure


def common_curve(curves: "pd.DataFrame") -> tuple["np.ndarray", "np.ndarray"]:
    """Return simulator calls (n,) and success (runs, n) of runs between whose evaluations values are interpolated.

    The curve ends where the shortest run does.
    """
    parts = [part[["simulator_calls", "validation"]].dropna().to_numpy() for _, part in curves.groupby("run")]
    parts = [part for part in parts if len(part)]
    end = min(part[-1, 0] for part in parts)
    calls = np.unique(np.concatenate([part[:, 0] for part in parts]))
    calls = calls[calls <= end]
    return calls, np.stack([np.interp(calls, part[:, 0], part[:, 1]) for part in parts])


def mark_phases(axes: "Axes", starts: Mapping[int, float], colour: str = "0.6") -> None:
    """Draw a line where each phase begins, with its number at the top."""
    for phase, calls in starts.items():
        axes.axvline(calls, color=colour, linewidth=0.9, linestyle=(0, (2, 2)), zorder=1)
        axes.text(
            calls, 1.005, f"phase {phase}", transform=axes.get_xaxis_transform(), fontsize=7, color=colour,
            horizontalalignment="center", verticalalignment="bottom",
        )  # fmt: skip


def furnish(axes: "Axes") -> None:
    """Label the axes: percentages along simulator calls."""
    from matplotlib.ticker import FuncFormatter

    axes.set_ylim(-2, 102)
    axes.set_xlabel("simulator calls")
    axes.set_ylabel("success in validation episodes, %")
    axes.xaxis.set_major_formatter(
        FuncFormatter(lambda calls, _: f"{calls / 1000:g}k" if calls >= 1000 else f"{calls:g}")
    )
    axes.spines[["top", "right"]].set_visible(False)
