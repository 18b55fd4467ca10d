"""Figures of a kinetic run, drawn from its directory alone."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ...configs.saved import read_config
from .training_figures import draw_rewards, draw_ridgelines

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

BANDS = (("q00", "q100", 0.12, "all sets"), ("q05", "q95", 0.2, "5 to 95 %"), ("q25", "q75", 0.35, "25 to 75 %"))
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#56B4E9", "#E69F00", "#000000")
STYLES = ("-", "--", "-.", ":", (0, (5, 1)), (0, (3, 1, 1, 1)), (0, (1, 1)))
NAMES = {
    "last": "last policy",
    "best": "best on validation",
    "nothing": "doing nothing",
    "random": "random actions",
    "log_uniform": "log-uniform sets",
    "oracle": "uniform saturations",
}


def figures(run_directory: Path) -> dict[str, "Figure"]:
    """Return ``reward`` (mean and maximum reward per episode) and ``eigenvalues``, by name.

    A search that never acts earns no rewards, so its run has no ``reward``.
    """
    import pandas as pd

    progress = pd.read_csv(run_directory / "progress.csv")
    threshold = json.loads((run_directory / "provenance.json").read_text())["environment"]["lambda_part"]
    drawn = {"eigenvalues": draw_eigenvalues(progress, final_sets(run_directory), threshold)}
    if "environment/reward_mean" in progress:
        drawn["reward"] = draw_reward(progress)
        drawn["episodes"] = draw_ridgelines([progress], threshold, "Sets of selected updates")
    return drawn


def study_figures(variants: Mapping[str, Sequence[Path]]) -> dict[str, "Figure"]:
    """Return ``episodes_reward``, and ``episodes_eigenvalues`` of the first variant, from run directories by label.

    Variants that never act have neither.
    """
    import pandas as pd

    progress = {
        label: [pd.read_csv(directory / "progress.csv") for directory in directories]
        for label, directories in variants.items()
        if all((directory / "progress.csv").exists() for directory in directories)
    }
    acting = {
        label: tables
        for label, tables in progress.items()
        if all("environment/reward_mean" in table for table in tables)
    }
    if not acting:
        return {}
    first, tables = next(iter(acting.items()))
    directory = variants[first][0]
    facts = json.loads((directory / "provenance.json").read_text()).get("environment")
    if facts is None:  # a directory that was copied without its provenance in full
        return {}
    copies = int(read_config(directory)["env"]["num_envs"])
    return {
        "episodes_reward": draw_rewards(acting, copies),
        "episodes_eigenvalues": draw_ridgelines(tables, facts["lambda_part"], f"{first}, {len(tables)} seeds"),
    }


def final_sets(run_directory: Path) -> dict[str, np.ndarray]:
    """Return lambda_max of the single-shot sets of every agent measured on the test split, 1/h."""
    import pandas as pd

    agents = {}
    for file in sorted((run_directory / "tables").glob("*_sets.parquet")):
        steps = pd.read_parquet(file, columns=["episode", "step", "lambda_max"])
        agents[file.stem.removesuffix("_sets")] = steps.groupby("episode")["lambda_max"].last().to_numpy()
    order = [*NAMES, *sorted(agents.keys() - NAMES.keys())]
    return {name: agents[name] for name in order if name in agents}


def draw_reward(progress: "pd.DataFrame") -> "Figure":
    """Draw the mean and the maximum reward per episode over training, averaged over each update's episodes."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7, 4), layout="constrained")
    axes = figure.subplots()
    rows = progress.dropna(subset=["environment/reward_mean"])
    calls = rows["simulator_calls"]
    axes.plot(calls, rows["environment/reward_max"], color=COLOURS[1], linestyle="--", label="largest in the episode")
    axes.plot(calls, rows["environment/reward_mean"], color=COLOURS[0], label="mean over the episode")
    axes.set_ylabel("reward per step")
    _finish(axes, "Reward per episode")
    return figure


def draw_eigenvalues(progress: "pd.DataFrame", agents: dict[str, np.ndarray], threshold: float) -> "Figure":
    """Draw the distribution of lambda_max over training, and of every agent's final sets, on a symlog axis."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(11, 4.6), layout="constrained")
    training, final = figure.subplots(1, 2, width_ratios=(1.2, 1))
    _draw_bands(training, progress)
    training.set_yscale("symlog", linthresh=10)
    training.set_ylabel("largest eigenvalue, 1/h")
    _draw_thresholds(training.axhline, threshold)
    _finish(training, "Sets tried in training")
    for index, (name, values) in enumerate(agents.items()):
        finite = np.sort(values[np.isfinite(values)])
        share = np.arange(1, len(finite) + 1) / len(values)
        style: dict[str, Any] = {"color": COLOURS[index % len(COLOURS)], "linestyle": STYLES[index % len(STYLES)]}
        final.step(finite, share, where="post", label=NAMES.get(name, name), **style)
    final.set_xscale("symlog", linthresh=10)
    final.set_xlabel("largest eigenvalue of single-shot sets, 1/h")
    final.set_ylabel("share of sets at or below")
    _draw_thresholds(final.axvline, threshold)
    final.set_title("Agents on the test split", loc="left")
    final.legend(loc="upper center", bbox_to_anchor=(0.5, -0.2), ncols=3, frameon=False, fontsize="small")
    return figure


def _draw_bands(axes: "Axes", progress: "pd.DataFrame") -> None:
    column = "environment/lambda_max_"
    if f"{column}q50" not in progress:
        return
    rows = progress.dropna(subset=[f"{column}q50"])
    calls = rows["simulator_calls"]
    for low, high, alpha, label in BANDS:
        axes.fill_between(
            calls, rows[column + low], rows[column + high], color=COLOURS[0], alpha=alpha, linewidth=0, label=label
        )
    axes.plot(calls, rows[f"{column}q50"], color=COLOURS[0], label="median")


def _draw_thresholds(line: Any, threshold: float) -> None:
    line(0.0, color="0.45", linewidth=0.9, linestyle=":", label="stable below 0")
    line(threshold, color="black", linewidth=0.9, linestyle="--", label=f"valid below {threshold:g}")


def _finish(axes: "Axes", title: str) -> None:
    axes.set_title(title, loc="left")
    axes.set_xlabel("simulator calls")
    axes.xaxis.set_major_formatter("{x:,.0f}")
    axes.legend(loc="upper center", bbox_to_anchor=(0.5, -0.2), ncols=3, frameon=False, fontsize="small")
    axes.margins(x=0)
