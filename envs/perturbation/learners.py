"""Learners of the perturbation environment alone: the embedding model, and regression with the policy's network."""

from typing import Any

import numpy as np

from ... import UserError
from ..batched import BatchedEnv, State
from .embedding.model import EmbeddingModel
from .embedding.training import Pairs, make_trainer
from .environment import PerturbationVectorEnv
from .learner_config import EmbeddingConfig, SupervisedConfig
from .supervised import SupervisedModel


class EmbeddingSolver:
    """Answer the question where a cell goes by the embedding model."""

    def __init__(self, model: EmbeddingModel) -> None:
        self.model = model

    def answer(self, question: Any, *, generator: np.random.Generator) -> np.ndarray:
        """Return predicted expression (n, n_genes); nothing is drawn."""
        del generator
        predicted: np.ndarray = self.model.predict(question["start"], question["perturbation"])
        return predicted


class EmbeddingLearner:
    """One epoch of the embedding model per update, until its early stop.

    It learns from the environment's training cells, without simulator calls. Targets are x + M_p - c with
    ``target=delta``; with another target, pairs are drawn once from the environment, which counts them.
    """

    def __init__(self, config: EmbeddingConfig, environment: PerturbationVectorEnv, seed: int) -> None:
        task = environment.task
        given = None if environment.config.target == "delta" else drawn_pairs(environment, config.max_train_cells)
        self.trainer = make_trainer(task.data, task.features, config, seed=seed, given=given)

    @property
    def finished(self) -> bool:
        """Whether the training was stopped or has had all its epochs."""
        return self.trainer.finished

    def update(self, progress: float) -> dict[str, float]:
        """Pass over the training pairs once and measure the validation pairs."""
        del progress
        return self.trainer.run_epoch()

    def agent(self) -> EmbeddingSolver:
        """Return predictions of the model as it is now; they follow further updates."""
        return EmbeddingSolver(self.trainer.model)

    def get_state(self) -> State:
        """Return weights, Adam's moments, generator, epoch and the best so far."""
        return self.trainer.get_state()

    def set_state(self, state: State) -> None:
        """Continue from what `get_state` gave."""
        self.trainer.set_state(state)


class SupervisedSolver:
    """Answer the question where a cell goes by the network that policies have."""

    def __init__(self, model: SupervisedModel, environment: PerturbationVectorEnv) -> None:
        self.model = model
        self.environment = environment

    def answer(self, question: Any, *, generator: np.random.Generator) -> np.ndarray:
        """Return predicted expression (n, n_genes); nothing is drawn."""
        del generator
        start = np.asarray(question["start"], dtype=np.float32)
        begun, unseen = np.zeros(len(start)), np.zeros_like(start)
        observation = self.environment.make_observation(start, question["perturbation"], begun, unseen)
        assert isinstance(observation, np.ndarray)
        return self.model.predict(observation, start)


class SupervisedLearner:
    """Fresh cells and targets per update, and some epochs of regression on them."""

    finished = False

    def __init__(self, config: SupervisedConfig, environment: PerturbationVectorEnv, seed: int) -> None:
        require_expression("supervised", environment)
        if environment.config.observe_target:
            raise UserError(
                "env.observe_target=true: algo=supervised answers without a target, so leave observe_target out."
            )
        self.config = config
        self.environment = environment
        self.model = SupervisedModel(
            int(np.prod(environment.single_observation_space.shape or ())),
            environment.n_coordinates,
            hidden_sizes=config.hidden_sizes,
            scale=environment.config.step_length,
            learning_rate=config.learning_rate,
            seed=seed,
        )

    def update(self, progress: float) -> dict[str, float]:
        """Draw cells and their targets, one simulator call each, and fit the network to them."""
        del progress
        config, samples = self.config, self.environment.draw_samples(self.config.n_samples)
        first, last = self.model.fit(
            samples["observation"],
            samples["start"],
            samples["target"],
            epochs=config.n_epochs,
            batch_size=config.batch_size,
        )
        still = np.square(samples["target"] - samples["start"]).mean(dtype=np.float64)
        return {"train/loss_first_epoch": first, "train/loss": last, "train/loss_of_no_change": float(still)}

    def agent(self) -> SupervisedSolver:
        """Return predictions of the network as it is now; they follow further updates."""
        return SupervisedSolver(self.model, self.environment)

    def get_state(self) -> State:
        """Return weights, Adam's moments and generator."""
        return self.model.get_state()

    def set_state(self, state: State) -> None:
        """Continue from what `get_state` gave."""
        self.model.set_state(state)


def drawn_pairs(environment: PerturbationVectorEnv, count: int) -> Pairs:
    """Return about ``count`` start cells, their perturbations and the environment's targets."""
    require_expression("embedding", environment)
    samples = environment.draw_samples(count)
    return Pairs(samples["start"], samples["perturbation"], samples["target"])


def require_expression(algo: str, environment: PerturbationVectorEnv) -> None:
    """Raise `UserError` unless cells are expression and observed as one vector."""
    for key, value, needed in (
        ("representation", environment.config.representation, "gene"),
        ("observation", environment.config.observation, "flat"),
    ):
        if value != needed:
            raise UserError(
                f"env.{key}={value}: algo={algo} needs expression in one vector, so set env.{key}={needed}."
            )


def require_perturbation(algo: str, environment: BatchedEnv) -> PerturbationVectorEnv:
    """Return the environment if it is a perturbation one, and raise `UserError` if it is another."""
    if not isinstance(environment, PerturbationVectorEnv):
        raise UserError(
            f"algo={algo} predicts perturbed cells, and {type(environment).__name__} has none: use env=perturbation."
        )
    return environment


def build_embedding(config: EmbeddingConfig, environment: BatchedEnv, *, seed: int, device: str) -> EmbeddingLearner:
    """Build the learner; it runs on the CPU whatever the device."""
    del device
    return EmbeddingLearner(config, require_perturbation("embedding", environment), seed)


def build_supervised(config: SupervisedConfig, environment: BatchedEnv, *, seed: int, device: str) -> SupervisedLearner:
    """Build the learner; it runs on the CPU whatever the device."""
    del device
    return SupervisedLearner(config, require_perturbation("supervised", environment), seed)
