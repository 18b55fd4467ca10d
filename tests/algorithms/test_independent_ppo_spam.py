"""SPAM-DFBA's learner: its networks, its arithmetic by hand, and that it learns."""

import copy

import numpy as np
import pytest
import torch

from bioppo import UserError
from bioppo.algorithms.independent_ppo.spam_config import SpamPPOConfig
from bioppo.algorithms.independent_ppo.spam_learner import (
    build_independent_ppo_spam,
    clipped_loss,
    returns_to_go,
    standardized,
)
from bioppo.algorithms.independent_ppo.spam_networks import log_density, network
from bioppo.envs.evaluation import evaluate


def spam(environment, seed=3, **options):
    return build_independent_ppo_spam(SpamPPOConfig(**options), environment, seed=seed, device="cpu")


@pytest.mark.parametrize(("share_hidden", "expected"), [(True, 541), (False, 541 + 7 * 420)])
def test_the_published_network_has_its_number_of_parameters(share_hidden, expected):
    made = network(4, 1, width=20, hidden_layers=8, share_hidden=share_hidden)
    assert sum(parameter.numel() for parameter in made.parameters()) == expected
    assert sum(isinstance(layer, torch.nn.Linear) for layer in made) == 10
    assert sum(isinstance(layer, torch.nn.ReLU) for layer in made) == 9


def test_the_shared_layer_is_applied_again_and_again():
    made = network(3, 2, width=5, hidden_layers=2, share_hidden=True)
    first, hidden, last = made[0], made[2], made[6]
    assert made[4] is hidden
    seen = torch.randn(7, 3)
    by_hand = last(torch.relu(hidden(torch.relu(hidden(torch.relu(first(seen)))))))
    torch.testing.assert_close(made(seen), by_hand)


def test_returns_advantages_and_loss_by_hand():
    rewards = np.array([[1.0, 4.0], [2.0, 0.0], [3.0, 0.0]])
    np.testing.assert_allclose(returns_to_go(rewards, 1.0), [[6, 4], [5, 0], [3, 0]])
    np.testing.assert_allclose(returns_to_go(rewards, 0.5)[0], [1 + 1 + 0.75, 4])
    advantages = standardized(torch.tensor([1.0, 2.0, 3.0]))
    torch.testing.assert_close(advantages, torch.tensor([-1.0, 0.0, 1.0]) / (1.0 + 1e-5))
    ratio, gains = torch.tensor([1.5, 0.5, 1.5, 0.5]), torch.tensor([1.0, 1.0, -1.0, -1.0])
    assert clipped_loss(ratio, gains, 0.1).item() == pytest.approx(-(1.1 + 0.5 - 1.5 - 0.9) / 4)


def test_the_density_is_the_normal_one():
    actions, mean = torch.randn(5, 2), torch.randn(5, 2)
    expected = torch.distributions.Normal(mean, 0.1).log_prob(actions).sum(dim=1)
    constant = 2 * (np.log(0.1) + 0.5 * np.log(2 * np.pi))
    torch.testing.assert_close(log_density(actions, mean, 0.1) - constant, expected)


def test_the_first_batch_trains_nothing(rope_env, bitwise_same):
    learner = spam(rope_env(4))
    before = learner.get_state()["agents"]
    first = learner.update(0.0)
    assert bitwise_same(learner.get_state()["agents"], before)
    assert first.keys() == {"train/left/batch_return", "train/right/batch_return"}
    second = learner.update(0.0)
    assert not bitwise_same(learner.get_state()["agents"]["left"], before["left"])
    assert {"train/left/value_loss", "train/right/policy_gradient_loss"} <= second.keys()
    eager = spam(rope_env(4), idle_first_batch=False)
    assert "train/left/value_loss" in eager.update(0.0)


def test_an_update_is_the_published_arithmetic(rope_env):
    """Written out once more, with autograd and Adam as they are, for what the agent had played."""
    learner = spam(rope_env(4, agents=("left",)), idle_first_batch=False, grad_updates=3, gamma=0.9)
    agent = learner.agents["left"]
    actor, critic = copy.deepcopy(agent.actor), copy.deepcopy(agent.critic)
    played = {}
    fit = agent.fit
    agent.fit = lambda episodes: (played.update(episodes=episodes), fit(episodes))[1]
    learner.update(0.0)
    episodes = played["episodes"]
    seen, actions = (
        torch.tensor(part.reshape(-1, part.shape[-1])) for part in (episodes.observations, episodes.actions)
    )
    steps = np.arange(8)
    discount = np.triu(0.9 ** (steps[None] - steps[:, None]).clip(0))
    returns = torch.tensor((discount @ episodes.rewards).ravel(), dtype=torch.float32)
    gains = (returns - critic(seen).squeeze(1)).detach()
    gains = (gains - gains.mean()) / (gains.std() + 1e-5)
    normal = torch.distributions.Normal(actor(seen).detach(), 0.1)
    old = normal.log_prob(actions).sum(dim=1)
    ours = torch.optim.Adam(actor.parameters(), lr=1e-4), torch.optim.Adam(critic.parameters(), lr=1e-3)
    for _ in range(3):
        new = torch.distributions.Normal(actor(seen), 0.1).log_prob(actions).sum(dim=1)
        ratio = torch.exp(new - old)
        losses = (
            -torch.min(ratio * gains, torch.clamp(ratio, 0.9, 1.1) * gains).mean(),
            ((critic(seen).squeeze(1) - returns) ** 2).mean(),
        )
        for optimizer, loss in zip(ours, losses, strict=True):
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
    for expected, found in ((actor, agent.actor), (critic, agent.critic)):
        for one, other in zip(expected.parameters(), found.parameters(), strict=True):
            torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-6)


def test_a_batch_is_one_episode_of_every_copy(point_env):
    """Episodes that end early count up to their end, whatever their copies play thereafter."""
    environment = point_env(30, horizon=6)
    learner = spam(environment, action_std=1.0)
    kept = learner._play()["agent"]
    lengths = kept.played.sum(axis=0)
    assert len(set(lengths.tolist())) > 1
    assert kept.played.shape == (lengths.max(), 30)
    assert (kept.rewards[~kept.played] == 0).all()
    assert (kept.rewards[kept.played] < 0).all()
    assert environment.simulator_calls == 30 * lengths.max()


def test_it_continues_exactly_and_leaves_the_global_states_alone(rope_env, assert_continues_exactly):
    before = torch.get_rng_state()
    spam(rope_env()).update(0.0)
    assert torch.equal(before, torch.get_rng_state())
    assert_continues_exactly(rope_env, spam)


def test_it_learns(rope_env):
    environment = rope_env(8, agents=("left",))
    learner = spam(
        environment, actor_learning_rate=3e-3, critic_learning_rate=1e-2, share_hidden=False, hidden_layers=1
    )
    test = {"episodes": 100, "seed": 0}
    before = evaluate(learner.agent(), rope_env(8, agents=("left",), split="test"), **test).scalars["episode_return"]
    for _ in range(60):
        learner.update(0.0)
    after = evaluate(learner.agent(), rope_env(8, agents=("left",), split="test"), **test).scalars["episode_return"]
    assert after > before + 2


def test_agents_begin_apart_and_are_evaluated_together(rope_env, bitwise_same):
    learner = spam(rope_env())
    state = learner.get_state()["agents"]
    assert not bitwise_same(state["left"], state["right"])
    observation = rope_env().reset()[0]
    mean = learner.agent().act(observation, masks=None, generator=None)
    drawn = learner.agent().act(observation, masks=None, generator=np.random.default_rng(0))
    assert mean.keys() == {"left", "right"}
    assert 0.01 < np.abs(drawn["left"] - mean["left"]).mean() < 0.3


def test_discrete_actions_are_refused(point_env):
    with pytest.raises(UserError, match=r"independent_ppo_spam needs continuous .* choose algo=independent_ppo"):
        spam(point_env(space="discrete"))
