"""An embedded tree of twelve blood types, drawn anew from a seed: cells with a known network and no download.

Transcription factors owned by a type are high in it and, less so, in its descendants; every cell lies between its type
and the type's parent; all other genes answer to a few transcription factors. Names are real genes' for decoration.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from ... import UserError
from .data import BoolArray, Cells, FloatArray, IntArray

PARENTS = {
    "HSC": "HSC",
    "MPP": "HSC",
    "MEP": "MPP",
    "Ery": "MEP",
    "Mk": "MEP",
    "GMP": "MPP",
    "Neu": "GMP",
    "Mono": "GMP",
    "DC": "GMP",
    "CLP": "MPP",
    "B": "CLP",
    "T": "CLP",
}
"""The parent of every type, in the order in which they are drawn; the root is its own."""

OWNED = {
    "HSC": "Gata2 Hoxa9 Meis1 Mecom Runx1 Erg",
    "MPP": "Myb Lmo2 Tal1 Fli1 Ikzf2 Hlf",
    "MEP": "Gata1 Zfpm1 Klf1 Nfe2 Gfi1b Ldb1",
    "Ery": "Bcl11a Tfdp2 Foxo3 Nfia E2f2 Klf3",
    "Mk": "Pbx1 Mef2c Etv6 Nfib Runx3 Mafg",
    "GMP": "Cebpa Spi1 Irf8 Cebpe Rara Cux1",
    "Neu": "Gfi1 Cebpd Per3 Nfil3 Batf2 Egr3",
    "Mono": "Egr1 Jun Klf4 Mafb Nr4a1 Atf3",
    "DC": "Irf4 Batf3 Id2 Zbtb46 Relb Nfkb2",
    "CLP": "Tcf3 Ikzf1 Foxo1 Bach2 Sox4 Lef1",
    "B": "Pax5 Ebf1 Pou2af1 Spib Bcl6 Irf2",
    "T": "Gata3 Tcf7 Bcl11b Runx2 Tox Rorc",
}
"""The six transcription factors that mark each type."""

FILLERS = tuple(f"Zfp{number}" for number in range(901, 937))
"""Transcription factors that mark none."""

TFS = tuple(name for names in OWNED.values() for name in names.split()) + FILLERS

SPREAD = 0.25
"""Half of it is the deviation of a value's own noise."""


@dataclass(frozen=True)
class Preset:
    """How many cells and genes there are, and how far cells stay from their parents: ``Beta(a, b)``."""

    cells: int
    genes: int
    a: float
    b: float


PRESETS = {
    "easy": Preset(cells=2000, genes=300, a=1.3, b=1.0),
    "standard": Preset(cells=2000, genes=300, a=1.3, b=1.0),
    "hard": Preset(cells=3000, genes=500, a=3.0, b=1.2),
}


def generate(preset: str | Preset, seed: int) -> Cells:
    """Draw cells of a preset, or of a size of one's own.

    Parameters
    ----------
    preset
        ``easy``, ``standard`` or ``hard``. Easy and standard are the same cells; their tables take steps of different
        length (`options.MEASURED_SETTINGS`).
    seed
        The same seed gives the same cells.

    Returns
    -------
    Cells
        ``X`` is on the scale of logarithms, so that it is not normalised again; there is no drawing, since
        one is made of two principal components. Types are in the order of their names.
    """
    chosen = preset if isinstance(preset, Preset) else _find(preset)
    name = "of its own size" if isinstance(preset, Preset) else preset
    generator = np.random.default_rng(seed)
    programs = draw_programs(generator)
    kinds, expressed = draw_cells(chosen, programs, generator)
    weights, values = draw_targets(expressed, chosen.genes - len(TFS), generator)
    genes = np.array([*TFS, *(f"Target{number:03d}" for number in range(1, len(weights) + 1))])
    names = np.array(list(PARENTS))
    order = np.argsort(names)
    position = np.argsort(order)
    regulators = _name_edges(link_genes(weights != 0, generator), genes)
    edges = sum(map(len, regulators.values()))
    return Cells(
        X=np.hstack([expressed, values]),
        log_normalised=True,
        cells=np.array([f"cell{number:05d}" for number in range(chosen.cells)]),
        genes=genes,
        cluster_of_cell=position[kinds].astype(np.int32),
        clusters=names[order],
        embedding=None,
        regulators=regulators,
        log=(
            f"landscape {name}, seed {seed}: {chosen.cells} cells x {chosen.genes} genes, {len(names)} types, "
            f"{len(TFS)} transcription factors, {edges} possible edges",
        ),
    )


def draw_programs(generator: np.random.Generator) -> FloatArray:
    """Return the mean of every transcription factor in every type, (12, 108).

    A type's own factors are 2.2 higher; those of an ancestor m generations up are ``2.2 * 0.55^m`` higher.
    """
    programs = 0.3 + generator.normal(0.0, 0.08, (len(PARENTS), len(TFS)))
    owner = _owners()
    for row, name in enumerate(PARENTS):
        for generation, ancestor in enumerate(_lineage(name)):
            programs[row, owner == ancestor] += 2.2 * 0.55**generation
    return programs


def draw_cells(preset: Preset, programs: FloatArray, generator: np.random.Generator) -> tuple[IntArray, FloatArray]:
    """Return the type of every cell (n,), in the order of `PARENTS`, and its transcription factors (n, 108)."""
    share = generator.gamma(4.0, size=len(PARENTS))
    kinds = generator.choice(len(PARENTS), size=preset.cells, p=share / share.sum())
    own = generator.beta(preset.a, preset.b, size=(preset.cells, 1))
    names = list(PARENTS)
    parents = np.array([names.index(PARENTS[name]) for name in names])
    mean = own * programs[kinds] + (1 - own) * programs[parents[kinds]]
    shared = generator.normal(size=(preset.cells, 3)) @ (0.12 * generator.normal(size=(3, len(TFS))))
    noise = 0.5 * SPREAD * generator.normal(size=mean.shape)
    return kinds, np.maximum(0.0, mean + shared + noise)


def draw_targets(expressed: FloatArray, count: int, generator: np.random.Generator) -> tuple[FloatArray, FloatArray]:
    """Return weights (count, 108) of 3 to 8 regulators of every other gene, and its values (n, count)."""
    weights = np.zeros((count, len(TFS)))
    for row in weights:
        chosen = generator.choice(len(TFS), size=generator.integers(3, 9), replace=False)
        row[chosen] = generator.normal(0.15, 0.45, size=len(chosen))
    driven = np.logaddexp(0.0, expressed @ weights.T - 0.2)
    return weights, np.maximum(0.0, driven + 0.5 * SPREAD * generator.normal(size=driven.shape))


def link_genes(true_edges: BoolArray, generator: np.random.Generator) -> BoolArray:
    """Return which transcription factor may act on which gene, (108, G), its own excepted.

    The true edges (targets, 108) are joined by decoys (5 % of pairs), by 12 % of pairs of transcription factors, and
    by all pairs within a type and between a type and its parent.
    """
    targets, factors = true_edges.shape
    owner = _owners()
    near = generator.random((factors, factors)) < 0.12
    for name, parent in PARENTS.items():
        near |= np.outer(owner == name, owner == name)
        near |= np.outer(owner == name, owner == parent) | np.outer(owner == parent, owner == name)
    np.fill_diagonal(near, False)
    far = true_edges.T | (generator.random((factors, targets)) < 0.05)
    return np.hstack([near, far])


def _find(preset: str) -> Preset:
    if preset not in PRESETS:
        raise UserError(f"data.preset={preset}: choose one of {', '.join(PRESETS)}.")
    return PRESETS[preset]


def _owners() -> Any:
    """Return the type that each transcription factor marks, (108,); empty for those that mark none."""
    return np.array([name for name, owned in OWNED.items() for _ in owned.split()] + [""] * len(FILLERS))


def _lineage(name: str) -> Iterator[str]:
    """Yield a type, its parent and so on to the root."""
    yield name
    while PARENTS[name] != name:
        name = PARENTS[name]
        yield name


def _name_edges(edges: BoolArray, genes: Any) -> dict[str, list[str]]:
    """Return the regulators of every gene by name, from (108, G)."""
    factors = np.array(TFS)
    return {str(gene): [str(name) for name in factors[column]] for gene, column in zip(genes, edges.T, strict=True)}
