"""PPO with masks: the library's own training, allowed actions alone, exact continuation, refusals."""

import math
from functools import partial

import gymnasium
import numpy as np
import pytest
import torch
from gymnasium import spaces
from sb3_contrib import MaskablePPO
from stable_baselines3.common.utils import set_random_seed

from bioppo import UserError
from bioppo.algorithms.masked_ppo.config import MaskedPPOConfig
from bioppo.algorithms.masked_ppo.learner import build_masked_ppo
from bioppo.algorithms.stable_baselines import StableBaselinesLearner
from bioppo.cli.main import main
from bioppo.configs.option import OptionError
from bioppo.envs.evaluation import evaluate
from bioppo.envs.gymnasium.config import GymnasiumConfig
from bioppo.envs.gymnasium.environment import make_gymnasium
from bioppo.envs.stable_baselines_adapter import StableBaselinesAdapter

SMALL = {"n_steps": 16, "batch_size": 24, "n_epochs": 2, "hidden_sizes": [8], "learning_rate": 1e-2}
SPACES = ["discrete", "multi_discrete", "multi_binary"]


def masked_ppo(environment, **options):
    return build_masked_ppo(MaskedPPOConfig(**(SMALL | options)), environment, seed=3, device="cpu")


@pytest.mark.parametrize("space", SPACES)
def test_the_loop_equals_the_librarys_own(masked_env, bitwise_same, space):
    def model():
        set_random_seed(7)
        adapter = StableBaselinesAdapter(masked_env(space=space))
        return MaskablePPO("MlpPolicy", adapter, n_steps=16, batch_size=24, n_epochs=2, device="cpu")

    theirs = model().learn(3 * 48)
    ours = StableBaselinesLearner(model())
    for _ in range(3):
        ours.update(0.0)
    untrained = model()
    assert bitwise_same(theirs.policy.state_dict(), ours.model.policy.state_dict())
    assert bitwise_same(theirs.policy.optimizer.state_dict(), ours.model.policy.optimizer.state_dict())
    assert not bitwise_same(untrained.policy.state_dict(), ours.model.policy.state_dict())


def test_the_defaults_are_the_librarys(masked_env, bitwise_same):
    learner = build_masked_ppo(MaskedPPOConfig(), masked_env(4, space="discrete"), seed=7, device="cpu")
    set_random_seed(7)
    theirs = MaskablePPO("MlpPolicy", StableBaselinesAdapter(masked_env(4, space="discrete")), device="cpu")
    assert bitwise_same(theirs.policy.state_dict(), learner.model.policy.state_dict())
    names = "n_steps batch_size n_epochs gamma gae_lambda normalize_advantage ent_coef vf_coef max_grad_norm target_kl"
    for name in names.split():
        assert getattr(theirs, name) == getattr(learner.model, name), name
    for schedule in ("lr_schedule", "clip_range"):
        assert getattr(theirs, schedule)(0.3) == getattr(learner.model, schedule)(0.3)


@pytest.mark.parametrize("space", SPACES)
def test_excluded_actions_are_never_drawn(masked_env, space):
    environment = masked_env(space=space)
    learner = masked_ppo(environment)
    scalars = [learner.update(0.0) for _ in range(3)]
    assert all(math.isfinite(value) for update in scalars for value in update.values())
    agent = learner.agent()
    assert agent.uses_masks
    test = masked_env(20, space=space, split="test")
    evaluate(agent, test, episodes=40, seed=0)
    evaluate(agent, test, episodes=40, seed=0, deterministic=True)
    assert environment.forbidden_moves == test.forbidden_moves == 0
    free = agent.act(np.zeros((200, 2), np.float32), masks=None, generator=np.random.default_rng(0))
    masks = np.tile(environment.action_masks()[:1], (200, 1))
    kept = agent.act(np.zeros((200, 2), np.float32), masks=masks, generator=np.random.default_rng(0))
    assert not np.array_equal(free, kept)  # it is the masks that exclude them


@pytest.mark.parametrize("space", ["discrete", "multi_discrete"])
@pytest.mark.parametrize("options", [{}, {"normalize_observation": True, "normalize_reward": True}])
def test_a_continued_learner_equals_an_unbroken_one(masked_env, assert_continues_exactly, space, options):
    assert_continues_exactly(partial(masked_env, space=space), lambda environment: masked_ppo(environment, **options))


def test_it_learns_what_masks_leave(masked_env):
    learner = masked_ppo(masked_env(8, space="discrete"), n_steps=12, batch_size=48, n_epochs=10)
    measured = partial(evaluate, episodes=200, seed=0)
    before = measured(learner.agent(), masked_env(8, space="discrete", split="test")).scalars["episode_return"]
    for _ in range(30):
        learner.update(0.0)
    after = measured(learner.agent(), masked_env(8, space="discrete", split="test")).scalars["episode_return"]
    assert after > before + 2


def test_schedule_and_first_policy_are_those_asked_for(masked_env):
    learner = masked_ppo(masked_env(space="discrete"), schedule="linear", zero_last_layer=True, activation="relu")
    policy = learner.model.policy
    masks = np.array([[False, True, True, True], [True, False, False, True]])
    probabilities = policy.get_distribution(torch.ones(2, 2), action_masks=masks).distribution.probs
    torch.testing.assert_close(probabilities, torch.tensor([[0, 1 / 3, 1 / 3, 1 / 3], [0.5, 0, 0, 0.5]]))
    assert policy.activation_fn is torch.nn.ReLU
    learner.update(0.75)
    assert policy.optimizer.param_groups[0]["lr"] == pytest.approx(0.25 * 1e-2)


class Shelf(gymnasium.Env):
    """Four items of different worth, each of which can be taken once; three may be taken."""

    observation_space = spaces.MultiBinary(4)
    action_space = spaces.Discrete(4)
    masks = 4

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.taken = np.zeros(4, np.int8)
        return self.taken.copy(), {}

    def step(self, action):
        assert not self.taken[action]
        self.taken[action] = 1
        return self.taken.copy(), float(action), self.taken.sum() == 3, False, {}

    def action_masks(self):
        return self.taken[: self.masks] == 0


def shelf(**keywords):
    gymnasium.register("ShelfOfTests-v0", partial(Shelf))
    try:
        return make_gymnasium(GymnasiumConfig(id="ShelfOfTests-v0"), num_envs=4, seed=0, **keywords)
    finally:
        del gymnasium.registry["ShelfOfTests-v0"]


def test_a_gymnasium_environment_with_masks_is_learned():
    learner = masked_ppo(shelf(), n_steps=12, batch_size=24, n_epochs=10)
    for _ in range(20):
        learner.update(0.0)
    scalars = evaluate(learner.agent(), shelf(split="test"), episodes=20, seed=0, deterministic=True).scalars
    assert scalars["episode_return"] == 6.0


def test_what_does_not_fit_is_refused(point_env, masked_env, monkeypatch):
    with pytest.raises(UserError, match=r"algo=masked_ppo needs discrete actions, and these are Box.*: choose"):
        masked_ppo(point_env())
    with pytest.raises(UserError, match="PointEnv has no action masks: choose an algorithm without masking"):
        masked_ppo(point_env(space="discrete"))
    with pytest.raises(UserError, match=r"algo.batch_size=25 does not divide the 48 transitions"):
        masked_ppo(masked_env(space="discrete"), batch_size=25)
    with pytest.raises(OptionError, match=r"hidden_sizes=\[0\]: give positive numbers of units"):
        MaskedPPOConfig(hidden_sizes=[0])
    monkeypatch.setattr(Shelf, "masks", 3)
    with pytest.raises(UserError, match=r"have the shape \(4, 3\), and \(4, 4\) is one entry per copy and choice of"):
        masked_ppo(shelf(), batch_size=32)


def test_a_pair_without_masks_is_refused_in_one_sentence(tmp_path, capsys):
    words = f"train env=kinetic algo=masked_ppo debug=fast algo.batch_size=20 results={tmp_path} display=off"
    assert main(words.split()) == 2
    captured = capsys.readouterr().err.strip()
    assert captured.splitlines()[-1].startswith("bioppo: algo=masked_ppo needs discrete actions, and these are Box(")
