"""Networks that are given cells by index and read what is known of them from the table.

A rollout stores four numbers per step, and the thousands of genes of a cell lie once in memory. Networks are policies
of sb3-contrib (Huang and Ontañón 2022, arXiv:2006.14171), so that masked PPO and TRPO-PPO train them.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
import torch
from gymnasium import spaces
from sb3_contrib.common.maskable.distributions import MaskableDistribution
from sb3_contrib.common.maskable.policies import MaskableActorCriticPolicy
from stable_baselines3.common.type_aliases import Schedule
from torch import Tensor, nn

from ... import UserError
from ...configs.option import Options, build_options, nearest
from .data import FloatArray, IntArray
from .policy_options import NETWORKS, AfterstateOptions, PairOptions
from .task import ReprogrammingTask

ACTIVATIONS: dict[str, type[nn.Module]] = {"leaky_relu": nn.LeakyReLU, "relu": nn.ReLU, "tanh": nn.Tanh}

PREFERENCE_WEIGHT = 3.0
"""Weight of what an afterstate network learns, beside the similarity that it begins with."""


@dataclass(frozen=True)
class CellView:
    """What networks know of cells.

    Attributes
    ----------
    next
        (n, A), or (n, A, q) where an action may lead to several cells.
    probability
        (n, A, q) float32 of these, or None.
    similarity
        (n, K) to the centroids of all types.
    cells, centroids
        (n, P) and (K, P): what is known of a cell, and the same of a type's centre.
    """

    next: IntArray
    probability: FloatArray | None
    similarity: FloatArray
    cells: FloatArray
    centroids: FloatArray


def component_view(task: ReprogrammingTask, components: int) -> CellView:
    """Show cells and centres by their first principal components."""
    return make_view(task, *task.components(components))


def expression_view(task: ReprogrammingTask) -> CellView:
    """Show cells by the z-scores of all genes."""
    return make_view(task, np.asarray(task.table.features), np.asarray(task.goals.centroid))


def make_view(task: ReprogrammingTask, values: FloatArray, centroids: FloatArray) -> CellView:
    """Join what is known of cells (n, P) and centres (K, P) with the table."""
    following, probability = task.table.next, None
    if task.config.dynamics.kind == "stochastic":
        assert task.table.neighbours is not None
        assert task.table.probability is not None
        following = task.table.neighbours
        probability = task.table.probability.astype(np.float32)
        probability = probability / np.maximum(probability.sum(axis=2, keepdims=True), 1e-12)
    return CellView(following, probability, task.goals.sim, values, centroids)


class IndexedActorCritic(MaskableActorCriticPolicy):
    """Base of policies whose observations begin with the numbers of a cell and of its target type.

    Parameters
    ----------
    observation_space, action_space, lr_schedule
        As everywhere in stable-baselines3.
    view
        What is known of cells.
    options
        Those of the network.
    use_sde
        Always False; every on-policy algorithm of stable-baselines3 hands it over.
    optimizer_class, optimizer_kwargs
        Adam with stable-baselines3's epsilon unless they are given.
    """

    def __init__(
        self,
        observation_space: spaces.Space[Any],
        action_space: spaces.Space[Any],
        lr_schedule: Schedule,
        *,
        view: CellView,
        options: Any,
        use_sde: bool = False,
        share_features_extractor: bool = True,
        optimizer_class: type[torch.optim.Optimizer] = torch.optim.Adam,
        optimizer_kwargs: dict[str, Any] | None = None,
    ) -> None:
        del use_sde
        self._view, self._options = view, options
        self._cache: tuple[int, Any] | None = None
        super().__init__(
            observation_space,
            action_space,
            lr_schedule,
            share_features_extractor=share_features_extractor,
            optimizer_class=optimizer_class,
            optimizer_kwargs=optimizer_kwargs,
        )

    def logits_and_values(self, cell: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
        """Return logits (B, A) before masking, and values (B, 1), of cells and target types (B,)."""
        raise NotImplementedError

    def build_networks(self, view: CellView, options: Any) -> None:
        """Make the modules."""
        raise NotImplementedError

    def keep(self, name: str, values: np.ndarray, dtype: torch.dtype = torch.float32) -> None:
        """Hold a copy of an array where the networks are; it is no parameter, and no checkpoint holds it."""
        self.register_buffer(name, torch.as_tensor(np.array(values, order="C"), dtype=dtype), persistent=False)

    def forward(
        self, obs: Tensor, deterministic: bool = False, action_masks: Any = None
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Return actions (B,), values (B, 1) and log probabilities (B,)."""
        distribution, values = self._distribution(obs, action_masks)
        actions = distribution.get_actions(deterministic=deterministic)
        return actions, values, distribution.log_prob(actions)

    def evaluate_actions(
        self, obs: Tensor, actions: Tensor, action_masks: Any = None
    ) -> tuple[Tensor, Tensor, Tensor | None]:
        """Return values (B, 1), log probabilities (B,) and entropies (B,)."""
        distribution, values = self._distribution(obs, action_masks)
        return values, distribution.log_prob(actions), distribution.entropy()

    def get_distribution(self, obs: Any, action_masks: Any = None) -> MaskableDistribution:
        """Return what actions are drawn from."""
        return self._distribution(obs, action_masks)[0]

    def predict_values(self, obs: Any) -> Tensor:
        """Return values (B, 1)."""
        cell, target = self.indices(obs)
        return self.logits_and_values(cell, target)[1]

    def indices(self, obs: Tensor) -> tuple[Tensor, Tensor]:
        """Return cell and target (B,) of observations; rollouts hold them as floating-point numbers."""
        numbers = obs[:, :2].long()
        return numbers[:, 0], numbers[:, 1]

    def remembered(self, compute: Callable[[], Any]) -> Any:
        """Return what depends on parameters alone: made once per change of them, unless gradients are wanted."""
        if torch.is_grad_enabled():
            return compute()
        version = sum(parameter._version for parameter in self.parameters())
        if self._cache is None or self._cache[0] != version:
            self._cache = version, compute()
        return self._cache[1]

    def _build(self, lr_schedule: Schedule) -> None:
        self.build_networks(self._view, self._options)
        self.optimizer = self.optimizer_class(self.parameters(), lr=lr_schedule(1), **self.optimizer_kwargs)  # type: ignore[call-arg]
        # Fused optimizers change parameters without raising their version.
        self.optimizer.register_step_post_hook(self._forget)

    def _forget(self, *_: Any) -> None:
        self._cache = None

    def _distribution(self, obs: Tensor, action_masks: Any) -> tuple[MaskableDistribution, Tensor]:
        cell, target = self.indices(obs)
        logits, values = self.logits_and_values(cell, target)
        distribution = self.action_dist.proba_distribution(action_logits=logits)
        if action_masks is not None:
            distribution.apply_masking(action_masks)
        return distribution, values


class AfterstatePolicy(IndexedActorCritic):
    """Score cells instead of actions: an action is worth what the cell that it leads to is worth.

    A network gives every cell i a preference f[i, k] and a value v[i, k] for each target k:
    ``score[i, k] = 3 f[i, k] + kappa sim[i, k]``, ``logits[a] = score[next[c, a], k]``, ``value = v[c, k]``. It begins
    as the greedy rule, since f begins at zero. Where an action may lead to several cells, their scores are averaged.
    With ``target=centroid`` f and v are inner products of what is made of the cell and of the centre of the type, so
    that types which were never trained have them too.
    """

    def build_networks(self, view: CellView, options: AfterstateOptions) -> None:
        """Make one network for cells and, with ``target=centroid``, another for centres."""
        n_types, size = view.similarity.shape[1], view.cells.shape[1]
        self.n_types = n_types
        self.keep("table", view.next, torch.int64)
        self.keep("similarity", view.similarity)
        self.keep("cells", view.cells)
        self.keep("centroids", view.centroids)
        if view.probability is not None:
            self.keep("probability", view.probability)
        self.stochastic = view.probability is not None
        self.by_centroid = options.target == "centroid"
        width, layers = options.hidden_sizes[-1], [size, *options.hidden_sizes]
        self.trunk = perceptron(layers)
        self.value_trunk = perceptron(layers) if options.separate_values else None
        self.head, self.value_head = (nn.Linear(width, width if self.by_centroid else n_types) for _ in range(2))
        for head in (self.head, self.value_head):
            nn.init.zeros_(head.weight)
            nn.init.zeros_(head.bias)
        if self.by_centroid:
            self.target_network = perceptron(layers)
            self.value_target_network = perceptron(layers) if options.separate_values else None
        self.kappa = nn.Parameter(torch.tensor(float(options.kappa)))

    def logits_and_values(self, cell: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
        """Return logits (B, A) before masking, and values (B, 1)."""
        score, value = self.remembered(self.scores)
        following = self.table[cell]  # type: ignore[index]
        column = target.view(-1, *[1] * (following.dim() - 1))
        logits = score.view(-1)[following * self.n_types + column]
        if self.stochastic:
            logits = (logits * self.probability[cell]).sum(dim=2)  # type: ignore[index]
        return logits, value.view(-1)[cell * self.n_types + target].unsqueeze(1)

    def scores(self) -> tuple[Tensor, Tensor]:
        """Return the score and the value (n, K) of every cell for every target."""
        hidden = self.trunk(self.cells)
        values_of = hidden if self.value_trunk is None else self.value_trunk(self.cells)
        preference, value = self.head(hidden), self.value_head(values_of)
        if self.by_centroid:
            scale = hidden.shape[1] ** -0.5
            keys = self.target_network(self.centroids) * scale
            own = self.value_target_network
            preference, value = preference @ keys.T, value @ (keys if own is None else own(self.centroids) * scale).T
        score: Tensor = PREFERENCE_WEIGHT * preference + self.kappa * self.similarity  # type: ignore[operator]
        return score, value.contiguous()


class PairPolicy(IndexedActorCritic):
    """Score every action by what is known of the cell and of the centre of the target type.

    Cell and centre pass through networks of their own; what these give is joined, and an actor and a critic read it.
    On all genes this is the thesis project's network (Bannink 2025), on principal components a smaller one.
    """

    def build_networks(self, view: CellView, options: PairOptions) -> None:
        """Make the two branches, the actor and the critic."""
        self.keep("cells", view.cells)
        self.keep("centroids", view.centroids)
        branch = [view.cells.shape[1], *options.branch_sizes]
        self.cell_branch, self.target_branch = perceptron(branch), perceptron(branch)
        joined = 2 * branch[-1]
        n_actions = int(self.action_space.n)  # type: ignore[attr-defined]
        actor, critic = [joined, *options.actor_sizes], [joined, *options.critic_sizes]
        last = nn.Linear(actor[-1], n_actions)
        nn.init.orthogonal_(last.weight, 0.01)  # as stable-baselines3 begins: all actions alike
        activation = ACTIVATIONS[options.activation]
        self.actor = nn.Sequential(perceptron(actor, activation), last)
        self.critic = nn.Sequential(perceptron(critic, activation), nn.Linear(critic[-1], 1))

    def logits_and_values(self, cell: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
        """Return logits (B, A) before masking, and values (B, 1)."""
        if torch.is_grad_enabled():
            cells = self.cell_branch(self.cells[cell])  # type: ignore[index]
            targets = self.target_branch(self.centroids)[target]
        else:
            all_cells, all_targets = self.remembered(
                lambda: (self.cell_branch(self.cells), self.target_branch(self.centroids))
            )
            cells, targets = all_cells[cell], all_targets[target]
        joined = torch.cat([cells, targets], dim=1)
        return self.actor(joined), self.critic(joined)


def perceptron(sizes: Sequence[int], activation: type[nn.Module] = nn.LeakyReLU) -> nn.Sequential:
    """Return linear layers, each with an activation behind it."""
    layers: list[nn.Module] = []
    for inputs, outputs in pairwise(sizes):
        layers += [nn.Linear(inputs, outputs), activation()]
    return nn.Sequential(*layers)


def network_of(task: ReprogrammingTask, name: str, options: dict[str, Any]) -> tuple[type[Any], dict[str, Any]]:
    """Return the class of a network, and its keywords.

    Raises
    ------
    UserError
        If there is no network of this name, an option is wrong, or the task cannot be seen by index.
    """
    if name not in NETWORKS:
        raise UserError(f"algo.policy={name}: {nearest(name, [*NETWORKS, 'mlp'])}")
    if task.config.task.obs != "index":
        raise UserError(f"algo.policy={name} reads cells by index: set env.task.obs=index, or algo.policy=mlp.")
    made: Options = build_options(NETWORKS[name], options, "algo.policy_options")
    if isinstance(made, AfterstateOptions):
        return AfterstatePolicy, {"view": component_view(task, made.components), "options": made}
    assert isinstance(made, PairOptions)
    view = expression_view(task) if made.components is None else component_view(task, made.components)
    return PairPolicy, {"view": view, "options": made}
