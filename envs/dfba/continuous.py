"""Communities integrated by LSODA: slow, and there to validate the steps of Euler."""

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.integrate import solve_ivp

from ... import UserError
from .community import Community, State, StepResult
from .culture.repairs import OPTIMAL

FloatArray = NDArray[np.float64]

RELATIVE, ABSOLUTE = 1e-8, 1e-10
"""Tolerances of the integration."""


class ContinuousCommunity(Community):
    """A community whose state follows its differential equations, of which every right-hand side is a linear program.

    Uptake is limited by its rate laws alone. `StepResult` says of ``status`` and fluxes what holds at the end of a
    step; ``formed`` and ``log_growth`` are integrated with the state, and time without a fitting flux is told by the
    ends of the step.
    """

    def step(self, state: State, actions: FloatArray) -> StepResult:
        """Integrate every copy by itself over ``dt_h``."""
        copies, agents, hours = len(actions), self.n_agents, self.case.dt_h
        start = np.maximum(state["concentration"], 0.0)
        formed, logarithm = np.zeros((copies, agents)), np.zeros((copies, agents))
        first = self._at(start, actions)
        end = start.copy()
        for copy in range(copies):
            initial = np.concatenate([start[copy], np.zeros(2 * agents)])
            found = solve_ivp(
                self._derivative, (0.0, hours), initial, "LSODA", args=(actions[copy],), rtol=RELATIVE, atol=ABSOLUTE
            )
            if not found.success:
                raise UserError(f"integrator=lsoda stopped ({found.message}): use integrator=euler.")
            last = found.y[:, -1]
            end[copy] = last[: self.n_columns]
            formed[copy] = last[self.n_columns : self.n_columns + agents]
            logarithm[copy] = last[self.n_columns + agents :]
        state["supplied"] += end - start
        state["clipped"] += start - state["concentration"]
        state["concentration"] = end
        state["community_step"] += 1
        rates = self._at(np.maximum(end, 0.0), actions)
        unfit = 0.5 * ((first.status != OPTIMAL).astype(float) + (rates.status != OPTIMAL))
        return StepResult(
            formed=formed,
            log_growth=logarithm,
            spam_reward=np.where(rates.status != OPTIMAL, -1.0, formed / hours),
            infeasible_h=unfit * hours,
            status=rates.status,
            growth=rates.growth,
            exchange=rates.exchange,
            tied=rates.tied,
            fluxes=rates.fluxes,
        )

    def _at(self, state: FloatArray, actions: FloatArray) -> Any:
        basis = np.full((len(state), self.n_agents), -1)
        return self.rates(state, actions, self.case.reactor.dilution, basis=basis)

    def _derivative(self, time: float, values: FloatArray, actions: FloatArray) -> FloatArray:
        del time
        state = np.maximum(values[None, : self.n_columns], 0.0)
        rates = self._at(state, actions[None])
        biomass = state[0, : self.n_agents]
        return np.concatenate([rates.change[0], rates.growth[0] * biomass, rates.growth[0]])
