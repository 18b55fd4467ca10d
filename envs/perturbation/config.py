"""Options of the perturbation environment."""

from dataclasses import dataclass, field

from ...configs.option import EnvConfig, OptionError, option
from .embedding.options import EmbeddingOptions
from .options import DataOptions, GeneratorOptions, SplitOptions

LATENT_STEP, GENE_STEP = 0.5, 1.0
"""How far an action of size one moves a cell, in latent and in gene space."""

PENALTIES = {"neg_sq_dist": (0.05, 0.01)}
"""Weights of |a| and a^2 that a reward has unless they are given; zero for the others."""


@dataclass(kw_only=True)
class PerturbationConfig(EnvConfig):
    """Move a control cell to where a named perturbation would have taken it."""

    _target_: str = option(
        "bioppo.envs.perturbation.environment.PerturbationVectorEnv", "dotted name of the environment's class"
    )
    name: str = option("perturbation", "name of the environment in directories and tables")
    num_envs: int = option(32, "copies stepped together while training", minimum=1)
    data: DataOptions = field(default_factory=DataOptions)
    generator: GeneratorOptions = field(default_factory=GeneratorOptions)
    data_split: SplitOptions = field(default_factory=SplitOptions)
    embedding: str = option(
        "auto",
        "observed features of a perturbation: pca_loading of its target genes, onehot, file (embedding_file), or "
        "gat, how the experimental model's embedding of controls moves; auto: pca_loading where at least 80 % of the "
        "targets are measured, else onehot",
        choices=("auto", "pca_loading", "onehot", "file", "gat"),
    )
    embedding_file: str | None = option(None, "embedding=file: TSV or npz with a row of numbers per label")
    observation: str = option(
        "flat", "one vector (flat), or its parts cell, perturbation and time (dict)", choices=("flat", "dict")
    )
    observe_target: bool = option(
        False, "append the target to the observation: a leak, for showing what a leak looks like"
    )
    action_map: str = option(
        "direct",
        "direct: a number per coordinate; gene_effects: a number per acting gene, spread over the coordinates by "
        "correlation; gene_choice: knock down one gene not yet used, or stop",
        choices=("direct", "gene_effects", "gene_choice"),
    )
    action_genes: list[str] | None = option(None, "genes that act, by name; null: all that can")
    action_scale: float | None = option(
        None, "distance that an action of 1 moves a coordinate; null: 1 in gene space, 0.5 in a latent space", above=0
    )
    efficacy: str = option(
        "const",
        "factor on what an action does: const (1), or beta, drawn from Beta(6, 2) once per episode",
        choices=("const", "beta"),
    )
    noise: float = option(0.0, "standard deviation of normal noise added to every coordinate per step", minimum=0)
    clip_nonnegative: bool = option(False, "set negative expression to zero after every step")
    target: str = option(
        "delta",
        "what a cell is moved to: delta (itself plus the mean effect), pseudobulk (the perturbed mean), cell (a random "
        "perturbed cell), ot_matched (its match under exact optimal transport), insilico_shift (mean minus one "
        "deviation of controls, which no perturbed cell enters)",
        choices=("delta", "pseudobulk", "cell", "ot_matched", "insilico_shift"),
    )
    reward: str = option(
        "mse_reduction",
        "mse_reduction: mean squared error before minus after; mse_reduction_relative: over the first one; "
        "cosine_delta: gain in cosine between movement and wanted movement; neg_sq_dist: minus the squared distance",
        choices=("mse_reduction", "mse_reduction_relative", "cosine_delta", "neg_sq_dist"),
    )
    l1: float | None = option(None, "penalty on |a|; null: 0.05 with neg_sq_dist, else 0", minimum=0)
    l2: float | None = option(None, "penalty on a^2; null: 0.01 with neg_sq_dist, else 0", minimum=0)
    horizon: int = option(1, "steps per episode", minimum=1)
    start: str = option(
        "uniform",
        "training cells that episodes start from: uniform, or in proportion to pseudotime",
        choices=("uniform", "pseudotime"),
    )
    draw: str = option(
        "uniform",
        "perturbations of training episodes: uniform, or by frequency of their cells",
        choices=("uniform", "frequency"),
    )
    representation: str = option(
        "gene",
        "coordinates of a cell: gene (log-normalised expression), latent (the frozen encoder of the experimental "
        "model), or notebook, the 58 numbers of the paper's notebooks, which no decoder leads back from",
        choices=("gene", "latent", "notebook"),
    )
    model: EmbeddingOptions = field(default_factory=EmbeddingOptions)
    control_reference: str = option(
        "disjoint",
        "controls that the observed effect is measured against: disjoint from the cells a prediction starts from, or "
        "shared, which inflates correlations and is there for parity with cell-eval",
        choices=("disjoint", "shared"),
    )
    max_start_cells: int = option(500, "cells predicted per perturbation in an evaluation, at most", minimum=1)
    twin: bool = option(
        False, "train the experimental model too, as a second system, and measure how far the trajectories are apart"
    )
    trajectories: bool | None = option(
        None, "compare mean trajectories with cells in order of pseudotime; null: where horizon is above 3, or twin"
    )
    trajectory_cells: int = option(128, "start cells whose mean makes a system's trajectory", minimum=2)
    reference_points: int | None = option(None, "points of the reference trajectories; null: horizon + 1", minimum=2)

    paper_compat: bool = option(
        False,
        "report displacement (start against final state), and allow what only the paper's notebooks do: "
        "data.scale_separately, representation=notebook and start=pseudotime",
    )

    paper_table: int | None = option(
        None, "the paper's table (1, 4 or 7) whose numbers stand in displacement.csv too", choices=(1, 4, 7)
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        self._check_paper_compat()
        if self.embedding == "file" and self.embedding_file is None:
            raise OptionError("embedding_file=null: embedding=file needs one, so give a TSV or npz file.")
        if self.representation != "gene" and self.action_map == "gene_choice":
            raise OptionError("action_map=gene_choice: responses are known in gene space, so set representation=gene.")
        if self.representation != "gene" and self.clip_nonnegative:
            raise OptionError("clip_nonnegative=true: only expression is nonnegative, so set representation=gene.")
        if self.action_map == "gene_choice" and (self.l1 or self.l2):
            raise OptionError("l1, l2: choices have no size to penalise, so give neither with action_map=gene_choice.")

    @property
    def step_length(self) -> float:
        """s: what an action of 1 adds to a coordinate."""
        if self.action_scale is not None:
            return self.action_scale
        return GENE_STEP if self.representation == "gene" else LATENT_STEP

    @property
    def penalties(self) -> tuple[float, float]:
        """Weights of |a| and a^2 in the reward."""
        first, second = PENALTIES.get(self.reward, (0.0, 0.0))
        return first if self.l1 is None else self.l1, second if self.l2 is None else self.l2

    @property
    def compares_trajectories(self) -> bool:
        """Whether evaluations compare mean trajectories."""
        return self.horizon > 3 or self.twin if self.trajectories is None else self.trajectories

    def _check_paper_compat(self) -> None:
        notebook = {
            "data.scale_separately=true": self.data.scale_separately,
            "representation=notebook": self.representation == "notebook",
            "start=pseudotime": self.start == "pseudotime",
        }
        for setting, chosen in notebook.items():
            if chosen and not self.paper_compat:
                raise OptionError(
                    f"{setting}: only the paper's notebooks do so, for reasons that docs/perturbation.md gives; add "
                    "paper_compat=true, or leave it out."
                )
