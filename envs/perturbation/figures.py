"""Figures of perturbation runs, drawn from their directories alone, with the data of each."""

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .effect_figures import discrimination_table, draw_discrimination, draw_effects
from .score_figures import draw_learning, draw_scores, learning_table, score_table
from .trajectory_figures import draw_plane, draw_warping, warping_table

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure
    from rich.table import Table

POLICIES = ("last", "best")

SYSTEMS = ("last", "best", "embedding_model", "additive", "no_change")
"""Whose trajectories are printed; those of all agents are in ``result.json``."""
REFERENCES = {"perturbed": "perturbed cells", "control": "control cells", "twin": "embedding model"}
TRAJECTORY_MEASURES = ("dtw", "w1", "aligned_mad")

DRAWN: "dict[str, Callable[[pd.DataFrame], Figure]]" = {
    "effects": draw_effects,
    "discrimination": draw_discrimination,
    "plane": draw_plane,
    "trajectories": draw_warping,
    "learning": draw_learning,
    "methods": draw_scores,
}


def figures(run_directory: Path) -> "dict[str, Figure]":
    """Return the figures of a run's last agent on test cells, of its training, and of all methods, by name.

    ``effects`` and ``discrimination`` need a way back to expression, ``trajectories`` a run that compares them.
    """
    found = figure_data(run_directory)
    return {name: draw(found[name]) for name, draw in DRAWN.items() if name in found}


def figure_data(run_directory: Path) -> "dict[str, pd.DataFrame]":
    """Return what each figure of a run shows, by the figure's name, and ``trajectories_dtw``, distances per gene."""
    import pandas as pd

    tables = {
        name: pd.read_parquet(path)
        for name in ("effects", "plane", "trajectory")
        if (path := run_directory / "tables" / f"last_{name}.parquet").exists()
    }
    found: dict[str, pd.DataFrame] = {}
    if "effects" in tables:
        found["effects"] = tables["effects"]
        distances = discrimination_table(tables["effects"])
        if len(distances):
            found["discrimination"] = distances
    if "plane" in tables:
        found["plane"] = tables["plane"]
    if "trajectory" in tables:
        found["trajectories"] = tables["trajectory"]
        found["trajectories_dtw"] = warping_table(tables["trajectory"])
    found["learning"] = learning_table(pd.read_csv(run_directory / "progress.csv"))
    result = read_result(run_directory)
    if result:
        methods = score_table({name: [scalars] for name, scalars in result.items()}, POLICIES)
        methods = methods[methods["method"] != "best"]
        if len(methods):
            found["methods"] = methods
    return found


def study_figures(variants: Mapping[str, Sequence[Path]]) -> "dict[str, Figure]":
    """Return ``methods``, the scores of all variants and baselines over seeds, from run directories by label."""
    found = study_figure_data(variants)
    return {name: DRAWN[name](frame) for name, frame in found.items()}


def study_figure_data(variants: Mapping[str, Sequence[Path]]) -> "dict[str, pd.DataFrame]":
    """Return what the figures of several runs show, by name.

    Baselines are those of the first variant: they know the data and not the agent.
    """
    results = {
        label: [found for directory in directories if (found := read_result(directory))]
        for label, directories in variants.items()
    }
    results = {label: runs for label, runs in results.items() if runs}
    if not results:
        return {}
    scores: dict[str, list[dict[str, Any]]] = {label: [run["last"] for run in runs] for label, runs in results.items()}
    for run in next(iter(results.values())):
        for name, scalars in run.items():
            if name not in POLICIES and name not in results:
                scores.setdefault(name, []).append(scalars)
    table = score_table(scores, list(results))
    return {"methods": table} if len(table) else {}


def summary(run_directory: Path) -> "Table | None":
    """Return the distances of mean trajectories, a row per system and reference, or None if none were measured."""
    result = read_result(run_directory)
    found = {key for scalars in result.values() for key in scalars}
    references = [name for name in REFERENCES if f"dtw_{name}" in found]
    if not references:
        return None
    from rich import box
    from rich.table import Table

    table = Table(box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0), pad_edge=False)
    table.title, table.title_justify = "Mean trajectories on the test split, mean over dimensions", "left"
    table.add_column("system", no_wrap=True)
    table.add_column("reference", no_wrap=True)
    for name in TRAJECTORY_MEASURES:
        table.add_column(f"{name} ↓", justify="right", no_wrap=True)
    systems = [name for name in SYSTEMS if name in result]
    for system in systems:
        for reference in references:
            values = [result[system].get(f"{name}_{reference}") for name in TRAJECTORY_MEASURES]
            shown = ["–" if value is None else f"{value:.4g}" for value in values]
            name = system if system in POLICIES else f"({system})"
            table.add_row(name, REFERENCES[reference], *shown, end_section=reference == references[-1])
    return table


def read_result(run_directory: Path) -> dict[str, dict[str, Any]]:
    """Return the scalars of every agent of a finished run by the agent's name; none of an unfinished one."""
    path = run_directory / "result.json"
    if not path.exists():
        return {}
    agents: dict[str, dict[str, Any]] = {}
    for key, value in json.loads(path.read_text()).items():
        agent, slash, name = key.partition("/")
        if slash:
            agents.setdefault(agent, {})[name] = value
    return agents
