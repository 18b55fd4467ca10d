"""The community: one step of all copies of a culture, by linear programs and explicit Euler. NumPy only."""

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ... import UserError
from .culture.case import Case
from .culture.conserving import check_concentrations, order_free_sum, scale_reactions, share_of
from .culture.model_groups import ModelGroup, StepOptions
from .culture.repairs import OPTIMAL
from .culture.step_result import Rates, StepResult, join_results
from .solvers.form_solver import LinearProgramError

FloatArray = NDArray[np.float64]
State = dict[str, NDArray[Any]]

MOST_SUBSTEPS = 64


class Community:
    """Copies of one culture, advanced together; all that changes is in a dictionary of arrays with axis K first.

    Attributes
    ----------
    groups
        Agents that share a linear program.
    action_places
        Columns of the joint actions (K, A) that belong to each agent.
    """

    def __init__(self, case: Case, options: StepOptions) -> None:
        self.case = case
        self.options = options
        self.n_agents, self.n_columns = len(case.agents), len(case.names)
        self.spam = options.semantics == "spam"
        sizes = np.cumsum([0, *(len(agent.actions) for agent in case.agents)])
        self.action_places = [slice(int(a), int(b)) for a, b in pairwise(sizes)]
        self.n_actions = int(sizes[-1])
        self.feeds = [
            place.start + number
            for agent, place in zip(case.agents, self.action_places, strict=True)
            for number, action in enumerate(agent.actions)
            if action.kind == "feed_rate"
        ]
        together: dict[Any, list[int]] = {}
        for position, agent in enumerate(case.agents):
            together.setdefault((id(agent.model), agent.actions_key), []).append(position)
        self.groups = [ModelGroup(case, members, options, self.action_places) for members in together.values()]
        self.n_inner = max(len(group.inner_lower) for group in self.groups)
        self.constant = np.array(case.constant, dtype=np.int64)
        self.species = slice(self.n_agents, self.n_columns)
        self.constants: FloatArray | None = None
        self.released = None if options.released is None else self._released_places(options.released)

    def _released_places(self, species: str) -> list[int | None]:
        if species not in self.case.species:
            raise UserError(f"reward=release:{species}: choose one of {', '.join(self.case.species)}.")
        return [group.species.index(species) if species in group.species else None for group in self.groups]

    # State.

    def new_state(self, copies: int) -> State:
        """Return the arrays of so many copies, all at the start of an episode."""
        state: State = {
            "concentration": np.empty((copies, self.n_columns)),
            "supplied": np.empty((copies, self.n_columns)),
            "clipped": np.empty((copies, self.n_columns)),
            "basis": np.empty((copies, self.n_agents), dtype=np.int64),
            "community_step": np.empty(copies, dtype=np.int64),
        }
        if self.n_inner and self.spam:
            state["held_lower"] = np.empty((copies, self.n_agents, self.n_inner))
        if self.case.reactor.kind == "fed_batch":
            state["volume"] = np.empty(copies)
        self.begin(state, np.arange(copies))
        return state

    def begin(self, state: State, copies: NDArray[np.int64]) -> None:
        """Put these copies at the start of an episode."""
        state["concentration"][copies] = self.case.initial
        state["supplied"][copies] = 0.0
        state["clipped"][copies] = 0.0
        state["basis"][copies] = -1
        state["community_step"][copies] = 0
        if "volume" in state:
            state["volume"][copies] = self.case.reactor.volume
        if "held_lower" in state:
            for group in self.groups:
                for member in group.members:
                    state["held_lower"][copies, member, : len(group.inner_lower)] = group.inner_lower

    def statistics(self) -> list[dict[str, Any]]:
        """Return what the linear programs have counted, by group of agents."""
        return [dict(getattr(group.program, "statistics", {})) for group in self.groups]

    def flux_labels(self) -> list[tuple[str, str]]:
        """Return agent and species of every column of `all_exchanges`."""
        return [
            (self.case.agents[member].name, species)
            for group in self.groups
            for member in group.members
            for species in group.species
        ]

    def reaction_labels(self) -> list[tuple[str, str]]:
        """Return agent and reaction of every column of `all_fluxes`."""
        return [
            (self.case.agents[member].name, reaction)
            for group in self.groups
            for member in group.members
            for reaction in group.model.reactions
        ]

    def all_fluxes(self, fluxes: Sequence[FloatArray]) -> FloatArray:
        """Return the fluxes of all reactions of all agents side by side (K, n_fluxes)."""
        return self.all_exchanges(fluxes)

    def all_exchanges(self, exchange: Sequence[FloatArray]) -> FloatArray:
        """Return the exchange fluxes of all agents side by side (K, n_fluxes)."""
        return np.concatenate([part.swapaxes(0, 1).reshape(part.shape[1], -1) for part in exchange], axis=1)

    def mass_residual(self, state: State) -> FloatArray:
        """Return how far every copy's end state is from its start plus all that was supplied, relative, (K,)."""
        error = np.abs(state["concentration"] - self.case.initial - state["supplied"] - state["clipped"])
        scale = np.maximum(1.0, np.maximum(np.abs(state["concentration"]), self.case.initial))
        residual: FloatArray = (error / scale).max(axis=1)
        return residual

    # One step.

    def step(self, state: State, actions: FloatArray) -> StepResult:
        """Take one step of ``dt_h`` in all copies; ``actions`` (K, A) are physical, NaN for none."""
        reactor, count = self.case.reactor, self.options.substeps
        if reactor.period_steps:
            self._transfer(state)
        if count == "auto":
            result = self._step_apart(state, actions)
        elif count == 1:
            result = self._substep(state, actions, slice(None), self.case.dt_h)
        else:
            hours = self.case.dt_h / int(count)
            result = self._substep(state, actions, slice(None), hours)
            for _ in range(int(count) - 1):
                result = join_results(result, self._substep(state, actions, slice(None), hours), slice(None))
        state["community_step"] += 1
        return result

    def _step_apart(self, state: State, actions: FloatArray) -> StepResult:
        """Give every copy as many substeps as it needs by itself."""
        counts = self.needed_substeps(state["concentration"])
        everyone = np.arange(len(counts))
        hours = self.case.dt_h / counts
        result = self._substep(state, actions, everyone, hours)
        for number in range(1, int(counts.max())):
            rows = np.flatnonzero(counts > number)
            result = join_results(result, self._substep(state, actions, rows, hours[rows]), rows)
        return result

    def needed_substeps(self, concentration: FloatArray) -> NDArray[np.int64]:
        """Return ``ceil(2 dt max_s sum_i Vmax_is X_i/(Km_s + c_s))`` (K,), at least 1 and at most 64."""
        state = np.maximum(concentration, 0.0)
        speed = [
            (group, group.kinetics.stiffness(state) * state[:, group.member_index].T[:, :, None])
            for group in self.groups
        ]
        fastest = self._total(speed).max(axis=1)
        counts: NDArray[np.int64] = np.clip(np.ceil(2 * self.case.dt_h * fastest), 1, MOST_SUBSTEPS).astype(np.int64)
        return counts

    def _substep(self, state: State, actions: FloatArray, rows: Any, hours: Any) -> StepResult:
        """Take one Euler step of ``hours`` (a number, or (n,)) in some copies."""
        everyone = isinstance(rows, slice)
        before = state["concentration"] if everyone else state["concentration"][rows]
        chosen = actions if everyone else actions[rows]
        part = state if everyone else {key: value[rows] for key, value in state.items()}
        start = np.maximum(before, 0.0)
        if self.spam:
            part["clipped"] += start - before
        outflow: Any = self.case.reactor.dilution
        if "volume" in part:
            fed = self._feed(part, chosen) * hours
            part["volume"] = part["volume"] + fed
            # Over the new volume, mixing what was there with what is fed keeps every amount exactly.
            outflow = fed / part["volume"] / hours
        try:
            rates = self.rates(start, chosen, outflow, basis=part["basis"], held=part.get("held_lower"), hours=hours)
        except LinearProgramError as error:
            raise stopped(error, part, chosen) from error
        wide = hours if np.ndim(hours) == 0 else hours[:, None]
        moved = rates.change * wide
        after = start + moved
        if not self.spam:
            check_concentrations(after, self.case.names)
        part["supplied"] += moved
        part["concentration"], part["basis"] = after, rates.basis
        if not everyone:
            for key, value in part.items():
                state[key][rows] = value
        return self._result(start, rates, wide)

    def _result(self, start: FloatArray, rates: Rates, wide: Any) -> StepResult:
        biomass = start[:, : self.n_agents]
        made = rates.growth * biomass
        unfit = rates.status != OPTIMAL
        spam = np.where(unfit, -1.0, made)
        share = wide / self.case.dt_h
        result = StepResult(
            formed=made * wide,
            log_growth=rates.growth * wide,
            spam_reward=spam if np.ndim(wide) == 0 and share == 1 else spam * share,
            infeasible_h=unfit * wide,
            status=rates.status,
            growth=rates.growth,
            exchange=rates.exchange,
            tied=rates.tied,
            fluxes=rates.fluxes,
        )
        if self.released is not None:
            result.released = np.zeros_like(made)
            for group, place, exchange in zip(self.groups, self.released, rates.exchange, strict=True):
                if place is not None:
                    result.released[:, group.member_index] = np.maximum(exchange[:, :, place], 0).T
            result.released *= biomass * wide
        return result

    def rates(
        self,
        state: FloatArray,
        actions: FloatArray,
        outflow: Any,
        *,
        basis: NDArray[np.int64],
        held: NDArray[Any] | None = None,
        hours: Any = None,
    ) -> Rates:
        """Return the derivative of states (K, S) that are nowhere negative.

        With ``hours``, nothing is used up faster than a step of that length allows; without, as in a continuous
        integration, the rate laws alone limit uptake. ``outflow`` is D, 1/h, a number or (K,).
        """
        case, copies = self.case, len(state)
        reacted = case.extracellular.rates(state) if len(case.extracellular) else None
        limits = [group.limits(state) for group in self.groups]
        biomass = state[:, : self.n_agents]
        if not self.spam and hours is not None:
            reacted, limits = self._share(state, reacted, limits, outflow, hours)
        change = np.zeros_like(state)
        growth = np.empty((copies, self.n_agents))
        status = np.zeros((copies, self.n_agents), dtype=np.int64)
        new_basis = basis.copy()
        tied = np.zeros((copies, self.n_agents), dtype=bool) if self.options.report_ties else None
        exchanges: list[FloatArray] = []
        fluxes: list[FloatArray] = []
        moved: list[tuple[ModelGroup, FloatArray]] = []
        for group, limit in zip(self.groups, limits, strict=True):
            found = group.solve(limit, actions, basis, held)
            members = group.member_index
            growth[:, members] = found.growth.T
            new_basis[:, members] = found.basis.T
            if found.status is not None:
                status[:, members] = found.status.T
            if found.death is not None:
                change[:, members] -= found.death.T * biomass[:, members]
            if tied is not None and found.tied is not None:
                tied[:, members] = found.tied.T
            if found.fluxes is not None:
                fluxes.append(found.fluxes)
            exchanges.append(found.exchange)
            moved.append((group, found.exchange * biomass[:, members].T[:, :, None]))
        change[:, : self.n_agents] += growth * biomass
        if len(moved) == 1:
            change[:, self.groups[0].columns] += order_free_sum(moved[0][1])
        else:
            change[:, self.species] += self._total(moved)
        if reacted is not None:
            change += reacted @ case.extracellular.stoichiometry
        if np.ndim(outflow) or outflow:
            change += (outflow[:, None] if np.ndim(outflow) else outflow) * (case.reactor.inlet - state)
        if len(self.constant):
            change[:, self.constant] = 0.0
        return Rates(change, growth, status, exchanges, new_basis, tied, fluxes or None)

    def _share(
        self, state: FloatArray, reacted: FloatArray | None, limits: list[FloatArray], outflow: Any, hours: Any
    ) -> tuple[FloatArray | None, list[FloatArray]]:
        """Scale reactions, then uptake limits, so that a step of ``hours`` takes no more than there is.

        What there is, per hour, is ``C (1/dt - D)``. Reactions come first; agents share the rest in proportion to
        what they want, whatever their order.
        """
        per_hour = 1.0 / hours - outflow
        available = state * (per_hour[:, None] if np.ndim(per_hour) else per_hour)
        if len(self.constant):
            available[:, self.constant] = np.inf
        if reacted is not None:
            reacted = scale_reactions(reacted, self.case.extracellular.stoichiometry, available)
        biomass = state[:, : self.n_agents]
        wanted = [
            (group, limit * biomass[:, group.member_index].T[:, :, None])
            for group, limit in zip(self.groups, limits, strict=True)
        ]
        if len(wanted) == 1:
            group = self.groups[0]
            return reacted, [limits[0] * share_of(available[:, group.columns], order_free_sum(wanted[0][1]))]
        share = np.ones_like(available)
        share[:, self.species] = share_of(available[:, self.species], self._total(wanted))
        return reacted, [limit * share[:, group.columns] for group, limit in zip(self.groups, limits, strict=True)]

    def _total(self, parts: list[tuple[ModelGroup, FloatArray]]) -> FloatArray:
        """Return the sum over agents (K, n_species) of arrays (m, K, E) by group."""
        copies = parts[0][1].shape[1]
        table = np.zeros((self.n_agents, copies, self.n_columns))
        for group, part in parts:
            if isinstance(group.columns, slice):
                table[group.member_index, :, group.columns] = part
            else:
                table[group.members[:, None], :, group.columns[None]] = part.swapaxes(1, 2)
        return order_free_sum(table)[:, self.species]

    def _feed(self, part: State, actions: FloatArray) -> FloatArray:
        """Return the feed of a fed batch (K,), L/h: planned, or what agents decide."""
        if self.feeds:
            decided: FloatArray = np.nan_to_num(actions[:, self.feeds]).clip(min=0).sum(axis=1)
            return decided
        return self.case.reactor.feed(part["community_step"] * self.case.dt_h)

    def _transfer(self, state: State) -> None:
        """Dilute the copies whose period is over; a culture at its start is not."""
        elapsed = state["community_step"]
        rows = np.flatnonzero((elapsed > 0) & (elapsed % self.case.reactor.period_steps == 0))
        if len(rows):
            before = state["concentration"][rows]
            start = np.maximum(before, 0.0) if self.spam else before
            after = self.case.reactor.transfer(start)
            after[:, self.constant] = start[:, self.constant]
            state["concentration"][rows] = after
            state["clipped"][rows] += start - before
            state["supplied"][rows] += after - start


def stopped(error: LinearProgramError, state: State, actions: FloatArray) -> UserError:
    """Return the sentence about a step that no solver solves, and put state, actions and steps beside the bounds."""
    error.keep({"actions": actions, **state})
    first, last = (int(end(state["community_step"])) + 1 for end in (np.min, np.max))
    return UserError(
        f"{error.reason} in step {first if first == last else f'{first} to {last}'} of the culture: bounds, state, "
        f"actions and steps are in {error.file}; go on from the last checkpoint, or choose another solver or tie_break."
    )


__all__ = ["Community", "State", "StepOptions", "StepResult"]
