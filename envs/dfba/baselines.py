"""Simple ways to run a community, which learned policies must beat."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..batched import Arrays
from .batched_culture import BatchedCulture
from .scaling import interpolate

FloatArray = NDArray[np.float64]

GRID_STEP = 0.005
"""Distance of tried constants, as a share of the range of a bound."""
COARSE = 41
"""Tried values of a bound where several are searched one after the other."""
STARTS, SWEEPS = 512, 2
"""Random joint constants tried first, and rounds of the search from the best of them."""


class OpenLoopPolicy:
    """Follow a schedule of bounds, whatever happens.

    Parameters
    ----------
    environment
        Whose agents follow it; other environments of the same case may be played too.
    knots
        ``(A, n_knots)``: bounds of all learning agents, as in ``answer_space``; ``(A, 1)`` for constant ones.
    """

    def __init__(self, environment: BatchedCulture, knots: FloatArray) -> None:
        self.names, self.alone = environment.agents, environment.alone
        self.scaling, self.seen = environment.scaling, environment.seen
        self.decisions, self.frame_skip = environment.decisions, environment.frame_skip
        self.horizon = environment.case.horizon_steps
        knots = np.asarray(knots, dtype=np.float64)
        self.knots = np.repeat(knots, 2, axis=1) if knots.shape[1] == 1 else knots

    def act(self, observation: Arrays, *, masks: np.ndarray | None, generator: np.random.Generator | None) -> Arrays:
        """Return actions of all learning agents; the time is read from what they observe."""
        del masks, generator
        first = observation[self.names[0]] if isinstance(observation, Mapping) else observation
        step = self.seen.elapsed(first, self.decisions) * self.frame_skip
        values = interpolate(self.knots, step, self.horizon).T
        actions, begin = {}, 0
        for name in self.names:
            place = self.scaling.places[name]
            end = begin + place.stop - place.start
            actions[name] = self.scaling.written(name, values[:, begin:end])
            begin = end
        return actions[self.names[0]] if self.alone else actions


class BestConstantPolicy:
    """Constant bounds, searched for when they are first asked for; ``idle`` names an agent that forces nothing."""

    def __init__(self, environment: BatchedCulture, idle: str | None = None) -> None:
        self.environment, self.idle = environment, idle
        self._policy: OpenLoopPolicy | None = None

    def act(self, observation: Arrays, *, masks: np.ndarray | None, generator: np.random.Generator | None) -> Arrays:
        """Return actions of all learning agents."""
        if self._policy is None:
            bounds = best_constants(self.environment).copy()
            if self.idle is not None:
                rows = agent_rows(self.environment)[self.idle]
                bounds[rows] = self.environment.scaling.idle[self.environment.answered][rows]
            self._policy = OpenLoopPolicy(self.environment, bounds[:, None])
        return self._policy.act(observation, masks=masks, generator=generator)


def community_baselines(environment: BatchedCulture) -> dict[str, Any]:
    """Return the baselines by name.

    ``greedy`` forces nothing. ``constant`` holds the best constant bounds, alike for agents that are alike.
    ``idle_<agent>`` is the same with one agent that forces nothing, who tells whether cheating pays; of agents that are
    alike only the first one idles.
    """
    if not len(environment.answered):
        return {}
    idle = environment.scaling.idle[environment.answered]
    found: dict[str, Any] = {
        "greedy": OpenLoopPolicy(environment, idle[:, None]),
        "constant": BestConstantPolicy(environment),
    }
    if len(environment.agents) > 1:
        for members in alike_agents(environment):
            found[f"idle_{members[0]}"] = BestConstantPolicy(environment, members[0])
    return found


def alike_agents(environment: BatchedCulture) -> list[list[str]]:
    """Return the learning agents in groups of the same model, start, kinetics and actions."""
    groups: dict[Any, list[str]] = {}
    for position, agent in enumerate(environment.case.agents):
        if agent.name in environment.agents:
            start = float(environment.case.initial[position])
            key = (id(agent.model), agent.actions, start, repr(sorted(agent.laws.items())))
            groups.setdefault(key, []).append(agent.name)
    return list(groups.values())


def agent_rows(environment: BatchedCulture) -> dict[str, NDArray[np.int64]]:
    """Return the rows of the answers (A, knots) that belong to each learning agent."""
    rows: dict[str, NDArray[np.int64]] = {}
    begin = 0
    for name in environment.agents:
        place = environment.scaling.places[name]
        rows[name] = np.arange(begin, begin + place.stop - place.start)
        begin += place.stop - place.start
    return rows


def best_constants(environment: BatchedCulture) -> FloatArray:
    """Return the constant bounds (A,) with the largest mean return that a fixed search finds.

    A single number is searched on a grid. Several are drawn at random first, and then changed one after the other;
    agents that are alike always hold the same numbers. The calls it takes are not counted as training.
    """
    if environment.community.constants is None:
        calls = environment.simulator_calls
        environment.community.constants = _search(environment)
        environment.simulator_calls = calls
    return environment.community.constants


def _search(environment: BatchedCulture) -> FloatArray:
    answered = environment.answered
    low, high = environment.scaling.low[answered], environment.scaling.high[answered]
    rows = agent_rows(environment)
    free = [
        np.array([rows[name][number] for name in members])
        for members in alike_agents(environment)
        for number in range(len(rows[members[0]]))
    ]

    def best_of(candidates: FloatArray) -> tuple[FloatArray, float]:
        knots = np.repeat(candidates[:, :, None], environment.config.knots, axis=2)
        cost = environment.grade(knots)["cost"]
        place = int(cost.argmin())
        return candidates[place], float(cost[place])

    if len(free) == 1:
        grid = np.arange(0.0, 1.0 + 0.5 * GRID_STEP, GRID_STEP)
        return best_of(low + grid[:, None] * (high - low))[0]
    generator = np.random.default_rng(0)
    candidates = np.empty((STARTS + 1, len(low)))
    candidates[0] = np.clip(environment.scaling.idle[answered], low, high)
    for places in free:
        drawn = generator.uniform(size=(STARTS, 1))
        candidates[1:, places] = low[places] + drawn * (high - low)[places]
    best, least = best_of(candidates)
    for _ in range(SWEEPS):
        for places in free:
            tried = np.repeat(best[None], COARSE, axis=0)
            grid = np.linspace(0.0, 1.0, COARSE)[:, None]
            tried[:, places] = low[places] + grid * (high - low)[places]
            found, cost = best_of(tried)
            if cost < least:
                best, least = found, cost
    return best
