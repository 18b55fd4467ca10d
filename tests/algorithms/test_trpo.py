from functools import partial

import numpy as np
import pytest
import torch
from sb3_contrib import TRPO
from stable_baselines3.common.utils import set_random_seed

from bioppo import UserError
from bioppo.algorithms.stable_baselines import StableBaselinesLearner
from bioppo.algorithms.trpo.config import TRPOConfig
from bioppo.algorithms.trpo.learner import build_trpo
from bioppo.configs.option import OptionError
from bioppo.envs.evaluation import evaluate
from bioppo.envs.stable_baselines_adapter import StableBaselinesAdapter

OPTIONS = {"n_steps": 16, "batch_size": 24, "n_critic_updates": 2, "hidden_sizes": [8], "learning_rate": 1e-2}
SPACES = ["box", "discrete", "dict"]


def trpo(environment, **options):
    return build_trpo(TRPOConfig(**(OPTIONS | options)), environment, seed=3, device="cpu")


@pytest.mark.parametrize("space", SPACES)
def test_the_loop_equals_the_librarys_own(point_env, bitwise_same, space):
    def model():
        set_random_seed(7)
        policy = "MultiInputPolicy" if space == "dict" else "MlpPolicy"
        adapter = StableBaselinesAdapter(point_env(space=space))
        return TRPO(policy, adapter, n_steps=16, batch_size=24, learning_rate=1e-2, device="cpu")

    theirs = model().learn(3 * 48)
    ours = StableBaselinesLearner(model())
    for _ in range(3):
        ours.update(0.0)
    untrained = model()
    assert bitwise_same(theirs.policy.state_dict(), ours.model.policy.state_dict())
    assert bitwise_same(theirs.policy.optimizer.state_dict(), ours.model.policy.optimizer.state_dict())
    assert not bitwise_same(untrained.policy.state_dict(), ours.model.policy.state_dict())


@pytest.mark.parametrize("space", SPACES)
@pytest.mark.parametrize("options", [{}, {"normalize_observation": True, "normalize_reward": True}])
def test_a_continued_learner_equals_an_unbroken_one(point_env, assert_continues_exactly, space, options):
    assert_continues_exactly(partial(point_env, space=space), lambda environment: trpo(environment, **options))


def test_a_step_stays_within_the_trust_region(point_env):
    learner = trpo(point_env(), target_kl=0.005)
    scalars = [learner.update(0.0) for _ in range(6)]
    divergences = [values["train/kl_divergence_loss"] for values in scalars]
    assert max(divergences) < 0.005
    assert max(divergences) > 0.0005


def test_it_learns_to_reach_the_origin(point_env):
    learner = trpo(point_env(8), n_steps=12, batch_size=48, target_kl=0.05)
    before = evaluate(learner.agent(), point_env(8, split="test"), episodes=200, seed=0).scalars["episode_return"]
    for _ in range(40):
        learner.update(0.0)
    after = evaluate(learner.agent(), point_env(8, split="test"), episodes=200, seed=0).scalars["episode_return"]
    assert after > before + 3


def test_schedule_and_first_policy_are_those_asked_for(point_env):
    learner = trpo(point_env(), schedule="linear", zero_last_layer=True, log_std_init=-1.0, activation="relu")
    actions = learner.agent().act(np.ones((3, 2), np.float32), masks=None, generator=None)
    np.testing.assert_array_equal(actions, np.zeros((3, 2)))
    assert learner.model.policy.log_std.tolist() == [-1.0, -1.0]
    assert learner.model.policy.activation_fn is torch.nn.ReLU
    learner.update(0.75)
    assert learner.model.policy.optimizer.param_groups[0]["lr"] == pytest.approx(0.25 * 1e-2)


def test_options_that_do_not_fit_are_refused(point_env):
    with pytest.raises(UserError, match=r"algo.batch_size=25 does not divide the 48 transitions"):
        trpo(point_env(), batch_size=25)
    with pytest.raises(OptionError, match=r"hidden_sizes=\[\]: give at least one positive number"):
        TRPOConfig(hidden_sizes=[])
    with pytest.raises(OptionError, match="target_kl=0: give a value of greater than 0"):
        TRPOConfig(target_kl=0)
