"""Figures of runs with microbial communities, drawn from their directories alone, with the data of each."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .drawing.culture_figures import draw_concentrations, draw_fluxes, draw_growth
from .drawing.learning_figures import draw_learning, draw_variants, learning_table
from .drawing.network_figures import draw_network
from .drawing.panel_charts import Chart, chart
from .drawing.panel_figures import draw
from .drawing.panels import Drawing
from .drawing.policy_figures import draw_policy
from .drawing.runtime_figures import comparison_table, draw_comparison, read_runtime, runtime_table
from .drawing.study_comparisons import draw_setting, setting_table, varied_settings
from .records.run_records import Episode, exchanged_amounts, read_episode, read_scores, split_episode

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure
    from rich.table import Table

SHOWN = "last"
"""The agent of a result whose culture is drawn."""


def figures(run_directory: Path) -> "dict[str, Figure]":
    """Return the figures of a run's training and of its last policy's first test episode, by name."""
    found = {name: draw(drawing) for name, drawing in run_drawings(run_directory).items()}
    episode = read_episode(run_directory, SHOWN)
    return found if episode is None else found | network_figure(episode)


def draw_culture(table: "pd.DataFrame") -> "dict[str, Figure]":
    """Return the figures of a culture without learning, by name: of ``simulate(...)["concentrations"]``."""
    episode = split_episode(table)
    drawings = culture_drawings(episode, None, note="one culture")
    return {name: draw(drawing) for name, drawing in drawings.items()} | network_figure(episode)


def network_figure(episode: Episode) -> "dict[str, Figure]":
    """Return ``cross_feeding``, where anything was exchanged."""
    amounts = exchanged_amounts(episode)
    anything = len(amounts) and amounts[["secreted", "taken_up"]].to_numpy().any()
    return {"cross_feeding": draw_network(amounts)} if anything else {}


def charts(run_directory: Path) -> dict[str, Chart]:
    """Return the same for a browser, without the network."""
    return {name: chart(drawing) for name, drawing in run_drawings(run_directory).items()}


def run_drawings(run_directory: Path) -> dict[str, Drawing]:
    """Return what is drawn of a run, by name."""
    found: dict[str, Drawing] = {}
    curves = learning_table(run_directory)
    if len(curves):
        found["learning_curve"] = draw_learning(curves, read_scores(run_directory))
    episode = read_episode(run_directory, SHOWN)
    if episode is not None:
        found |= culture_drawings(episode, read_episode(run_directory, "greedy"))
    policy = read_policy_map(run_directory)
    if policy is not None:
        found["policy_map"] = draw_policy(policy, episode)
    return found


def culture_drawings(
    episode: Episode, greedy: Episode | None, note: str = "one episode of the last policy on the test split"
) -> dict[str, Drawing]:
    """Return what is drawn of one culture, by name, beside one whose cells regulate nothing."""
    found = {"concentrations": draw_concentrations(episode, greedy, note=note)}
    fluxes = draw_fluxes(episode)
    if fluxes.panels:
        found["fluxes"] = fluxes
    if episode.of("action"):
        found["growth"] = draw_growth(episode)
    return found


def read_policy_map(run_directory: Path) -> "pd.DataFrame | None":
    """Return the map of the last policy, None where it has none."""
    import pandas as pd

    path = run_directory / "tables" / f"{SHOWN}_policy_map.parquet"
    table = pd.read_parquet(path) if path.exists() else None
    return table if table is not None and len(table) else None


def figure_data(run_directory: Path) -> "dict[str, pd.DataFrame]":
    """Return what the figures show, by name; cultures are in ``tables/last_concentrations.parquet``."""
    found = {"learning_curve": learning_table(run_directory)}
    episode = read_episode(run_directory, SHOWN)
    if episode is not None:
        found["cross_feeding"] = exchanged_amounts(episode)
    policy = read_policy_map(run_directory)
    if policy is not None:
        found["policy_map"] = policy
    return {name: table for name, table in found.items() if len(table)}


def study_figures(variants: Mapping[str, Sequence[Path]]) -> "dict[str, Figure]":
    """Return the learning curves of every agent of every variant, over seeds."""
    drawing = draw_variants(variants)
    return {} if drawing is None else {"learning_curve_agents": draw(drawing)}


def comparison_figures(variants: Mapping[str, Sequence[Path]]) -> "dict[str, Figure]":
    """Return ``runtime_comparison``, and a figure of the setting in which variants differ, named after it."""
    return {name: draw(drawing) for name, drawing in comparison_drawings(variants).items()}


def comparison_charts(variants: Mapping[str, Sequence[Path]]) -> dict[str, Chart]:
    """Return the same for a browser, and the learning curves of every agent."""
    found = comparison_drawings(variants)
    curves = draw_variants(variants)
    if curves is not None:
        found["learning_curve_agents"] = curves
    return {name: chart(drawing) for name, drawing in found.items()}


def comparison_data(variants: Mapping[str, Sequence[Path]]) -> "dict[str, pd.DataFrame]":
    """Return what they show, by name: a row per run."""
    found: dict[str, Any] = {name: setting_table(runs) for name, runs in varied_settings(variants).items()}
    times = comparison_table(variants)
    return found | ({"runtime_comparison": times} if len(times) else {})


def comparison_drawings(variants: Mapping[str, Sequence[Path]]) -> dict[str, Drawing]:
    """Return what is drawn of several variants, by name."""
    found = {}
    for name, runs in varied_settings(variants).items():
        table = setting_table(runs)
        if table["end"].notna().any():
            found[name] = draw_setting(name, runs, table)
    times = comparison_table(variants)
    if len(set(times["variant"])) > 1:
        found["runtime_comparison"] = draw_comparison(times)
    return found


def summary(run_directory: Path) -> "Table | None":
    """Return the times of the run's parts, None of a run that did not measure them."""
    found = read_runtime(run_directory)
    return None if found is None else runtime_table(found)
