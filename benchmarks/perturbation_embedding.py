"""Time of the gene attention layer and of a training step of the embedding model.

Run ``python benchmarks/perturbation_embedding.py`` on an idle machine. Process time of one thread, float32, a batch of
64 cells, 10 neighbours of every gene; forward and backward pass together. The candidates of a row are timed in turn, so
that a slow moment of the machine hits all of them, and medians are compared. The last ratio needs torch_geometric,
which nothing else here does.
"""

import statistics
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import mse_loss

from bioppo.envs.perturbation.embedding.attention import GeneAttentionLayer
from bioppo.envs.perturbation.embedding.graph import GeneGraph
from bioppo.envs.perturbation.embedding.model import EmbeddingModel, decoder
from bioppo.envs.perturbation.embedding.options import EmbeddingOptions

CELLS, NEIGHBOURS, HEADS, WIDTH, FEATURES = 64, 10, 4, 8, 10
GENES = (50, 200)
ROUNDS = 15


def random_graph(genes: int) -> GeneGraph:
    """Return every gene with ten random others."""
    generator = np.random.default_rng(0)
    others = np.array([generator.permutation(genes - 1)[:NEIGHBOURS] for _ in range(genes)])
    own = np.arange(genes)[:, None]
    neighbours = np.concatenate([own, others + (others >= own)], axis=1)
    return GeneGraph(neighbours, np.ones(neighbours.shape, dtype=bool))


def milliseconds(passes: dict[str, Callable[[], Tensor]]) -> dict[str, float]:
    """Return the median time of a forward and backward pass of each candidate, timed in turn."""
    durations: dict[str, list[float]] = {name: [] for name in passes}
    for number in range(ROUNDS + 1):
        for name, forward in passes.items():
            start = time.process_time()
            forward().backward()  # type: ignore[no-untyped-call]
            if number:  # the first warms up
                durations[name].append(time.process_time() - start)
    return {name: 1e3 * statistics.median(values) for name, values in durations.items()}


def layer_passes(genes: int) -> dict[str, Callable[[], Tensor]]:
    """Return the layer, both layers, and the library's layer where it is installed, on equal inputs."""
    graph = random_graph(genes)
    neighbours, inputs = torch.as_tensor(graph.neighbours), HEADS * WIDTH
    first, second = (GeneAttentionLayer(inputs, HEADS, WIDTH, neighbours) for _ in range(2))
    x = torch.randn(CELLS, genes, inputs, requires_grad=True)
    passes: dict[str, Callable[[], Tensor]] = {
        "layer": lambda: first(x).square().mean(),
        "two": lambda: second(nn.functional.elu(first(x))).square().mean(),
    }
    reference = library_layer(inputs)
    if reference is not None:
        edges = torch.stack([neighbours.flatten(), torch.arange(genes).repeat_interleave(NEIGHBOURS + 1)])
        offsets = genes * torch.arange(CELLS)
        batch = (edges[:, None, :] + offsets[None, :, None]).reshape(2, -1)
        passes["library"] = lambda: reference(x.reshape(-1, inputs), batch).square().mean()
    return passes


def library_layer(inputs: int) -> Any:
    """Return torch_geometric's layer of the same size, or None where it is not installed."""
    try:
        from torch_geometric.nn import GATConv
    except ImportError:
        return None
    return GATConv(inputs, WIDTH, heads=HEADS, add_self_loops=False, bias=False)


def model_passes(genes: int) -> dict[str, Callable[[], Tensor]]:
    """Return the loss of the whole model, and of its effect decoder alone."""
    options = EmbeddingOptions()
    labels = 20
    flags, moments = np.eye(labels, genes, dtype=bool), (np.zeros(genes), np.ones(genes))
    features = np.random.default_rng(0).normal(size=(labels, FEATURES))
    model = EmbeddingModel(options, random_graph(genes), features, flags, *moments, seed=0)
    alone = decoder([options.hidden + FEATURES, *options.decoder_sizes, genes])
    x, code = torch.randn(CELLS, genes), torch.randn(CELLS, options.hidden + FEATURES)
    perturbation = torch.arange(CELLS) % labels

    def whole() -> Tensor:
        prediction, reconstruction = model(x, perturbation)
        return mse_loss(prediction, x) + mse_loss(reconstruction, x)

    return {"model": whole, "decoder": lambda: mse_loss(alone(code), x)}


def main() -> None:
    """Print a line per number of genes and thing measured."""
    torch.set_num_threads(1)
    torch.manual_seed(0)
    for genes in GENES:
        times = milliseconds(layer_passes(genes) | model_passes(genes))
        print(f"{genes} genes: one attention layer            {times['layer']:7.2f} ms")
        print(f"{genes} genes: two attention layers           {times['two']:7.2f} ms")
        print(f"{genes} genes: whole model, both losses       {times['model']:7.2f} ms")
        print(f"{genes} genes: over an MLP like its decoder   {times['model'] / times['decoder']:7.1f}")
        if "library" in times:
            print(f"{genes} genes: layer over torch_geometric's   {times['layer'] / times['library']:7.2f}")


if __name__ == "__main__":
    main()
