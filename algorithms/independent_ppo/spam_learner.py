"""The learner that SPAM-DFBA published: whole episodes, Monte Carlo returns, full-batch clipped updates.

Equations and numbers are those of Ghadermazi and Chan (2024, doi:10.1093/bioinformatics/btae003) and its package,
version 1.0.0. A batch is one episode of every copy, so that ``env.num_envs=4`` is the published batch.
"""

import json
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import torch
from gymnasium import spaces
from torch import Tensor, nn

from ... import UserError
from ...envs.batched import BatchedEnv, State
from ...envs.evaluation import Policy
from ..baselines.schedules import CommunityPolicy
from .community import LONE, Community
from .seeds import agent_seed
from .spam_config import SpamPPOConfig
from .spam_networks import GaussianNetworkPolicy, log_density, network, tensor_like

EPSILON = 1e-5
"""Added to the standard deviation of advantages that divides them."""


@dataclass
class Episodes:
    """One episode of every copy, as one agent saw it.

    Attributes
    ----------
    observations, actions
        ``(n_steps, num_envs, size)``; actions before they were bounded.
    rewards
        ``(n_steps, num_envs)``, 0 after an episode's end.
    played
        ``(n_steps, num_envs)`` bool: which steps belong to the episodes.
    """

    observations: np.ndarray
    actions: np.ndarray
    rewards: np.ndarray
    played: np.ndarray


class SpamAgent:
    """Actor, critic and their optimizers, of one agent."""

    def __init__(self, config: SpamPPOConfig, space: spaces.Box, inputs: int, *, seed: int, device: str) -> None:
        self.config = config
        layers = partial(
            network,
            inputs,
            width=config.hidden_size,
            hidden_layers=config.hidden_layers,
            share_hidden=config.share_hidden,
        )
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            self.actor = layers(int(np.prod(space.shape))).to(device)
            self.critic = layers(1).to(device)
        self.policy = GaussianNetworkPolicy(self.actor, config.action_std, space.low, space.high)
        self.optimizers = {
            "actor": torch.optim.Adam(self.actor.parameters(), lr=config.actor_learning_rate),
            "critic": torch.optim.Adam(self.critic.parameters(), lr=config.critic_learning_rate),
        }

    def fit(self, episodes: Episodes) -> dict[str, float]:
        """Take ``grad_updates`` steps on all that was played; return scalars of the last one, before its step."""
        played = episodes.played
        observations = tensor_like(episodes.observations[played], self.actor)
        actions = tensor_like(episodes.actions[played], self.actor)
        returns = tensor_like(returns_to_go(episodes.rewards, self.config.gamma)[played], self.actor)[:, 0]
        with torch.no_grad():
            old = log_density(actions, self.actor(observations), self.config.action_std)
            advantages = standardized(returns - self.critic(observations)[:, 0])
        for _ in range(self.config.grad_updates):
            new = log_density(actions, self.actor(observations), self.config.action_std)
            ratio = torch.exp(new - old)
            loss = clipped_loss(ratio, advantages, self.config.clip_range)
            value_loss = nn.functional.mse_loss(self.critic(observations)[:, 0], returns)
            for name, part in (("actor", loss), ("critic", value_loss)):
                self.optimizers[name].zero_grad()
                part.backward()  # type: ignore[no-untyped-call]
                self.optimizers[name].step()
        return {
            "policy_gradient_loss": loss.item(),
            "value_loss": value_loss.item(),
            "ratio_max": ratio.max().item(),
            "action_mean": actions.mean().item(),
        }

    def get_state(self) -> State:
        """Return parameters and moments."""
        modules = {"actor": self.actor, "critic": self.critic}
        return {
            name: {"network": copied(module.state_dict()), "optimizer": copied(self.optimizers[name].state_dict())}
            for name, module in modules.items()
        }

    def set_state(self, state: State) -> None:
        """Continue from what `get_state` gave."""
        for name, module in (("actor", self.actor), ("critic", self.critic)):
            module.load_state_dict(state[name]["network"])
            self.optimizers[name].load_state_dict(copied(state[name]["optimizer"]))


class SpamLearner:
    """One episode of every copy and one fit of every agent per update."""

    finished = False

    def __init__(self, config: SpamPPOConfig, environment: BatchedEnv, *, seed: int, device: str) -> None:
        self.config = config
        self.community = Community(environment)
        self.agents = {
            name: SpamAgent(
                config,
                continuous(self.community, name),
                int(np.prod(self.community.spaces(name)[0].shape or ())),
                seed=agent_seed(seed, index),
                device=device,
            )
            for index, name in enumerate(self.community.agents)
        }
        self.generator = np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(15,)))
        self.batches = 0

    def update(self, progress: float) -> dict[str, float]:
        """Play one episode in every copy and fit to it; scalars are ``train/<agent>/...``."""
        del progress
        episodes = self._play()
        self.batches += 1
        scalars: dict[str, float] = {}
        for name, agent in self.agents.items():
            prefix = "train/" if name == LONE else f"train/{name}/"
            scalars[f"{prefix}batch_return"] = float(episodes[name].rewards.sum(axis=0).mean())
            if self.batches > 1 or not self.config.idle_first_batch:
                scalars |= {prefix + key: value for key, value in agent.fit(episodes[name]).items()}
        return scalars

    def agent(self) -> Policy:
        """Return the policies as they are now; they follow further updates."""
        policies = {name: agent.policy for name, agent in self.agents.items()}
        return CommunityPolicy(policies) if self.community.several else next(iter(policies.values()))

    def get_state(self) -> State:
        """Return the agents, how many batches there were, and the generator; every batch begins new episodes."""
        return {
            "agents": {name: agent.get_state() for name, agent in self.agents.items()},
            "batches": self.batches,
            "generator": json.dumps(self.generator.bit_generator.state),
        }

    def set_state(self, state: State) -> None:
        """Continue from what `get_state` gave for a learner of the same config."""
        for name, agent in self.agents.items():
            agent.set_state(state["agents"][name])
        self.batches = state["batches"]
        self.generator.bit_generator.state = json.loads(state["generator"])

    def _play(self) -> dict[str, Episodes]:
        community = self.community
        community.begin()
        running = np.ones(community.environment.num_envs, dtype=bool)
        kept: dict[str, list[Any]] = {name: [] for name in self.agents}
        while running.any():
            seen = {name: np.asarray(community.observed(name)) for name in self.agents}
            drawn = {name: agent.policy.draw(seen[name], self.generator) for name, agent in self.agents.items()}
            ended = community.step(
                {name: drawn[name].clip(each.policy.low, each.policy.high) for name, each in self.agents.items()}
            )
            for name in self.agents:
                reward = np.where(running, community.reward(name), 0.0)
                kept[name].append((seen[name], drawn[name], reward, running.copy()))
            running &= ~ended
        return {name: Episodes(*map(np.array, zip(*steps, strict=True))) for name, steps in kept.items()}


def returns_to_go(rewards: np.ndarray, gamma: float) -> np.ndarray:
    """Return the discounted sum of each reward and all later ones, (n_steps, num_envs) float64."""
    returns = np.zeros(rewards.shape)
    following = np.zeros(rewards.shape[1:])
    for step in range(len(rewards) - 1, -1, -1):
        following = rewards[step] + gamma * following
        returns[step] = following
    return returns


def standardized(advantages: Tensor) -> Tensor:
    """Return advantages (n,) minus their mean, over their (sample) standard deviation plus 1e-5."""
    return (advantages - advantages.mean()) / (advantages.std() + EPSILON)


def clipped_loss(ratio: Tensor, advantages: Tensor, clip_range: float) -> Tensor:
    """Return minus the clipped surrogate (Schulman et al. 2017, arXiv:1707.06347, equation 7)."""
    return -torch.minimum(ratio * advantages, ratio.clamp(1.0 - clip_range, 1.0 + clip_range) * advantages).mean()


def continuous(community: Community, name: str) -> spaces.Box:
    """Return the action space of an agent, or refuse one whose actions or observations are not arrays of numbers."""
    seen, space = community.spaces(name)
    if not isinstance(space, spaces.Box) or not isinstance(seen, spaces.Box):
        raise UserError(
            f"algo=independent_ppo_spam needs continuous observations and actions in one array each, and those of "
            f"{name} are {seen} and {space}: choose algo=independent_ppo."
        )
    return space


def copied(value: Any) -> Any:
    """Copy tensors, wherever they stand in containers, so that further training leaves the state alone."""
    if isinstance(value, Tensor):
        return value.detach().cpu().clone()
    if isinstance(value, dict):
        return {key: copied(entry) for key, entry in value.items()}
    return [copied(entry) for entry in value] if isinstance(value, list | tuple) else value


def build_independent_ppo_spam(
    config: SpamPPOConfig, environment: BatchedEnv, *, seed: int, device: str
) -> SpamLearner:
    """Build the learner; global random states are left alone.

    Raises
    ------
    UserError
        If an agent's observations or actions are not continuous.
    """
    return SpamLearner(config, environment, seed=seed, device=device)
