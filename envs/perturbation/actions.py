"""What an action does to a cell: the displacement before it is scaled by step length and efficacy."""

from typing import Any, Protocol

import gymnasium
import numpy as np

from ... import UserError
from ...configs.option import nearest
from .config import PerturbationConfig
from .data import FloatArray, IntArray, PreparedData
from .means import TrainingMeans


class ActionMap(Protocol):
    """A space of actions, and where each of them leads."""

    @property
    def space(self) -> gymnasium.Space[Any]:
        """Of one copy."""
        ...

    def bounded(self, actions: np.ndarray) -> np.ndarray:
        """Return the actions within the space, (n, ...)."""
        ...

    def displacement(self, actions: np.ndarray, kind: IntArray) -> FloatArray:
        """Return what bounded actions add to cells of these types, (n, D) float32."""
        ...


class DirectMap:
    """A number per coordinate, in [-1, 1]."""

    def __init__(self, size: int) -> None:
        self.space = gymnasium.spaces.Box(-1.0, 1.0, (size,), np.float32)

    def bounded(self, actions: np.ndarray) -> np.ndarray:
        """Return the actions within [-1, 1]."""
        within: np.ndarray = np.asarray(actions, dtype=np.float32).clip(-1.0, 1.0)
        return within

    def displacement(self, actions: np.ndarray, kind: IntArray) -> FloatArray:
        """Return the actions themselves."""
        del kind
        return actions


class GeneEffectsMap(DirectMap):
    """A number per acting gene in [-1, 1], spread over all coordinates by ``effects`` (n_acting, D)."""

    def __init__(self, effects: FloatArray) -> None:
        super().__init__(len(effects))
        self.effects = effects.astype(np.float32)

    def displacement(self, actions: np.ndarray, kind: IntArray) -> FloatArray:
        """Return ``a E``."""
        del kind
        moved: FloatArray = actions @ self.effects
        return moved


class GeneChoiceMap:
    """Knock down one of several genes, or stop (the last action); ``responses`` is (n_cell_types, n_acting, D)."""

    def __init__(self, names: tuple[str, ...], responses: FloatArray) -> None:
        self.names = names
        stop = np.zeros_like(responses[:, :1])
        self.responses = np.concatenate([responses, stop], axis=1).astype(np.float32)
        self.space = gymnasium.spaces.Discrete(len(names) + 1)

    def bounded(self, actions: np.ndarray) -> np.ndarray:
        """Return the actions as integers."""
        return np.asarray(actions, dtype=np.int64)

    def displacement(self, actions: np.ndarray, kind: IntArray) -> FloatArray:
        """Return the response of a cell of this type to the chosen knock-down."""
        moved: FloatArray = self.responses[kind, actions]
        return moved


def make_action_map(
    config: PerturbationConfig, data: PreparedData, means: TrainingMeans, coordinates: FloatArray
) -> ActionMap:
    """Return the map that ``action_map`` names.

    Raises
    ------
    UserError
        If ``action_genes`` names a gene that cannot act.
    """
    if config.action_map == "gene_effects":
        return GeneEffectsMap(correlation_effects(data, coordinates, acting_genes(config, data.genes.tolist())))
    if config.action_map == "gene_choice":
        names, responses = knock_down_responses(config, data, means)
        return GeneChoiceMap(names, responses)
    if config.action_genes is not None:
        raise UserError("env.action_genes: action_map=direct moves every coordinate, so leave action_genes out.")
    return DirectMap(coordinates.shape[1])


def acting_genes(config: PerturbationConfig, possible: list[str]) -> list[int]:
    """Return positions of the genes of ``action_genes`` among the possible ones, or of all."""
    if config.action_genes is None:
        return list(range(len(possible)))
    if not config.action_genes:
        raise UserError("env.action_genes=[]: name at least one gene, or leave it out.")
    for name in config.action_genes:
        if name not in possible:
            raise UserError(f"env.action_genes: {name} cannot act; {nearest(name, possible)}")
    return [possible.index(name) for name in config.action_genes]


def correlation_effects(data: PreparedData, coordinates: FloatArray, genes: list[int]) -> FloatArray:
    """Return E (n_acting, D): correlations of genes with coordinates over training controls, rows of length 1."""
    rows = data.cells(None)
    acting, moved = _standardised(data.expression[rows][:, genes]), _standardised(coordinates[rows])
    correlation = acting.T @ moved / len(rows)
    length = np.linalg.norm(correlation, axis=1, keepdims=True)
    effects: FloatArray = correlation / np.maximum(length, 1e-12)
    return effects


def knock_down_responses(
    config: PerturbationConfig, data: PreparedData, means: TrainingMeans
) -> tuple[tuple[str, ...], FloatArray]:
    """Return which knock-downs there are, and their responses (n_cell_types, n_acting, n_genes).

    On generated data every gene can be knocked down, and its response is the known ``P u``. On real data the choices
    are the labels seen in training, and their responses the mean effects of training cells; a type in which a label was
    not measured gets the mean over the types in which it was.
    """
    n_types = len(data.cell_types)
    truth = data.truth
    if truth is not None:
        chosen = acting_genes(config, data.genes.tolist())
        change = -np.minimum(config.generator.knock, truth.mean[chosen])
        responses = (truth.propagation[:, chosen] * change).T
        return tuple(data.genes[chosen].tolist()), np.repeat(responses[None], n_types, axis=0)
    seen = np.flatnonzero(data.seen)
    labels = [data.perturbations[label] for label in seen]
    chosen = acting_genes(config, labels)
    effects = means.effects[seen[chosen]]
    measured = means.measured[seen[chosen]]
    average = np.nanmean(np.where(measured[:, :, None], effects, np.nan), axis=1, keepdims=True)
    responses = np.where(measured[:, :, None], effects, average).transpose(1, 0, 2)
    return tuple(labels[index] for index in chosen), responses


def _standardised(values: FloatArray) -> FloatArray:
    centred = values - values.mean(axis=0, dtype=np.float64)
    standard: FloatArray = centred / np.maximum(centred.std(axis=0), 1e-12)
    return standard
