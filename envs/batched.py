"""The contract of every environment: many copies of one simulator, advanced by one vectorised call.

An environment writes `restart`, `advance` and `observe`; this base class does the seeding, the automatic resets, the
counting of simulator calls, the statistics of training and the saving, once for all environments.
"""

import copy
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Self

import gymnasium
import numpy as np
from gymnasium.vector import AutoresetMode, VectorEnv
from gymnasium.vector.utils import batch_space

from .. import UserError
from .trajectories import Evaluation, Trajectories, measure_returns

if TYPE_CHECKING:
    import pandas as pd

Arrays = np.ndarray | Mapping[str, np.ndarray]
"""Observations or actions of all copies: the leading axis is num_envs; a mapping for dictionary spaces and agents."""

State = dict[str, Any]
"""Arrays, numbers, strings and containers of them; never pickled objects."""

SPLITS = ("train", "validation", "test")


class NonFiniteError(UserError):
    """A reward, observation or loss is NaN or infinite."""


class ActionError(UserError):
    """An action has the wrong shape or holds NaN."""


@dataclass(frozen=True)
class Metric:
    """A scalar of an evaluation that tables show; an environment's first one chooses the best policy."""

    name: str
    better: Literal["higher", "lower"]
    meaning: str


@dataclass
class Transition:
    """What one vectorised step gives, before any copy is restarted.

    Attributes
    ----------
    reward
        (num_envs,), or (num_envs, n_agents) in a community.
    terminated
        (num_envs,) bool: the task ended, so nothing follows and nothing is bootstrapped.
    truncated
        (num_envs,) bool: time ran out, so the value of what would follow is bootstrapped.
    info
        Whole arrays with leading axis num_envs.
    """

    reward: np.ndarray
    terminated: np.ndarray
    truncated: np.ndarray
    info: dict[str, np.ndarray]


@dataclass(frozen=True)
class Demonstrations:
    """What a planner would do.

    Attributes
    ----------
    observations
        (n, ...).
    masks, best
        (n, n_actions) bool: the actions that are allowed, and those of them that are best.
    """

    observations: Arrays
    masks: np.ndarray
    best: np.ndarray


class BatchedEnv(VectorEnv[Any, Any, Any]):
    """Seeding, same-step automatic resets, counting and saving, once for all environments.

    Parameters
    ----------
    num_envs
        Number of copies.
    seed
        Copy ``i`` draws from a generator made of the seed, the split and ``i`` alone, so that it does not depend on
        how many copies there are.
    split
        ``"train"``, ``"validation"`` or ``"test"``: their random numbers are disjoint.
    observation_space, action_space
        Spaces of one copy.
    """

    metadata: ClassVar[dict[str, Any]] = {"render_modes": [], "autoreset_mode": AutoresetMode.SAME_STEP}  # type: ignore[misc]
    agents: tuple[str, ...] = ()
    """Names of the agents that learn. With several, spaces are dictionaries and rewards have a column for each."""
    horizon: int | None = None
    """Most steps of an episode, where it is known."""
    metrics: tuple[Metric, ...] = (Metric("episode_return", "higher", "sum of rewards over an episode"),)
    logged_means: ClassVar[tuple[str, ...]] = ()
    """Keys of ``info`` whose mean over all steps of an update is logged."""
    logged_quantiles: ClassVar[tuple[str, ...]] = ()
    """Keys of ``info`` whose distribution over all steps of an update is logged."""
    quantile_levels: ClassVar[tuple[int, ...]] = (0, 5, 25, 50, 75, 95, 100)
    """Percentages at which it is logged."""
    logged_extremes: ClassVar[tuple[str, ...]] = ()
    """Statistics of training episodes whose smallest and largest value of an update are logged besides the mean."""
    run_metrics: ClassVar[tuple[Metric, ...]] = ()
    """What `run_scalars` tells of a training as a whole."""
    answer_space: gymnasium.spaces.Box | None = None
    """Space of one answer, where a search can look for one that answers this environment at once."""
    suggested_episodes: int = 500
    """How many episodes an evaluation has unless the user says otherwise."""
    suggested_deterministic: bool = False
    """Whether an evaluation takes the most probable actions unless the user says otherwise."""
    needs_baselines: bool = False
    """Whether a run measures the baselines even if it is told not to, because its numbers mislead without them."""
    masked: bool = False
    """Whether `action_masks` says which actions are allowed."""

    def __init__(
        self,
        *,
        num_envs: int,
        seed: int,
        split: str,
        observation_space: gymnasium.Space[Any],
        action_space: gymnasium.Space[Any],
    ) -> None:
        if num_envs < 1:
            raise UserError(f"num_envs={num_envs}: give at least one copy.")
        if split not in SPLITS:
            raise UserError(f"split={split}: choose one of {', '.join(SPLITS)}.")
        self.num_envs = num_envs
        self.split = split
        self.single_observation_space = observation_space
        self.single_action_space = action_space
        self.observation_space = batch_space(observation_space, num_envs)
        self.action_space = batch_space(action_space, num_envs)
        self.generators = self._make_generators(seed)
        self.simulator_calls = 0
        self.state: dict[str, np.ndarray] = {}
        self.progress: dict[str, float] = {}
        self._pending: dict[str, list[np.ndarray]] = {}

    # An environment writes these.

    def restart(self, copies: np.ndarray) -> None:
        """Begin new episodes in the rows ``copies`` of `state`, drawing all the noise they will need."""
        raise NotImplementedError

    def advance(self, actions: Arrays) -> Transition:
        """Take one step in all copies; ``state["elapsed_steps"]`` already counts it. No copy is reset here."""
        raise NotImplementedError

    def observe(self) -> Arrays:
        """Return what the copies see now: fresh arrays, never views of `state`."""
        raise NotImplementedError

    # And, where it applies, these.

    def action_masks(self) -> np.ndarray:
        """Return which actions are allowed now, (num_envs, n_actions) bool."""
        raise UserError(f"{type(self).__name__} has no action masks: choose an algorithm without masking.")

    def grade(self, answers: np.ndarray) -> dict[str, np.ndarray]:
        """Return the ``info`` of answers (n, ...) given at once, and their ``cost`` (n,), lower being better.

        An environment that says when an answer is good enough adds ``excess`` (n,), at most 0 for those that are.
        """
        del answers
        raise UserError(f"{type(self).__name__} cannot be answered at once: choose an algorithm that acts in it.")

    def network(self, name: str, options: dict[str, Any]) -> tuple[type[Any], dict[str, Any]]:
        """Return the class of a policy of the environment's own, for stable-baselines3, and its keywords."""
        del options
        raise UserError(f"algo.policy={name}: {type(self).__name__} has no networks of its own, so set mlp.")

    def demonstrate(self, count: int, generator: np.random.Generator) -> Demonstrations:
        """Return ``count`` observations with the actions that are best there."""
        del count, generator
        raise UserError(f"{type(self).__name__} does not know the best actions: set algo.warm_start=none.")

    def consult(self, agent: Any, question: Mapping[str, str]) -> "tuple[str, pd.DataFrame]":
        """Return what an agent advises in one case that the question describes: in words, and as a table."""
        del agent
        asked = " ".join(f"{key}={value}" for key, value in question.items())
        raise UserError(f"{asked}: {type(self).__name__} answers no single questions, so leave it out.")

    def without_revisits(self, policy: Any) -> Any:
        """Return a policy that acts as another does, but avoids what leads where the episode has been."""
        del policy
        raise UserError(f"{type(self).__name__} cannot tell where an action leads: set algo.decode=plain.")

    def idle_action(self) -> Arrays:
        """Return the action that leaves the simulator to itself: of one copy, or by agent in a community."""
        raise UserError(f"{type(self).__name__} names no action that leaves it to itself: give another policy.")

    def question(self, observation: Arrays) -> Arrays:
        """Return what a Solver is asked, a row per copy: the first observation, or what identifies the task."""
        return observation

    @property
    def answers_per_episode(self) -> int:
        """How many answers stand for one episode when a Solver is evaluated."""
        return 1

    def measure(self, trajectories: Trajectories) -> Evaluation:
        """Turn what happened in an evaluation into scalars, a row per episode, and tables for figures."""
        return measure_returns(trajectories)

    def write_answers(
        self, trajectories: Trajectories, folder: Path, *, formats: Sequence[str], facts: Mapping[str, Any]
    ) -> list[Path]:
        """Write what an agent handed over in an evaluation, in each of the formats; return the files.

        ``facts`` say where the agent comes from, and go into the files.
        """
        del trajectories, folder, formats, facts
        raise UserError(f"{type(self).__name__} hands nothing over that could be written: leave --sets out.")

    def baselines(self) -> dict[str, Any]:
        """Return the environment's own simple methods (each a Policy or Solver), by name."""
        return {}

    def facts(self) -> dict[str, Any]:
        """Return what provenance should keep of the loaded simulator, as JSON values."""
        return {}

    def run_scalars(self) -> dict[str, float | None]:
        """Return what tables may show of the training as a whole, by the names of `run_metrics`; None: undefined."""
        return {}

    def final_tables(self, scalars: Mapping[str, Any], algorithm: str) -> "dict[str, pd.DataFrame]":
        """Return tables that a finished run writes as CSV, by name, from its final scalars (``agent/name``)."""
        del scalars, algorithm
        return {}

    def inspect(self, agent: Any, evaluation: Evaluation) -> "dict[str, pd.DataFrame]":
        """Return further tables of an agent of this run that was just evaluated, written beside the evaluation's."""
        del agent, evaluation
        return {}

    def runtime(self, agent: Any, batches: "pd.DataFrame") -> dict[str, Any] | None:
        """Return how long the parts of the training take, as JSON values that go to ``tables/runtime.json``.

        ``batches`` are the rows of ``timing.csv``, one per update.
        """
        del agent, batches
        return None

    def sibling(self, num_envs: int, seed: int, split: str) -> Self:
        """Make another environment that shares this one's loaded, immutable simulator."""
        raise NotImplementedError

    # The base class gives these.

    def reset(
        self, *, seed: int | list[int] | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Arrays, dict[str, np.ndarray]]:
        """Begin a new episode in every copy, or in those of ``options["reset_mask"]`` (num_envs,) bool."""
        if seed is not None:
            self.generators = self._make_generators(seed)
        mask = (options or {}).get("reset_mask")
        copies = np.flatnonzero(np.ones(self.num_envs) if mask is None else np.asarray(mask, dtype=bool))
        self._restart(copies)
        return self._observe(), {}

    def step(self, actions: Arrays) -> tuple[Arrays, np.ndarray, np.ndarray, np.ndarray, dict[str, Any]]:
        """Take one step; copies that end are restarted at once.

        The observation of an ended copy is the first of its new episode; ``info["final_obs"]`` holds the last of the
        old one in the rows of ``info["_final_obs"]``. All other entries of ``info`` describe the step just taken.
        """
        transition = self.transition(actions)
        observation = self._observe()
        info: dict[str, Any] = dict(transition.info)
        ended = transition.terminated | transition.truncated
        if ended.any():
            info |= {"final_obs": observation, "_final_obs": ended, "final_info": transition.info, "_final_info": ended}
            self._restart(np.flatnonzero(ended))
            observation = self._observe()
        return observation, transition.reward, transition.terminated, transition.truncated, info

    def transition(self, actions: Arrays) -> Transition:
        """Take one step in all copies, check and count it, and restart none."""
        self._check_actions(actions)
        self.state["elapsed_steps"] += 1
        transition = self.advance(actions)
        if not np.isfinite(transition.reward).all():
            raise NonFiniteError(
                f"The reward of copy {_first_bad(transition.reward)} is not finite after {self.simulator_calls} "
                "simulator calls: lower the learning rate or bound the reward."
            )
        reward = transition.reward if transition.reward.ndim == 1 else transition.reward.sum(axis=1)
        self.state["episode_return"] += reward
        if transition.reward.ndim == 2:
            self.state["agent_return"] += transition.reward
        np.maximum(self.state["episode_max_reward"], reward, out=self.state["episode_max_reward"])
        self._log(transition.info)
        ended = transition.terminated | transition.truncated
        if ended.any():
            self._log_episodes(ended)
        return transition

    def assess(self, answers: np.ndarray) -> np.ndarray:
        """Return the cost (n,) of answers (n, ...) and log them: what a search minimises."""
        return self.examine(answers)["cost"]

    def examine(self, answers: np.ndarray) -> dict[str, np.ndarray]:
        """Return all that `grade` tells of answers (n, ...), and log them."""
        info = self.grade(answers)
        self._log(info)
        return info

    def training_scalars(self) -> dict[str, float]:
        """Return the statistics of all steps and episodes since the last call, and forget them."""
        scalars: dict[str, float] = {}
        for key, parts in self._pending.items():
            values = np.concatenate(parts).astype(np.float64)
            finite = values[np.isfinite(values)]
            if key in self.logged_quantiles:
                if finite.size:
                    values = np.percentile(finite, self.quantile_levels)
                    scalars |= {f"{key}_q{q:02d}": float(v) for q, v in zip(self.quantile_levels, values, strict=True)}
            else:
                scalars[key] = float(values.mean())
                if key.rpartition("/")[2] in self.logged_extremes:
                    scalars |= {f"{key}_min": float(values.min()), f"{key}_max": float(values.max())}
        self._pending = {}
        return scalars

    def get_state(self) -> State:
        """Return all that changes, to continue exactly; taken when `training_scalars` has been read."""
        return {
            "state": {key: value.copy() for key, value in self.state.items()},
            "progress": dict(self.progress),
            "generators": [json.dumps(generator.bit_generator.state) for generator in self.generators],
            "simulator_calls": self.simulator_calls,
        }

    def set_state(self, state: State) -> None:
        """Continue from what `get_state` gave for an environment of the same config and number of copies."""
        if len(state["generators"]) != self.num_envs:
            raise UserError(
                f"The saved environment has {len(state['generators'])} copies and this one {self.num_envs}: "
                "use the same num_envs."
            )
        self.state = {key: np.array(value) for key, value in state["state"].items()}
        self.progress = dict(state["progress"])
        for generator, saved in zip(self.generators, state["generators"], strict=True):
            generator.bit_generator.state = json.loads(saved)
        self.simulator_calls = int(state["simulator_calls"])
        self._pending = {}

    def _make_generators(self, seed: int | list[int]) -> list[np.random.Generator]:
        split = SPLITS.index(self.split)
        seeds = [seed] * self.num_envs if isinstance(seed, int | np.integer) else list(seed)
        keys = range(self.num_envs) if isinstance(seed, int | np.integer) else [0] * self.num_envs
        return [
            np.random.default_rng(np.random.SeedSequence(entropy, spawn_key=(split, key)))
            for entropy, key in zip(seeds, keys, strict=True)
        ]

    def _restart(self, copies: np.ndarray) -> None:
        if "elapsed_steps" not in self.state:
            self.state["elapsed_steps"] = np.zeros(self.num_envs, dtype=np.int64)
            self.state["episode_return"] = np.zeros(self.num_envs)
            self.state["episode_max_reward"] = np.zeros(self.num_envs)
            if len(self.agents) > 1:
                self.state["agent_return"] = np.zeros((self.num_envs, len(self.agents)))
        self.state["elapsed_steps"][copies] = 0
        self.state["episode_return"][copies] = 0.0
        self.state["episode_max_reward"][copies] = -np.inf
        if len(self.agents) > 1:
            self.state["agent_return"][copies] = 0.0
        self.restart(copies)

    def _observe(self) -> Arrays:
        observation = self.observe()
        parts = observation.values() if isinstance(observation, Mapping) else (observation,)
        for part in parts:
            if np.issubdtype(part.dtype, np.floating) and not np.isfinite(part).all():
                raise NonFiniteError(
                    f"The observation of copy {_first_bad(part)} is not finite after {self.simulator_calls} "
                    "simulator calls: check the simulator's options."
                )
        return observation

    def _check_actions(self, actions: Arrays) -> None:
        if isinstance(self.action_space, gymnasium.spaces.Dict):
            parts = actions if isinstance(actions, Mapping) else {}
            if parts.keys() != self.action_space.keys():
                wanted, given = ", ".join(self.action_space), ", ".join(parts) or type(actions).__name__
                raise ActionError(f"Actions are given by name, and these are {given}: give {wanted}.")
            for name, space in self.action_space.items():
                _check_part(parts[name], space, f" of {name}")
        elif not isinstance(actions, Mapping):
            _check_part(actions, self.action_space, "")

    def _log(self, info: Mapping[str, np.ndarray]) -> None:
        for key in (*self.logged_means, *self.logged_quantiles):
            self._pending.setdefault(key, []).append(np.asarray(info[key]))

    def _log_episodes(self, ended: np.ndarray) -> None:
        length = self.state["elapsed_steps"][ended]
        total = self.state["episode_return"][ended]
        episodes = {
            "episode_return": total,
            "episode_length": length,
            "reward_mean": total / length,
            "reward_max": self.state["episode_max_reward"][ended],
        }
        if len(self.agents) > 1:
            columns = self.state["agent_return"][ended].T
            episodes |= {f"{agent}/episode_return": part for agent, part in zip(self.agents, columns, strict=True)}
        for key, values in episodes.items():
            self._pending.setdefault(key, []).append(copy.copy(values))


def _check_part(actions: np.ndarray, space: gymnasium.Space[Any], whose: str) -> None:
    """Refuse actions of a wrong shape, and numbers that are none."""
    actions = np.asarray(actions)
    if actions.shape != space.shape:
        raise ActionError(f"Actions{whose} have shape {actions.shape}: give {space.shape}, a row per copy.")
    if np.issubdtype(actions.dtype, np.floating) and not np.isfinite(actions).all():
        raise ActionError(f"The action{whose} of copy {_first_bad(actions)} is not finite: give finite numbers.")


def _first_bad(values: np.ndarray) -> int:
    """Return the first row with a value that is not finite."""
    return int(np.flatnonzero(~np.isfinite(values.reshape(len(values), -1)).all(axis=1))[0])
