"""Figures of scores: along training with the divergences of updates, and of all methods side by side."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

BLUE, ORANGE, GREEN, GREY = "#0072B2", "#D55E00", "#009E73", "0.7"
COLUMNS = 4
PRIMARY = {
    "pearson_delta": "pearson_delta ↑",
    "pds": "pds ↑",
    "de_overlap": "de_overlap ↑",
    "energy": "energy ↓",
    "mse_delta": "mse_delta ↓",
}
TRAINING = {
    "environment/episode_return": "return of training episodes",
    "train/kl_beta": "weight beta of the KL penalty",
}
DIVERGENCES = {
    "train/total_kl": "total_kl",
    "train/trpo_kl": "trpo_kl",
    "train/ppo_kl": "ppo_kl",
    "train/approx_kl": "approx_kl",
    "train/kl_divergence_loss": "kl_divergence_loss",
}
LINES = {"no_change": ("black", ":"), "additive": (ORANGE, "--")}


def learning_table(progress: "pd.DataFrame") -> "pd.DataFrame":
    """Return the columns of ``progress.csv`` that the learning curves show."""
    wanted = [
        *(f"evaluation/{name}_{split}" for name in PRIMARY for split in "ABC"),
        *TRAINING,
        *DIVERGENCES,
        *("train/target_kl", "train/early_stop"),
    ]
    return progress[["update", "simulator_calls", *(name for name in wanted if name in progress)]]


def axis_of(progress: "pd.DataFrame") -> str:
    """Return the column that training is drawn along: simulator calls, or updates of a learner that makes no calls."""
    return "simulator_calls" if progress["simulator_calls"].max() > 0 else "update"


def draw_learning(progress: "pd.DataFrame") -> "Figure":
    """Draw scores on the validation split (training cells), returns, divergences with early stops, and any beta."""
    from matplotlib.figure import Figure

    scores = [name for name in PRIMARY if f"evaluation/{name}_A" in progress]
    training = [name for name in TRAINING if name in progress and progress[name].notna().any()]
    divergences = [name for name in DIVERGENCES if name in progress and progress[name].notna().any()]
    count = len(scores) + len(training) + bool(divergences)
    columns = max(min(count, COLUMNS), 1)
    rows = -(-max(count, 1) // columns)
    figure = Figure(figsize=(3.0 * columns, 0.6 + 2.6 * rows), layout="constrained")
    panels = list(figure.subplots(rows, columns, squeeze=False).ravel())
    free = iter(panels)
    for name in scores:
        draw_line(next(free), progress, {f"evaluation/{name}_A": "validation"}, f"{PRIMARY[name]}, validation")
    for name in training:
        draw_line(next(free), progress, {name: "training"}, TRAINING[name])
    if divergences:
        draw_divergences(next(free), progress, divergences)
    for panel in free:
        panel.set_visible(False)
    figure.supxlabel(axis_of(progress).replace("_", " "), fontsize="medium")
    return figure


def draw_line(axes: "Axes", progress: "pd.DataFrame", columns: dict[str, str], title: str) -> None:
    """Draw columns of the progress against simulator calls."""
    styles = [(BLUE, "-"), (ORANGE, "--"), (GREEN, "-."), ("#CC79A7", ":"), ("black", "-")]
    for (column, label), (colour, line) in zip(columns.items(), styles, strict=False):
        rows = progress[[axis_of(progress), column]].dropna()
        marker = "o" if len(rows) < 30 else ""
        axes.plot(
            rows.iloc[:, 0],
            rows[column],
            color=colour,
            linestyle=line,
            marker=marker,
            markersize=3,
            label=label,
        )
    axes.set_title(title, loc="left", fontsize="medium")
    axes.tick_params(labelsize="small")
    axes.xaxis.set_major_formatter(thousands)
    axes.locator_params(axis="x", nbins=4)
    axes.spines[["top", "right"]].set_visible(False)


def draw_divergences(axes: "Axes", progress: "pd.DataFrame", columns: Sequence[str]) -> None:
    """Draw the KL divergences of updates, the target, and a mark under each update that stopped early."""
    draw_line(axes, progress, {column: DIVERGENCES[column] for column in columns}, "KL divergence of an update")
    if "train/target_kl" in progress:
        rows = progress[[axis_of(progress), "train/target_kl"]].dropna()
        axes.plot(*rows.to_numpy().T, color="0.5", linewidth=0.9, linestyle=(0, (1, 1)), label="target_kl")
    axes.set_ylim(0, 1.55 * axes.get_ylim()[1])  # room for the legend
    if "train/early_stop" in progress:
        stopped = progress.loc[progress["train/early_stop"] > 0, axis_of(progress)]
        if len(stopped):
            axes.plot(
                stopped,
                np.full(len(stopped), 0.02),
                color="black",
                marker="|",
                markersize=6,
                linestyle="",
                transform=axes.get_xaxis_transform(),
                label=f"early stop ({len(stopped)})",
            )
    axes.legend(frameon=False, fontsize="x-small", loc="upper left", ncols=2)


def thousands(value: float, _: object = None) -> str:
    """Write simulator calls shortly: 8192 as 8.2k."""
    return f"{value / 1000:g}k" if value >= 1000 else f"{value:g}"


def score_table(scores: Mapping[str, Sequence[Mapping[str, Any]]], agents: Sequence[str]) -> "pd.DataFrame":
    """Return primary scores of all methods: ``method``, ``trained``, ``run``, ``metric``, ``split``, ``score``.

    Parameters
    ----------
    scores
        For each method its scalars per run, such as ``{"additive": [{"pds_A": 1.0}]}``.
    agents
        Which of the methods were trained; they come first.
    """
    import pandas as pd

    rows = [
        (method, method in agents, run, metric, split, float(values[f"{metric}_{split}"]))
        for method, runs in scores.items()
        for run, values in enumerate(runs)
        for metric in PRIMARY
        for split in "ABC"
        if values.get(f"{metric}_{split}") is not None
    ]
    return pd.DataFrame(rows, columns=["method", "trained", "run", "metric", "split", "score"])


def draw_scores(scores: "pd.DataFrame") -> "Figure":
    """Draw a bar per method for each primary metric and split, with lines at ``no_change`` and ``additive``.

    A bar is the mean over runs, whose points lie on it where there are several.
    """
    from matplotlib.figure import Figure

    methods, splits = list(scores["method"].unique()), sorted(scores["split"].unique())
    metrics = [name for name in PRIMARY if name in set(scores["metric"])]
    height = 0.8 + len(splits) * (0.65 + 0.2 * len(methods))
    figure = Figure(figsize=(12.5, height), layout="constrained")
    panels = figure.subplots(len(splits), len(metrics), squeeze=False, sharey=True)
    for row, split in zip(panels, splits, strict=True):
        for panel, metric in zip(row, metrics, strict=True):
            chosen = scores[(scores["split"] == split) & (scores["metric"] == metric)]
            draw_bars(panel, chosen, methods)
            panel.set_title(f"{PRIMARY[metric]}  split {split}", loc="left", fontsize="medium")
        row[0].set_yticks(range(len(methods)), methods, fontsize="small")
        row[0].set_ylim(len(methods) - 0.4, -0.6)
    handles, labels = panels[0][0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=4, frameon=False, fontsize="small")
    return figure


def draw_bars(axes: "Axes", scores: "pd.DataFrame", methods: Sequence[str]) -> None:
    """Draw the methods' bars of one metric, trained ones in colour."""
    for place, method in enumerate(methods):
        rows = scores[scores["method"] == method]
        if rows.empty:
            axes.text(0.0, place, " not defined", fontsize=7, verticalalignment="center", color="0.4")
            continue
        trained = bool(rows["trained"].iloc[0])
        axes.barh(place, rows["score"].mean(), height=0.7, color=BLUE if trained else GREY)
        if len(rows) > 1:
            spots = place + np.linspace(-0.22, 0.22, len(rows))
            axes.plot(rows["score"], spots, color="black", marker="o", markersize=2.5, linestyle="")
    for name, (colour, line) in LINES.items():
        values = scores.loc[scores["method"] == name, "score"]
        if len(values):
            axes.axvline(float(values.mean()), color=colour, linestyle=line, linewidth=1.2, label=name)
    axes.axvline(0, color="0.3", linewidth=0.6)
    axes.tick_params(labelsize="small")
    axes.locator_params(axis="x", nbins=4)
    axes.spines[["top", "right"]].set_visible(False)
