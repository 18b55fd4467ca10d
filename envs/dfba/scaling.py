"""From an agent's numbers to what they mean: actions to bounds, concentrations to observations."""

from collections.abc import Mapping, Sequence
from typing import Any

import gymnasium
import numpy as np
from numpy.typing import NDArray

from ..batched import Arrays
from .culture.case import Action, Case
from .kinetics import check_species, read_numbers

FloatArray = NDArray[np.float64]

RAW_LIMIT = 20.0
"""Range of raw actions, mmol/gDW/h, as SPAM-DFBA has it."""
SMALL = 0.1
"""Scale of biomass and enzymes, gDW/L and mmol/L."""
LARGEST = float(np.finfo(np.float32).max)


class ActionScaling:
    """The joint actions (K, A) of a community and what agents write of them.

    Parameters
    ----------
    case
        Whose actions they are.
    action_range
        ``raw`` or ``unit``, as in the options.
    places
        Columns that belong to each agent.
    """

    def __init__(self, case: Case, action_range: str, places: Sequence[slice]) -> None:
        actions = [action for agent in case.agents for action in agent.actions]
        self.raw = action_range == "raw"
        self.low = np.array([action.low for action in actions], dtype=np.float64)
        self.high = np.array([action.high for action in actions], dtype=np.float64)
        self.idle = np.array([idle_action(action) for action in actions], dtype=np.float64)
        self.places = {agent.name: place for agent, place in zip(case.agents, places, strict=True)}

    def space(self, agent: str) -> gymnasium.spaces.Box:
        """Return the action space of one agent."""
        limit = RAW_LIMIT if self.raw else 1.0
        size = self.places[agent].stop - self.places[agent].start
        return gymnasium.spaces.Box(-limit, limit, (size,), np.float32)

    def physical(self, agent: str, actions: Any) -> FloatArray:
        """Return the bounds (K, a) that an agent's actions (K, a) mean."""
        values = np.asarray(actions, dtype=np.float64)
        if self.raw:
            return values
        place = self.places[agent]
        low, high = self.low[place], self.high[place]
        scaled: FloatArray = low + (np.minimum(np.maximum(values, -1.0), 1.0) + 1.0) * (0.5 * (high - low))
        return scaled

    def written(self, agent: str, physical: FloatArray) -> FloatArray:
        """Return what an agent writes to mean these bounds: the inverse of `physical`."""
        if self.raw:
            return physical
        place = self.places[agent]
        low, high = self.low[place], self.high[place]
        span = np.where(high > low, high - low, 1.0)
        unit: FloatArray = np.where(high > low, 2 * (physical - low) / span - 1, 0.0)
        return np.clip(unit, -1.0, 1.0)


def idle_action(action: Action) -> float:
    """Return the value by which an agent forces nothing: no secretion, all of its uptake, no feed."""
    return 1.0 if action.kind == "uptake_limit" else 0.0


class ObservationScaling:
    """What agents see: chosen columns of the state, scaled, and how much time is left in the last place."""

    def __init__(self, case: Case, scaling: str, scale: Mapping[str, Any]) -> None:
        self.scaling = scaling
        self.scale = np.ones(len(case.names))
        self.scale[: len(case.agents)] = SMALL
        for enzyme in case.extracellular.enzymes:
            self.scale[case.column(enzyme)] = SMALL
        for name, value in read_numbers("observation.scale", scale).items():
            check_species("observation.scale", name, case.names)
            self.scale[case.column(name)] = value
        self.columns = {
            agent.name: np.array([case.column(name) for name in agent.observables], dtype=np.int64)
            for agent in case.agents
        }

    def space(self, agent: str) -> gymnasium.spaces.Box:
        """Return the observation space of one agent."""
        high = np.full(len(self.columns[agent]) + 1, LARGEST, dtype=np.float32)
        low = -high if self.scaling == "raw" else np.zeros_like(high)
        if self.scaling != "raw":
            high[-1] = 1.0
        return gymnasium.spaces.Box(low, high)

    def observe(self, state: FloatArray, left: NDArray[np.int64], decisions: int, agents: Sequence[str]) -> Arrays:
        """Return observations by agent; ``left`` (K,) counts the decisions that remain of ``decisions``."""
        if self.scaling == "raw":
            seen, time = state, left.astype(np.float64)
        else:
            seen, time = np.maximum(state, 0.0) / self.scale, left / decisions
            if self.scaling == "log1p":
                np.log1p(seen, out=seen)
        observations = {}
        for agent in agents:
            columns = self.columns[agent]
            observation = np.empty((len(state), len(columns) + 1), dtype=np.float32)
            observation[:, :-1] = seen[:, columns]
            observation[:, -1] = time
            observations[agent] = observation
        return observations

    def elapsed(self, observation: NDArray[Any], decisions: int) -> NDArray[np.int64]:
        """Return how many decisions were taken before an observation (K, n)."""
        left = np.asarray(observation[:, -1], dtype=np.float64)
        if self.scaling != "raw":
            left = left * decisions
        return (decisions - np.rint(left)).astype(np.int64)


def interpolate(knots: FloatArray, step: NDArray[np.int64], horizon: int) -> FloatArray:
    """Return schedules (..., n_knots) at steps (n,) of an episode, (..., n): linear between knots at equal distances.

    The first knot is the first step, the last one the last step.
    """
    position = np.clip(np.asarray(step) / max(horizon - 1, 1), 0.0, 1.0) * (knots.shape[-1] - 1)
    left = np.minimum(position.astype(np.int64), knots.shape[-1] - 2)
    weight = position - left
    values: FloatArray = knots[..., left] * (1 - weight) + knots[..., left + 1] * weight
    return values
