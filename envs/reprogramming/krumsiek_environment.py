"""Reprogram cells of eleven genes whose levels follow equations with noise."""

from typing import TYPE_CHECKING, Any, Self

import gymnasium
import numpy as np

from ..batched import Arrays, BatchedEnv, Metric, Transition
from ..evaluation import Evaluation, Trajectories
from . import planner
from .data import FloatArray
from .krumsiek import GENES, STEPS_OF_ACTION, TYPES, action_names, corners, nearest_type, outcome_shares, perturb
from .krumsiek_config import KrumsiekConfig

if TYPE_CHECKING:
    import pandas as pd

EPISODES_PER_PAIR = 10
PLANNED_REPEATS = 40
PLANNED_GAMMA = 0.98

METRICS = (
    Metric("success", "higher", "share of episodes that reach the target type"),
    Metric("length", "lower", "perturbations per successful episode"),
    Metric("episode_return", "higher", "sum of rewards over an episode"),
)


class KrumsiekVectorEnv(BatchedEnv):
    """A batch of cells (num_envs, 11), each perturbed gene by gene until it is nearest to the target's steady state.

    An action holds one gene at 0 or 1 and then lets all of them relax, with noise throughout. Episodes begin in one of
    the six steady states with another as the target; those of an evaluation go through all 30 pairs in turn. The
    observation is the 11 levels, which type is the target (6), and the part of the horizon that is used up.
    """

    metrics = METRICS
    suggested_deterministic = True
    suggested_episodes = EPISODES_PER_PAIR * len(TYPES) * (len(TYPES) - 1)

    def __init__(self, config: KrumsiekConfig, *, num_envs: int, seed: int, split: str = "train") -> None:
        self.config = config
        self.horizon = config.horizon
        super().__init__(
            num_envs=num_envs,
            seed=seed,
            split=split,
            observation_space=gymnasium.spaces.Box(0.0, 1.0, (len(GENES) + len(TYPES) + 1,), np.float32),
            action_space=gymnasium.spaces.Discrete(2 * len(GENES)),
        )

    def restart(self, copies: np.ndarray) -> None:
        """Put these copies into steady states: drawn ones while training, all pairs in turn in an evaluation."""
        state, kinds = self.state, len(TYPES)
        if "level" not in state:
            state["level"] = np.zeros((self.num_envs, len(GENES)))
            for key in ("begun", "start", "target"):
                state[key] = np.zeros(self.num_envs, dtype=np.int64)
        pairs = kinds * (kinds - 1)
        if self.split == "train":
            pair = np.array([self.generators[copy].integers(pairs) for copy in copies])
        else:
            pair = (copies + state["begun"][copies] * self.num_envs) % pairs
        start, other = pair // (kinds - 1), pair % (kinds - 1)
        state["begun"][copies] += 1
        state["start"][copies] = start
        state["target"][copies] = other + (other >= start)
        state["level"][copies] = corners()[start]

    def reset(
        self, *, seed: int | list[int] | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Arrays, dict[str, np.ndarray]]:
        """Begin new episodes; with a seed, evaluations begin with the first pairs again."""
        if seed is not None and "begun" in self.state:
            self.state["begun"][:] = 0
        return super().reset(seed=seed, options=options)

    def advance(self, actions: Arrays) -> Transition:
        """Hold a gene of every cell for a while, let it relax, and see which type it is now."""
        config, state = self.config, self.state
        self.simulator_calls += self.num_envs
        noise = self._draw_noise() if config.sigma > 0 else None
        state["level"] = perturb(
            state["level"],
            np.asarray(actions, dtype=np.int64),
            sigma=config.sigma,
            noise=None if noise is None else lambda step: noise[:, step].T,
        )
        kind = nearest_type(state["level"])
        success = kind == state["target"]
        reward = config.step_penalty + config.goal_bonus * success
        info = {
            "start_type": state["start"].copy(),
            "target_type": state["target"].copy(),
            "type": kind,
            "action": np.array(actions, dtype=np.int64),
            "success": success,
        }
        return Transition(reward, success, ~success & (state["elapsed_steps"] >= config.horizon), info)

    def observe(self) -> Arrays:
        """Return levels, the target as one of six, and the part of the horizon that is used up."""
        state = self.state
        target = np.eye(len(TYPES))[state["target"]]
        used = state["elapsed_steps"][:, None] / self.config.horizon
        return np.hstack([state["level"], target, used]).astype(np.float32)

    def action_masks(self) -> np.ndarray:
        """Return that every gene may be held, always, (num_envs, 22)."""
        return np.ones((self.num_envs, 2 * len(GENES)), dtype=bool)

    def measure(self, trajectories: Trajectories) -> Evaluation:
        """Return the share of successes, their length and the return, and every step of every episode."""
        return measure(trajectories)

    def baselines(self) -> dict[str, Any]:
        """Return what looks one perturbation ahead, and what plans with simulated frequencies."""
        return {"greedy": OneStepAhead(), "plan": Planned(self.config.sigma)}

    def facts(self) -> dict[str, Any]:
        """Return genes, types and actions."""
        return {"genes": list(GENES), "types": list(TYPES), "actions": action_names()}

    def sibling(self, num_envs: int, seed: int, split: str) -> Self:
        """Make another environment of the same options."""
        return type(self)(self.config, num_envs=num_envs, seed=seed, split=split)

    def _draw_noise(self) -> FloatArray:
        """Return a step's noise, (num_envs, steps, 11), each copy's from its own generator."""
        noise = np.empty((self.num_envs, STEPS_OF_ACTION, len(GENES)), dtype=np.float32)
        for part, generator in zip(noise, self.generators, strict=True):
            generator.standard_normal(dtype=np.float32, out=part)
        return noise


class OneStepAhead:
    """Simulate every action without noise, and take the one that ends nearest to the target's steady state."""

    def act(self, observation: Arrays, *, masks: np.ndarray | None, generator: np.random.Generator | None) -> Arrays:
        """Return actions (num_envs,); of equally good ones the first."""
        del masks, generator
        assert isinstance(observation, np.ndarray)
        level, target = _read(observation)
        count = 2 * len(GENES)
        reached = perturb(np.repeat(level, count, axis=0), np.tile(np.arange(count), len(level)))
        distance = np.square(reached - np.repeat(corners()[target], count, axis=0)).sum(axis=1)
        # Rounded, so that actions which end in the same steady state tie.
        chosen: np.ndarray = distance.reshape(-1, count).round(6).argmin(axis=1)
        return chosen


class Planned:
    """Take the best action of the process over types whose probabilities are simulated frequencies.

    It is the optimum as far as a cell's type tells all about it and the frequencies are exact.
    """

    def __init__(self, sigma: float) -> None:
        shares = outcome_shares(sigma, PLANNED_REPEATS, np.random.default_rng(0))
        kinds = len(TYPES)
        neighbours = np.broadcast_to(np.arange(kinds), shares.shape)
        value = planner.value_iteration(neighbours, shares, np.eye(kinds, dtype=bool), PLANNED_GAMMA)
        self.best = (shares @ value).argmax(axis=1)
        """(6, 6): the action from each type to each target."""

    def act(self, observation: Arrays, *, masks: np.ndarray | None, generator: np.random.Generator | None) -> Arrays:
        """Return actions (num_envs,)."""
        del masks, generator
        assert isinstance(observation, np.ndarray)
        level, target = _read(observation)
        return np.asarray(self.best[nearest_type(level), target])


def measure(trajectories: Trajectories) -> Evaluation:
    """Return scalars, a row per episode, and the tables ``paths`` (a row per step) and ``actions`` (uses)."""
    import pandas as pd

    info, names, types = trajectories.info, np.array(action_names()), np.array(TYPES)
    steps = pd.DataFrame(
        {
            "episode": trajectories.episode,
            "step": trajectories.step,
            "reward": trajectories.reward,
            "start_type": types[info["start_type"]],
            "target_type": types[info["target_type"]],
            "action_name": names[info["action"]],
            "next_type": types[info["type"]],
            "success": info["success"],
        }
    ).sort_values(["episode", "step"], ignore_index=True)
    grouped = steps.groupby("episode", sort=True)
    episodes = grouped[["start_type", "target_type", "success"]].last()
    episodes["length"] = grouped["step"].last()
    episodes["episode_return"] = grouped["reward"].sum()
    used = np.bincount(info["action"], minlength=len(names))
    activates = np.arange(len(names)) >= len(GENES)
    actions = pd.DataFrame({"action": names, "activates": activates, "count": used, "share": used / used.sum()})
    return Evaluation(_summarise(episodes), episodes.reset_index(), {"paths": steps, "actions": actions})


def _summarise(episodes: "pd.DataFrame") -> dict[str, float]:
    """Return means over episodes; without a success there is no length of one."""
    scalars = {key: float(episodes[key].mean()) for key in ("success", "episode_return")}
    won = episodes.loc[episodes["success"], "length"]
    return scalars | ({"length": float(won.mean())} if len(won) else {})


def _read(observation: np.ndarray) -> tuple[FloatArray, np.ndarray]:
    """Return levels (n, 11) and positions of targets (n,)."""
    genes, kinds = len(GENES), len(TYPES)
    return observation[:, :genes].astype(np.float64), observation[:, genes : genes + kinds].argmax(axis=1)
