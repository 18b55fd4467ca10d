"""Tidy tables of what happened: a row per number, with its time, agent, kind and unit."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from ..culture.repairs import STATUSES

if TYPE_CHECKING:
    import pandas as pd

    from ..community import Community

COLUMNS = ("episode", "copy", "time_h", "agent", "quantity", "id", "value", "unit")


def tidy_table(
    community: "Community",
    learning: Sequence[str],
    episode: np.ndarray,
    info: Mapping[str, np.ndarray],
) -> "pd.DataFrame":
    """Return states, growth, fluxes, actions, rewards and status of steps as rows.

    Parameters
    ----------
    learning
        Names of the agents whose rewards ``agent_reward`` holds.
    episode
        ``(n_steps,)``; also written as ``copy``, since every episode is a culture of its own.
    info
        Arrays with leading axis n_steps, as the environment's ``info`` has them.

    Returns
    -------
    DataFrame
        Columns episode, copy, time_h, agent (null for species), quantity (biomass, concentration, growth,
        exchange_flux, action, reward, lp_status), id, value and unit. A status is the place of its name in
        `culture.repairs.STATUSES`.
    """
    import pandas as pd

    case = community.case
    names = [agent.name for agent in case.agents]
    series: list[tuple[str | None, str, str, np.ndarray, str]] = []
    state = info["concentration"]
    for column, name in enumerate(case.names):
        if column < len(names):
            series.append((name, "biomass", name, state[:, column], "gDW/L"))
        else:
            series.append((None, "concentration", name, state[:, column], "mmol/L"))
    for column, name in enumerate(names):
        if "growth" in info:
            series.append((name, "growth", name, info["growth"][:, column], "1/h"))
            series.append((name, "lp_status", name, info["lp_status"][:, column].astype(float), ", ".join(STATUSES)))
    for column, (name, species) in enumerate(community.flux_labels() if "exchange" in info else ()):
        series.append((name, "exchange_flux", species, info["exchange"][:, column], "mmol/gDW/h"))
    if "action" in info:
        column = 0
        for agent in case.agents:
            for action in agent.actions:
                unit = {"feed_rate": "L/h", "uptake_limit": ""}.get(action.kind, "mmol/gDW/h")
                series.append((agent.name, "action", action.label, info["action"][:, column], unit))
                column += 1
    if "agent_reward" in info:
        series += [(name, "reward", name, info["agent_reward"][:, i], "") for i, name in enumerate(learning)]
    count = len(episode)
    repeated = {
        "agent": [entry[0] for entry in series],
        "quantity": [entry[1] for entry in series],
        "id": [entry[2] for entry in series],
    }
    frame: dict[str, Any] = {
        "episode": np.tile(episode, len(series)),
        "copy": np.tile(episode, len(series)),
        "time_h": np.tile(info["time_h"], len(series)),
        **{key: np.repeat(np.array(values, dtype=object), count) for key, values in repeated.items()},
        "value": np.concatenate([entry[3] for entry in series]),
        "unit": np.repeat(np.array([entry[4] for entry in series], dtype=object), count),
    }
    return pd.DataFrame(frame)[list(COLUMNS)]


def flux_table(community: "Community", episode: np.ndarray, info: Mapping[str, np.ndarray]) -> "pd.DataFrame":
    """Return the fluxes of all reactions as rows, with the same columns."""
    import pandas as pd

    labels = community.reaction_labels()
    count = len(episode)
    return pd.DataFrame(
        {
            "episode": np.tile(episode, len(labels)),
            "copy": np.tile(episode, len(labels)),
            "time_h": np.tile(info["time_h"], len(labels)),
            "agent": np.repeat(np.array([name for name, _ in labels], dtype=object), count),
            "quantity": "flux",
            "id": np.repeat(np.array([reaction for _, reaction in labels], dtype=object), count),
            "value": info["fluxes"].T.reshape(-1),
            "unit": "mmol/gDW/h",
        }
    )[list(COLUMNS)]
