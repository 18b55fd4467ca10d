"""Figures of reprogramming runs, drawn from their directories alone, with the data of each."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from .drawing.learning_figures import draw_success, draw_success_of_study, study_success_table, success_table
from .drawing.path_charts import Chart, path_chart
from .drawing.path_figures import draw_paths, path_data
from .drawing.share_figures import (
    action_data,
    draw_actions,
    draw_distances,
    draw_lengths,
    draw_types,
    length_data,
    type_data,
)

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

AGENT = "last"
"""Whose episodes are drawn."""

DRAWN: "dict[str, Callable[[pd.DataFrame], Figure]]" = {
    "paths": draw_paths,
    "lengths": draw_lengths,
    "types": draw_types,
    "actions": draw_actions,
    "distances": draw_distances,
    "success": draw_success,
}


def figures(run_directory: Path) -> "dict[str, Figure]":
    """Return the figures of a run's last agent on test cells, of its training and of the data set, by name."""
    return {name: DRAWN[name](frame) for name, frame in figure_data(run_directory).items()}


def figure_data(run_directory: Path) -> "dict[str, pd.DataFrame]":
    """Return what each figure of a run shows, by the figure's name; what a run did not measure is left out."""
    import pandas as pd

    tables = {
        name: pd.read_parquet(path)
        for name in ("paths", "actions", "drawing", "shortest", "distances")
        if (path := run_directory / "tables" / f"{AGENT}_{name}.parquet").exists()
    }
    found: dict[str, pd.DataFrame] = {}
    if tables.keys() >= {"paths", "drawing", "shortest"} and len(tables["shortest"]):
        found["paths"] = path_data(tables["paths"], tables["shortest"], tables["drawing"])
    episodes = read_episodes(run_directory)
    if "optimal_length" in episodes:
        found["lengths"] = length_data(episodes)
    if len(episodes):
        found["types"] = type_data(episodes)
    if "actions" in tables:
        found["actions"] = action_data(tables["actions"])
    if "distances" in tables:
        found["distances"] = tables["distances"]
    success = success_table(pd.read_csv(run_directory / "progress.csv"))
    if len(success):
        found["success"] = success
    return found


def charts(run_directory: Path) -> dict[str, Chart]:
    """Return the ways for a browser, where a run has any."""
    found = figure_data(run_directory)
    return {"paths": path_chart(found["paths"])} if "paths" in found else {}


def study_figures(variants: Mapping[str, Sequence[Path]]) -> "dict[str, Figure]":
    """Return ``success``: the curves of all variants with bands over seeds, from run directories by label."""
    return {name: draw_success_of_study(frame) for name, frame in study_figure_data(variants).items()}


def study_figure_data(variants: Mapping[str, Sequence[Path]]) -> "dict[str, pd.DataFrame]":
    """Return what the figures of several runs show, by name."""
    table = study_success_table(variants)
    return {"success": table} if len(table) else {}


def read_episodes(run_directory: Path) -> "pd.DataFrame":
    """Return the last agent's episodes on test cells, a row each; none of an unfinished run."""
    import pandas as pd

    path = run_directory / "evaluations.csv"
    if not path.exists():
        return pd.DataFrame()
    rows = pd.read_csv(path)
    if "agent" not in rows:
        return pd.DataFrame()
    rows = rows[(rows["split"] == "test") & (rows["agent"] == AGENT)].reset_index(drop=True)
    return rows.assign(success=rows["success"].astype(str).str.lower().isin(("true", "1", "1.0")))
