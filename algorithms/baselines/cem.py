"""Cross-entropy method over open-loop schedules (Rubinstein 1999, doi:10.1023/A:1010091220143).

A course of actions is given by knots over the episode. Every iteration draws a population of them from a normal
distribution with independent coordinates, plays each as whole episodes, and moves the distribution to the best ones.
"""

import json
import math
import warnings

import numpy as np
from gymnasium import spaces

from ... import UserError
from ...envs.batched import Arrays, BatchedEnv, State
from ...envs.evaluation import Policy
from .config import CEMConfig
from .schedules import CommunityPolicy, SchedulePolicy, interpolated, known_horizon


class CEMLearner:
    """One iteration per update.

    Attributes
    ----------
    mean, std
        Of the search distribution, ``(knots, n_actions)``, with the actions of all agents one after the other; those of
        one agent if all follow the same course.
    best, best_return
        The course that earned most so far in the sum over agents, and how much (averaged over its episodes).
    """

    def __init__(self, config: CEMConfig, environment: BatchedEnv, seed: int) -> None:
        self.config = config
        self.environment = environment
        self.horizon = known_horizon(environment, "algo=cem")
        self.spaces = action_spaces(environment)
        if config.symmetric and len(set(map(str, self.spaces.values()))) > 1:
            raise UserError(
                f"algo.symmetric=true needs agents that act alike, and those of {type(environment).__name__} do not: "
                "set it to false."
            )
        self.low, self.high = self._range()
        shape = (config.knots, len(self.low))
        span = self.high - self.low
        self.mean = np.broadcast_to((self.low + self.high) / 2, shape).copy()
        self.std = np.broadcast_to(span / 4 if config.initial_std is None else config.initial_std, shape).copy()
        self.least_std = config.min_std * span
        self.best = self.mean.copy()
        self.best_return = -math.inf
        self.iteration = 0
        self.generator = np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(16,)))

    @property
    def finished(self) -> bool:
        """Whether all iterations are done."""
        return self.iteration >= self.config.iterations

    def update(self, progress: float) -> dict[str, float]:
        """Draw a population, play it, and move to its elite."""
        del progress
        config = self.config
        noise = self.generator.standard_normal((config.population_size, *self.mean.shape))
        population = (self.mean + self.std * noise).clip(self.low, self.high)
        returns = self.returns_of(population)
        order = np.argsort(-returns, kind="stable")
        elite = population[order[: config.elite]]
        self.mean += config.smoothing * (elite.mean(axis=0) - self.mean)
        self.std += config.smoothing * (elite.std(axis=0) - self.std)
        left = 1.0 - (self.iteration + 1) / config.iterations
        np.maximum(self.std, left * self.least_std, out=self.std)
        if returns[order[0]] > self.best_return:
            self.best, self.best_return = population[order[0]].copy(), float(returns[order[0]])
        self.iteration += 1
        return {
            "search/return_best": float(returns[order[0]]),
            "search/return_elite": float(returns[order[: config.elite]].mean()),
            "search/return_median": float(np.median(returns)),
            "search/return_best_so_far": self.best_return,
            "search/std": float(self.std.mean()),
        }

    def returns_of(self, population: np.ndarray) -> np.ndarray:
        """Return the mean return (n,) of courses (n, knots, n_actions), summed over agents.

        They are played by all copies of the environment at once, ``episodes`` times each at least, and in as many
        rounds as that takes; copies that are left over in the last round play further episodes of the first courses.
        """
        copies, size = self.environment.num_envs, len(population)
        rounds = -(-size * self.config.episodes // copies)
        members = np.arange(rounds * copies) % size
        total = np.zeros(size)
        for part in members.reshape(rounds, copies):
            np.add.at(total, part, self._play(population[part]))
        mean: np.ndarray = total / np.bincount(members, minlength=size)
        return mean

    def agent(self) -> Policy:
        """Return the course as it is chosen now."""
        knots = self.best if self.config.answer == "best" else self.mean
        policies = {
            name: SchedulePolicy(part.reshape(-1, *self.spaces[name].shape), self.horizon, self.spaces[name])
            for name, part in self._by_agent(knots).items()
        }
        return CommunityPolicy(policies) if len(policies) > 1 else next(iter(policies.values()))

    def get_state(self) -> State:
        """Return distribution, best course, position and generator; every iteration begins new episodes."""
        return {
            "mean": self.mean.copy(),
            "std": self.std.copy(),
            "best": self.best.copy(),
            "best_return": self.best_return,
            "iteration": self.iteration,
            "generator": json.dumps(self.generator.bit_generator.state),
        }

    def set_state(self, state: State) -> None:
        """Continue from what `get_state` gave for a learner of the same config."""
        self.mean, self.std, self.best = (np.array(state[key]) for key in ("mean", "std", "best"))
        self.best_return = float(state["best_return"])
        self.iteration = int(state["iteration"])
        self.generator.bit_generator.state = json.loads(state["generator"])

    def _play(self, courses: np.ndarray) -> np.ndarray:
        """Return the return (num_envs,) of one episode of every copy, which follows its own course."""
        environment = self.environment
        actions = interpolated(courses.swapaxes(0, 1), self.horizon)
        environment.reset()
        running = np.ones(environment.num_envs, dtype=bool)
        returns = np.zeros(environment.num_envs)
        for step in range(self.horizon):
            _, reward, terminated, truncated, _ = environment.step(self._actions(actions[step]))
            returns += np.where(running, reward if reward.ndim == 1 else reward.sum(axis=1), 0.0)
            running &= ~(terminated | truncated)
            if not running.any():
                break
        return returns

    def _actions(self, flat: np.ndarray) -> Arrays:
        """Return actions as the environment takes them, for rows (num_envs, n_actions)."""
        parts = {
            name: part.reshape(len(flat), *self.spaces[name].shape).astype(self.spaces[name].dtype)
            for name, part in self._by_agent(flat).items()
        }
        return parts if len(parts) > 1 else next(iter(parts.values()))

    def _by_agent(self, flat: np.ndarray) -> dict[str, np.ndarray]:
        """Return the columns of every agent."""
        if self.config.symmetric:
            return dict.fromkeys(self.spaces, flat)
        ends = np.cumsum([math.prod(space.shape) for space in self.spaces.values()])
        return dict(zip(self.spaces, np.split(flat, ends[:-1], axis=1), strict=True))

    def _range(self) -> tuple[np.ndarray, np.ndarray]:
        """Return the least and the largest value of every column that is searched."""
        searched = list(self.spaces.values())[: 1 if self.config.symmetric else None]
        low = np.concatenate([space.low.ravel() for space in searched]).astype(np.float64)
        high = np.concatenate([space.high.ravel() for space in searched]).astype(np.float64)
        for key, value, sign, limit in (("low", self.config.low, 1, low), ("high", self.config.high, -1, high)):
            if value is not None and (sign * value < sign * limit).all():
                raise UserError(
                    f"algo.{key}={value:g} lies outside of all actions, {', '.join(map(str, searched))}: give a value "
                    "inside them, or null for their own limit."
                )
            if value is not None and (sign * value < sign * limit).any():
                warnings.warn(
                    f"algo.{key}={value:g} lies outside of some actions ({', '.join(map(str, searched))}), which keep "
                    "their own limit.",
                    stacklevel=2,
                )
        if self.config.low is not None:
            low = np.maximum(low, self.config.low)
        if self.config.high is not None:
            high = np.minimum(high, self.config.high)
        if not (np.isfinite(low) & np.isfinite(high) & (low < high)).all():
            raise UserError(
                f"algo.low={self.config.low} and algo.high={self.config.high} leave no finite range within the actions "
                f"{', '.join(map(str, searched))}: give low < high inside them."
            )
        return low, high


def action_spaces(environment: BatchedEnv) -> dict[str, spaces.Box]:
    """Return the action space of every agent, or refuse actions that are not continuous."""
    space = environment.single_action_space
    names = tuple(environment.agents) or ("agent",)
    parts = {name: space[name] for name in names} if isinstance(space, spaces.Dict) and len(names) > 1 else None
    found: dict[str, spaces.Box] = {}
    for name, part in (parts or {names[0]: space}).items():
        if not isinstance(part, spaces.Box):
            raise UserError(f"algo=cem needs continuous actions, and those of {name} are {part}: choose algo=random.")
        found[name] = part
    return found


def build_cem(config: CEMConfig, environment: BatchedEnv, *, seed: int, device: str) -> CEMLearner:
    """Build the learner; it runs on the CPU whatever the device.

    Raises
    ------
    UserError
        If actions are not continuous, the environment has no known horizon, or nothing is left to search.
    """
    del device
    return CEMLearner(config, environment, seed)
