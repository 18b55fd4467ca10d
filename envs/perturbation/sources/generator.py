"""The built-in generator: cells of a random linear gene network with known effects of knock-downs."""

import dataclasses
from dataclasses import dataclass
from typing import Any

import numpy as np

from .... import UserError
from ....configs.option import nearest
from ..data import SEPARATOR, FloatArray, IntArray, PerturbationData, Truth
from ..options import GeneratorOptions

CONTROL = "control"
TYPE_SHIFT = 0.5
"""Standard deviation of a cell type's shift of each gene."""


def generate_synthetic(options: GeneratorOptions | None = None, **changes: Any) -> PerturbationData:
    """Return cells of a random network: control cells first, then those of each perturbation as it was drawn.

    A gene's expression is ``mu + z B + e P^T``, with latent state z, noise e and ``P = (I - W)^-1``; a knock-down u
    of the target gene adds ``f P u`` with the efficacy f of the cell. Genes are ``gene_00``, ``gene_01`` and so on, a
    perturbation has the name of its target, and a pair has both with ``+`` between. ``options`` may be given as
    keywords; an unknown one raises :class:`UserError`.
    """
    known = [field.name for field in dataclasses.fields(GeneratorOptions)]
    for key in changes:
        if key not in known:
            raise UserError(f"The generator has no option {key}: {nearest(key, known)}")
    options = dataclasses.replace(options or GeneratorOptions(), **changes)
    # All draws come from one generator in a fixed order; options that are off draw nothing.
    random = np.random.default_rng(options.seed)
    cells = CellSource(options, *draw_network(options, random), random)
    targets = random.choice(options.n_genes, options.n_perturbations, replace=False)
    groups = [cells.draw(options.n_control)]
    names = np.array([f"gene_{gene:0{len(str(options.n_genes - 1))}d}" for gene in range(options.n_genes)])
    knocked = [np.array([target]) for target in targets]
    effects = np.array([cells.effect(members) for members in knocked])
    groups += [cells.perturbed(number, effect, groups[0]) for number, effect in enumerate(effects)]
    for members in draw_pairs(options, targets, random):
        effect = cells.effect(members)
        groups.append(cells.perturbed(len(knocked), effect, groups[0]))
        effects = np.vstack([effects, effect])
        knocked.append(members)
    labels = [SEPARATOR.join(sorted(names[members])) for members in knocked]
    return finish(options, cells, groups, names, labels, effects)


def draw_network(options: GeneratorOptions, random: np.random.Generator) -> tuple[FloatArray, FloatArray]:
    """Return W (n_genes, n_genes), with no gene acting on itself, and mu (n_genes,)."""
    size = (options.n_genes, options.n_genes)
    present, weights = random.random(size), random.normal(0, 1, size)
    network = np.where(present < options.density, weights, 0.0)
    np.fill_diagonal(network, 0.0)
    radius = np.abs(np.linalg.eigvals(network)).max()
    # Networks without cycles have no eigenvalue to scale by; rounding leaves one of about 1e-16 of the weights.
    if radius > 1e-9:
        network *= options.spectral_radius / radius
    return network, 1.5 + random.gamma(4, 0.4, options.n_genes)


def draw_pairs(options: GeneratorOptions, targets: IntArray, random: np.random.Generator) -> list[IntArray]:
    """Return different pairs of targets."""
    if not options.combos:
        return []
    first, second = np.triu_indices(len(targets), k=1)
    chosen = random.choice(len(first), options.combos, replace=False)
    return [np.array([targets[first[pair]], targets[second[pair]]]) for pair in chosen]


@dataclass
class CellSource:
    """Draws cells of one network; creating it draws the weights of the latent variation.

    Arrays of cells are float64 (n_cells, n_genes), before clipping. The position of a cell decides its type and
    batch, so that every label has all types and batches alike.
    """

    options: GeneratorOptions
    network: FloatArray
    mean: FloatArray
    random: np.random.Generator

    def __post_init__(self) -> None:
        options = self.options
        self.weights = self.random.normal(0, options.latent_sd, (options.latent_dim, options.n_genes))
        self.propagation = np.linalg.inv(np.eye(options.n_genes) - self.network)
        # A generator of their own: types and batches leave all other numbers as they are.
        shifts = np.random.default_rng([options.seed, 1])
        self.type_shifts = shifts.normal(0, TYPE_SHIFT, (max(options.cell_types, 1), options.n_genes))
        self.type_shifts[0] = 0.0
        self.batch_shifts = shifts.normal(0, options.batch_effect, (2, options.n_genes))
        self.batch_shifts[0] = 0.0

    def types(self, positions: IntArray) -> IntArray:
        """Return the cell type of positions within a group."""
        return positions % len(self.type_shifts)

    def batches(self, positions: IntArray) -> IntArray:
        """Return the batch of positions within a group."""
        return positions // len(self.type_shifts) % 2

    def draw(self, count: int) -> FloatArray:
        """Return unperturbed cells."""
        options, positions = self.options, np.arange(count)
        latent = self.random.normal(size=(count, options.latent_dim))
        noise = self.random.normal(0, options.noise, (count, options.n_genes))
        cells = self.mean + latent @ self.weights + noise @ self.propagation.T
        return cells + self.type_shifts[self.types(positions)] + self.batch_shifts[self.batches(positions)]

    def effect(self, members: IntArray) -> FloatArray:
        """Return P u (n_genes,) of knocking down all members."""
        knock = np.zeros(self.options.n_genes)
        knock[members] = -np.minimum(self.options.knock, self.mean[members])
        effect: FloatArray = self.propagation @ knock
        return np.tanh(effect) if self.options.saturation else effect

    def perturbed(self, number: int, effect: FloatArray, control: FloatArray) -> FloatArray:
        """Return the cells of perturbation ``number``."""
        options, count = self.options, self.options.n_per_perturbation
        if options.efficacy == "const":
            efficacy = np.full((count, 1), options.mean_efficacy)
        else:
            first, second = options.efficacy_beta
            efficacy = self.random.beta(first, second, (count, 1))
        start = control[self.positions(number)] if options.paired else self.draw(count)
        return start + efficacy * effect

    def positions(self, number: int) -> IntArray:
        """Return which position each cell of a perturbation has; pairs take that of their control cell."""
        count = self.options.n_per_perturbation
        return (np.arange(count) + number * count) % self.options.n_control if self.options.paired else np.arange(count)


def finish(
    options: GeneratorOptions,
    cells: CellSource,
    groups: list[FloatArray],
    names: Any,
    labels: list[str],
    effects: FloatArray,
) -> PerturbationData:
    """Clip, turn into counts if wanted, and name every cell."""
    values = np.concatenate(groups)
    if options.clip:
        values = np.maximum(values, 0.0)
    if options.counts:
        values = np.random.default_rng([options.seed, 2]).poisson(np.expm1(values)).astype(np.float64)
    sizes = [len(group) for group in groups]
    positions = np.concatenate([np.arange(sizes[0]), *(cells.positions(number) for number in range(len(labels)))])
    types, batches = cells.types(positions), cells.batches(positions)
    return PerturbationData(
        X=values.astype(np.float32),
        genes=names,
        labels=np.repeat(np.array([CONTROL, *labels]), sizes),
        control=np.arange(len(values)) < sizes[0],
        cell_types=np.array([f"type_{kind}" for kind in types]) if options.cell_types > 1 else None,
        batches=np.array([f"batch_{batch}" for batch in batches]) if options.batch_effect else None,
        provenance={"source": "synthetic", "generator": dataclasses.asdict(options)},
        log_normalised=not options.counts,
        truth=Truth(cells.network, cells.propagation, cells.mean, effects, tuple(labels)),
    )
