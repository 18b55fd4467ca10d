"""Simple predictors as agents that answer at once, beside the same rows for what was trained."""

from typing import TYPE_CHECKING, Any

import numpy as np

from .baselines import Baseline, fit_baselines
from .data import FloatArray, IntArray

if TYPE_CHECKING:
    from .embedding.model import EmbeddingModel
    from .task import PerturbationTask


class PredictingSolver:
    """Answer the question where a cell goes by a predictor's expression."""

    answers_per_episode = 1

    def __init__(self, predictor: Baseline) -> None:
        self.predictor = predictor

    def answer(self, question: Any, *, generator: np.random.Generator) -> np.ndarray:
        """Return predicted expression (n, n_genes); nothing is drawn."""
        del generator
        predicted: np.ndarray = self.predictor.predict(
            question["start"], question["perturbation"], question["cell_type"]
        )
        return predicted


class ExperimentalPredictor:
    """The trained experimental model, with the features and target flags that it needs."""

    def __init__(self, model: "EmbeddingModel") -> None:
        self.model = model

    def predict(self, start: FloatArray, perturbation: IntArray, cell_type: IntArray) -> FloatArray:
        """Return predicted expression (n, n_genes)."""
        del cell_type
        predicted: FloatArray = self.model.predict(start, perturbation)
        return predicted


def environment_baselines(task: "PerturbationTask") -> dict[str, Any]:
    """Return doing nothing and the simple predictors by name, and the experimental model if it is asked for.

    Where no way leads from coordinates back to expression, predictors of expression have nothing to be compared with.
    """
    if task.decode is None:
        return {"no_change": NoChange(task)}
    predictors: dict[str, Any] = dict(fit_baselines(task.data, task.features, task.config.data.combo_separator or "\0"))
    if task.config.twin:
        predictors["embedding_model"] = ExperimentalPredictor(task.experimental_model)
    return {name: PredictingSolver(predictor) for name, predictor in predictors.items()}


class NoChange:
    """Leave every cell where it is, whatever its coordinates are."""

    def __init__(self, task: "PerturbationTask") -> None:
        self.shape = task.actions.space.shape or ()

    def act(self, observation: Any, *, masks: np.ndarray | None, generator: np.random.Generator | None) -> np.ndarray:
        """Return zeros (num_envs, n_actions)."""
        del masks, generator
        return np.zeros((len(observation), *self.shape), dtype=np.float32)
