"""Options of the embedding model: its graph, its network and its training."""

from dataclasses import dataclass

from ....configs.option import OptionError, Options, check_sizes, option


@dataclass(kw_only=True)
class NetworkOptions(Options):
    """The graph of genes, the sizes of the network and how it is trained."""

    graph: str = option(
        "coexpression",
        "which genes attend to which: coexpression (the most correlated ones in training controls), grn (the "
        "regulators of graph_file), or none",
        choices=("coexpression", "grn", "none"),
    )
    graph_file: str | None = option(None, "tab-separated source, target and optional weight; needed by graph=grn")
    neighbours: int = option(10, "neighbours of a gene besides itself, at most", minimum=1)
    heads: int = option(4, "attention heads of each of the two layers", minimum=1)
    width: int = option(8, "numbers per gene and head", minimum=1)
    hidden: int = option(64, "size of a cell's embedding", minimum=1)
    gene_vector: int = option(8, "size of the vector that is learned for every gene", minimum=1)
    decoder_sizes: list[int] = option([128, 128], "units of the decoders' hidden layers")
    learning_rate: float = option(1e-3, "Adam's step size", above=0)
    batch_size: int = option(64, "pairs of cells per gradient step", minimum=1)
    max_epochs: int = option(50, "passes over the training pairs, at most", minimum=1)
    patience: int = option(5, "stop after this many epochs without a lower validation loss", minimum=1)
    validation_fraction: float = option(
        0.1, "share of the training cells whose loss decides when to stop", above=0, below=1
    )
    max_train_cells: int = option(5000, "training control cells used, drawn at random", minimum=2)
    unperturbed_share: float = option(
        0.1,
        "share of pairs without perturbation, a training cell of any kind and itself, which make cells that are no "
        "controls familiar to the encoder",
        minimum=0,
        below=1,
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        check_sizes("decoder_sizes", self.decoder_sizes)
        if self.graph == "grn" and self.graph_file is None:
            raise OptionError("graph=grn: name the network's file with graph_file, or choose graph=coexpression.")


@dataclass(kw_only=True)
class EmbeddingOptions(NetworkOptions):
    """The embedding model where it is trained once and kept."""

    seed: int = option(0, "of weights, pairs and minibatches, whatever the run's seed", minimum=0)
