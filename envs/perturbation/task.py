"""What an environment's copies and splits share: cells, their coordinates, targets, and what scores predictions."""

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from ... import UserError
from .actions import ActionMap, make_action_map
from .config import PerturbationConfig
from .data import BoolArray, FloatArray, IntArray, PreparedData
from .features import perturbation_features
from .loading import load_prepared
from .means import TrainingMeans, training_means
from .pseudotime import diffusion_pseudotime
from .scoring import Predictions, Scorer, start_cells
from .targets import Targets, cell_lists, weighted_lists
from .trajectories import mean_trajectory, reference_trajectory, straight_steps

if TYPE_CHECKING:
    from .embedding.model import EmbeddingModel

OBSERVED_LIMIT = 10.0
"""Scaled coordinates are observed within +- this."""

PCA_SHARE = 0.8
"""Share of targets that must be measured for their loadings to be the features of perturbations."""


@dataclass(frozen=True)
class Episodes:
    """The episodes of an evaluation, one per start cell of every group, in an order that interleaves the groups."""

    start: IntArray
    perturbation: IntArray
    cell_type: IntArray

    def __len__(self) -> int:
        return len(self.start)


@dataclass
class PerturbationTask:
    """A prepared data set in the coordinates that the environment moves cells in.

    Attributes
    ----------
    features
        e_p (K, E) float32.
    coordinates
        (n_cells, D) float32: expression, or a latent representation of it.
    decode
        Leads from coordinates back to expression; None where no way does.
    target_flags
        (K, n_genes) bool: where the target genes of each perturbation are.
    """

    config: PerturbationConfig
    data: PreparedData
    means: TrainingMeans
    features: FloatArray
    coordinates: FloatArray
    decode: Callable[[FloatArray], FloatArray] | None
    actions: ActionMap
    _scorers: dict[str, Scorer] = field(default_factory=dict)
    _targets: dict[bool, Targets] = field(default_factory=dict)
    _references: dict[str, FloatArray] = field(default_factory=dict)

    @cached_property
    def target_flags(self) -> BoolArray:
        """Where the target genes of each perturbation are, (K, n_genes)."""
        return flag_targets(self.data)

    @cached_property
    def moments(self) -> tuple[FloatArray, FloatArray]:
        """Mean and deviation of training controls' coordinates, (D,) each; they scale what is observed."""
        if self.config.representation == "gene":
            return self.data.mean.astype(np.float32), self.data.deviation.astype(np.float32)
        controls = self.coordinates[self.data.cells(None)].astype(np.float64)
        return controls.mean(axis=0).astype(np.float32), (controls.std(axis=0) + 1e-6).astype(np.float32)

    def scale(self, coordinates: FloatArray) -> FloatArray:
        """Return coordinates (n, D) as they are observed: standardised, within +- `OBSERVED_LIMIT`."""
        centre, precision = self._scaling
        scaled: FloatArray = coordinates - centre
        scaled *= precision
        return np.clip(scaled, -OBSERVED_LIMIT, OBSERVED_LIMIT, out=scaled)

    @cached_property
    def scaled(self) -> FloatArray:
        """All cells as they are observed, (n_cells, D)."""
        return self.scale(self.coordinates)

    @cached_property
    def _scaling(self) -> tuple[FloatArray, FloatArray]:
        centre, deviation = self.moments
        return centre, np.float32(1.0) / deviation

    def targets(self, *, test: bool) -> Targets:
        """Return the targets made from training cells, or from test cells, whose mode is then delta or cell."""
        if test not in self._targets:
            mode = self.config.target
            if test and mode == "ot_matched":
                mode = "delta"  # an evaluation's start cells are not those of the plan
            self._targets[test] = Targets(self.coordinates, self.data, mode, test=test)
        return self._targets[test]

    def scorer(self, observed: str) -> Scorer:
        """Return what predictions are compared with: ``test`` or ``train`` cells."""
        if observed not in self._scorers:
            reference = self.config.control_reference
            self._scorers[observed] = Scorer(
                self.data,
                observed=observed,  # type: ignore[arg-type]
                control_reference=reference,  # type: ignore[arg-type]
            )
        return self._scorers[observed]

    def start_cells(self, observed: str, kind: int) -> IntArray:
        """Return the control cells of a type that predictions of ``test`` or ``train`` cells start from."""
        reference = self.config.control_reference
        return start_cells(self.data, observed, kind, control_reference=reference)  # type: ignore[arg-type]

    @cached_property
    def score_names(self) -> frozenset[str]:
        """Names of the scores that are defined for the test cells, whatever is predicted."""
        episodes = self.episodes("test")
        start = self.data.expression[episodes.start]
        nothing = Predictions(start, start, episodes.perturbation, episodes.cell_type)
        return frozenset(self.scorer("test").score(nothing)[1])

    @cached_property
    def eligible(self) -> tuple[IntArray, Any]:
        """The labels of training episodes, and the controls that each may start from, as lists in their order."""
        targets = self.targets(test=False)
        labels = np.flatnonzero(targets.measured.any(axis=1))
        if not len(labels):
            raise UserError("env.data_split leaves no perturbation with training cells: lower held_out_perturbations.")
        allowed = targets.starts()
        lists = []
        for label in labels:
            kinds = np.flatnonzero(targets.measured[label])
            cells = np.concatenate([self.data.cells(None, int(kind)) for kind in kinds])
            lists.append(cells if allowed is None else np.intersect1d(cells, allowed))
        if self.config.start == "pseudotime":
            return labels, weighted_lists(lists, self.pseudotime)
        return labels, cell_lists(lists, (len(labels),))

    @cached_property
    def label_shares(self) -> FloatArray:
        """Cumulative probabilities of the labels of training episodes."""
        labels, _ = self.eligible
        counts = np.ones(len(labels))
        if self.config.draw == "frequency":
            counts = np.array([len(self.data.cells(int(label))) for label in labels], dtype=float)
        shares: FloatArray = np.cumsum(counts) / counts.sum()
        return shares

    def episodes(self, observed: str) -> Episodes:
        """Return the episodes that measure an agent on ``test`` or ``train`` cells."""
        rows = []
        for group in self.scorer(observed).groups:
            cells = self.start_cells(observed, group.cell_type)[: self.config.max_start_cells]
            rows.append(
                np.column_stack(
                    [
                        np.arange(len(cells)),
                        np.full_like(cells, group.perturbation),
                        np.full_like(cells, group.cell_type),
                        cells,
                    ]
                )
            )
        joined = np.concatenate(rows)
        joined = joined[np.argsort(joined[:, 0], kind="stable")]
        return Episodes(start=joined[:, 3], perturbation=joined[:, 1], cell_type=joined[:, 2])

    def evaluated(self, split: str) -> Episodes:
        """Return the episodes of an evaluation; those of a test come from training cells too with ``paper_compat``."""
        if split != "test":
            return self.episodes("train")
        if not self.config.paper_compat:
            return self.episodes("test")
        both = self.episodes("test"), self.episodes("train")
        return Episodes(
            start=np.concatenate([each.start for each in both]),
            perturbation=np.concatenate([each.perturbation for each in both]),
            cell_type=np.concatenate([each.cell_type for each in both]),
        )

    @cached_property
    def trajectory_episodes(self) -> Episodes:
        """The episodes whose mean way is the trajectory of a system: the first ones of the test."""
        episodes, first = self.episodes("test"), slice(self.config.trajectory_cells)
        return Episodes(episodes.start[first], episodes.perturbation[first], episodes.cell_type[first])

    def reference(self, name: str) -> FloatArray:
        """Return a trajectory to compare with, (points, D'): of ``perturbed`` or ``control`` cells, or of the ``twin``.

        The twin is the experimental model: from the start cells of the first test episodes it takes equal steps to
        what it predicts.
        """
        if name not in self._references:
            horizon, points = self.config.horizon, self.config.reference_points
            if name == "twin":
                episodes = self.trajectory_episodes
                start = self.data.expression[episodes.start]
                final = self.experimental_model.predict(start, episodes.perturbation)
                self._references[name] = mean_trajectory(straight_steps(start, final, horizon))
            else:
                cells = self.data.expression if self.decode is not None else self.coordinates
                which: Any = name
                points = horizon + 1 if points is None else points
                self._references[name] = reference_trajectory(
                    self.data, which, points, pseudotime=self.pseudotime, coordinates=cells
                )
        return self._references[name]

    @cached_property
    def pseudotime(self) -> FloatArray:
        """Diffusion pseudotime of all cells, (n_cells,), by expression or by what stands for it."""
        return diffusion_pseudotime(self.data, self.data.expression if self.decode is not None else self.coordinates)

    @cached_property
    def experimental_model(self) -> "EmbeddingModel":
        """The perturbation embedding with gene-graph attention, trained on training cells, from the cache if it can."""
        from .embedding.cache import trained_model

        return trained_model(self.data, self.features, self.config.model)


def load_task(config: PerturbationConfig, seed: int) -> PerturbationTask:
    """Read, split and prepare the data, and find coordinates, features and actions.

    ``seed`` is the split's where the config leaves it open.
    """
    if config.data_split.seed is None:
        config = dataclasses.replace(config, data_split=dataclasses.replace(config.data_split, seed=seed))
    data = load_prepared(config.data, config.generator, config.data_split)
    means = training_means(data)
    features = make_features(config, data)
    coordinates, decode = make_coordinates(config, data, features)
    actions = make_action_map(config, data, means, coordinates)
    return PerturbationTask(config, data, means, features, coordinates, decode, actions)


def make_features(config: PerturbationConfig, data: PreparedData) -> FloatArray:
    """Return e_p (K, E) of the kind that ``embedding`` names."""
    kind = config.embedding
    if kind == "auto":
        measured = np.mean([len(genes) > 0 for genes in data.targets])
        kind = "pca_loading" if measured >= PCA_SHARE else "onehot"
    if kind == "gat":
        from .embedding.cache import trained_model

        simple = make_features(dataclasses.replace(config, embedding="auto"), data)
        return trained_model(data, simple, config.model).perturbation_vectors(data.expression[data.cells(None)])
    return perturbation_features(data, kind, config.embedding_file)


def make_coordinates(
    config: PerturbationConfig, data: PreparedData, features: FloatArray
) -> tuple[FloatArray, Callable[[FloatArray], FloatArray] | None]:
    """Return the coordinates of all cells (n_cells, D), and the way back to expression if there is one."""
    if config.representation == "gene":
        return data.expression, _same
    if config.representation == "latent":
        from .embedding.cache import trained_model

        model = trained_model(data, features, config.model)
        return model.encode(data.expression), model.decode
    from .notebook import notebook_coordinates

    return notebook_coordinates(data), None


def flag_targets(data: PreparedData) -> BoolArray:
    """Return where the target genes of each perturbation are, (K, n_genes)."""
    flags = np.zeros((len(data.perturbations), len(data.genes)), dtype=bool)
    for row, genes in zip(flags, data.targets, strict=True):
        row[genes] = True
    return flags


def _same(coordinates: FloatArray) -> FloatArray:
    return coordinates
