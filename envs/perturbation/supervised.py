"""Regression with the policy's network: what the task's derivative is worth, for as many cells as an agent uses."""

import copy
import json
from collections.abc import Sequence
from itertools import pairwise

import numpy as np
import torch
from torch import nn
from torch.nn.functional import mse_loss

from ..batched import State
from .data import FloatArray

STREAM = 22
"""Keeps the generator of minibatches apart from others of the same seed."""
HIDDEN_GAIN, OUTPUT_GAIN = 2**0.5, 0.01
"""Of the orthogonal weights that stable-baselines3's policies begin with."""


class SupervisedModel:
    """Predict x + scale * network(observation), by the tanh network and the weights that policies begin with.

    The network's output is not clipped to the action space: the best of what this network can do is wanted here.

    Parameters
    ----------
    inputs, outputs
        Sizes of an observation and of a cell.
    hidden_sizes
        Units of the hidden layers.
    scale
        What an output of 1 adds to a coordinate.
    learning_rate
        Adam's step size.
    seed
        Of weights and minibatches; torch's global random state is left as it was.
    """

    def __init__(
        self, inputs: int, outputs: int, *, hidden_sizes: Sequence[int], scale: float, learning_rate: float, seed: int
    ) -> None:
        self.scale = scale
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            self.network = policy_network([inputs, *hidden_sizes, outputs])
        self.optimizer = torch.optim.Adam(self.network.parameters(), lr=learning_rate)
        self.generator = np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(STREAM,)))

    def fit(
        self, observation: FloatArray, start: FloatArray, target: FloatArray, *, epochs: int, batch_size: int
    ) -> tuple[float, float]:
        """Descend mse(x + scale * network, y) in shuffled minibatches; return the loss of the first and last epoch.

        Parameters
        ----------
        observation
            (n, inputs).
        start, target
            x and y, (n, outputs).
        epochs
            Passes over the rows.
        batch_size
            Rows per step.
        """
        inputs, cells, goals = (torch.as_tensor(part, dtype=torch.float32) for part in (observation, start, target))
        losses = []
        for _ in range(epochs):
            order = torch.as_tensor(self.generator.permutation(len(inputs)))
            total = 0.0
            for rows in torch.split(order, batch_size):
                loss = mse_loss(cells[rows] + self.scale * self.network(inputs[rows]), goals[rows])
                self.optimizer.zero_grad()
                loss.backward()  # type: ignore[no-untyped-call]
                self.optimizer.step()
                total += len(rows) * loss.item()
            losses.append(total / len(inputs))
        return losses[0], losses[-1]

    def predict(self, observation: FloatArray, start: FloatArray) -> FloatArray:
        """Return predicted cells (n, outputs) float32 for observations (n, inputs) of cells x (n, outputs)."""
        with torch.no_grad():
            step = self.network(torch.as_tensor(observation, dtype=torch.float32)).numpy()
        predicted: FloatArray = np.asarray(start, dtype=np.float32) + np.float32(self.scale) * step
        return predicted

    def get_state(self) -> State:
        """Return weights, Adam's moments and generator, in plain containers."""
        return {
            "weights": {name: value.clone() for name, value in self.network.state_dict().items()},
            "optimizer": copy.deepcopy(self.optimizer.state_dict()),
            "generator": json.dumps(self.generator.bit_generator.state),
        }

    def set_state(self, state: State) -> None:
        """Continue from what `get_state` gave for a model of the same sizes."""
        self.network.load_state_dict(state["weights"])
        self.optimizer.load_state_dict(copy.deepcopy(state["optimizer"]))
        self.generator.bit_generator.state = json.loads(state["generator"])


def policy_network(sizes: Sequence[int]) -> nn.Sequential:
    """Return linear layers of these sizes with tanh between them, of orthogonal weights; the last ones are small."""
    layers: list[nn.Module] = []
    for number, (inputs, outputs) in enumerate(pairwise(sizes), start=2):
        linear = nn.Linear(inputs, outputs)
        last = number == len(sizes)
        nn.init.orthogonal_(linear.weight, gain=OUTPUT_GAIN if last else HIDDEN_GAIN)
        nn.init.zeros_(linear.bias)
        layers += [linear] if last else [linear, nn.Tanh()]
    return nn.Sequential(*layers)
