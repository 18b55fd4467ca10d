"""TRPO-preconditioned PPO as an on-policy algorithm of stable-baselines3."""

import time
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, ClassVar

import numpy as np
import torch
from gymnasium import spaces
from sb3_contrib import MaskablePPO
from sb3_contrib.common.maskable.buffers import MaskableDictRolloutBuffer, MaskableRolloutBuffer
from stable_baselines3.common.buffers import RolloutBuffer
from stable_baselines3.common.callbacks import BaseCallback
from stable_baselines3.common.on_policy_algorithm import OnPolicyAlgorithm
from stable_baselines3.common.policies import (
    ActorCriticCnnPolicy,
    ActorCriticPolicy,
    BasePolicy,
    MultiInputActorCriticPolicy,
)
from stable_baselines3.common.utils import explained_variance
from stable_baselines3.common.vec_env import VecEnv
from torch import Tensor

from ..ppo.learner import learning_rate_schedule
from .checks import doubts, refuse_masked_continuous_actions, refuse_other_distributions
from .config import TRPOPPOConfig
from .distributions import ActionDistribution, Gaussian, action_distribution
from .natural_step import NaturalStep, adapted_delta, take_natural_step
from .penalized_ppo import adapted_beta, fit_policy_and_value, fit_value, ppo_settings
from .phases import Phase, follows_natural_steps, phase_of, resolved_target_kl
from .rollout import Rollout, read_rollout

POOR_RESIDUAL = 0.1


class TRPOPPO(OnPolicyAlgorithm):
    """Algorithm 1 of Boabang and Gyamerah (2025, arXiv:2510.13018), and the two-phase schedule of its Section 4.

    Parameters
    ----------
    policy
        A class of stable-baselines3 or its alias, with a diagonal Gaussian where actions are continuous; with
        ``config.use_masking`` one of sb3-contrib's maskable policies. Policy and value function get feature extractors
        of their own unless ``policy_kwargs`` say otherwise.
    env
        A vectorised environment.
    config
        Options; those of networks and normalisers act in `build_trpo_ppo` only.
    policy_kwargs, seed, device, verbose, tensorboard_log
        As everywhere in stable-baselines3.

    Attributes
    ----------
    kl_beta
        Weight of the penalty in the next update.
    delta
        Largest divergence of the next natural step.
    step_divergences
        Mean divergence of every accepted natural step, summed over components.
    skipped_steps
        Natural steps that were not taken.
    """

    policy_aliases: ClassVar[dict[str, type[BasePolicy]]] = {
        "MlpPolicy": ActorCriticPolicy,
        "CnnPolicy": ActorCriticCnnPolicy,
        "MultiInputPolicy": MultiInputActorCriticPolicy,
    }

    def __init__(
        self,
        policy: Any,
        env: Any,
        config: TRPOPPOConfig | None = None,
        *,
        policy_kwargs: dict[str, Any] | None = None,
        seed: int | None = None,
        device: torch.device | str = "auto",
        verbose: int = 0,
        tensorboard_log: str | None = None,
        _init_setup_model: bool = True,
    ) -> None:
        self.config = config = TRPOPPOConfig() if config is None else config
        self.kl_beta = 0.0 if config.paper_compat_target_kl_zero else config.beta
        self.delta = config.delta
        self.step_divergences: list[float] = []
        self.skipped_steps = 0
        self._warned: set[str] = set()
        refuse_other_distributions(policy_kwargs or {})
        super().__init__(
            policy,
            env,
            learning_rate=learning_rate_schedule(config.learning_rate, config.learning_rate_schedule),
            n_steps=config.n_steps,
            gamma=config.gamma,
            gae_lambda=config.gae_lambda,
            ent_coef=config.ent_coef,
            vf_coef=config.vf_coef,
            max_grad_norm=config.max_grad_norm,
            use_sde=False,
            sde_sample_freq=-1,
            policy_kwargs={"share_features_extractor": False} | (policy_kwargs or {}),
            seed=seed,
            device=device,
            verbose=verbose,
            tensorboard_log=tensorboard_log,
            _init_setup_model=False,
            supported_action_spaces=(spaces.Box, spaces.Discrete, spaces.MultiDiscrete, spaces.MultiBinary),
        )
        if _init_setup_model:
            self._setup_model()

    def _setup_model(self) -> None:
        refuse_masked_continuous_actions(self.config, self.action_space)
        if self.config.use_masking:
            dictionary = isinstance(self.observation_space, spaces.Dict)
            self.rollout_buffer_class = MaskableDictRolloutBuffer if dictionary else MaskableRolloutBuffer
        super()._setup_model()
        for message in doubts(self.config, self.policy, self.n_steps * self.n_envs):
            self._warn_once(message)

    def collect_rollouts(
        self, env: VecEnv, callback: BaseCallback, rollout_buffer: RolloutBuffer, n_rollout_steps: int
    ) -> bool:
        """Fill the buffer, with masks where they are asked for."""
        if self.config.use_masking:
            return MaskablePPO.collect_rollouts(self, env, callback, rollout_buffer, n_rollout_steps)  # type: ignore[arg-type]
        return super().collect_rollouts(env, callback, rollout_buffer, n_rollout_steps)

    def predict(
        self,
        observation: Any,
        state: Any = None,
        episode_start: Any = None,
        deterministic: bool = False,
        action_masks: np.ndarray | None = None,
    ) -> tuple[np.ndarray, Any]:
        """Return actions for observations, and no state; with masks, only allowed ones."""
        keywords: dict[str, Any] = {} if action_masks is None else {"action_masks": action_masks}
        return self.policy.predict(observation, state, episode_start, deterministic, **keywords)

    def train(self) -> None:
        """Do with the rollout what its phase asks for, and log it."""
        started = time.perf_counter()
        config, policy = self.config, self.policy
        policy.set_training_mode(True)
        for key in [key for key in self.logger.name_to_value if key.startswith(("train/", "time/natural"))]:
            del self.logger.name_to_value[key]  # what an earlier iteration left and nobody wrote
        self._update_learning_rate(policy.optimizer)
        rollout = read_rollout(
            self.rollout_buffer, normalize_advantage=config.normalize_advantage, environment=self._environment_name()
        )
        size = len(rollout)
        start = self.num_timesteps - size
        phase = phase_of(config, start)
        scalars: dict[str, float] = {"phase": phase.value}
        with unvalidated_distributions():
            if phase is Phase.PPO:
                old = self._distributions(rollout)
                if config.paper_compat_target_kl_zero and phase_of(config, start - size) is Phase.TRPO:
                    policy.optimizer.state.clear()
            else:
                step = self._natural_step(rollout)
                old = step.old
                scalars |= logged_of_step(step, config) | {"skipped_steps": self.skipped_steps, "delta": self.delta}
                if config.adaptive_delta:
                    gain = 0.0 if step.accepted is None else step.accepted.gain
                    self.delta = adapted_delta(self.delta, config.delta, gain, step.promised)
                self.logger.record("time/natural_step_seconds", time.perf_counter() - started)
            if phase is Phase.TRPO:
                scalars |= fit_value(policy, rollout, ppo_settings(config), n_epochs=config.n_critic_updates)
                self._n_updates += config.n_critic_updates
                new = self._distributions(rollout)
            else:
                fitted, new = self._ppo(rollout, old)
                scalars |= fitted
                self._n_updates += config.n_epochs
            scalars["total_kl"] = float(old.divergence(new).mean())
        if isinstance(new, Gaussian):
            scalars["std"] = float(new.std.mean())
        buffer = self.rollout_buffer
        scalars["explained_variance"] = float(explained_variance(buffer.values.flatten(), buffer.returns.flatten()))
        scalars["n_updates"] = self._n_updates
        for key, value in scalars.items():
            self.logger.record(f"train/{key}", value)
        self.logger.record("time/fit_seconds", time.perf_counter() - started)

    def adaptive_state(self) -> dict[str, Any]:
        """Return what training adapts besides the networks."""
        return {
            "kl_beta": self.kl_beta,
            "delta": self.delta,
            "step_divergences": list(self.step_divergences),
            "skipped_steps": self.skipped_steps,
        }

    def set_adaptive_state(self, state: dict[str, Any]) -> None:
        """Continue from what `adaptive_state` gave."""
        self.kl_beta = state["kl_beta"]
        self.delta = state["delta"]
        self.step_divergences = list(state["step_divergences"])
        self.skipped_steps = state["skipped_steps"]

    def _natural_step(self, rollout: Rollout) -> NaturalStep:
        step = take_natural_step(
            lambda rows: action_distribution(self.policy, *inputs_of(rollout, rows)),
            list(self.policy.parameters()),
            rollout.actions,
            rollout.advantages,
            self.config,
            delta=self.delta,
            fisher_rows=self._fisher_rows(len(rollout)),
        )
        if step.accepted is None:
            self.skipped_steps += 1
        else:
            self.step_divergences.append(step.divergence)
            if self.config.reset_adam_on_step:
                for parameter in step.parameters:
                    self.policy.optimizer.state.pop(parameter, None)
        if step.solution.residual > POOR_RESIDUAL and step.gradient_norm > 0.0:
            self._warn_once(
                "The conjugate gradient ends with more than a tenth of the gradient unexplained: raise "
                "algo.cg_max_steps or algo.cg_damping."
            )
        return step

    def _ppo(self, rollout: Rollout, old: ActionDistribution) -> tuple[dict[str, float], ActionDistribution]:
        """Fit policy and values around the reference, adapt beta, and return what is logged and the new policy."""
        config = self.config
        moved = config.schedule == "per_iteration" and config.ratio_reference == "theta_prime"
        reference = self._distributions(rollout) if moved else old
        target_kl = resolved_target_kl(config, self.step_divergences)
        if follows_natural_steps(config) and not any(self.step_divergences):
            self._warn_once("No natural step was accepted so far: algo.target_kl=auto uses algo.delta.")
        beta = self.kl_beta
        scalars = fit_policy_and_value(
            self.policy, rollout, reference, ppo_settings(config), beta=beta, target_kl=target_kl
        )
        new = self._distributions(rollout)
        divergence = float(reference.divergence(new).mean())
        scalars |= {"ppo_kl": divergence, "kl_beta": beta}
        if target_kl is not None:
            scalars["target_kl"] = target_kl
            if config.adaptive_beta and not config.paper_compat_target_kl_zero:
                self.kl_beta = adapted_beta(beta, divergence, target_kl)
        return scalars, new

    @torch.no_grad()
    def _distributions(self, rollout: Rollout) -> ActionDistribution:
        """Return the current policy in every state of the rollout."""
        return action_distribution(self.policy, rollout.observations, rollout.masks)

    def _fisher_rows(self, size: int) -> Tensor | None:
        """Return the states for Fisher-vector products: a function of seed and position in training alone."""
        most = self.config.fvp_max_states
        if most is None or most >= size:
            return None
        rows = np.random.default_rng((self.seed or 0, self.num_timesteps)).choice(size, most, replace=False)
        return torch.as_tensor(rows, device=self.device)

    def _environment_name(self) -> str:
        assert self.env is not None
        innermost: Any = self.env.unwrapped
        environment = getattr(innermost, "environment", None) or getattr(innermost, "envs", [innermost])[0]
        return type(environment.unwrapped).__name__

    def _warn_once(self, message: str) -> None:
        if message not in self._warned:
            self._warned.add(message)
            warnings.warn(message, stacklevel=2)


def inputs_of(rollout: Rollout, rows: Tensor | None) -> tuple[Any, Tensor | None]:
    """Return observations and masks of these rows; None: of all."""
    part = rollout if rows is None else rollout.rows(rows)
    return part.observations, part.masks


def logged_of_step(step: NaturalStep, config: TRPOPPOConfig) -> dict[str, float]:
    """Return what is logged of a natural step; without a line search nothing of one."""
    scalars = {
        "trpo_kl": step.divergence,
        "trpo_step_alpha": step.alpha,
        "cg_residual": step.solution.residual,
        "cg_iterations": step.solution.iterations,
        "grad_norm": step.gradient_norm,
        "policy_objective": 0.0 if step.accepted is None else step.accepted.gain,
    }
    if config.line_search:
        scalars["line_search_success"] = float(step.accepted is not None)
        if step.accepted is not None:
            scalars["line_search_coef"] = step.accepted.coefficient
    return scalars


@contextmanager
def unvalidated_distributions() -> Iterator[None]:
    """Let trial steps leave the domain of torch's distributions: they are then refused instead of raising."""
    distribution: Any = torch.distributions.Distribution
    before = distribution._validate_args
    distribution.set_default_validate_args(False)
    try:
        yield
    finally:
        distribution.set_default_validate_args(before)
