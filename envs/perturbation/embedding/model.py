"""The embedding model: cell and perturbation in, effect out, through attention over a graph of genes."""

from collections.abc import Callable
from itertools import pairwise
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import elu

from ..data import BoolArray, FloatArray, IntArray, PreparedData
from .attention import GeneAttentionLayer
from .graph import GeneGraph, gene_graph
from .options import NetworkOptions

NO_PERTURBATION = -1
"""In place of a perturbation: no target gene, features of zero."""
CLIP = 10.0
"""Standardised expression is clipped to +- this, as observations are."""
CELLS_AT_ONCE = 256
"""Cells per pass where no gradient is needed."""
AVERAGED_CELLS = 256
"""Cells that a perturbation's vector is the mean over, at most."""


class EmbeddingModel(nn.Module):
    """Predict a cell's expression after a perturbation, also of one that was never seen, from its features.

    Every gene is a node with the numbers [expression, learned vector of the gene, 1 if the perturbation targets it].
    Two attention layers with ELU (`GeneAttentionLayer`), a linear encoder to h and a decoder of [h, e_p] give the
    effect; the prediction is x + effect. A second decoder reconstructs x from h alone. Expression enters standardised
    by ``mean`` and ``deviation``; all that comes out is log-normalised expression. Before training the effect is 0.

    Parameters
    ----------
    options
        Sizes of the network.
    graph
        Which genes attend to which.
    features
        e_p (K, E), also of perturbations that are held out.
    target_flags
        (K, n_genes) bool, True at the target genes of each perturbation.
    mean, deviation
        (n_genes,) of training control cells.
    seed
        Of the weights; torch's global random state is left as it was.
    """

    features: Tensor
    target_flags: Tensor
    mean: Tensor
    deviation: Tensor
    layers: nn.ModuleList

    def __init__(
        self,
        options: NetworkOptions,
        graph: GeneGraph,
        features: FloatArray,
        target_flags: BoolArray,
        mean: FloatArray,
        deviation: FloatArray,
        *,
        seed: int,
    ) -> None:
        super().__init__()
        self.graph = graph
        # The last row is what NO_PERTURBATION finds.
        self._keep("features", np.vstack([features, np.zeros((1, features.shape[1]))]))
        self._keep("target_flags", np.vstack([target_flags, np.zeros((1, len(mean)))]))
        self._keep("mean", mean)
        self._keep("deviation", deviation)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            self._build(options, len(mean), features.shape[1])

    @classmethod
    def from_prepared(
        cls,
        prepared: PreparedData,
        features: FloatArray,
        options: NetworkOptions,
        *,
        seed: int,
        graph: GeneGraph | None = None,
    ) -> "EmbeddingModel":
        """Return an untrained model of prepared data; the graph is the one that the options name unless given."""
        if graph is None:
            graph = gene_graph(options.graph, prepared, neighbours=options.neighbours, path=options.graph_file)
        flags = target_flags(prepared)
        return cls(options, graph, features, flags, prepared.mean, prepared.deviation, seed=seed)

    def forward(self, x: Tensor, perturbation: Tensor) -> tuple[Tensor, Tensor]:
        """Return the prediction and the reconstruction, both (n, n_genes), for x (n, n_genes) and labels (n,)."""
        h = self.embed(x, perturbation)
        return x + self.effect(torch.cat([h, self.features[perturbation]], dim=1)), self.rebuild(h)

    def embed(self, x: Tensor, perturbation: Tensor) -> Tensor:
        """Return h (n, hidden) of cells x (n, n_genes) whose perturbations' target genes are marked."""
        standardised = ((x - self.mean) / self.deviation).clamp(-CLIP, CLIP)
        vectors = self.gene_vectors.unsqueeze(2).expand(-1, -1, len(x))
        flags = self.target_flags[perturbation]
        nodes = torch.cat([standardised.T.unsqueeze(1), vectors, flags.T.unsqueeze(1)], dim=1)
        for layer in self.layers:
            nodes = elu(layer.gene_major(nodes))  # type: ignore[operator]
        h: Tensor = self.encoder(nodes.flatten(0, 1).T)
        return h

    def rebuild(self, h: Tensor) -> Tensor:
        """Return the expression (n, n_genes) that h (n, hidden) stands for."""
        rebuilt: Tensor = self.mean + self.deviation * self.reconstruction(h)
        return rebuilt

    def predict(self, x: FloatArray, perturbation: IntArray) -> FloatArray:
        """Return predicted cells (n, n_genes) float32 for cells x and labels (n,), -1 for no perturbation."""
        return self._in_parts(lambda cells, labels: self(cells, labels)[0], x, perturbation)

    def encode(self, x: FloatArray, perturbation: IntArray | None = None) -> FloatArray:
        """Return h (n, hidden) float32 of cells x (n, n_genes), of no perturbation unless labels (n,) are given."""
        labels = np.full(len(x), NO_PERTURBATION) if perturbation is None else perturbation
        return self._in_parts(self.embed, x, labels)

    def decode(self, h: FloatArray) -> FloatArray:
        """Return the expression (n, n_genes) float32 that embeddings (n, hidden) stand for."""
        return self._in_parts(lambda part, _: self.rebuild(part), h, np.zeros(len(h), dtype=np.int64))

    def reconstruct(self, x: FloatArray) -> FloatArray:
        """Return cells (n, n_genes) after encoding and decoding: their difference to x is the decoding error."""
        return self.decode(self.encode(x))

    def perturbation_vectors(self, cells: FloatArray) -> FloatArray:
        """Return (K, hidden): how marking each perturbation's targets moves the mean embedding of cells (n, n_genes).

        A perturbation without a measured target does not move it. These are features of perturbations that use the
        graph and what was learned from others. Of many cells, 256 spread evenly over the rows are used.
        """
        spread = np.linspace(0, len(cells) - 1, min(len(cells), AVERAGED_CELLS)).astype(np.int64)
        chosen, labels = cells[spread], range(len(self.features) - 1)
        origin = self.encode(chosen).mean(axis=0)
        moved = np.array([self.encode(chosen, np.full(len(chosen), label)).mean(axis=0) for label in labels])
        shift: FloatArray = moved - origin
        return shift

    def gene_features(self) -> FloatArray:
        """Return the learned vector of every gene, (n_genes, gene_vector) float32."""
        vectors: FloatArray = self.gene_vectors.detach().numpy().copy()
        return vectors

    def _in_parts(self, function: Callable[[Tensor, Tensor], Tensor], x: FloatArray, labels: IntArray) -> FloatArray:
        cells = torch.split(torch.as_tensor(np.asarray(x), dtype=torch.float32), CELLS_AT_ONCE)
        rows = torch.split(torch.as_tensor(np.asarray(labels), dtype=torch.int64), CELLS_AT_ONCE)
        with torch.no_grad():
            parts = [function(part, part_labels) for part, part_labels in zip(cells, rows, strict=True)]
        joined: FloatArray = torch.cat(parts).numpy()
        return joined

    def _keep(self, name: str, values: FloatArray | BoolArray) -> None:
        self.register_buffer(name, torch.as_tensor(np.asarray(values), dtype=torch.float32), persistent=False)

    def _build(self, options: NetworkOptions, n_genes: int, n_features: int) -> None:
        neighbours, present = torch.as_tensor(self.graph.neighbours), torch.as_tensor(self.graph.present)
        nodes, heads, width = options.gene_vector + 2, options.heads, options.width
        self.gene_vectors = nn.Parameter(torch.randn(n_genes, options.gene_vector))
        self.layers = nn.ModuleList(
            GeneAttentionLayer(inputs, heads, width, neighbours, present) for inputs in (nodes, heads * width)
        )
        self.encoder = nn.Linear(n_genes * heads * width, options.hidden)
        self.effect = decoder([options.hidden + n_features, *options.decoder_sizes, n_genes])
        self.reconstruction = decoder([options.hidden, *options.decoder_sizes, n_genes])
        last: Any = self.effect[-1]
        nn.init.zeros_(last.weight)
        nn.init.zeros_(last.bias)


def decoder(sizes: list[int]) -> nn.Sequential:
    """Return linear layers of these sizes with ELU between them."""
    layers: list[nn.Module] = []
    for inputs, outputs in pairwise(sizes):
        layers += [nn.Linear(inputs, outputs), nn.ELU()]
    return nn.Sequential(*layers[:-1])


def target_flags(prepared: PreparedData) -> BoolArray:
    """Return (K, n_genes) bool: which genes each perturbation targets."""
    flags = np.zeros((len(prepared.perturbations), len(prepared.genes)), dtype=bool)
    for row, targets in zip(flags, prepared.targets, strict=True):
        row[targets] = True
    return flags
