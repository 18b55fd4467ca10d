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

    def __init__(self, actor: nn.Module, std: float, low: np.ndarray, high: np.ndarray) -> None:
        self.actor = actor
        self.std = std
        self.low, self.high = low, high

    def draw(self, observation: np.ndarray, generator: np.random.Generator | None) -> np.ndarray:
        """Return actions (n, n_actions) float32 before they are bounded; the mean without a generator."""
        with torch.no_grad():
            mean: np.ndarray = self.actor(tensor_like(observation, self.actor)).cpu().numpy()
        if generator is None:
            return mean
        noise = generator.standard_normal(mean.shape, dtype=np.float32)
        drawn: np.ndarray = mean + np.float32(self.std) * noise
        return drawn

    def act(self, observation: Arrays, *, masks: np.ndarray | None, generator: np.random.Generator | None) -> Arrays:
        """Return actions (num_envs, n_actions) within their bounds."""
        del masks
        assert isinstance(observation, np.ndarray)
        bounded: np.ndarray = self.draw(observation, generator).clip(self.low, self.high)
        return bounded


def tensor_like(values: np.ndarray, module: nn.Module) -> Tensor:
    """Return an array (n, ...) as float32 rows (n, size) where the module is."""
    device = next(module.parameters()).device
    return torch.as_tensor(values.reshape(len(values), -1), dtype=torch.float32, device=device)
