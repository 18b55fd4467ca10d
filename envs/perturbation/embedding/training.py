"""Train the embedding model epoch by epoch, and stop when held-out training cells are predicted no better."""

import copy
import json
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import mse_loss

from .... import UserError
from ...batched import NonFiniteError
from ..data import FloatArray, IntArray, PreparedData
from ..means import training_means
from .model import CELLS_AT_ONCE, NO_PERTURBATION, EmbeddingModel
from .options import NetworkOptions

STREAM = 21
"""Keeps the generator of pairs and minibatches apart from others of the same seed."""


@dataclass(frozen=True)
class Pairs:
    """Cells before and after: what the model learns from.

    Attributes
    ----------
    x
        (n, n_genes) cells before.
    perturbation
        (n,) labels, -1 for none.
    y
        (n, n_genes) where they should go.
    """

    x: FloatArray
    perturbation: IntArray
    y: FloatArray

    def __len__(self) -> int:
        """Return the number of pairs."""
        return len(self.x)


def effect_pairs(prepared: PreparedData, options: NetworkOptions, generator: np.random.Generator) -> Pairs:
    """Pair training control cells with x + M_p - c, for a seen perturbation each, drawn uniformly.

    M_p and c are means over training cells of the cell's own type, where that type was measured under any
    perturbation; cells of other types are left out. At most ``max_train_cells`` cells are used.
    """
    means = training_means(prepared)
    cells = prepared.cells(None)
    measured = means.measured[:, prepared.cell_type[cells]]
    cells, measured = cells[measured.any(axis=0)], measured[:, measured.any(axis=0)]
    if len(cells) < 2:
        raise UserError(
            f"The embedding model finds {len(cells)} training control cells of a measured type: give at least 2, or "
            "hold fewer perturbations and cell types out."
        )
    chosen = np.sort(generator.permutation(len(cells))[: options.max_train_cells])
    cells, measured = cells[chosen], measured[:, chosen]
    # The row-th measured label of each cell, where row is uniform among them.
    rank = (generator.random(len(cells)) * measured.sum(axis=0)).astype(np.int64)
    label = np.argmax(np.cumsum(measured, axis=0) > rank, axis=0)
    x = np.asarray(prepared.expression[cells], dtype=np.float32)
    effects = means.effects[label, prepared.cell_type[cells]].astype(np.float32)
    return Pairs(x, label, x + effects)


def unperturbed_pairs(prepared: PreparedData, count: int, generator: np.random.Generator) -> Pairs:
    """Pair training cells of any kind, drawn without replacement while they last, with themselves."""
    cells = np.flatnonzero(~prepared.split.test)
    cells = generator.permutation(cells)[:count]
    x = np.asarray(prepared.expression[cells], dtype=np.float32)
    return Pairs(x, np.full(len(cells), NO_PERTURBATION), x)


def training_pairs(
    prepared: PreparedData, options: NetworkOptions, generator: np.random.Generator, given: Pairs | None = None
) -> Pairs:
    """Return all pairs: the given ones or those of `effect_pairs`, and ``unperturbed_share`` of them without any."""
    perturbed = effect_pairs(prepared, options, generator) if given is None else given
    share = options.unperturbed_share
    at_rest = unperturbed_pairs(prepared, round(len(perturbed) * share / (1 - share)), generator)
    return Pairs(
        np.concatenate([perturbed.x, at_rest.x]).astype(np.float32),
        np.concatenate([perturbed.perturbation, at_rest.perturbation]).astype(np.int64),
        np.concatenate([perturbed.y, at_rest.y]).astype(np.float32),
    )


class EmbeddingTrainer:
    """Adam on mse(prediction, y) + mse(reconstruction, x), with an early stop.

    Equal models, pairs, options and seeds give equal weights on one machine. Once `finished`, the model has the weights
    of the epoch with the lowest validation loss.

    Parameters
    ----------
    model
        Trained in place.
    pairs
        Of training cells alone; ``validation_fraction`` of them, drawn at random, decide when to stop.
    options
        How to train.
    generator
        Source of the order of minibatches.
    """

    def __init__(
        self, model: EmbeddingModel, pairs: Pairs, options: NetworkOptions, generator: np.random.Generator
    ) -> None:
        if len(pairs) < 2:
            raise UserError(f"The embedding model was given {len(pairs)} pairs of cells: give at least 2.")
        self.model = model
        self.options = options
        self.generator = generator
        order = generator.permutation(len(pairs))
        held = min(max(1, round(options.validation_fraction * len(pairs))), len(pairs) - 1)
        self.validation, self.training = tensors(pairs, order[:held]), tensors(pairs, order[held:])
        self.optimizer = torch.optim.Adam(model.parameters(), lr=options.learning_rate)
        self.epoch = 0
        self.best_epoch = 0
        self.best_loss: float | None = None
        self.best_weights = weights_of(model)
        self.finished = False

    def run_epoch(self) -> dict[str, float]:
        """Pass over the training pairs once, then measure the others; return the mean losses by name."""
        x, perturbation, y = self.training
        order = torch.as_tensor(self.generator.permutation(len(x)))
        total = np.zeros(2)
        for rows in torch.split(order, self.options.batch_size):
            losses = self._losses(x[rows], perturbation[rows], y[rows])
            self.optimizer.zero_grad()
            (losses[0] + losses[1]).backward()  # type: ignore[no-untyped-call]
            self.optimizer.step()
            total += len(rows) * np.array([loss.item() for loss in losses])
        self.epoch += 1
        training, validation = total / len(x), self._validate()
        if not np.isfinite([training, validation]).all():
            raise NonFiniteError(
                f"The embedding model's loss is not finite after epoch {self.epoch} with learning_rate="
                f"{self.options.learning_rate:g}: lower it."
            )
        self._compare(float(validation.sum()))
        return {
            "train/prediction_loss": float(training[0]),
            "train/reconstruction_loss": float(training[1]),
            "train/validation_prediction_loss": float(validation[0]),
            "train/validation_reconstruction_loss": float(validation[1]),
            "train/best_epoch": float(self.best_epoch),
        }

    def run(self) -> list[dict[str, float]]:
        """Train to the end and return the losses of every epoch."""
        history = []
        while not self.finished:
            history.append(self.run_epoch())
        return history

    def get_state(self) -> dict[str, Any]:
        """Return weights, Adam's moments, generator, epoch and the best so far, in plain containers."""
        return {
            "weights": weights_of(self.model),
            "optimizer": copy.deepcopy(self.optimizer.state_dict()),
            "generator": json.dumps(self.generator.bit_generator.state),
            "epoch": self.epoch,
            "best_epoch": self.best_epoch,
            "best_loss": self.best_loss,
            "best_weights": dict(self.best_weights),
            "finished": self.finished,
        }

    def set_state(self, state: dict[str, Any]) -> None:
        """Continue from what `get_state` gave for a trainer of the same model, pairs, options and seed."""
        self.model.load_state_dict(state["weights"])
        self.optimizer.load_state_dict(copy.deepcopy(state["optimizer"]))
        self.generator.bit_generator.state = json.loads(state["generator"])
        self.epoch = state["epoch"]
        self.best_epoch = state["best_epoch"]
        self.best_loss = state["best_loss"]
        self.best_weights = dict(state["best_weights"])
        self.finished = state["finished"]

    def _losses(self, x: Tensor, perturbation: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
        prediction, reconstruction = self.model(x, perturbation)
        return mse_loss(prediction, y), mse_loss(reconstruction, x)

    def _validate(self) -> np.ndarray:
        total, count = np.zeros(2), len(self.validation[0])
        with torch.no_grad():
            for x, perturbation, y in zip(*(torch.split(part, CELLS_AT_ONCE) for part in self.validation), strict=True):
                total += len(x) * np.array([loss.item() for loss in self._losses(x, perturbation, y)])
        return total / count

    def _compare(self, loss: float) -> None:
        """Keep the weights if they are the best so far, and end the training where it is over."""
        if self.best_loss is None or loss < self.best_loss:
            self.best_loss, self.best_epoch, self.best_weights = loss, self.epoch, weights_of(self.model)
        waited = self.epoch - self.best_epoch
        self.finished = waited >= self.options.patience or self.epoch >= self.options.max_epochs
        if self.finished:
            self.model.load_state_dict(self.best_weights)


def make_trainer(
    prepared: PreparedData, features: FloatArray, options: NetworkOptions, *, seed: int, given: Pairs | None = None
) -> EmbeddingTrainer:
    """Return the trainer of a new model; ``features`` (K, E) describe the perturbations, ``given`` replaces its pairs.

    The seed alone decides weights, pairs and minibatches.
    """
    generator = np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(STREAM,)))
    pairs = training_pairs(prepared, options, generator, given)
    return EmbeddingTrainer(
        EmbeddingModel.from_prepared(prepared, features, options, seed=seed), pairs, options, generator
    )


def tensors(pairs: Pairs, rows: IntArray) -> tuple[Tensor, Tensor, Tensor]:
    """Return chosen pairs as tensors."""
    return torch.as_tensor(pairs.x[rows]), torch.as_tensor(pairs.perturbation[rows]), torch.as_tensor(pairs.y[rows])


def weights_of(model: EmbeddingModel) -> dict[str, Tensor]:
    """Return copies of all weights by name."""
    return {name: value.detach().clone() for name, value in model.state_dict().items()}
