"""Figures of a policy: its actions over two observed species, at three moments of an episode."""

from typing import TYPE_CHECKING

import numpy as np

from ..records.policy_map import policy_agents
from ..records.run_records import Episode
from .panels import Drawing, Line, Map, Panel

if TYPE_CHECKING:
    import pandas as pd

MOST_ROWS = 6
HERE = "#D55E00"


def draw_policy(table: "pd.DataFrame", episode: Episode | None = None) -> Drawing:
    """Return a row of maps per agent and action, with the episode's course up to each moment."""
    rows = policy_agents(table)
    shown = rows[:MOST_ROWS]
    panels = []
    kept = table[[pair in shown for pair in zip(table["agent"], table["action"], strict=True)]]
    ends = (float(kept["value"].min()), float(kept["value"].max()))
    if ends[0] == ends[1]:
        ends = (ends[0] - 0.5, ends[1] + 0.5)
    units = sorted({unit for unit in kept["unit"] if unit})
    label = f"bound set by the action{f' ({units[0]})' if len(units) == 1 else ''}"
    for agent, action in shown:
        part = table[(table["agent"] == agent) & (table["action"] == action)]
        for time_h, cells in part.groupby("time_h", sort=True):
            panels.append(moment(cells, agent, action, float(str(time_h)), label, ends, episode))
    note = (
        "most probable action; all else that the agent observes is as in the episode at that time (policy_map.csv says "
        "what); line: course of the episode until then"
        + (f"; {len(rows) - len(shown)} further actions are not shown" if len(rows) > len(shown) else "")
    )
    columns = len(set(table["time_h"]))
    alike = len({(panel.xlabel, panel.ylabel) for panel in panels}) == 1
    size = (2.9, 2.2) if alike else (3.1, 2.5)
    return Drawing(tuple(panels), columns, "What the last policy does", note, size, shared_x=alike, shared_y=alike)


def moment(
    cells: "pd.DataFrame",
    agent: str,
    action: str,
    time_h: float,
    label: str,
    ends: tuple[float, float],
    episode: Episode | None,
) -> Panel:
    """Return one map."""
    x, y = np.unique(cells["x"]), np.unique(cells["y"])
    values = cells.sort_values(["y", "x"])["value"].to_numpy().reshape(len(y), len(x))
    first = cells.iloc[0]
    lines = [Line(np.array([first["x_here"]]), np.array([first["y_here"]]), colour=HERE, markers=True)]
    if episode is not None:
        before = episode.time_h <= time_h
        x_then, y_then = (state_of(episode, str(first[key]))[before] for key in ("x_name", "y_name"))
        lines.insert(0, Line(x_then, y_then, colour=HERE, width=1.2))
    xlabel, ylabel = (unit_of(episode, str(first[key])) for key in ("x_name", "y_name"))
    shown = Map(x, y, values, label, ends)
    return Panel(f"{agent}: {action} at {time_h:g} h", xlabel, ylabel, tuple(lines), map=shown)


def state_of(episode: Episode, name: str) -> np.ndarray:
    """Return the course of a column of the state."""
    key = ("biomass", name, name)
    return episode.series[key] if key in episode.series else episode.series["concentration", "", name]


def unit_of(episode: Episode | None, name: str) -> str:
    """Return a name with the unit of its column."""
    biomass = episode is not None and ("biomass", name, name) in episode.series
    return f"{name} ({'gDW/L' if biomass else 'mmol/L'})"
