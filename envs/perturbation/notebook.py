"""The latent space of the paper's notebooks: 58 numbers per cell, of which 32 come from weights that never learned.

It is here so that the paper's tables can be repeated, and for nothing else: test cells enter the graph, the autoencoder
sees perturbed and control cells alike, and no way leads back to expression.
"""

import numpy as np

from .data import BoolArray, FloatArray, IntArray, PreparedData

CLIP = 10.0
"""Scaled expression is cut off at +- this."""

HIDDEN, BOTTLENECK = 64, 16
COMPONENTS = 10
ATTENTION_WIDTH = 32
WIDTH = BOTTLENECK + COMPONENTS + ATTENTION_WIDTH

EPOCHS, BATCH_SIZE, LEARNING_RATE = 100, 64, 1e-3
MOST_STEPS = 30_000
"""Gradient steps of the autoencoder, at most: all 100 epochs of up to 19,200 training cells."""

NEIGHBOURS = 15
"""Nearest cells that each one attends to besides itself; the number is not published and is assumed."""


def notebook_coordinates(data: PreparedData, seed: int = 42) -> FloatArray:
    """Return the bottleneck of an autoencoder, principal components and untrained attention, (n_cells, 58) float32.

    In this order: 16 numbers of an autoencoder G-64-16-64-G (100 epochs of minibatches of 64 training cells), 10
    principal components of training cells, and 32 numbers of one attention layer with a single head and random weights
    over a graph that joins every cell, training or test, with its nearest ones. All of them see expression cut off at
    +-10. The same data and seed give the same numbers.

    Parameters
    ----------
    data
        Prepared cells; the notebooks scale groups of them separately (``data.scale_separately``).
    seed
        Of all weights and of the order of minibatches; the notebooks' is 42.
    """
    import torch

    expression = np.clip(data.expression, -CLIP, CLIP).astype(np.float32)
    components = principal_components(expression, ~data.split.test)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        bottleneck = autoencode(expression, ~data.split.test, np.random.default_rng(seed))
        attended = attend(expression, nearest_cells(components))
    coordinates: FloatArray = np.concatenate([bottleneck, components, attended], axis=1).astype(np.float32)
    return coordinates


def principal_components(values: FloatArray, fitted: BoolArray, count: int = COMPONENTS) -> FloatArray:
    """Return scores of all rows on the leading components of some of them, (n, count); the missing ones are zero.

    The largest loading of each component is positive, so that signs do not depend on the linear algebra library.
    """
    centred = values - values[fitted].mean(axis=0, dtype=np.float64)
    covariance = centred[fitted].T @ centred[fitted]
    loadings = np.linalg.eigh(covariance)[1][:, ::-1][:, :count]
    largest = loadings[np.abs(loadings).argmax(axis=0), np.arange(loadings.shape[1])]
    scores = np.zeros((len(values), count))
    scores[:, : loadings.shape[1]] = centred @ (loadings * np.sign(largest))
    return scores


def autoencode(values: FloatArray, fitted: BoolArray, generator: np.random.Generator) -> FloatArray:
    """Train an autoencoder on some rows and return the bottleneck of all, (n, 16)."""
    import torch
    from torch import nn

    genes = values.shape[1]
    encoder = nn.Sequential(nn.Linear(genes, HIDDEN), nn.ReLU(), nn.Linear(HIDDEN, BOTTLENECK))
    decoder = nn.Sequential(nn.Linear(BOTTLENECK, HIDDEN), nn.ReLU(), nn.Linear(HIDDEN, genes))
    optimizer = torch.optim.Adam([*encoder.parameters(), *decoder.parameters()], lr=LEARNING_RATE, fused=True)
    cells = torch.from_numpy(values[fitted])
    steps_left = MOST_STEPS
    for _ in range(EPOCHS):
        order = torch.from_numpy(generator.permutation(len(cells)))
        for batch in torch.split(order, BATCH_SIZE)[:steps_left]:
            chosen = cells[batch]
            optimizer.zero_grad(set_to_none=True)
            nn.functional.mse_loss(decoder(encoder(chosen)), chosen).backward()  # type: ignore[no-untyped-call]
            optimizer.step()
            steps_left -= 1
    with torch.no_grad():
        bottleneck: FloatArray = encoder(torch.from_numpy(values)).numpy()
    return bottleneck


def nearest_cells(points: FloatArray, count: int = NEIGHBOURS) -> IntArray:
    """Return every cell and the nearest others in these coordinates, (n_cells, count + 1), itself first."""
    from scipy.spatial import cKDTree

    count = min(count, len(points) - 1)
    found = cKDTree(points).query(points, count + 1)[1].reshape(len(points), count + 1)
    own = np.arange(len(points))
    # Of several cells in one place another may be named first, and the cell itself not at all.
    others = np.argsort(found == own[:, None], axis=1, kind="stable")[:, :count]
    neighbours: IntArray = np.column_stack([own, np.take_along_axis(found, others, axis=1)])
    return neighbours


def attend(values: FloatArray, neighbours: IntArray) -> FloatArray:
    """Return one attention layer over cells with random weights, (n_cells, 32)."""
    import torch

    from .embedding.attention import GeneAttentionLayer

    layer = GeneAttentionLayer(values.shape[1], heads=1, width=ATTENTION_WIDTH, neighbours=torch.from_numpy(neighbours))
    with torch.no_grad():
        attended: FloatArray = layer.gene_major(torch.from_numpy(values)[:, :, None])[:, :, 0].numpy()
    return attended
