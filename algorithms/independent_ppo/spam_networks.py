"""The networks of SPAM-DFBA's agents, and the Gaussian of constant width that they steer."""

import numpy as np
import torch
from torch import Tensor, nn

from ...envs.batched import Arrays


def network(inputs: int, outputs: int, *, width: int, hidden_layers: int, share_hidden: bool) -> nn.Sequential:
    """Return linear layers with ReLU between them: one of ``inputs``, the hidden ones, and one of ``outputs``.

    With ``share_hidden`` the hidden ones are a single layer, applied again and again. Initial weights are torch's.
    """
    hidden = [nn.Linear(width, width) for _ in range(min(hidden_layers, 1) if share_hidden else hidden_layers)]
    layers: list[nn.Module] = [nn.Linear(inputs, width), nn.ReLU()]
    for place in range(hidden_layers):
        layers += [hidden[0 if share_hidden else place], nn.ReLU()]
    return nn.Sequential(*layers, nn.Linear(width, outputs))


def log_density(actions: Tensor, mean: Tensor, std: float) -> Tensor:
    """Return the logarithm (n,) of the density of actions (n, n_actions), without its constant."""
    return -0.5 * ((actions - mean) / std).square().sum(dim=-1)


class GaussianNetworkPolicy:
    """Act by the mean that a network gives, or draw around it with a constant standard deviation.

    Parameters
    ----------
    actor
        From observations (n, size) to means (n, n_actions).
    std
        Standard deviation of every component.
    low, high
        Bounds of actions.
    """

    def __init__(self, actor: nn.Sequential, std: float, low: np.ndarray, high: np.ndarray) -> None:
        self.actor = actor
        self.std = std
        self.low, self.high = low, high
        self.layers = array_layers(actor)

    def draw(self, observation: np.ndarray, generator: np.random.Generator | None) -> np.ndarray:
        """Return actions (n, n_actions) float32 before they are bounded; the mean without a generator."""
        mean = self.mean(observation)
        if generator is None:
            return mean
        noise = generator.standard_normal(mean.shape, dtype=np.float32)
        drawn: np.ndarray = mean + np.float32(self.std) * noise
        return drawn

    def mean(self, observation: np.ndarray) -> np.ndarray:
        """Return means (n, n_actions) float32."""
        means: np.ndarray
        if self.layers is None:
            with torch.no_grad():
                means = self.actor(tensor_like(observation, self.actor)).cpu().numpy()
            return means
        *hidden, (weight, bias) = self.layers
        values = observation.reshape(len(observation), -1).astype(np.float32)
        for inner, shift in hidden:
            values = np.maximum(values @ inner + shift, 0.0)
        means = values @ weight + bias
        return means

    def act(self, observation: Arrays, *, masks: np.ndarray | None, generator: np.random.Generator | None) -> Arrays:
        """Return actions (num_envs, n_actions) within their bounds."""
        del masks
        assert isinstance(observation, np.ndarray)
        bounded: np.ndarray = self.draw(observation, generator).clip(self.low, self.high)
        return bounded


def array_layers(actor: nn.Sequential) -> list[tuple[np.ndarray, np.ndarray]] | None:
    """Return weights and biases of a network's linear layers, as arrays that share its memory; None off the CPU.

    A batch has few copies and thousands of steps: for a handful of rows, torch takes several times as long as NumPy.
    """
    linear = [layer for layer in actor if isinstance(layer, nn.Linear)]  # in order, repeated where shared
    if any(layer.weight.device.type != "cpu" for layer in linear):
        return None
    return [(layer.weight.detach().numpy().T, layer.bias.detach().numpy()) for layer in linear]


def tensor_like(values: np.ndarray, module: nn.Module) -> Tensor:
    """Return an array (n, ...) as float32 rows (n, size) where the module is."""
    device = next(module.parameters()).device
    return torch.as_tensor(values.reshape(len(values), -1), dtype=torch.float32, device=device)
