"""Options of the cells, the simulation and the task."""

from dataclasses import dataclass, replace
from typing import Any

from ...configs.option import OptionError, Options, option


@dataclass(kw_only=True)
class DataOptions(Options):
    """Which cells and regulators there are."""

    kind: str = option(
        "landscape",
        "landscape (twelve embedded blood types, drawn anew; with a file given below, the kind of that file), "
        "krumsiek11 (eleven genes as equations), h5ad (a file), table (a finished transition table) or oracle (a saved "
        "object of CellOracle)",
        choices=("landscape", "krumsiek11", "h5ad", "table", "oracle"),
    )
    preset: str = option("standard", "kind=landscape: how hard it is", choices=("easy", "standard", "hard"))
    seed: int = option(0, "of the embedded landscape's draw", minimum=0)
    values: str = option(
        "counts",
        "what the matrix holds: raw counts, or lognorm, which is not normalised again",
        choices=("counts", "lognorm"),
    )
    h5ad: str | None = option(None, "kind=h5ad: the .h5ad file with the cells; also read beside an imported table")
    table: str | None = option(
        None, "kind=table: table.npz of this package, or transition_matrix*.pkl of the thesis project"
    )
    perturbable_genes: str | None = option(None, "kind=table: the thesis project's pickle of action genes")
    oracle: str | None = option(None, "kind=oracle: a .celloracle.oracle file; needs the package celloracle")
    grn: str | None = option(
        None, "regulators of every gene: .csv, .parquet or .json; or correlation, from correlated genes of grn_tfs"
    )
    grn_tfs: str | None = option(None, "grn=correlation: text file with a transcription factor per line")
    grn_direction: str = option(
        "target_to_tfs",
        "of a .json: the keys are targets, or transcription factors",
        choices=("target_to_tfs", "tf_to_targets"),
    )
    gene_order: list[str] | None = option(None, "action genes in this order; null: all active ones, sorted")
    case_insensitive: bool = option(False, "match names of genes whatever their case, and say which")
    cluster_key: str = option("celltype", "column of obs with the type of every cell")
    embedding_key: str = option("X_umap", "entry of obsm with the drawing of the cells")
    counts_layer: str = option("counts", "layer with raw counts; X where there is no such layer")
    allow_pickle: bool = option(False, "read pickles, which run code from the file: only what you made or trust")
    trust_order: bool = option(False, "take cells of a table without names to be in the order of the .h5ad")
    drop_types: list[str] = option([], "types of cells that are left out")
    max_cells: int = option(30_000, "cells kept, drawn with seed 123 where there are more", minimum=10)
    n_genes: int = option(3_000, "highly variable genes kept", minimum=1)
    keep_tfs: bool = option(True, "keep measured transcription factors on top of the variable genes")
    min_cells_per_gene: int = option(3, "genes seen in fewer cells are left out", minimum=0)
    min_genes_per_cell: int = option(200, "cells with fewer genes are left out", minimum=0)
    max_mitochondrial: float = option(0.1, "cells with a larger share of mitochondrial counts are left out", minimum=0)


@dataclass(kw_only=True)
class SplitOptions(Options):
    """Which cells are held out."""

    val: float = option(0.05, "share of every type for validation, rounded up", minimum=0, below=1)
    test: float = option(0.05, "share of every type for the test, rounded up", minimum=0, below=1)
    seed: int = option(0, "of the draw", minimum=0)
    before_imputation: bool = option(True, "hold cells out before anything is fitted; the thesis project does not")
    holdout_types: list[str] = option([], "types that no training episode begins in or aims at")


@dataclass(kw_only=True)
class ImputeOptions(Options):
    """How expression is smoothed over neighbours."""

    method: str = option(
        "knn", "knn: mean over nearest cells; balanced: each cell is neighbour of few", choices=("knn", "balanced")
    )
    k: int | None = option(
        None, "other cells in the mean; null: 2.5 % of all, 1 % of a landscape's; 0: none", minimum=0
    )
    n_pcs: int = option(50, "principal components in which cells are near", minimum=1)
    use_existing: bool = option(False, "take the file's layer imputed_count instead")


@dataclass(kw_only=True)
class GRNOptions(Options):
    """How the gene-regulatory network is fitted."""

    unit: str = option("cluster", "one network per type of cell, or one for all", choices=("cluster", "whole"))
    alpha: float = option(10.0, "ridge penalty", above=0)
    filter: str = option("none", "edges kept: all, or those that bagged fits support", choices=("none", "bagging"))
    max_p_value: float = option(0.001, "filter=bagging: largest p-value of an edge", above=0, maximum=1)
    min_coef_abs: float = option(0.01, "filter=bagging: smallest mean coefficient of an edge in size", minimum=0)
    max_edges: int = option(2_000, "filter=bagging: edges kept per type, the largest", minimum=1)
    seed: int = option(0, "filter=bagging: of the bootstraps", minimum=0)
    fit_on: str = option("train", "cells that the network is fitted on", choices=("train", "all"))


@dataclass(kw_only=True)
class SimOptions(Options):
    """How a perturbation changes expression."""

    backend: str = option(
        "builtin", "this package's simulator, or the installed celloracle", choices=("builtin", "celloracle")
    )
    n_propagation: int = option(3, "how often the network passes a change on", minimum=1, maximum=5)
    clip: bool = option(False, "keep expression within each gene's observed range")
    oe: str = option("mean_sd", "level of overexpression: mean_sd, max, two_max, quantile:Q or a .csv of gene,value")
    oe_layer: str = option("lognorm", "expression that this level is taken from", choices=("lognorm", "imputed"))
    oe_limit: str = option(
        "warn", "levels above 2 max - min of a gene: warn, or clip to that", choices=("warn", "clip")
    )


@dataclass(kw_only=True)
class TableOptions(Options):
    """How a changed expression becomes a move to another cell."""

    neighbors: int | None = option(
        None, "nearest other cells that a move is made of; null: 200, 100 in an easy or standard landscape", minimum=1
    )
    plus_one: bool = option(False, "one neighbour more, as CellOracle has when asked for as many")
    sigma: float = option(0.05, "temperature of the transition probabilities", above=0)
    nan_policy: str = option(
        "zero", "undefined correlations count as 0, or as 1 (celloracle)", choices=("zero", "celloracle")
    )
    embedding: str | None = option(
        None,
        "the drawing: stored in the file, or pcaN, umap or diffmap, made here; null: stored, or pca2 of a landscape",
    )
    gain: Any = option(
        None,
        "factor on the move, or auto: a tenth of the drawing's extent on average; null: 1, 1.5 in an easy landscape, "
        "and that of a finished table",
    )
    snap: str = option("emb", "where the nearest cell is looked for: emb (the drawing) or pcaN")
    shift: str = option(
        "unit",
        "unit: a move is a weighted mean of directions; magnitude: times the size of the change",
        choices=("unit", "magnitude"),
    )
    precision: str = option("float32", "of the simulation", choices=("float32", "float64"))
    memory_mb: int = option(1_024, "memory that a block of cells may take", unit="MiB", minimum=1)
    cache: bool = option(True, "keep the finished table for the next run with the same cells and options")


@dataclass(kw_only=True)
class DynamicsOptions(Options):
    """What an action does, beyond the table."""

    kind: str = option(
        "table",
        "table: the nearest cell; stochastic: one of the top_q most probable neighbours",
        choices=("table", "stochastic"),
    )
    persist: str = option("none", "whether perturbations stay until the episode ends", choices=("none", "episode"))
    max_clamps: int = option(4, "persist=episode: perturbations that hold at once, at most", minimum=1)
    multi_gene: str | None = option(
        None, "more actions: a .csv or .json with combinations, or pairs:GENE,GENE,... for all their pairs"
    )
    top_q: int = option(8, "kind=stochastic: neighbours that can be reached", minimum=1)


@dataclass(kw_only=True)
class TaskOptions(Options):
    """What an episode is."""

    horizon: int = option(20, "steps of an evaluated episode", minimum=1)
    horizon_train: int = option(28, "steps of a training episode; a curriculum has its own", minimum=1)
    reward: str = option(
        "cosine",
        "cosine: shaped by the similarity to the target, as the thesis project's code; readme: minus the distance, as "
        "its README; pbrs_exact: shaping that keeps the optimal policy; sparse: only the step's cost",
        choices=("cosine", "readme", "pbrs_exact", "sparse"),
    )
    step_penalty: float = option(-1.0, "reward of every step")
    scale: float = option(5.0, "weight of the shaping, or of the distance", minimum=0)
    goal_bonus: float | None = option(None, "reward of success; null: 1 with reward=readme, else 0")
    gamma: float = option(0.98, "discount of the shaping; keep it equal to the agent's", above=0, maximum=1)
    success_percentile: float = option(
        25, "percentage of a type's training cells, the nearest to its centre, that are goals", above=0, maximum=100
    )
    trim_percentile: float = option(
        95, "percentage of a type's training cells that its centre is the mean of", above=0, maximum=100
    )
    block_heldout: str = option(
        "train", "when actions into held-out cells are masked", choices=("train", "never", "always")
    )
    starts: str = option(
        "all",
        "starts of training episodes: all, or those from which the target can be reached in time",
        choices=("all", "solvable"),
    )
    obs: str = option(
        "index",
        "index: cell, target, step and clamps; dict: expression of both; features: principal components",
        choices=("index", "dict", "features"),
    )
    features: int = option(30, "obs=features: principal components", minimum=1)
    obs_noise: float = option(
        0.0, "obs=dict, features: deviation of noise that three in ten training observations carry", minimum=0
    )


@dataclass(kw_only=True)
class CurriculumOptions(Options):
    """Which targets training begins with."""

    kind: str = option(
        "none",
        "none; nearest_types_time: near types first, in phases of fixed length; nearest_types_success: until most "
        "episodes succeed; bfs_gated: by the length of the shortest path",
        choices=("none", "nearest_types_time", "nearest_types_success", "bfs_gated"),
    )
    targets_per_phase: int = option(6, "types that a phase adds", minimum=1)
    first_phase_steps: int = option(100_000, "steps of the first phase", minimum=1)
    phase_step_increase: int = option(100_000, "steps that each phase is longer by", minimum=0)
    horizon_increase: int = option(4, "steps that episodes are longer by in each phase", minimum=0)
    success: float = option(0.8, "share of successes that ends a phase early, where it may", above=0, maximum=1)
    window: int = option(1_000, "last episodes that this share is taken over", minimum=1)
    max_phase_steps: int = option(500_000, "nearest_types_success: longest phase", minimum=1)
    full_share: float = option(0.2, "bfs_gated: share of episodes drawn without the gate", minimum=0, maximum=1)


MEASURED_SETTINGS: dict[str, dict[str, Any]] = {
    "easy": {"neighbors": 100, "embedding": "pca2", "gain": 1.5, "k": 20},
    "standard": {"neighbors": 100, "embedding": "pca2", "gain": 1.0, "k": 20},
    "hard": {"neighbors": 200, "embedding": "pca2", "gain": 1.0, "k": 30},
}
"""What nulls of `TableOptions` and `ImputeOptions` stand for in each preset of the landscape; k is 1 % of its cells."""

FILE_SETTINGS: dict[str, Any] = {"neighbors": 200, "embedding": "stored", "gain": 1.0, "k": None}
"""What they stand for in all other cells; k stays open, since it depends on how many cells are left."""


def infer_kind(data: DataOptions) -> DataOptions:
    """Return options whose kind is that of the file that is given; an ``h5ad`` may be given beside the others."""
    given = [kind for kind in ("table", "oracle", "h5ad") if getattr(data, kind) is not None]
    return replace(data, kind=given[0]) if data.kind in ("landscape", "h5ad") and given else data


def fill_settings(data: DataOptions, impute: ImputeOptions, table: TableOptions) -> tuple[ImputeOptions, TableOptions]:
    """Return both options with their nulls replaced by what fits the cells; a finished table keeps its own gain."""
    fitting = MEASURED_SETTINGS[data.preset] if data.kind == "landscape" else FILE_SETTINGS
    if data.kind == "table":
        fitting = fitting | {"gain": None}
    given = {name: getattr(table, name) for name in ("neighbors", "embedding", "gain")}
    filled = {name: fitting[name] if value is None else value for name, value in given.items()}
    return replace(impute, k=fitting["k"] if impute.k is None else impute.k), replace(table, **filled)


def check_gain(gain: Any) -> None:
    """Raise OptionError unless a gain is ``auto`` or a positive number; None is that of a finished table."""
    if gain is None or gain == "auto":
        return
    if isinstance(gain, bool) or not isinstance(gain, int | float) or not 0 < gain < float("inf"):
        raise OptionError(f"table.gain={gain}: give a positive number, or auto.")


def check_number_suffix(name: str, value: Any, prefix: str, others: tuple[str, ...]) -> None:
    """Raise OptionError unless a value is one of the others, or the prefix with a positive number behind it."""
    text = str(value)
    number = text.removeprefix(prefix)
    if text not in others and not (text != number and number.isdigit() and int(number) > 0):
        raise OptionError(f"{name}={value}: choose one of {', '.join(others)}, or {prefix}N with a number N.")
