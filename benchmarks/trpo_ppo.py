"""Seconds of an update of ``algo=trpo_ppo`` over those of stable-baselines3's PPO, on equal rollouts and networks.

Run ``python benchmarks/trpo_ppo.py`` on an idle machine. Process time of one thread; the candidates of a row are timed
in turn, so that a slow moment of the machine hits all of them, and medians are compared. Every update fits a rollout of
noise with 2048 transitions by 4 epochs of minibatches of 256, without an early stop.
"""

import gc
import statistics
import time
from collections.abc import Callable

import gymnasium
import numpy as np
import torch
from stable_baselines3 import PPO
from stable_baselines3.common.logger import Logger
from stable_baselines3.common.on_policy_algorithm import OnPolicyAlgorithm
from stable_baselines3.common.vec_env import DummyVecEnv
from torch.nn.utils import parameters_to_vector

from bioppo.algorithms.ppo.policies import ActorCritic
from bioppo.algorithms.trpo_ppo.algorithm import TRPOPPO
from bioppo.algorithms.trpo_ppo.config import TRPOPPOConfig
from bioppo.algorithms.trpo_ppo.distributions import action_distribution
from bioppo.algorithms.trpo_ppo.fisher import double_backward, gauss_newton
from bioppo.algorithms.trpo_ppo.learner import policy_keywords

ACTIONS = (50, 200)
STEPS = 2048
ROUNDS = 15


class Still(gymnasium.Env[np.ndarray, np.ndarray]):
    """Observe zeros, act in ``size`` dimensions, and never end: its spaces are all that matters."""

    def __init__(self, size: int) -> None:
        self.observation_space = gymnasium.spaces.Box(-1.0, 1.0, (size,), np.float32)
        self.action_space = gymnasium.spaces.Box(-1.0, 1.0, (size,), np.float32)

    def reset(self, *, seed: int | None = None, options: dict[str, object] | None = None) -> tuple[np.ndarray, dict]:
        """Return the only observation."""
        del seed, options
        return np.zeros(self.observation_space.shape, np.float32), {}

    def step(self, action: np.ndarray) -> tuple[np.ndarray, float, bool, bool, dict]:
        """Go on."""
        del action
        return np.zeros(self.observation_space.shape, np.float32), 0.0, False, False, {}


def environment(size: int) -> DummyVecEnv:
    """Return one copy."""
    return DummyVecEnv([lambda: Still(size)])


def quiet(model: OnPolicyAlgorithm) -> OnPolicyAlgorithm:
    """Give a model a logger that writes nothing."""
    model.set_logger(Logger(folder=None, output_formats=[]))
    return model


def reference(size: int) -> OnPolicyAlgorithm:
    """Return stable-baselines3's PPO."""
    return quiet(PPO("MlpPolicy", environment(size), n_steps=STEPS, batch_size=256, n_epochs=4, device="cpu"))


def candidate(size: int, **options: object) -> TRPOPPO:
    """Return the algorithm with options; what the PPO phase alone costs is asked for by ``trpo_timesteps=1``."""
    config = TRPOPPOConfig(target_kl=None, n_epochs=4, batch_size=256, **options)  # type: ignore[arg-type]
    venv = environment(size)
    keywords = policy_keywords(config, venv.action_space)
    return quiet(TRPOPPO(ActorCritic, venv, config, policy_kwargs=keywords, device="cpu"))


def fill(model: OnPolicyAlgorithm) -> None:
    """Put noise into the rollout, with densities of the policy's own."""
    buffer, generator = model.rollout_buffer, np.random.default_rng(0)
    buffer.reset()
    size = model.action_space.shape[0]
    buffer.observations[:] = generator.normal(size=buffer.observations.shape)
    with torch.no_grad():
        observations = torch.as_tensor(buffer.observations.reshape(STEPS, size))
        actions, values, log_probs = model.policy(observations)
    buffer.actions[:] = actions.numpy().reshape(buffer.actions.shape)
    buffer.values[:] = values.numpy().reshape(buffer.values.shape)
    buffer.log_probs[:] = log_probs.numpy().reshape(buffer.log_probs.shape)
    buffer.advantages[:] = generator.normal(size=buffer.advantages.shape)
    buffer.returns[:] = buffer.values + buffer.advantages
    buffer.pos, buffer.full = STEPS, True
    model.num_timesteps += STEPS


def update_seconds(models: dict[str, OnPolicyAlgorithm]) -> dict[str, float]:
    """Return the median process seconds of one update of each model, timed in turn."""
    durations: dict[str, list[float]] = {name: [] for name in models}
    for number in range(ROUNDS + 1):
        for name, model in models.items():
            fill(model)
            gc.collect()
            start = time.process_time()
            model.train()
            if number:  # the first warms up
                durations[name].append(time.process_time() - start)
    return {name: statistics.median(values) for name, values in durations.items()}


def median_seconds(call: Callable[[], object], repeats: int = 30) -> float:
    """Return the median process seconds of a call."""
    durations = []
    for _ in range(repeats + 1):
        start = time.process_time()
        call()
        durations.append(time.process_time() - start)
    return statistics.median(durations[1:])


def product_seconds(size: int) -> dict[str, float]:
    """Return the seconds of one surrogate gradient, and of one Fisher-vector product in both ways."""
    model = candidate(size)
    fill(model)
    samples = next(iter(model.rollout_buffer.get(batch_size=None)))
    parameters = list(model.policy.parameters())

    def surrogate_gradient() -> tuple[torch.Tensor | None, ...]:
        new = action_distribution(model.policy, samples.observations, None)
        ratio = torch.exp(new.log_prob(samples.actions) - samples.old_log_prob)
        return torch.autograd.grad((ratio * samples.advantages).mean(), parameters, allow_unused=True)

    actor = [part for part, slope in zip(parameters, surrogate_gradient(), strict=True) if slope is not None]
    seconds = {"gradient": median_seconds(surrogate_gradient)}
    vector = torch.ones_like(parameters_to_vector(actor))
    for make in (gauss_newton, double_backward):
        product = make(action_distribution(model.policy, samples.observations, None), actor, scale=1.0, damping=0.1)
        seconds[make.__name__] = median_seconds(lambda product=product: product(vector))
    return seconds


def main() -> None:
    """Print both tables."""
    torch.set_num_threads(1)
    print("one update, milliseconds, and over PPO of stable-baselines3")
    for size in ACTIONS:
        models: dict[str, OnPolicyAlgorithm] = {
            "PPO": reference(size),
            "per_iteration": candidate(size),
            "per_iteration, 512 states": candidate(size, fvp_max_states=512),
            "per_iteration, cg_rel_tol 1e-6": candidate(size, cg_rel_tol=1e-6),
            "per_iteration, double_backward": candidate(size, fvp="double_backward"),
            "two_phase, after TRPO": candidate(size, schedule="two_phase", trpo_timesteps=1),
        }
        models["two_phase, after TRPO"].num_timesteps = STEPS
        seconds = update_seconds(models)
        for name, value in seconds.items():
            print(f"{size:4d} actions  {name:31s} {value * 1e3:7.1f}  {value / seconds['PPO']:5.2f}")
    print()
    print("one Fisher-vector product over all states, milliseconds, and over one surrogate gradient")
    for size in ACTIONS:
        seconds = product_seconds(size)
        for name, value in seconds.items():
            print(f"{size:4d} actions  {name:31s} {value * 1e3:7.2f}  {value / seconds['gradient']:5.2f}")


if __name__ == "__main__":
    main()
