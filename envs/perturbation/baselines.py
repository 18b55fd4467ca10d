"""Simple predictions of perturbed cells, fitted to training cells alone; a learned one must beat them.

All share one interface: ``predict(start, perturbation, cell_type)`` moves control cells ``(n, n_genes)`` to where the
perturbation numbered ``(n,)`` takes cells of the type numbered ``(n,)``, and returns them in float64. Means are those
of the cell type where training cells of that label and type exist. Elsewhere, for a type in which no perturbed cell was
seen above all, the average over the types where the label was measured stands in, each type counting alike.
"""

from collections.abc import Callable
from typing import Any, Protocol

import numpy as np

from .data import SEPARATOR, BoolArray, FloatArray, IntArray, PreparedData
from .genes import label_members
from .means import TrainingMeans, training_means

RIDGE_PENALTIES = tuple(10.0**power for power in range(-2, 5))
PAIRING_SEED = 1


class Baseline(Protocol):
    """A prediction that needs no training by reinforcement."""

    def predict(self, start: FloatArray, perturbation: IntArray, cell_type: IntArray) -> FloatArray:
        """Return the perturbed cells (n, n_genes), float64."""
        ...


class NoChange:
    """Leave every cell as it is."""

    def predict(self, start: FloatArray, perturbation: IntArray, cell_type: IntArray) -> FloatArray:
        """Return the start cells."""
        del perturbation, cell_type
        return np.array(start, dtype=np.float64)


class MeanPerturbed:
    """Answer the mean over seen perturbations of their mean profiles, for every cell.

    Parameters
    ----------
    profile
        (n_cell_types, n_genes).
    """

    def __init__(self, profile: FloatArray) -> None:
        self.profile = profile

    def predict(self, start: FloatArray, perturbation: IntArray, cell_type: IntArray) -> FloatArray:
        """Return the profile of each cell's type."""
        del start, perturbation
        chosen: FloatArray = self.profile[cell_type]
        return chosen


class EffectTable:
    """Add to every cell an effect that depends on its perturbation and its type alone.

    Parameters
    ----------
    effects
        (K, n_cell_types, n_genes).
    """

    def __init__(self, effects: FloatArray) -> None:
        self.effects = effects

    def predict(self, start: FloatArray, perturbation: IntArray, cell_type: IntArray) -> FloatArray:
        """Return the start cells plus their effects."""
        moved: FloatArray = np.asarray(start, dtype=np.float64) + self.effects[perturbation, cell_type]
        return moved


class CellRidge:
    """Predict a perturbed cell from its start and its perturbation's features by one linear map.

    Parameters
    ----------
    regression
        A fitted regression of scikit-learn on [x, e_p].
    features
        e (K, n_features).
    """

    def __init__(self, regression: Any, features: FloatArray) -> None:
        self.regression = regression
        self.features = features

    def predict(self, start: FloatArray, perturbation: IntArray, cell_type: IntArray) -> FloatArray:
        """Return the regression's answers."""
        del cell_type
        inputs = np.concatenate([np.asarray(start, dtype=np.float64), self.features[perturbation]], axis=1)
        return np.asarray(self.regression.predict(inputs), dtype=np.float64).reshape(inputs.shape[0], -1)


def fit_baselines(data: PreparedData, features: FloatArray, separator: str | None = SEPARATOR) -> dict[str, Baseline]:
    """Return all simple baselines by name, fitted to training cells.

    Parameters
    ----------
    data
        Prepared cells and their split.
    features
        What is known of every perturbation, (K, n_features), used by `linear_emb` and `ridge`.
    separator
        Between the members of a combination's label; None or empty: no label is a combination.
    """
    means = training_means(data)
    makers: dict[str, Callable[[], Baseline]] = {
        "no_change": NoChange,
        "mean_perturbed": lambda: fit_mean_perturbed(means),
        "mean_delta": lambda: fit_mean_delta(means),
        "additive": lambda: fit_additive(means, data.perturbations, separator, data.provenance.get("control_label")),
        "linear_emb": lambda: fit_linear_embedding(means, features),
        "ridge": lambda: fit_ridge(data, features),
    }
    return {name: make() for name, make in makers.items()}


def fit_mean_perturbed(means: TrainingMeans) -> MeanPerturbed:
    """Average the mean profiles of seen perturbations, within each cell type."""
    return MeanPerturbed(_average_label(means.perturbed))


def fit_mean_delta(means: TrainingMeans) -> EffectTable:
    """Average the mean effects of seen perturbations, within each cell type, and give it to all."""
    return EffectTable(np.broadcast_to(_average_label(means.effects), means.effects.shape))


def fit_additive(
    means: TrainingMeans, perturbations: tuple[str, ...], separator: str | None = SEPARATOR, control: str | None = None
) -> EffectTable:
    """Give every perturbation its own mean training effect.

    In a type where the label was not seen it is the average of the label's effects in other types. A combination that
    was never seen gets the sum of its members' effects, a member that was never seen counting with the effect of
    `fit_mean_delta`. Any other label that was never seen gets that effect.
    """
    average, table = _average_label(means.effects), _fill_types(means.effects)
    seen = ~np.isnan(table[:, 0, 0])
    position = {name: number for number, name in enumerate(perturbations) if seen[number]}
    for label in np.flatnonzero(~seen):
        members = label_members(perturbations[label], separator or None, control)
        if any(member in position for member in members):
            table[label] = sum(table[position[member]] if member in position else average for member in members)
        else:
            table[label] = average
    return EffectTable(table)


def fit_linear_embedding(means: TrainingMeans, features: FloatArray, penalty: float = 1.0) -> EffectTable:
    """Regress mean effects on features over seen perturbations: ridge with an intercept, in each cell type."""
    features = np.asarray(features, dtype=np.float64)
    table, known = _fill_types(means.effects), _known(means.effects)
    predicted = np.empty_like(table)
    for kind in range(table.shape[1]):
        rows = known[:, kind]
        predicted[:, kind] = _ridge_answers(features[rows], table[rows, kind], features, penalty)
    return EffectTable(predicted)


def fit_ridge(data: PreparedData, features: FloatArray) -> CellRidge:
    """Regress perturbed training cells on a random training control of the same type and on features.

    The penalty is chosen from `RIDGE_PENALTIES` by leaving one cell out at a time. Controls are drawn with a seed of
    their own, so the fit is the same in every run.
    """
    from sklearn.linear_model import RidgeCV

    features = np.asarray(features, dtype=np.float64)
    generator = np.random.default_rng(PAIRING_SEED)
    answers = np.flatnonzero((data.label >= 0) & ~data.split.test)
    starts = np.empty_like(answers)
    for kind in range(len(data.cell_types)):
        rows = np.flatnonzero(data.cell_type[answers] == kind)
        controls = data.cells(None, kind)
        if len(controls) == 0:
            controls = data.cells(None)
        starts[rows] = generator.choice(controls, len(rows))
    inputs = np.concatenate([data.expression[starts].astype(np.float64), features[data.label[answers]]], axis=1)
    regression = RidgeCV(alphas=RIDGE_PENALTIES).fit(inputs, data.expression[answers].astype(np.float64))
    return CellRidge(regression, features)


def _known(values: FloatArray) -> BoolArray:
    """Return which labels a type is fitted to (K, n_types): those measured in it; without any, all that were seen."""
    measured: BoolArray = ~np.isnan(values[:, :, 0])
    known: BoolArray = np.where(measured.any(axis=0), measured, measured.any(axis=1, keepdims=True))
    return known


def _average_label(values: FloatArray) -> FloatArray:
    """Average over the labels that are known of each type, (n_types, n_genes)."""
    known = _known(values)
    total = np.where(known[:, :, None], _fill_types(values), 0.0).sum(axis=0)
    average: FloatArray = total / known.sum(axis=0)[:, None]
    return average


def _fill_types(values: FloatArray) -> FloatArray:
    """Put a label's average over the types where it was measured where it was not; NaN stays for unseen labels."""
    measured = ~np.isnan(values[:, :, :1])
    count = measured.sum(axis=1, keepdims=True)
    average = np.where(measured, values, 0.0).sum(axis=1, keepdims=True) / np.where(count > 0, count, np.nan)
    return np.where(measured, values, average)


def _ridge_answers(known: FloatArray, values: FloatArray, asked: FloatArray, penalty: float) -> FloatArray:
    """Fit values (n, n_genes) to features (n, n_features) by ridge with a free intercept, and answer what is asked."""
    centre, middle = known.mean(axis=0), values.mean(axis=0)
    centred = known - centre
    # The dual form: there are fewer labels than features, where features are many.
    kernel = centred @ centred.T + penalty * np.eye(len(known))
    answers: FloatArray = middle + (asked - centre) @ centred.T @ np.linalg.solve(kernel, values - middle)
    return answers
