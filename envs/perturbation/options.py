"""Options of the data: where cells come from, what the built-in generator makes, and how they are split."""

from dataclasses import dataclass
from typing import Any

from ...configs.option import OptionError, Options, option

WORDS = {"true": True, "false": False}


@dataclass(kw_only=True)
class DataOptions(Options):
    """Which cells are read, which of them are kept, and how they are prepared."""

    source: str = option(
        "synthetic",
        "synthetic (the built-in generator), file (path), or preset (a public data set, fetched by bioppo data get)",
        choices=("synthetic", "file", "preset"),
    )
    path: str | None = option(None, "source=file: .h5ad, 10x .h5, folder with matrix.mtx, or .npz")
    preset: str | None = option(None, "source=preset: the data set's name")
    control_file: str | None = option(
        None, "a second file whose control cells take the place of those of the first; genes in both are kept"
    )
    obs_file: str | None = option(
        None, "table (.csv or .tsv) of cells for 10x files: barcode first, then the columns named below"
    )
    layer: str | None = option(None, "layer of an .h5ad with the values, or raw; null: X")
    pert_col: str = option("perturbation", "column with the perturbation of every cell")
    control_label: Any = option("control", "label of control cells, or a list of labels")
    cell_type_col: str | None = option(None, "column with cell types (or donors); null: all cells are of one type")
    batch_col: str | None = option(None, "column with batches or studies")
    gene_col: str | None = option(None, "column of an .h5ad's var with gene names; null: its index")
    combo_separator: str | None = option("+", "between the members of a combination's label; null: none are combined")
    max_cells: int | None = option(None, "cells kept in all, at most", minimum=1)
    n_control: int | None = option(20_000, "control cells kept, at most", minimum=1)
    n_perturbed: int | None = option(20_000, "perturbed cells kept, at most", minimum=1)
    max_cells_per_perturbation: int | None = option(None, "cells kept of each perturbation, at most", minimum=1)
    min_cells_per_perturbation: int = option(30, "perturbations with fewer cells are dropped", minimum=1)
    min_counts: float = option(0, "cells whose values sum to less are dropped", minimum=0)
    seed: int = option(0, "of the draws that keep a file's cells below the limits", minimum=0)
    normalise: Any = option(
        "auto",
        "normalise counts per cell and take log1p: auto (unless they are logarithms already), true or false",
        choices=("auto", True, False, "true", "false"),
    )
    target_sum: int | float | str = option(
        "median", "counts per cell after normalising: a number, or median, that of training control cells", above=0
    )
    n_genes: int = option(200, "genes kept, at most", minimum=1)
    hvg_method: str = option(
        "variance",
        "variance (the n_genes with the largest variance over training cells), or none (all genes)",
        choices=("variance", "none"),
    )
    force_target_genes: bool = option(True, "keep measured target genes whatever their variance")
    allow_batch_confound: bool = option(
        False, "accept controls of another study than the perturbed cells: effect and study are then confounded"
    )
    scale_separately: bool = option(
        False,
        "scale control and perturbed, training and test cells each by themselves: a trap that erases the effect under "
        "study, for showing what the paper's notebooks do",
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        if isinstance(self.normalise, str):
            self.normalise = WORDS.get(self.normalise, self.normalise)
        labels = self.control_labels
        if not labels or not all(isinstance(label, str) and label for label in labels):
            raise OptionError(f"control_label={self.control_label}: give a label, or a list of labels.")
        if isinstance(self.target_sum, str) and self.target_sum != "median":
            raise OptionError(f"target_sum={self.target_sum}: give a positive number or median.")
        if self.combo_separator == "":
            raise OptionError("combo_separator='': give the characters between members, or null for no combinations.")
        for source, key in (("file", "path"), ("preset", "preset")):
            if self.source == source and getattr(self, key) is None:
                raise OptionError(f"{key}=null: source={source} needs {key}.")

    @property
    def control_labels(self) -> tuple[str, ...]:
        """All labels of control cells; the first one is what they carry once read."""
        label = self.control_label
        return (label,) if isinstance(label, str) else tuple(label) if isinstance(label, list | tuple) else ()


@dataclass(kw_only=True)
class GeneratorOptions(Options):
    """A random linear gene network whose genes are knocked down one at a time."""

    n_genes: int = option(50, "genes", minimum=2)
    n_perturbations: int = option(20, "target genes, knocked down one each", minimum=1)
    n_control: int = option(4000, "control cells", minimum=2)
    n_per_perturbation: int = option(250, "cells of each perturbation", minimum=1)
    seed: int = option(0, "of the network and of all cells, whatever the run's seed", minimum=0)
    density: float = option(0.15, "probability that a gene acts on another", minimum=0, maximum=1)
    spectral_radius: float = option(0.85, "largest absolute eigenvalue of the network", minimum=0, below=1)
    latent_dim: int = option(5, "dimensions of the variation that cells have before any noise", minimum=0)
    latent_sd: float = option(0.2, "standard deviation of the weights of that variation", minimum=0)
    noise: float = option(0.12, "standard deviation of the noise of every gene, which the network spreads", minimum=0)
    knock: float = option(3.0, "how far a knocked-down gene sinks, its mean expression at most", minimum=0)
    efficacy: str = option(
        "beta",
        "share of the full effect in a cell: beta (drawn per cell), or const (the mean of that)",
        choices=("beta", "const"),
    )
    efficacy_beta: list[float] = option([6.0, 2.0], "parameters of the Beta distribution of the efficacy")
    paired: bool = option(False, "perturbed cells are control cells plus the effect, instead of cells of their own")
    saturation: bool = option(False, "full effects pass through tanh")
    clip: bool = option(True, "set negative expression to zero")
    combos: int = option(0, "pairs of targets that are knocked down together, besides the single ones", minimum=0)
    cell_types: int = option(0, "cell types, each with a mean of its own; 0 or 1: one type, without name", minimum=0)
    batch_effect: float = option(
        0.0, "standard deviation of the shift of every gene in the second of two batches; 0: no batches", minimum=0
    )
    counts: bool = option(False, "Poisson counts with mean expm1 of expression, instead of expression")

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.n_perturbations > self.n_genes:
            raise OptionError(f"n_perturbations={self.n_perturbations}: give at most n_genes={self.n_genes}.")
        pairs = self.n_perturbations * (self.n_perturbations - 1) // 2
        if self.combos > pairs:
            raise OptionError(f"combos={self.combos}: {self.n_perturbations} targets make only {pairs} pairs.")
        if len(self.efficacy_beta) != 2 or any(not value > 0 for value in self.efficacy_beta):
            raise OptionError(f"efficacy_beta={list(self.efficacy_beta)}: give two positive numbers.")
        if self.counts and not self.clip:
            raise OptionError("clip=false: counts=true needs expression that is not negative, so set clip=true.")

    @property
    def mean_efficacy(self) -> float:
        """Expected share of the full effect."""
        first, second = self.efficacy_beta
        return first / (first + second)


@dataclass(kw_only=True)
class SplitOptions(Options):
    """Which cells are held back for testing."""

    seed: int | None = option(0, "of the split; null: every seed of the run has a split of its own", minimum=0)
    test_fraction: float = option(
        0.2, "share of the control cells and of each seen perturbation's cells (split A)", above=0, below=1
    )
    held_out_perturbations: float = option(
        0.2, "share of the perturbations all of whose cells are test cells (split B); 0: none", minimum=0, below=1
    )
    held_out_cell_type: str | None = option(
        None, "cell type all of whose cells are test cells (split C); needs cell_type_col"
    )
