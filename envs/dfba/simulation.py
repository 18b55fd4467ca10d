"""Plain dynamic FBA of a case, without learning: from a case to tidy tables."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ... import UserError
from ...configs.option import build_options
from .community import Community, StepResult
from .config import DynamicFBAConfig
from .culture.balances import created_elements
from .records.tables import flux_table, tidy_table

if TYPE_CHECKING:
    import pandas as pd

FloatArray = NDArray[np.float64]


def simulate(case: Any, actions: Mapping[str, Any] | None = None, **options: Any) -> "dict[str, pd.DataFrame]":
    """Run one culture to its end and return what happened.

    Parameters
    ----------
    case
        Name, path or content of a case; see ``configs/env/case``.
    actions
        Bounds by agent (mmol/gDW/h, as their kind says): a row of numbers, held for all time, or a row per step.
        Agents that are not named do nothing, so that their models and rate laws alone decide. A signed action of 0
        differs from that: it forbids uptake too.
    **options
        Further fields of `DynamicFBAConfig`, such as ``semantics="spam"``, ``substeps="auto"`` or
        ``record_fluxes=True``.

    Returns
    -------
    dict
        ``concentrations``: a row per number (see `tables.tidy_table`), states at the start and after every step, the
        rest of the step before. With ``record_fluxes`` also ``fluxes``, the same of all reactions, and ``balance``:
        what each model's reactions make of an element out of nothing (mmol/gDW/h), which says whether it is
        consistent; empty where models have no formulas.
    """
    community, config = build_community(case, options)
    steps = community.case.horizon_steps
    joint = joint_schedule(community, actions, steps)
    state = community.new_state(1)
    rows: list[dict[str, NDArray[Any]]] = []
    for step in range(steps):
        result = community.step(state, joint[step : step + 1])
        rows.append(_row(community, config, state, result, joint[step]))
    info = {key: np.concatenate([row[key] for row in rows]) for key in rows[0]}
    learning = [agent.name for agent in community.case.agents]
    tables = {"concentrations": _with_start(community, tidy_table(community, learning, np.zeros(steps, int), info))}
    if "fluxes" in info:
        tables["fluxes"] = flux_table(community, np.zeros(steps, int), info)
        tables["balance"] = _balance_table(community, info)
    return tables


def _balance_table(community: Community, info: Mapping[str, NDArray[Any]]) -> "pd.DataFrame":
    """Return what the agents' reactions make of each element, with the largest flux for comparison."""
    import pandas as pd

    rows, begin = [], 0
    for group in community.groups:
        for member in group.members:
            end = begin + len(group.model.reactions)
            fluxes = info["fluxes"][:, begin:end]
            begin = end
            for element, created in created_elements(group.model, fluxes).items():
                columns = {"time_h": info["time_h"], "created": created, "largest_flux": np.abs(fluxes).max(axis=1)}
                rows.append(pd.DataFrame({"agent": community.case.agents[member].name, "element": element} | columns))
    names = ["agent", "element", "time_h", "created", "largest_flux"]
    return pd.concat(rows, ignore_index=True) if rows else pd.DataFrame(columns=names)


def build_community(case: Any, options: Mapping[str, Any]) -> tuple[Community, DynamicFBAConfig]:
    """Return the checked community of a case and its options."""
    from .environment import load_community

    config = build_options(DynamicFBAConfig, {"frame_skip": 1, "case": case, **options}, "")
    return load_community(config), config


def joint_schedule(community: Community, actions: Mapping[str, Any] | None, steps: int) -> FloatArray:
    """Return joint actions (steps, A) from those of single agents; NaN where an agent does nothing."""
    joint = np.full((steps, community.n_actions), np.nan)
    places = {agent.name: place for agent, place in zip(community.case.agents, community.action_places, strict=True)}
    for name, values in (actions or {}).items():
        if name not in places:
            raise UserError(f"actions names {name}: choose among {', '.join(places)}.")
        width = places[name].stop - places[name].start
        given = np.atleast_1d(np.asarray(values, dtype=np.float64))
        if given.shape not in ((width,), (steps, width)):
            raise UserError(
                f"actions of {name} have shape {given.shape}: give {width} numbers, or a row of them for each of "
                f"{steps} steps."
            )
        joint[:, places[name]] = given
    return joint


def _row(
    community: Community, config: DynamicFBAConfig, state: dict[str, Any], result: StepResult, action: FloatArray
) -> dict[str, NDArray[Any]]:
    row = {
        "concentration": state["concentration"].copy(),
        "time_h": state["community_step"] * community.case.dt_h,
        "growth": result.growth,
        "lp_status": result.status,
        "exchange": community.all_exchanges(result.exchange),
        "action": action[None],
        "agent_reward": result.spam_reward if config.reward == "spam" else result.formed,
    }
    if result.fluxes is not None:
        row["fluxes"] = community.all_fluxes(result.fluxes)
    return row


def _with_start(community: Community, table: "pd.DataFrame") -> "pd.DataFrame":
    """Return the table with the start of the culture before it."""
    import pandas as pd

    info = {"concentration": community.case.initial[None], "time_h": np.zeros(1)}
    start = tidy_table(community, [], np.zeros(1, int), info)
    return pd.concat([start, table], ignore_index=True)
