"""A network that guesses how far a cell is from each type, fitted to shortest ways between training cells."""

from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ... import UserError
from .data import BoolArray, FloatArray, IntArray
from .planner import UNREACHABLE

HIDDEN = 128
UPDATES = 400
BATCH = 1024
LEARNING_RATE = 2e-3
"""Cells per update, each with all its targets; Adam, its rate falling linearly to 0."""


def fit_distances(
    cells: FloatArray,
    targets: FloatArray,
    distance: IntArray,
    train: BoolArray,
    known: BoolArray,
    *,
    seed: int = 0,
    updates: int = UPDATES,
) -> NDArray[np.float64]:
    """Return guessed distances of all cells to all types, (n, K), by least squares on training cells.

    The guess is h(cell) . g(target), h being a network of two hidden layers. Where all types are known g is a free
    vector for each, as for one-hot targets; otherwise it is a network of the target's coordinates, so that it has an
    answer for types that were held out.

    Parameters
    ----------
    cells, targets
        (n, d) and (K, d), in the same coordinates of about unit size.
    distance
        (n, K) of training, -1 where there is no way: that counts as one step more than the longest way.
    train
        (n,): cells that are fitted to.
    known
        (K,): types that are fitted to.
    seed
        The same guess comes out for the same seed and the same threads.
    """
    import torch

    rows, columns = np.flatnonzero(train), np.flatnonzero(known)
    if not len(rows) or not len(columns):
        raise UserError(
            f"The distance network has {len(rows)} training cells and {len(columns)} types: it needs one of each."
        )
    answers = distance[np.ix_(rows, columns)].astype(np.float32)
    answers = np.where(answers == UNREACHABLE, answers.max() + 1, answers)
    centre, scale = float(answers.mean()), float(answers.std()) or 1.0
    generator = torch.Generator().manual_seed(seed)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        of_cell = _layers(cells.shape[1], HIDDEN, HIDDEN, HIDDEN)
        if known.all():
            described = torch.eye(len(targets))
            of_target = _layers(len(targets), HIDDEN)
        else:
            described = torch.as_tensor(targets, dtype=torch.float32)
            of_target = _layers(targets.shape[1], HIDDEN, HIDDEN)
    inputs = torch.as_tensor(np.asarray(cells, dtype=np.float32))
    wanted = torch.as_tensor((answers - centre) / scale, dtype=torch.float32)
    fitted, fitted_types = inputs[torch.as_tensor(rows)], described[torch.as_tensor(columns)]
    optimizer = torch.optim.Adam([*of_cell.parameters(), *of_target.parameters()], lr=LEARNING_RATE)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda update: 1 - update / updates)
    for _ in range(updates):
        chosen = torch.randint(len(rows), (min(BATCH, len(rows)),), generator=generator)
        guess = of_cell(fitted[chosen]) @ of_target(fitted_types).T / HIDDEN**0.5
        loss = torch.nn.functional.mse_loss(guess, wanted[chosen])
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        schedule.step()
    with torch.no_grad():
        every = of_cell(inputs) @ of_target(described).T / HIDDEN**0.5
    guesses: NDArray[np.float64] = every.numpy().astype(np.float64) * scale + centre
    return guesses


def _layers(*sizes: int) -> Any:
    """Return linear layers with rectified units between them."""
    from torch import nn

    layers: list[Any] = []
    for before, after in pairwise(sizes):
        layers += [nn.Linear(before, after), nn.ReLU()]
    return nn.Sequential(*layers[:-1])
