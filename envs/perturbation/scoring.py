"""Score predicted cells against observed ones: a row per perturbation and cell type, and their means per split."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from ... import UserError
from . import metrics
from .data import BoolArray, FloatArray, IntArray, PreparedData
from .groups import ControlReference, Group, Observed, control_halves, observed_groups, start_cells

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["Group", "Predictions", "Scorer", "ceiling", "observed_groups", "score", "start_cells"]

MEASURES = (
    *("pearson_delta", "pds", "de_overlap", "energy", "mse_delta"),
    *("pds_cell_eval", "w1", "mse", "rmse", "mae", "r2", "pearson", "de_chance", "fraction_negative"),
)
"""Columns that are averaged into scalars, the primary ones first."""

MAX_TESTED_CELLS = 2000
"""Cells on each side of a test for differential expression, at most."""

CEILING_REPEATS = 10
CEILINGS = ("half_depth", "corrected")
LOWEST_CORRELATION = -0.5


@dataclass(frozen=True)
class Predictions:
    """Predicted cells, one per episode.

    Attributes
    ----------
    start, final
        (n, n_genes) log-normalised expression of the control cell and of the cell predicted from it.
    perturbation, cell_type
        (n,) positions among the data's perturbations and cell types.
    """

    start: FloatArray
    final: FloatArray
    perturbation: IntArray
    cell_type: IntArray


@dataclass(frozen=True)
class _Observation:
    """All about a group that no prediction changes."""

    group: Group
    sample: FloatArray
    profile: FloatArray
    effect: FloatArray
    significant: BoolArray
    distance_within: float


class Scorer:
    """Measures predictions of one split of one data set.

    Effects are differences of means: of predicted cells and the cells they started from, and of observed cells and the
    reference controls. With ``control_reference="disjoint"`` no control cell is in both. ``"shared"`` takes the same
    controls on both sides, as cell-eval does; their noise then correlates the effects.

    Ranks for `pds` are taken among the perturbations of the same split and cell type, so that a prediction that is the
    same for all of them averages 0.5 in each split; target genes of all perturbations are left out.

    `energy` and `w1` take as many predicted cells as there are observed ones, if there are so many: both shrink with
    the size of samples of the same distribution, and would depend on how many cells one cares to predict.

    Parameters
    ----------
    prepared
        Cells and split.
    observed
        ``"test"``, or ``"train"`` to choose among policies without looking at test cells.
    max_cells
        Cells on each side of `energy` and `w1`, at most.
    seed
        Of the subsets that caps make, and of the halves of training controls; `start_cells` takes the same one.

    Attributes
    ----------
    reference
        Positions of the control cells of each type that observed effects are measured against.
    """

    def __init__(
        self,
        prepared: PreparedData,
        *,
        observed: Observed = "test",
        control_reference: ControlReference = "disjoint",
        max_cells: int = 500,
        seed: int = 0,
    ) -> None:
        self.prepared = prepared
        self.max_cells = max_cells
        self.seed = seed
        self.reference = {
            kind: control_halves(prepared, observed, kind, control_reference, seed)[1]
            for kind in range(len(prepared.cell_types))
        }
        self.observations = [self._observe(group) for group in observed_groups(prepared, observed)]

    @property
    def groups(self) -> list[Group]:
        """What is to be predicted, in the order of the table."""
        return [observation.group for observation in self.observations]

    def score(self, predictions: Predictions) -> "tuple[pd.DataFrame, dict[str, float]]":
        """Return a row per group, and means over groups per split.

        Returns
        -------
        table
            Names and split of each group, ``members_seen`` (members of its label that training cells had), numbers of
            cells, and the measures. Those that are not defined are NaN: ranks where there is nothing else to rank, and
            `de_overlap` without a significant gene.
        scalars
            ``pearson_delta_A`` and so on: perturbations count alike, as do the types of one. What is defined for no
            group is absent, so that keys depend on the observed cells alone and all values are finite.

        Raises
        ------
        UserError
            If a group has no predicted cells, or cells are not finite.
        """
        import pandas as pd

        rows, predicted_effects = [], []
        for observation in self.observations:
            start, final = self._predicted(predictions, observation.group)
            predicted_effects.append(final.mean(axis=0) - start.mean(axis=0))
            rows.append(self._describe(observation, len(final)) | self._measure(observation, start, final))
        table = pd.DataFrame(rows)
        for column in ("pds", "pds_cell_eval"):
            table[column] = np.nan
        for members, scores in self._ranked(np.array(predicted_effects)):
            table.loc[members, list(scores)] = pd.DataFrame(scores, index=members)
        leading = [column for column in table.columns if column not in MEASURES]
        table = table[[*leading, *MEASURES]]
        return table, _average(table, MEASURES)

    def _observe(self, group: Group) -> _Observation:
        expression = self.prepared.expression
        cells, reference = group.cells, self.reference[group.cell_type]
        draw = (self.seed, group.perturbation, group.cell_type)
        sample = _take(cells, self.max_cells, draw)
        profile = expression[cells].mean(axis=0, dtype=np.float64)
        return _Observation(
            group=group,
            sample=expression[sample].astype(np.float64),
            profile=profile,
            effect=profile - expression[reference].mean(axis=0, dtype=np.float64),
            significant=metrics.significant_genes(
                expression[_take(cells, MAX_TESTED_CELLS, draw)],
                expression[_take(reference, MAX_TESTED_CELLS, draw)],
            ),
            distance_within=metrics.mean_distance_within(expression[sample]),
        )

    def _predicted(self, predictions: Predictions, group: Group) -> tuple[FloatArray, FloatArray]:
        rows = (predictions.perturbation == group.perturbation) & (predictions.cell_type == group.cell_type)
        start = np.asarray(predictions.start[rows], dtype=np.float64)
        final = np.asarray(predictions.final[rows], dtype=np.float64)
        name = f"{self.prepared.perturbations[group.perturbation]} in {self.prepared.cell_types[group.cell_type]}"
        if len(final) == 0:
            raise UserError(f"perturbation {name}: no predicted cells, so predict every group of observed_groups.")
        if not np.isfinite(final).all():
            raise UserError(f"perturbation {name}: predicted cells are not finite, so lower action_scale or the rates.")
        return start, final

    def _describe(self, observation: _Observation, n_predicted: int) -> dict[str, object]:
        group, data = observation.group, self.prepared
        name = data.perturbations[group.perturbation]
        return {
            "perturbation": name,
            "cell_type": data.cell_types[group.cell_type],
            "split": group.split,
            "members_seen": data.split.members_seen[name],
            "n_cells": len(group.cells),
            "n_predicted": n_predicted,
        }

    def _measure(self, observation: _Observation, start: FloatArray, final: FloatArray) -> dict[str, float]:
        group = observation.group
        targets = self.prepared.targets[group.perturbation]
        profile = final.mean(axis=0)
        effect = profile - start.mean(axis=0)
        # Groups have draws of their own, lest all of them share the luck of one.
        draw = (self.seed, group.perturbation, group.cell_type)
        sample = final[_take(np.arange(len(final)), len(observation.sample), draw)]
        bulk: dict[str, Callable[..., float]] = {
            name: getattr(metrics, name) for name in ("mse", "rmse", "mae", "r2", "pearson")
        }
        overlap = metrics.de_overlap(effect, observation.effect, observation.significant, targets)
        return {
            **{name: measure(profile, observation.profile) for name, measure in bulk.items()},
            "mse_delta": metrics.mse_delta(effect, observation.effect, targets),
            "pearson_delta": metrics.pearson_delta(effect, observation.effect, targets),
            "de_overlap": overlap.overlap,
            "de_chance": overlap.chance,
            "n_significant": overlap.n_significant,
            "energy": metrics.energy(sample, observation.sample, within_two=observation.distance_within),
            "w1": metrics.w1(sample, observation.sample),
            "fraction_negative": float((final < 0.0).mean()),
        }

    def _ranked(self, predicted: FloatArray) -> Iterator[tuple[list[int], dict[str, FloatArray]]]:
        """Yield rows that are ranked among each other, and their scores."""
        contests: dict[tuple[str, int], list[int]] = {}
        for row, group in enumerate(self.groups):
            contests.setdefault((group.split, group.cell_type), []).append(row)
        for rows in contests.values():
            if len(rows) > 1:
                observed = np.array([self.observations[row].effect for row in rows])
                own = [self.prepared.targets[self.groups[row].perturbation] for row in rows]
                yield (
                    rows,
                    {
                        "pds": metrics.pds(predicted[rows], observed, self.prepared.targets),
                        "pds_cell_eval": metrics.pds_cell_eval(predicted[rows], observed, own),
                    },
                )


def score(
    predictions: Predictions,
    prepared: PreparedData,
    *,
    observed: Observed = "test",
    control_reference: ControlReference = "disjoint",
    max_cells: int = 500,
    seed: int = 0,
) -> "tuple[pd.DataFrame, dict[str, float]]":
    """Score predictions once; see `Scorer`, which is quicker for more than one set of them."""
    scorer = Scorer(prepared, observed=observed, control_reference=control_reference, max_cells=max_cells, seed=seed)
    return scorer.score(predictions)


def ceiling(prepared: PreparedData, *, seed: int = 0) -> "tuple[pd.DataFrame, dict[str, float]]":
    """Say how well test cells of a perturbation predict each other: what noise leaves for any prediction to reach.

    Ten times the cells, and the test controls, are cut into random halves. The two effects correlate by r
    (``half_depth``); effects of all the cells would correlate by about 2 r / (1 + r) (``corrected``, after Spearman and
    Brown). Both are averages over the ten.

    Returns
    -------
    table
        A row per group of two cells or more.
    scalars
        ``half_depth_A``, ``corrected_A`` and so on, averaged as in `Scorer`.
    """
    import pandas as pd

    generator = np.random.default_rng(seed)
    rows = []
    for group in observed_groups(prepared):
        if len(group.cells) < 2:
            continue
        controls = start_cells(prepared, "test", group.cell_type, control_reference="shared")
        half_depth = _replicate(prepared, group, controls, generator)
        # Noise may correlate weak effects negatively; the formula has a pole at -1.
        bounded = max(half_depth, LOWEST_CORRELATION)
        rows.append(
            {
                "perturbation": prepared.perturbations[group.perturbation],
                "cell_type": prepared.cell_types[group.cell_type],
                "split": group.split,
                "n_cells": len(group.cells),
                "half_depth": half_depth,
                "corrected": 2.0 * bounded / (1.0 + bounded),
            }
        )
    table = pd.DataFrame(rows, columns=["perturbation", "cell_type", "split", "n_cells", *CEILINGS])
    return table, _average(table, CEILINGS)


def _replicate(prepared: PreparedData, group: Group, controls: IntArray, generator: np.random.Generator) -> float:
    """Return the mean correlation of the effects of random halves."""

    def profiles(cells: IntArray) -> FloatArray:
        halves = np.array_split(generator.permutation(cells), 2)
        return np.array([prepared.expression[half].mean(axis=0, dtype=np.float64) for half in halves])

    correlations = []
    for _ in range(CEILING_REPEATS):
        one, two = profiles(group.cells) - profiles(controls)
        correlations.append(metrics.pearson_delta(one, two, prepared.targets[group.perturbation]))
    return float(np.mean(correlations))


def _average(table: "pd.DataFrame", measures: tuple[str, ...]) -> dict[str, float]:
    scalars = {}
    for split, rows in table.groupby("split", sort=True):
        means = rows.groupby("perturbation", sort=False)[list(measures)].mean().mean()
        scalars.update({f"{name}_{split}": float(value) for name, value in means.items() if np.isfinite(value)})
    return scalars


def _take(cells: IntArray, most: int, seed: tuple[int, ...]) -> IntArray:
    """Return all cells, or so many of them drawn at random."""
    if len(cells) <= most:
        return cells
    chosen: IntArray = np.sort(np.random.default_rng(seed).choice(cells, most, replace=False))
    return chosen
