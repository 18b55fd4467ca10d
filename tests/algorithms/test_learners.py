import copy

import numpy as np
import pytest
import torch
from stable_baselines3 import PPO
from stable_baselines3.common.utils import set_random_seed
from stable_baselines3.common.vec_env import VecNormalize

from bioppo import UserError
from bioppo.algorithms.baselines.cma_es import build_cma_es
from bioppo.algorithms.baselines.config import CMAESConfig, RandomConfig
from bioppo.algorithms.baselines.random import RandomPolicy, build_random
from bioppo.algorithms.ppo.config import PPOConfig
from bioppo.algorithms.ppo.learner import build_ppo, learning_rate_schedule
from bioppo.algorithms.stable_baselines import StableBaselinesLearner
from bioppo.envs.evaluation import Policy, Solver, evaluate
from bioppo.envs.stable_baselines_adapter import StableBaselinesAdapter
from bioppo.storage.checkpoint import read_checkpoint, write_checkpoint
from bioppo.training.random_state import global_states, set_global_states

UPDATES = 4
ROLLOUT = 3 * 16


def make_model(environment, *, normalise=False, schedule="constant"):
    set_random_seed(7)
    adapter = StableBaselinesAdapter(environment)
    if normalise:
        adapter = VecNormalize(adapter)
    policy = "MultiInputPolicy" if environment.space == "dict" else "MlpPolicy"
    rate = learning_rate_schedule(1e-2, schedule)
    return PPO(policy, adapter, n_steps=16, batch_size=24, n_epochs=2, learning_rate=rate, device="cpu")


@pytest.mark.parametrize(
    ("space", "normalise", "schedule"),
    [
        ("box", False, "constant"),
        ("box", True, "cosine"),
        ("discrete", False, "linear"),
        ("multi_discrete", False, "constant"),
        ("dict", True, "constant"),
    ],
)
def test_the_loop_equals_the_librarys_own(point_env, bitwise_same, space, normalise, schedule):
    theirs = make_model(point_env(space=space), normalise=normalise, schedule=schedule)
    theirs.learn(UPDATES * ROLLOUT)
    ours = StableBaselinesLearner(make_model(point_env(space=space), normalise=normalise, schedule=schedule))
    for update in range(UPDATES):
        ours.update((update + 1) / UPDATES)  # the library sets its schedules after the rollout
    assert bitwise_same(theirs.policy.state_dict(), ours.model.policy.state_dict())
    assert bitwise_same(theirs.policy.optimizer.state_dict(), ours.model.policy.optimizer.state_dict())
    untrained = make_model(point_env(space=space), normalise=normalise, schedule=schedule)
    assert not bitwise_same(untrained.policy.state_dict(), ours.model.policy.state_dict())


CONFIG = {"n_steps": 16, "batch_size": 24, "n_epochs": 2, "hidden_sizes": [8], "learning_rate": 1e-2}


def ppo(environment, **options):
    return build_ppo(PPOConfig(**(CONFIG | options)), environment, seed=3, device="cpu")


def continued(point_env, tmp_path, change=lambda state: None, **options):
    """Train four updates, through a checkpoint after the second; return the states then and at the end."""
    environment = point_env()
    learner = ppo(environment, **options)
    for _ in range(2):
        learner.update(0.5)
    write_checkpoint(
        tmp_path / "c.pt",
        {"learner": learner.get_state(), "environment": environment.get_state(), "random": global_states()},
    )
    content = read_checkpoint(tmp_path / "c.pt")
    torch.manual_seed(99)
    other_environment = point_env(seed=5)
    other = ppo(other_environment, **options)
    fresh = {"learner": other.get_state(), "environment": other_environment.get_state(), "random": global_states()}
    change(content, fresh)
    other_environment.set_state(content["environment"])
    other.set_state(content["learner"])
    set_global_states(content["random"])
    restored = other.get_state()
    scalars = [other.update(0.5) for _ in range(2)]
    return restored, other.get_state(), scalars


def unbroken(point_env, **options):
    learner = ppo(point_env(), **options)
    for _ in range(2):
        learner.update(0.5)
    half = copy.deepcopy(learner.get_state())
    scalars = [learner.update(0.5) for _ in range(2)]
    return half, learner.get_state(), scalars


@pytest.mark.parametrize("options", [{}, {"normalize_observation": True, "normalize_reward": True}])
def test_a_continued_learner_equals_an_unbroken_one(point_env, tmp_path, bitwise_same, options):
    expected = unbroken(point_env, **options)
    assert bitwise_same(expected, continued(point_env, tmp_path, lambda content, fresh: None, **options))


@pytest.mark.parametrize(
    "path",
    [
        ("learner", "policy"),
        ("learner", "optimizer"),
        ("learner", "last_obs"),
        ("learner", "last_episode_starts"),
        ("learner", "n_updates"),
        ("learner", "num_timesteps"),
        ("learner", "normaliser", "obs_rms"),
        ("learner", "normaliser", "ret_rms"),
        ("learner", "normaliser", "returns"),
        ("environment", "state"),
        ("environment", "generators"),
        ("random", "torch"),
        ("random", "numpy"),
    ],
)
def test_leaving_any_part_out_is_noticed(point_env, tmp_path, bitwise_same, path):
    options = {"normalize_observation": True, "normalize_reward": True}

    def forget(content, fresh):
        for key in path[:-1]:
            content, fresh = content[key], fresh[key]
        content[path[-1]] = fresh[path[-1]]

    expected = unbroken(point_env, **options)
    assert not bitwise_same(expected, continued(point_env, tmp_path, forget, **options))


def test_a_state_does_not_follow_further_training(point_env, bitwise_same):
    learner = ppo(point_env())
    learner.update(0.0)
    state = learner.get_state()
    kept = copy.deepcopy(state)
    learner.update(0.0)
    assert bitwise_same(state["policy"], kept["policy"])
    assert bitwise_same(state["optimizer"], kept["optimizer"])


def test_a_policy_draws_from_the_generator_it_is_given(point_env):
    learner = ppo(point_env())
    policy = learner.agent()
    observation = np.ones((3, 2), np.float32)
    before = torch.get_rng_state()

    def act(seed):
        generator = None if seed is None else np.random.default_rng(seed)
        return policy.act(observation, masks=None, generator=generator)

    np.testing.assert_array_equal(act(1), act(1))
    assert not np.array_equal(act(1), act(2))
    np.testing.assert_array_equal(act(None), act(None))
    assert np.ptp(act(None), axis=0).max() == 0
    assert torch.equal(before, torch.get_rng_state())


def test_ppo_learns_to_reach_the_origin(point_env):
    environment = point_env(8)
    learner = ppo(environment, n_steps=12, batch_size=48, n_epochs=6)
    before = evaluate(learner.agent(), point_env(8, split="test"), episodes=200, seed=0).scalars["episode_return"]
    for _ in range(40):
        learner.update(0.0)
    after = evaluate(learner.agent(), point_env(8, split="test"), episodes=200, seed=0).scalars["episode_return"]
    assert after > before + 3


def test_a_minibatch_that_does_not_divide_the_rollout_is_refused(point_env):
    with pytest.raises(UserError, match=r"algo.batch_size=25 does not divide the 48 transitions"):
        ppo(point_env(), batch_size=25)


def test_learning_rate_schedules():
    assert learning_rate_schedule(1e-3, "constant") == 1e-3
    linear, cosine = learning_rate_schedule(1e-3, "linear"), learning_rate_schedule(1e-3, "cosine")
    assert [linear(1.0), linear(0.5), linear(0.0)] == pytest.approx([1e-3, 5e-4, 0])
    assert [cosine(1.0), cosine(0.5), cosine(0.0)] == pytest.approx([1e-3, (1e-3 + 1e-6) / 2, 1e-6])


@pytest.mark.parametrize("diagonal", [True, False])
def test_cma_es_finds_the_minimum_and_continues_exactly(point_env, bitwise_same, diagonal):
    config = CMAESConfig(population_size=8, diagonal=diagonal)

    def learner_of(environment):
        return build_cma_es(config, environment, seed=2, device="cpu")

    environment = point_env()
    whole = learner_of(environment)
    scalars = [whole.update(0.0) for _ in range(30)]
    assert scalars[-1]["search/cost_best"] < 0.05 < scalars[0]["search/cost_best"]
    assert environment.simulator_calls == 30 * 8
    half = learner_of(point_env())
    for _ in range(15):
        half.update(0.0)
    other = learner_of(point_env())
    other.set_state(half.get_state())
    assert bitwise_same(scalars[15:], [other.update(0.0) for _ in range(15)])
    answers = whole.agent().answer(np.zeros((500, 2)), generator=np.random.default_rng(0))
    assert answers.shape == (500, 2)
    assert np.linalg.norm(answers - 1.5, axis=1).mean() < 0.2
    np.testing.assert_array_equal(answers, whole.agent().answer(np.zeros((500, 2)), generator=np.random.default_rng(0)))


def test_cma_es_answers_are_drawn_from_its_distribution(point_env):
    learner = build_cma_es(CMAESConfig(population_size=8, initial_sigma=0.5), point_env(), seed=2, device="cpu")
    answers = learner.agent().answer(np.zeros((20_000, 2)), generator=np.random.default_rng(0))
    np.testing.assert_allclose(answers.mean(axis=0), 0.0, atol=0.02)
    np.testing.assert_allclose(answers.std(axis=0), 0.5, atol=0.02)
    assert np.abs(answers).max() <= 5.0


def test_cma_es_needs_an_environment_that_can_be_answered(point_env):
    environment = point_env()
    environment.answer_space = None
    with pytest.raises(UserError, match="use algo=ppo"):
        build_cma_es(CMAESConfig(), environment, seed=0, device="cpu")


@pytest.mark.parametrize("space", ["box", "discrete", "dict", "multi_discrete", "multi_binary"])
def test_random_actions_fill_the_action_space(point_env, space):
    environment = point_env(400, space=space)
    observation, _ = environment.reset(seed=0)
    actions = RandomPolicy(environment).act(observation, masks=None, generator=np.random.default_rng(0))
    assert environment.action_space.contains(actions)
    spread = np.asarray(actions, dtype=float).reshape(400, -1)
    assert len(np.unique(spread[:, 0])) >= min(4, 400 if space in ("box", "dict") else len(np.unique(spread)))
    environment.step(actions)


def test_random_discrete_actions_respect_masks(point_env):
    masks = np.zeros((400, 4), dtype=bool)
    masks[:, [1, 3]] = True
    policy = RandomPolicy(point_env(400, space="discrete"))
    actions = policy.act(np.zeros((400, 2)), masks=masks, generator=np.random.default_rng(0))
    assert set(actions) == {1, 3}


def test_the_random_learner_spends_the_budget(point_env):
    environment = point_env()
    learner = build_random(RandomConfig(n_steps=4), environment, seed=0, device="cpu")
    learner.update(0.0)
    assert environment.simulator_calls == 12
    assert "reward_mean" in environment.training_scalars() or environment.state["elapsed_steps"].max() == 4
    assert isinstance(learner.agent(), Policy)
    assert not isinstance(learner.agent(), Solver)


def test_a_policy_that_diverges_is_named(point_env):
    from bioppo.envs.batched import NonFiniteError

    learner = ppo(point_env())
    learner.update(0.0)
    with torch.no_grad():
        learner.model.policy.action_net.weight.fill_(float("nan"))
    with pytest.raises(NonFiniteError, match=r"lower algo.learning_rate"):
        learner.update(0.0)
