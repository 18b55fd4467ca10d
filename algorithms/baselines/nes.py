"""Evolution strategy over generator networks, as RENAISSANCE has it: a search that never acts.

A generator turns noise into a batch of answers. In every generation the weights of a population of generators are
displaced by noise, each generator's batch earns one reward, and the weights move along the noise weighted by the
standardised rewards (Choudhury et al. 2024, after Salimans et al. 2017).
"""

import json
from itertools import pairwise
from typing import Any

import gymnasium
import numpy as np

from ... import UserError
from ...envs.batched import BatchedEnv, State
from .config import NESConfig

LABEL = 1.0
"""Beside the noise the generator is always told that a good answer is wanted."""
LEAK = 0.2
BEST = 10
"""Answers of a batch that reward flag 1 looks at."""
LARGEST_EXPONENT = 100.0
"""Rewards stay finite, and so do their squares."""

Layers = list[np.ndarray]
"""Weights (..., inputs, outputs) and biases (..., 1, outputs) in turn; a leading axis is the population."""


class GeneratorSolver:
    """Answer with what a generator makes of fresh noise.

    The rescaling to the box takes the extremes of a whole batch, so that an answer depends on the others made with it.
    Answers are therefore made in batches of the size that was trained with, however few are asked for: otherwise a
    single one would be stretched until it touched both ends of the box.
    """

    def __init__(self, layers: Layers, space: gymnasium.spaces.Box, batch_size: int) -> None:
        self.layers = layers
        self.space = space
        self.batch_size = batch_size

    def answer(self, question: Any, *, generator: np.random.Generator) -> np.ndarray:
        """Return one answer (n, *shape) for every row of the question, inside the box."""
        rows = len(next(iter(question.values())) if isinstance(question, dict) else question)
        batches = max(1, -(-rows // self.batch_size))
        raw = generate(self.layers, latent_input(generator, batches, self.batch_size, self.layers))
        return rescale(raw, self.space).reshape(-1, *self.space.shape)[:rows]


class NESLearner:
    """One generation per update."""

    finished = False

    def __init__(self, config: NESConfig, environment: BatchedEnv, seed: int) -> None:
        if environment.answer_space is None:
            raise UserError(
                f"algo=nes searches for answers, and {type(environment).__name__} takes actions only: use algo=ppo."
            )
        self.config = config
        self.environment = environment
        self.space = environment.answer_space
        self.generator = np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(13,)))
        outputs = int(np.prod(self.space.shape))
        self.layers = initial_layers([config.latent_size + 1, *config.hidden_sizes, outputs], self.generator)
        self.learning_rate = config.learning_rate

    def update(self, progress: float) -> dict[str, float]:
        """Displace the generator, let the environment grade every batch, and follow the rewards."""
        del progress
        config = self.config
        noise = [
            self.generator.standard_normal((config.population_size, *layer.shape), dtype=np.float32)
            for layer in self.layers
        ]
        scale = np.float32(config.noise)
        members = [layer + scale * displaced for layer, displaced in zip(self.layers, noise, strict=True)]
        latent = latent_input(self.generator, config.population_size, config.sets_per_member, self.layers)
        answers = rescale(generate(members, latent), self.space)
        graded = self.environment.examine(answers.reshape(-1, *self.space.shape))
        excess = graded.get("excess", graded["cost"]).reshape(config.population_size, config.sets_per_member)
        rewards = REWARDS[config.reward_flag](excess)
        self._follow(rewards, noise)
        return {
            "search/reward_mean": float(rewards.mean()),
            "search/reward_best": float(rewards.max()),
            "search/good_enough": float((excess <= 0).mean()),
            "search/cost_best": float(graded["cost"].min()),
            "search/cost_median": float(np.median(graded["cost"])),
        }

    def agent(self) -> GeneratorSolver:
        """Return the undisplaced generator as it is now."""
        return GeneratorSolver(self.layers, self.space, self.config.sets_per_member)

    def get_state(self) -> State:
        """Return weights, step size and generator."""
        return {
            "layers": [layer.copy() for layer in self.layers],
            "learning_rate": self.learning_rate,
            "generator": json.dumps(self.generator.bit_generator.state),
        }

    def set_state(self, state: State) -> None:
        """Continue from what `get_state` gave."""
        self.layers = [np.array(layer) for layer in state["layers"]]
        self.learning_rate = state["learning_rate"]
        self.generator.bit_generator.state = json.loads(state["generator"])

    def _follow(self, rewards: np.ndarray, noise: Layers) -> None:
        """Move the weights, unless all rewards are equal and so say nothing."""
        if not (np.ptp(rewards) > 0 and rewards.std() > 0):
            return
        self.layers = follow_rewards(self.layers, noise, rewards, self.learning_rate / self.config.noise)
        self.learning_rate *= self.config.decay


def initial_layers(sizes: list[int], generator: np.random.Generator) -> Layers:
    """Draw weights uniformly as Glorot and Bengio (2010) do, which Keras's default is; biases are 0."""
    layers: Layers = []
    for inputs, outputs in pairwise(sizes):
        limit = np.sqrt(6.0 / (inputs + outputs))
        layers.append(generator.uniform(-limit, limit, (inputs, outputs)).astype(np.float32))
        layers.append(np.zeros((1, outputs), dtype=np.float32))
    return layers


def latent_input(generator: np.random.Generator, members: int, sets: int, layers: Layers) -> np.ndarray:
    """Return standard normal noise and the label, (members, sets, inputs)."""
    latent = generator.standard_normal((members, sets, layers[0].shape[-2]), dtype=np.float32)
    latent[..., -1] = LABEL
    return latent


def generate(layers: Layers, latent: np.ndarray) -> np.ndarray:
    """Return the networks' outputs (members, sets, outputs) for inputs (members, sets, inputs)."""
    signal = latent
    for index in range(0, len(layers), 2):
        if index:
            signal = np.maximum(signal, np.float32(LEAK) * signal)
        signal = signal @ layers[index] + layers[index + 1]
    return signal


def rescale(raw: np.ndarray, space: gymnasium.spaces.Box) -> np.ndarray:
    """Map every member's batch (members, sets, outputs) linearly so that its extremes are the ends of the box."""
    raw = raw.astype(np.float64)
    least, largest = raw.min(axis=(1, 2), keepdims=True), raw.max(axis=(1, 2), keepdims=True)
    low, high = space.low.ravel(), space.high.ravel()
    answers: np.ndarray = low + (high - low) * ((raw - least) / (largest - least))
    return answers


def share_good_enough(excess: np.ndarray) -> np.ndarray:
    """Return reward flag 0 of batches (members, sets): the share with ``excess <= 0``.

    Where there is none, ``0.01 / (1 + e^z)`` with the least excess z, so that coming nearer is rewarded a little.
    """
    share = (excess <= 0).mean(axis=1)
    nearest = 0.01 * np.exp(-np.logaddexp(0.0, excess.min(axis=1)))
    reward: np.ndarray = np.where(share > 0, share, nearest)
    return reward


def mean_of_the_best(excess: np.ndarray) -> np.ndarray:
    """Return reward flag 1 of batches (members, sets): ``e^(-m / 10) / 2`` with the mean m of the ten least excesses.

    The published reward has the largest eigenvalue in the place of its excess over the threshold. The constant factor
    between the two falls out when rewards are standardised.
    """
    mean = np.sort(excess, axis=1)[:, :BEST].mean(axis=1)
    reward: np.ndarray = 0.5 * np.exp(np.minimum(-0.1 * mean, LARGEST_EXPONENT))
    return reward


REWARDS = {0: share_good_enough, 1: mean_of_the_best}


def follow_rewards(layers: Layers, noise: Layers, rewards: np.ndarray, step: float) -> Layers:
    """Return ``w + step / N * sum_i z_i noise_i`` for every layer, with the standardised rewards z (N,)."""
    z = ((rewards - rewards.mean()) / rewards.std()).astype(np.float32)
    scale = np.float32(step / len(z))
    return [layer + scale * np.tensordot(z, displaced, axes=1) for layer, displaced in zip(layers, noise, strict=True)]


def build_nes(config: NESConfig, environment: BatchedEnv, *, seed: int, device: str) -> NESLearner:
    """Build the learner; it runs on the CPU whatever the device."""
    del device
    return NESLearner(config, environment, seed)
