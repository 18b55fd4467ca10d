"""What a policy would do in states that an episode did not visit: its actions over two observed species."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ..batched_culture import BatchedCulture
from .run_records import Episode

if TYPE_CHECKING:
    import pandas as pd

FloatArray = NDArray[np.float64]

COLUMNS = ("agent", "action", "unit", "time_h", "x_name", "y_name", "x", "y", "x_here", "y_here", "value", "others")
MOMENTS = (0.1, 0.5, 0.9)
"""Shares of an episode at which the other observed quantities are held."""
POINTS = 25
"""In either direction."""
MARGIN = 1.1
MOST_AGENTS = 6


def policy_map(environment: BatchedCulture, policy: Any, episode: Episode) -> "pd.DataFrame":
    """Return a row per agent, action, moment and point of a grid over the two species that change most.

    All else that the agent observes, the time too, is what it was at that moment of the episode, which ``others`` says;
    ``x_here`` and ``y_here`` are where the episode was. Actions are the most probable ones, in physical units. Agents
    that observe fewer than two quantities have no rows.
    """
    import pandas as pd

    case = environment.case
    states = np.stack(
        [
            *(episode.series["biomass", agent.name, agent.name] for agent in case.agents),
            *(episode.series["concentration", "", name] for name in case.species),
        ],
        axis=1,
    )
    parts = [pd.DataFrame(columns=list(COLUMNS))]
    for name in environment.agents[:MOST_AGENTS]:
        chosen = axes_of(states, environment.seen.columns[name], len(case.agents))
        if chosen is None:
            continue
        for step in sorted({min(int(share * len(states)), len(states) - 1) for share in MOMENTS}):
            parts += slice_of(environment, policy, name, states, step, chosen, float(episode.time_h[step]))
    return pd.concat(parts[1:] or parts, ignore_index=True)


def axes_of(states: FloatArray, observed: NDArray[np.int64], n_agents: int) -> tuple[int, int] | None:
    """Return the two columns to vary: species before biomass, then those whose share of change is largest."""
    largest = np.maximum(states.max(axis=0), 1e-12)
    change = np.ptp(states, axis=0) / largest
    columns = [int(column) for column in observed]
    if len(columns) < 2:
        return None
    first, second = sorted(columns, key=lambda column: (column < n_agents, -change[column]))[:2]
    return min(first, second), max(first, second)


def slice_of(
    environment: BatchedCulture,
    policy: Any,
    agent: str,
    states: FloatArray,
    step: int,
    axes: tuple[int, int],
    time_h: float,
) -> "list[pd.DataFrame]":
    """Return the rows of one moment, a table per action of the agent."""
    import pandas as pd

    case, names = environment.case, environment.case.names
    grids = [np.linspace(0.0, MARGIN * max(float(states[:, column].max()), 1e-6), POINTS) for column in axes]
    x, y = (grid.ravel() for grid in np.meshgrid(*grids))
    tried = np.repeat(states[step : step + 1], len(x), axis=0)
    tried[:, axes[0]], tried[:, axes[1]] = x, y
    bounds = actions_at(environment, policy, agent, tried, step + 1)
    fixed = [int(column) for column in environment.seen.columns[agent] if column not in axes]
    others = ", ".join(f"{names[column]} {states[step, column]:.3g}" for column in fixed)
    (member,) = (one for one in case.agents if one.name == agent)
    return [
        pd.DataFrame(
            {
                "agent": agent,
                "action": action.label,
                "unit": {"feed_rate": "L/h", "uptake_limit": ""}.get(action.kind, "mmol/gDW/h"),
                "time_h": time_h,
                "x_name": names[axes[0]],
                "y_name": names[axes[1]],
                "x": x,
                "y": y,
                "x_here": states[step, axes[0]],
                "y_here": states[step, axes[1]],
                "value": bounds[:, number],
                "others": others,
            }
        )
        for number, action in enumerate(member.actions)
    ]


def actions_at(environment: BatchedCulture, policy: Any, agent: str, states: FloatArray, elapsed: int) -> FloatArray:
    """Return the bounds (n, a) that an agent sets in states (n, S) after ``elapsed`` decisions."""
    elapsed = min(elapsed, environment.decisions - 1)
    left = np.full(len(states), environment.decisions - elapsed)
    seen = environment.seen.observe(states, left, environment.decisions, environment.agents)
    keywords = {"steps": np.full(len(states), elapsed)} if getattr(policy, "uses_steps", False) else {}
    observation = seen[environment.agents[0]] if environment.alone else seen
    actions = policy.act(observation, masks=None, generator=None, **keywords)
    part = actions if environment.alone else actions[agent]
    return np.asarray(environment.scaling.physical(agent, part), dtype=np.float64)


def policy_agents(table: "pd.DataFrame") -> Sequence[tuple[str, str]]:
    """Return agents and actions of a table, in their order."""
    return list(dict.fromkeys(zip(table["agent"], table["action"], strict=True)))
