"""Learning curves over seeds, the figures of a study, and how a figure is written."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from .. import UserError
from ..configs.saved import read_config
from .chart_page import Chart, file_stem, save_charts
from .drawing import (
    FIGURE_WIDTH,
    band_opacity,
    draw_baselines,
    furnish,
    legend_below,
    limits,
    line_style,
    write_large_numbers_out,
)
from .final_scores import final_scores_figure
from .profiles import performance_profile_figure
from .records import RunRecord, choose_metrics
from .rows import baseline_rows, variant_row
from .statistics import Floats, pointwise_summary
from .variants import Variant, variants

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure
    from rich.table import Table

RESOLUTION = 150  # dots per inch of a PNG

# A curve with at most this many different x is drawn at exactly these, a longer one at this many evenly spaced.
MOST_POINTS = 200

# The part of the vertical axis that curves keep for themselves where a baseline lies far away.
LEAST_SHARE = 0.15

# Statistics of the training episodes that are drawn where a run recorded them, with the label of their axis.
TRAINING_SCALARS = {
    "environment/reward_mean": "mean reward of the training episodes",
    "environment/reward_max": "largest reward of the training episodes",
}


@dataclass(frozen=True)
class Curve:
    """A quantity along simulator calls, over seeds; arrays of shape ``(n_points,)``, NaN where unknown."""

    calls: Floats
    centre: Floats
    low: Floats
    high: Floats
    seeds: int


def save_figure(figure: "Figure", folder: Path, name: str) -> list[Path]:
    """Write a figure as ``<name>.png`` and ``<name>.svg`` and return both paths; the same figure gives the same bytes.

    The folder is made where it is missing. What is not fit for a file's name becomes an underscore.
    """
    import matplotlib

    folder.mkdir(parents=True, exist_ok=True)
    stem = file_stem(name)
    png, svg = folder / f"{stem}.png", folder / f"{stem}.svg"
    # Without a salt the identifiers within an SVG are random; without None it holds the date.
    with matplotlib.rc_context({"svg.hashsalt": "bioppo"}):
        figure.savefig(png, dpi=RESOLUTION, bbox_inches="tight", metadata={"Software": None})
        figure.savefig(svg, bbox_inches="tight", metadata={"Date": None})
    return [png, svg]


def save_data(data: Mapping[str, "pd.DataFrame"], folder: Path) -> list[Path]:
    """Write what figures show as ``<name>.csv`` beside them, and return the paths."""
    if data:
        folder.mkdir(parents=True, exist_ok=True)
    paths = {name: folder / f"{file_stem(name)}.csv" for name in data}
    for name, frame in data.items():
        frame.to_csv(paths[name], index=False)
    return list(paths.values())


def points(run: RunRecord, column: str) -> tuple[Floats, Floats]:
    """Return where a run has a value in a column of its progress, in simulator calls, and the values.

    Of several values at equal calls the last one counts.
    """
    if column not in run.progress:
        return np.empty(0), np.empty(0)
    rows = run.progress[["simulator_calls", column]].dropna().drop_duplicates("simulator_calls", keep="last")
    calls, values = rows.to_numpy(dtype=float).T
    order = np.argsort(calls)
    return calls[order], values[order]


def learning_curve(runs: Iterable[RunRecord], column: str) -> Curve | None:
    """Return the interquartile mean and interval over seeds of a column of ``progress.csv``; None if it is empty.

    Each run is interpolated linearly between its own points, and never beyond them, onto an axis that all runs share;
    at every point those seeds count that got so far.
    """
    measured = [(calls, values) for calls, values in (points(run, column) for run in runs) if calls.size]
    if not measured:
        return None
    axis = np.unique(np.concatenate([calls for calls, _ in measured]))
    if axis.size > MOST_POINTS:
        axis = np.linspace(axis[0], axis[-1], MOST_POINTS)
    interpolated = [np.interp(axis, calls, values, left=np.nan, right=np.nan) for calls, values in measured]
    return Curve(axis, *pointwise_summary(np.array(interpolated)), seeds=len(measured))


def learning_curve_figure(
    drawn: Sequence[Variant], column: str, *, quantity: str, baselines: Mapping[str, float], title: str = ""
) -> "Figure | None":
    """Draw a column of ``progress.csv`` along simulator calls, a line per variant.

    Parameters
    ----------
    drawn
        The order decides on colours.
    column
        For example ``evaluation/incidence``.
    quantity
        The label of the vertical axis, with the unit.
    baselines
        Final scores by label, drawn as thin grey lines.
    title
        What the quantity means.

    Returns
    -------
    Figure or None
        None if no run has a value in this column.
    """
    from matplotlib.figure import Figure

    curves = {position: learning_curve(variant.runs, column) for position, variant in enumerate(drawn)}
    present = {position: curve for position, curve in curves.items() if curve is not None}
    if not present:
        return None
    figure = Figure(figsize=(FIGURE_WIDTH, 4.2))
    axes = figure.add_subplot()
    for position, curve in present.items():
        style = line_style(position)
        # A single point makes no line.
        marker = "o" if curve.calls.size == 1 else ""
        seeds = "1 seed" if curve.seeds == 1 else f"{curve.seeds} seeds"
        label = f"{drawn[position].label} ({seeds})"
        axes.plot(curve.calls, curve.centre, label=label, linewidth=1.8, marker=marker, **style)
        opacity = band_opacity(len(present))
        axes.fill_between(curve.calls, curve.low, curve.high, color=style["color"], alpha=opacity, linewidth=0)
    seen = np.concatenate([values for curve in present.values() for values in (curve.centre, curve.low, curve.high)])
    axes.set_ylim(limits(seen, baselines.values(), least_share=LEAST_SHARE))
    furnish(axes, xlabel="simulator calls", ylabel=quantity, title=title)
    write_large_numbers_out(axes)
    draw_baselines(axes, baselines)
    legend_below(axes, "line: interquartile mean over seeds; shaded: 95 % bootstrap interval")
    return figure


def study_figures(runs: Sequence[RunRecord], metric_names: Sequence[str] = ()) -> dict[str, "Figure"]:
    """Return the figures of a set of runs by file name: learning curves, final scores and performance profiles.

    Each environment has its own.

    Parameters
    ----------
    runs
        As :func:`~bioppo.reports.records.find_runs` gives them; unfinished and failed runs show how far they got.
    metric_names
        The metrics to draw; all metrics of the runs where none is named.

    Raises
    ------
    UserError
        If a metric does not exist or one config was run twice with one seed.
    """
    metrics = choose_metrics(runs, metric_names)
    found = variants(runs)
    environments = dict.fromkeys(variant.env_name for variant in found)
    figures: dict[str, Figure | None] = {}
    for env_name in environments:
        members = [variant for variant in found if variant.env_name == env_name]
        suffix = f"-{env_name}" if len(environments) > 1 else ""
        baselines = baseline_rows(members, metrics)
        rows = [*(variant_row(variant, metrics) for variant in members), *baselines]
        for metric in metrics:
            quantity = f"{metric.name} ({metric.better} is better)"
            lines = {row.label: row.cell("last", metric.name).centre for row in baselines}
            figures[f"learning_curve_{metric.name}{suffix}"] = learning_curve_figure(
                members, f"evaluation/{metric.name}", quantity=quantity, baselines=lines, title=metric.meaning
            )
            figures[f"final_scores_{metric.name}{suffix}"] = final_scores_figure(rows, metric)
            figures[f"performance_profile_{metric.name}{suffix}"] = performance_profile_figure(rows, metric)
        for column, quantity in TRAINING_SCALARS.items():
            name = column.replace("environment/", "training_") + suffix
            figures[name] = learning_curve_figure(members, column, quantity=quantity, baselines={})
        figures |= {f"{name}{suffix}": figure for name, figure in environment_study_figures(members).items()}
    return {name: figure for name, figure in figures.items() if figure is not None}


def draw_run_figures(run_directory: Path) -> list[Path]:
    """Draw what the run's own environment knows how to draw into the run's ``figures/``; return the paths."""
    found, folder = environment_figures(run_directory), run_directory / "figures"
    paths = [path for name, figure in found.items() for path in save_figure(figure, folder, name)]
    paths += save_data(environment_data(run_directory), folder)
    return paths + save_charts(environment_charts(run_directory), folder)


def environment_figures(run_directory: Path) -> dict[str, "Figure"]:
    """Return the figures that a run's environment offers, by file name; none if it has no ``figures`` module.

    They are what the module's function ``figures(run_directory)`` returns.
    """
    draw = environment_function(run_directory, "figures")
    return dict(draw(run_directory)) if draw else {}


def environment_charts(run_directory: Path) -> dict[str, "Chart"]:
    """Return the figures for a browser that a run's environment offers in ``charts``, by file name."""
    draw = environment_function(run_directory, "charts")
    return dict(draw(run_directory)) if draw else {}


def environment_data(run_directory: Path) -> dict[str, "pd.DataFrame"]:
    """Return what the figures of a run's environment show, by the figure's name; none if it has no ``figure_data``."""
    read = environment_function(run_directory, "figure_data")
    return dict(read(run_directory)) if read else {}


def study_data(runs: Sequence[RunRecord]) -> dict[str, "pd.DataFrame"]:
    """Return what the environments' own figures of a set of runs show, named as those are in `study_figures`."""
    found = variants(runs)
    environments = list(dict.fromkeys(variant.env_name for variant in found))
    data: dict[str, pd.DataFrame] = {}
    for env_name in environments:
        members = [variant for variant in found if variant.env_name == env_name]
        suffix = f"-{env_name}" if len(environments) > 1 else ""
        own = _of_finished(members, "study_figure_data")
        data |= {f"{name}{suffix}": frame for name, frame in own.items()}
    return data


def environment_study_figures(members: Sequence[Variant]) -> dict[str, "Figure"]:
    """Return the figures that an environment offers for several of its runs, by file name.

    The function ``study_figures(variants)`` of its ``figures`` module gets the directories of finished runs by label.
    """
    return _of_finished(members, "study_figures")


def comparisons(runs: Sequence[RunRecord], function: str) -> dict[str, Any]:
    """Return what a function of the environments' ``figures`` modules says of all their variants, by file name.

    ``comparison_figures``, ``comparison_charts`` and ``comparison_data`` get the directories of finished runs by label.
    Variants of one module belong together even where their environments' names differ.
    """
    groups: dict[str | None, dict[str, list[Path]]] = {}
    calls: dict[str | None, Callable[..., Any]] = {}
    for variant in variants(runs):
        call = environment_function(variant.runs[0].path, function)
        if call is None or not variant.finished:
            continue
        calls[call.__module__] = call
        group = groups.setdefault(call.__module__, {})
        label = variant.label if variant.label not in group else f"{variant.label} ({variant.env_name})"
        group[label] = [run.path for run in variant.finished]
    return {name: entry for module, call in calls.items() for name, entry in call(groups[module]).items()}


def _of_finished(members: Sequence[Variant], function: str) -> dict[str, Any]:
    call = environment_function(members[0].runs[0].path, function)
    finished = {variant.label: [run.path for run in variant.finished] for variant in members if variant.finished}
    return dict(call(finished)) if call and finished else {}


def environment_summary(run_directory: Path) -> "Table | None":
    """Return a table that the environment wants printed after a finished run, or None."""
    summarise = environment_function(run_directory, "summary")
    found: Table | None = summarise(run_directory) if summarise else None
    return found


def environment_function(run_directory: Path, function: str) -> Callable[..., Any] | None:
    """Return a function of the module ``figures`` beside the environment's class, which the run's config names."""
    target = str(read_config(run_directory)["env"].get("_target_", ""))
    name = figures_module(target)
    found: Callable[..., Any] | None = getattr(import_module(name), function, None) if name else None
    return found


def figures_module(target: str) -> str | None:
    """Return the name of the ``figures`` module in the package of a class, if there is one."""
    module = target.rpartition(".")[0]
    try:
        spec = find_spec(module) if module else None
        package = spec.parent if spec else None
        return f"{package}.figures" if package and find_spec(f"{package}.figures") else None
    except ModuleNotFoundError as error:
        raise UserError(
            f"_target_={target}: {error.name} cannot be imported; install it, or plot the directory above the run."
        ) from error
