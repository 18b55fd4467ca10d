"""Predict the effect of a perturbation by attention over a graph of genes."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .attention import GeneAttentionLayer
    from .graph import gene_graph
    from .model import EmbeddingModel

__all__ = ["EmbeddingModel", "GeneAttentionLayer", "gene_graph"]


def __getattr__(name: str) -> Any:
    """Import torch only when a network is asked for: the options of this package are read without it."""
    if name == "GeneAttentionLayer":
        from .attention import GeneAttentionLayer

        return GeneAttentionLayer
    if name == "EmbeddingModel":
        from .model import EmbeddingModel

        return EmbeddingModel
    if name == "gene_graph":
        from .graph import gene_graph

        return gene_graph
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
