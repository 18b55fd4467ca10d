"""Any on-policy algorithm of stable-baselines3 as a learner: one rollout and one fit per update.

This module (and independent PPO) is where the library's underscored members are touched; a test compares the loop
with the library's own `learn`, so that an upgrade which changes them fails loudly.
"""

import math
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from sb3_contrib.common.maskable.buffers import MaskableDictRolloutBuffer, MaskableRolloutBuffer
from stable_baselines3.common.logger import Logger
from stable_baselines3.common.on_policy_algorithm import OnPolicyAlgorithm
from stable_baselines3.common.vec_env import VecEnv, VecNormalize

from .. import UserError
from ..envs.batched import Arrays, NonFiniteError, State
from ..envs.stable_baselines_adapter import AnyVectorEnv

NORMALISER_PARTS = ("obs_rms", "ret_rms")


def check_rollout(environment: AnyVectorEnv, *, n_steps: int, batch_size: int) -> None:
    """Raise `UserError` where minibatches do not divide a rollout: the last one of every pass would be smaller."""
    rollout = n_steps * environment.num_envs
    if rollout % batch_size:
        raise UserError(
            f"algo.batch_size={batch_size} does not divide the {rollout} transitions of a rollout "
            f"(algo.n_steps={n_steps} x env.num_envs={environment.num_envs}): choose a divisor."
        )


class StableBaselinesPolicy:
    """A stable-baselines3 policy, with the observation normaliser it was trained with."""

    def __init__(self, model: OnPolicyAlgorithm) -> None:
        self.model = model
        self.normaliser = model.get_vec_normalize_env()
        self.uses_masks = isinstance(model.rollout_buffer, MaskableRolloutBuffer | MaskableDictRolloutBuffer)

    def act(self, observation: Arrays, *, masks: np.ndarray | None, generator: np.random.Generator | None) -> Arrays:
        """Return actions (num_envs, ...) for raw observations, drawn with ``generator`` if one is given.

        torch's global random state is left as it was.
        """
        inputs: Any = observation
        if self.normaliser is not None:
            inputs = self.normaliser.normalize_obs(inputs)
        keywords: dict[str, Any] = {} if masks is None else {"action_masks": masks}
        if generator is None:
            return self.model.predict(inputs, deterministic=True, **keywords)[0]
        device = self.model.device
        with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
            torch.manual_seed(int(generator.integers(2**63)))
            return self.model.predict(inputs, deterministic=False, **keywords)[0]


class StableBaselinesLearner:
    """A stable-baselines3 model, trained update by update instead of by its own `learn`."""

    finished = False

    def __init__(self, model: OnPolicyAlgorithm) -> None:
        self.model = model
        model.set_logger(Logger(folder=None, output_formats=[]))
        # Schedules are set from the budget before every update, so the total of steps given here is never used.
        _, self.callback = model._setup_learn(total_timesteps=1)

    def update(self, progress: float) -> dict[str, float]:
        """Collect one rollout and fit to it; learning-rate and clipping schedules run on ``progress``."""
        model = self.model
        if model.env is None:
            raise RuntimeError("the model has no environment to train in")
        with divergence_named():
            model.collect_rollouts(model.env, self.callback, model.rollout_buffer, n_rollout_steps=model.n_steps)
        return self.fit(progress)

    def fit(self, progress: float) -> dict[str, float]:
        """Fit to the rollout that has been collected."""
        model = self.model
        with divergence_named():
            model._current_progress_remaining = 1.0 - progress
            model.train()
        scalars = {key: float(value) for key, value in model.logger.name_to_value.items()}
        model.logger.name_to_value.clear()
        # Undefined, not diverged, where all returns of a rollout are equal.
        if math.isnan(scalars.get("train/explained_variance", 0.0)):
            del scalars["train/explained_variance"]
        return scalars

    def agent(self) -> StableBaselinesPolicy:
        """Return the policy as it is now; it follows further updates."""
        return StableBaselinesPolicy(self.model)

    def get_state(self) -> State:
        """Return parameters, optimiser moments, counters, the pending observation and the normaliser."""
        model = self.model
        state: State = {
            "policy": _detached(model.policy.state_dict()),
            "optimizer": _detached(model.policy.optimizer.state_dict()),
            "num_timesteps": model.num_timesteps,
            "n_updates": model._n_updates,
            "last_obs": model._last_obs,
            "last_episode_starts": model._last_episode_starts,
        }
        normaliser = model.get_vec_normalize_env()
        if normaliser is not None:
            state["normaliser"] = _normaliser_state(normaliser)
            state["last_original_obs"] = model._last_original_obs
        return state

    def set_state(self, state: State) -> None:
        """Continue from what `get_state` gave for a model of the same config."""
        model = self.model
        model.policy.load_state_dict(state["policy"])
        model.policy.optimizer.load_state_dict(state["optimizer"])
        model.num_timesteps = state["num_timesteps"]
        model._n_updates = state["n_updates"]
        model._last_obs = state["last_obs"]
        model._last_episode_starts = state["last_episode_starts"]
        if "normaliser" in state:
            self.restore_normaliser(state["normaliser"])
            model._last_original_obs = state["last_original_obs"]

    def restore_normaliser(self, state: State) -> None:
        """Give observations and rewards the moments of the ``normaliser`` that `get_state` gave."""
        normaliser = self.model.get_vec_normalize_env()
        assert normaliser is not None
        _restore_normaliser(normaliser, state)


def normalized(environment: VecEnv, *, observation: bool, reward: bool, gamma: float) -> VecEnv:
    """Return the environment with the running normalisers that are asked for."""
    if not observation and not reward:
        return environment
    return VecNormalize(environment, norm_obs=observation, norm_reward=reward, gamma=gamma)


@contextmanager
def divergence_named() -> Iterator[None]:
    """Say that training diverged where torch refuses a distribution whose parameters are NaN."""
    try:
        yield
    except ValueError as error:
        if "to satisfy the constraint" not in str(error):
            raise
        raise NonFiniteError(
            "The policy's outputs are no longer finite: lower algo.learning_rate; the last checkpoint is intact."
        ) from error


def _detached(value: Any) -> Any:
    """Copy tensors, wherever they stand in containers, so that further training leaves the state alone."""
    if isinstance(value, torch.Tensor):
        return value.detach().cpu().clone()
    if isinstance(value, dict):
        return {key: _detached(entry) for key, entry in value.items()}
    if isinstance(value, list | tuple):
        return type(value)(_detached(entry) for entry in value)
    return value


def _normaliser_state(normaliser: VecNormalize) -> State:
    """Return running moments and running returns; a dictionary observation has moments for each key."""
    state: State = {
        "returns": normaliser.returns.copy(),
        "old_obs": normaliser.old_obs,
        "old_reward": normaliser.old_reward,
    }
    for part in NORMALISER_PARTS:
        moments = getattr(normaliser, part, None)
        if isinstance(moments, dict):
            state[part] = {key: [entry.mean, entry.var, entry.count] for key, entry in moments.items()}
        elif moments is not None:
            state[part] = [moments.mean, moments.var, moments.count]
    return state


def _restore_normaliser(normaliser: VecNormalize, state: State) -> None:
    normaliser.returns = state["returns"]
    normaliser.old_obs = state["old_obs"]
    normaliser.old_reward = state["old_reward"]
    for part in NORMALISER_PARTS:
        moments = getattr(normaliser, part, None)
        if isinstance(moments, dict):
            for key, entry in moments.items():
                entry.mean, entry.var, entry.count = state[part][key]
        elif moments is not None:
            moments.mean, moments.var, moments.count = state[part]
