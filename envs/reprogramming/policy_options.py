"""Options of the networks that read cells by index."""

from dataclasses import dataclass

from ...configs.option import Options, check_sizes, option


@dataclass(kw_only=True)
class AfterstateOptions(Options):
    """Score the cells that actions lead to."""

    components: int = option(30, "principal components of a cell that the network sees", minimum=1)
    hidden_sizes: list[int] = option([128, 128], "units of each hidden layer; at least one layer")
    kappa: float = option(8.0, "weight of the similarity to the target that learning begins with; it is learned")
    separate_values: bool = option(False, "values come from a network of their own, as trpo_ppo needs it")
    target: str = option(
        "type",
        "type: numbers of its own for every type; centroid: read from the centre of any type",
        choices=("type", "centroid"),
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        check_sizes("hidden_sizes", self.hidden_sizes or [0])


@dataclass(kw_only=True)
class PairOptions(Options):
    """Read the cell and the centre of the target, and score every action."""

    components: int | None = option(None, "principal components that the networks see; null: all genes", minimum=1)
    branch_sizes: list[int] = option([512, 128], "units of each layer that reads the cell, or the centre")
    actor_sizes: list[int] = option([256, 64], "units of each hidden layer of the actor behind them")
    critic_sizes: list[int] = option([128, 64], "units of each hidden layer of the critic behind them")
    activation: str = option(
        "leaky_relu",
        "activation of these hidden layers; cell and centre are always read with leaky_relu",
        choices=("leaky_relu", "relu", "tanh"),
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in ("branch_sizes", "actor_sizes", "critic_sizes"):
            check_sizes(name, getattr(self, name))


@dataclass(kw_only=True)
class ComponentPairOptions(PairOptions):
    """The same on principal components."""

    components: int | None = option(30, "principal components that the networks see; null: all genes", minimum=1)
    branch_sizes: list[int] = option([128, 128], "units of each layer that reads the cell, or the centre")


NETWORKS: dict[str, type[Options]] = {
    "afterstate": AfterstateOptions,
    "embedding": PairOptions,
    "pca": ComponentPairOptions,
}
"""Networks by the name that ``algo.policy`` gives them."""
