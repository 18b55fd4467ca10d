"""Whether the microbes of a case can live and grow where they start, and what they lack if not."""

import warnings

import numpy as np
from numpy.typing import NDArray

from ... import UserError
from .community import Community
from .culture.model_groups import ModelGroup
from .linear_program import LinearProgram

FloatArray = NDArray[np.float64]

GROWS = 1e-9
"""1/h."""
MOST_NAMED = 12


def check_start(community: Community) -> None:
    """Refuse a case whose agents have no flux at the start; warn of those that cannot grow.

    Raises
    ------
    UserError
        With the agent, the lower bounds that cannot be met, the shortfall and the remedy.
    """
    state = np.maximum(community.case.initial, 0.0)[None]
    community.case.extracellular.rates(state)
    if not community.spam:
        _warn_of_inner_actions(community)
    idle = np.full((1, community.n_actions), np.nan)
    for group in community.groups:
        limits = group.limits(state)
        lower, _ = group.bounds(limits, idle, None)
        solution = group.program.solve(lower[:, 0], group.upper_rows(len(lower)))
        for number, member in enumerate(group.members):
            agent = community.case.agents[member]
            row = lower[number, 0]
            if not solution.feasible[number]:
                raise UserError(f"agents.{agent.name}: {_explain(group, row)}")
            if solution.growth[number] <= GROWS and community.case.options.grows_at_start:
                warnings.warn(f"agents.{agent.name}: {_missing(group, row)}", stacklevel=4)


def _warn_of_inner_actions(community: Community) -> None:
    """Warn of signed actions on reactions that exchange nothing: SPAM-DFBA keeps what they forced last."""
    for agent in community.case.agents:
        for number, action in enumerate(agent.actions):
            if action.kind == "signed" and action.species is None:
                warnings.warn(
                    f"agents.{agent.name}.actions[{number}] is signed and {action.label} exchanges no species of the "
                    "case: with semantics=standard a negative action forces nothing, while semantics=spam keeps the "
                    "last forced flux; set kind: secretion_floor.",
                    stacklevel=5,
                )


def _explain(group: ModelGroup, lower: FloatArray) -> str:
    """Return which forced fluxes cannot be met at the start, and by how much."""
    name = group.model.name
    program = group.program
    maintained = list(program.maintenance)
    solution, _ = program.relax_maintenance(lower[None], group.upper[None], all_fluxes=True)
    if maintained and solution.feasible[0] and solution.fluxes is not None:
        demanded = group.model.lower[maintained]
        lacking = demanded - solution.fluxes[0, maintained]
        short = [
            f"{group.model.reactions[reaction]} is at least {least:g} and lacks {lack:.3g}"
            for reaction, least, lack in zip(maintained, demanded, lacking, strict=True)
            if lack > GROWS
        ]
        return (
            f"the model {name} has no flux at the start: {', '.join(short)} mmol/gDW/h; raise initial "
            "concentrations of what it takes up, or lower the bound in edits."
        )
    return f"the model {name} has no flux at the start, whatever it takes up: check its bounds."


def _missing(group: ModelGroup, lower: FloatArray) -> str:
    """Return which single species would let the agent grow."""
    exchanges = group.model.exchanges
    wanted = [reaction for reaction in exchanges.values() if group.model.upper[reaction] >= -GROWS]
    varying = list(dict.fromkeys([*group.varying, *wanted]))
    known = len(group.varying)
    base = np.concatenate([lower, group.model.lower[varying[known:]]])
    upper = np.concatenate([group.upper, group.model.upper[varying[known:]]])
    rows = np.repeat(base[None], len(wanted), axis=0)
    for number, reaction in enumerate(wanted):
        place = varying.index(reaction)
        rows[number, place] = min(-10.0, rows[number, place])
    program = LinearProgram(group.model, varying=varying, tracked=[], tie_break="vertex", solver="highs")
    solution = program.solve(rows, np.repeat(upper[None], len(rows), axis=0))
    growing = {reaction for reaction, mu in zip(wanted, solution.growth, strict=True) if mu > GROWS}
    names = [species for species, reaction in exchanges.items() if reaction in growing]
    shown = ", ".join(names[:MOST_NAMED]) + (" and others" if len(names) > MOST_NAMED else "")
    remedy = f"any of {shown} would restore growth" if names else "no single species would restore growth"
    return (
        f"the model {group.model.name} cannot grow at the start: {remedy}; add it to initial or medium, or set "
        "case.grows_at_start=false."
    )
