"""Graph attention over genes on a padded list of neighbours."""

from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable
from torch.nn.functional import leaky_relu

SLOPE = 0.2


class GeneAttentionLayer(nn.Module):
    """Multi-head graph attention (Velickovic et al. 2018, eq. 1-5) in which every gene attends to its neighbours.

    With z = W h, gene i weighs its neighbours j by the softmax over j of LeakyReLU(a_dst . z_i + a_src . z_j), of slope
    0.2, and receives sum_j alpha_ij z_j; the heads' results are concatenated. There is no bias.

    Parameters
    ----------
    inputs
        Numbers per gene.
    heads, width
        Attention heads, and numbers per gene and head.
    neighbours
        (n_genes, k + 1) positions of genes.
    present
        (n_genes, k + 1) bool, False where ``neighbours`` is padding; every gene needs one neighbour. All True if None.
    """

    neighbours: Tensor
    absent: Tensor | None

    def __init__(self, inputs: int, heads: int, width: int, neighbours: Tensor, present: Tensor | None = None) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(heads * width, inputs))
        self.target_attention = nn.Parameter(torch.empty(heads, width))
        self.source_attention = nn.Parameter(torch.empty(heads, width))
        # Neighbour by neighbour: each is one pass over all genes and cells.
        self.register_buffer("neighbours", neighbours.T.contiguous(), persistent=False)
        padded = None if present is None or bool(present.all()) else ~present.T.contiguous()
        self.register_buffer("absent", padded, persistent=False)
        for parameter in self.parameters():
            nn.init.xavier_uniform_(parameter)

    def forward(self, x: Tensor) -> Tensor:
        """Return (batch, n_genes, heads * width) for node features (batch, n_genes, inputs)."""
        return self.gene_major(x.permute(1, 2, 0)).permute(2, 0, 1)

    def gene_major(self, x: Tensor) -> Tensor:
        """Return (n_genes, heads * width, batch) for (n_genes, inputs, batch): what the layer computes in.

        With the cells innermost, a neighbour's values are one run of memory and weights are applied to whole rows.
        """
        z, target, source = self._project(x)
        mixed: Tensor = NeighbourMixture.apply(z, target, source, self.neighbours, self.absent)  # type: ignore[no-untyped-call]
        return mixed.flatten(1, 2)

    def attention(self, x: Tensor) -> Tensor:
        """Return the weights (batch, n_genes, k + 1, heads) for (batch, n_genes, inputs); they sum to 1 over k + 1."""
        _, target, source = self._project(x.permute(1, 2, 0))
        weights, _ = attention_weights(target, source, self.neighbours, self.absent)
        return weights.permute(3, 1, 0, 2)

    def _project(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return z (n_genes, heads, width, batch) and its products with attention vectors (n_genes, heads, batch)."""
        heads, width = self.target_attention.shape
        # a . (W h) = (W^T a) . h, so that scores and z come from one product.
        blocks = self.weight.view(heads, width, -1)
        by_target = torch.einsum("hw,hwi->hi", self.target_attention, blocks)
        by_source = torch.einsum("hw,hwi->hi", self.source_attention, blocks)
        product = torch.matmul(torch.cat([self.weight, by_target, by_source]), x)
        z, target, source = torch.split(product, [heads * width, heads, heads], dim=1)
        return z.reshape(len(z), heads, width, x.shape[2]), target, source


def attention_weights(
    target: Tensor, source: Tensor, neighbours: Tensor, absent: Tensor | None
) -> tuple[Tensor, Tensor]:
    """Return alpha and the scores it is the softmax of, both (k + 1, n_genes, heads, batch)."""
    score = source.index_select(0, neighbours.flatten()).view(*neighbours.shape, *source.shape[1:])
    score += target
    leaky_relu(score, SLOPE, inplace=True)
    if absent is not None:
        score.masked_fill_(absent[:, :, None, None], -torch.inf)
    return torch.softmax(score, dim=0), score


class NeighbourMixture(torch.autograd.Function):
    """sum_j alpha_ij z_j and its derivative, neighbour by neighbour.

    No array of all neighbours' values exists at any time: it would be k + 1 times as large as z, and to write and read
    it takes longer than the arithmetic. For the same reason one piece of memory serves all neighbours.
    """

    @staticmethod
    def forward(
        ctx: Any, z: Tensor, target: Tensor, source: Tensor, neighbours: Tensor, absent: Tensor | None
    ) -> Tensor:
        """Return (n_genes, heads, width, batch) like z."""
        z = z.contiguous()
        alpha, score = attention_weights(target, source, neighbours, absent)
        mixed, gathered = torch.zeros_like(z), torch.empty_like(z)
        for column, weight in zip(neighbours, alpha, strict=True):
            torch.index_select(z, 0, column, out=gathered)
            mixed.addcmul_(gathered, weight.unsqueeze(2))
        ctx.save_for_backward(z, alpha, score, mixed, neighbours)
        return mixed

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, Tensor, Tensor, None, None]:
        """Return the derivatives by z, target and source."""
        z, alpha, score, mixed, neighbours = ctx.saved_tensors
        gradient = gradient.contiguous()
        by_z, product, by_score = torch.zeros_like(z), torch.empty_like(z), torch.empty_like(alpha)
        for number, column in enumerate(neighbours):
            torch.index_select(z, 0, column, out=product)
            torch.sum(product.mul_(gradient), dim=2, out=by_score[number])
            torch.mul(gradient, alpha[number].unsqueeze(2), out=product)
            by_z.index_add_(0, column, product)
        # The softmax: its mean sum_j alpha_ij d_ij is the product of the gradient and what was mixed.
        by_score -= torch.mul(gradient, mixed, out=product).sum(dim=2)
        by_score *= alpha
        # LeakyReLU keeps signs, so that its result tells its slope.
        by_score = torch.ops.aten.leaky_relu_backward(by_score, score, SLOPE, True)
        by_target = by_score.sum(dim=0)
        by_source = torch.zeros_like(by_target).index_add_(0, neighbours.flatten(), by_score.flatten(0, 1))
        return by_z, by_target, by_source, None, None
