"""What is measured of a community: returns, end states, and how far its numbers can be trusted."""

from collections.abc import Sequence

import numpy as np

from ..batched import Metric
from ..trajectories import Evaluation, Trajectories
from .community import Community
from .culture.repairs import STATUSES
from .records.tables import flux_table, tidy_table

METRICS = (
    Metric("mean_return", "higher", "sum of rewards over an episode, mean over learning agents"),
    Metric("least_return", "higher", "the same of the agent that earns least"),
    Metric("final_biomass", "higher", "biomass of all agents at the end (gDW/L)"),
    Metric("infeasible", "lower", "share of time in which bounds left an agent no flux"),
    Metric("mass_residual", "lower", "largest error of the mass balance over an episode, relative"),
)
RECORDED = 4
"""Episodes whose every step goes into the tables."""


def measure_community(community: Community, learning: Sequence[str], trajectories: Trajectories) -> Evaluation:
    """Return scalars over whole episodes, a row per episode, and tidy tables of the first few.

    Scalars: ``mean_return`` and ``return_<agent>``, ``least_return``; at the end ``final_biomass``,
    ``final_biomass_<agent>`` and ``final_<species>``; ``infeasible``, ``infeasible_<agent>`` and
    ``infeasible_by_<mode>``, what was done about it, shares of time; ``tied`` and ``tied_<agent>``, where counted; and
    ``mass_residual``.
    """
    import pandas as pd

    info, names = trajectories.info, [agent.name for agent in community.case.agents]
    episode = trajectories.episode
    order = np.lexsort((trajectories.step, episode))
    episodes, first = np.unique(episode[order], return_index=True)
    last = order[np.append(first[1:], len(order)) - 1]
    count = len(episodes)
    place = np.searchsorted(episodes, episode)

    def total(values: np.ndarray) -> np.ndarray:
        summed = np.zeros((count, values.shape[1]))
        np.add.at(summed, place, values)
        return summed

    length = np.bincount(place, minlength=count)
    returns = total(info["agent_reward"])
    unfit, tied = (total(info[key].astype(float)) / length[:, None] for key in ("infeasible", "tied"))
    end = info["concentration"][last]
    table = {"episode": episodes, "episode_length": length, "mean_return": returns.mean(axis=1)}
    table["episode_return"] = returns.sum(axis=1)
    table["least_return"] = returns.min(axis=1)
    table |= {f"return_{name}": returns[:, column] for column, name in enumerate(learning)}
    table["final_biomass"] = end[:, : len(names)].sum(axis=1)
    table |= {f"final_biomass_{name}": end[:, column] for column, name in enumerate(names)}
    species = community.case.species
    table |= {f"final_{name}": end[:, len(names) + column] for column, name in enumerate(species)}
    table["infeasible"] = unfit.mean(axis=1)
    table |= {f"infeasible_{name}": unfit[:, column] for column, name in enumerate(names)}
    if "causes" in info:
        causes = total(info["causes"]) / length[:, None]
        table |= {f"infeasible_by_{mode}": causes[:, column] for column, mode in enumerate(STATUSES[1:])}
    if community.options.report_ties:
        table["tied"] = tied.mean(axis=1)
        table |= {f"tied_{name}": tied[:, column] for column, name in enumerate(names)}
    table["mass_residual"] = info["mass_residual"][last]
    frame = pd.DataFrame(table)
    scalars = {str(key): float(frame[key].mean()) for key in frame.columns if key != "episode"}
    scalars["mass_residual"] = float(frame["mass_residual"].max())
    tables = {}
    if "exchange" in info:
        kept = np.flatnonzero(place < RECORDED)
        chosen = {key: values[kept] for key, values in info.items()}
        tables["concentrations"] = tidy_table(community, learning, episode[kept], chosen)
        if "fluxes" in info:
            tables["fluxes"] = flux_table(community, episode[kept], chosen)
    return Evaluation(scalars, frame, tables)
