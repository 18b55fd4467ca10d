import copy

import numpy as np
import pytest
from gymnasium.spaces import Box

from bioppo import UserError
from bioppo.algorithms.baselines.config import NESConfig
from bioppo.algorithms.baselines.nes import (
    build_nes,
    follow_rewards,
    generate,
    initial_layers,
    latent_input,
    mean_of_the_best,
    rescale,
    share_good_enough,
)
from bioppo.configs.option import OptionError
from bioppo.envs.evaluation import Solver
from bioppo.storage.checkpoint import read_checkpoint, write_checkpoint

SMALL = {"population_size": 6, "sets_per_member": 12, "hidden_sizes": [8], "latent_size": 4}


def nes(environment, seed=2, **options):
    return build_nes(NESConfig(**(SMALL | options)), environment, seed=seed, device="cpu")


def test_the_published_defaults():
    config = NESConfig()
    assert config.reward_flag == 1
    assert (config.population_size, config.sets_per_member, config.noise) == (20, 100, 0.01)
    assert (config.learning_rate, config.decay) == (1e-3, 0.95)
    layers = initial_layers([config.latent_size + 1, *config.hidden_sizes, 258], np.random.default_rng(0))
    shapes = [(100, 256), (1, 256), (256, 512), (1, 512), (512, 1024), (1, 1024), (1024, 258), (1, 258)]
    assert [layer.shape for layer in layers] == shapes
    assert np.abs(layers[0]).max() == pytest.approx(np.sqrt(6 / 356), rel=1e-3)
    assert not layers[1].any()


def test_a_generator_by_hand():
    layers = [
        np.array([[1.0, 1.0], [0.0, -2.0]]),
        np.array([[0.0, 0.5]]),
        np.array([[1.0], [10.0]]),
        np.array([[3.0]]),
    ]
    # Hidden units 2 and 2 - 2 + 0.5; then -4 and -4 - 2 + 0.5, of which a fifth passes.
    outputs = generate(
        [layer.astype(np.float32) for layer in layers], np.array([[[2.0, 1.0], [-4.0, 1.0]]], np.float32)
    )
    np.testing.assert_allclose(outputs, [[[2 + 5 + 3], [-0.8 - 11 + 3]]], rtol=1e-6)


def test_a_population_is_generated_like_its_members():
    generator = np.random.default_rng(0)
    members = [initial_layers([5, 8, 3], generator) for _ in range(4)]
    latent = latent_input(generator, 4, 7, members[0])
    assert (latent[..., -1] == 1).all()
    assert latent[..., :-1].std() == pytest.approx(1, abs=0.2)
    together = generate([np.stack(parts) for parts in zip(*members, strict=True)], latent)
    for index, layers in enumerate(members):
        np.testing.assert_allclose(together[index], generate(layers, latent[index : index + 1])[0], rtol=1e-5)


def test_a_batch_is_stretched_to_the_ends_of_the_box():
    raw = np.array([[[0.0, 1.0], [3.0, 4.0]], [[-1.0, 0.0], [0.0, 1.0]]])
    space = Box(np.array([-6.0, 0.0]), np.array([6.0, 8.0]), dtype=np.float64)
    # Each batch by its own extremes, 0 and 4, -1 and 1: the same for all coordinates.
    expected = [[[-6.0, 2.0], [3.0, 8.0]], [[-6.0, 4.0], [0.0, 8.0]]]
    np.testing.assert_allclose(rescale(raw, space), expected)


def test_reward_flag_0_by_hand():
    excess = np.array([[-1.0, 0.0, 5.0, 9.0], [2.0, 3.0, 4.0, np.inf], [np.inf] * 4, [800.0] * 4])
    np.testing.assert_allclose(share_good_enough(excess), [0.5, 0.01 / (1 + np.exp(2)), 0, 0], atol=1e-300)


def test_reward_flag_1_by_hand():
    eleven = np.array([*range(10), 1000.0])
    excess = np.array([eleven, eleven[::-1] - 30.0, np.full(11, np.inf), np.full(11, -1e9)])
    expected = [np.exp(-0.45) / 2, np.exp(2.55) / 2, 0.0, np.exp(100) / 2]
    np.testing.assert_allclose(mean_of_the_best(excess), expected)


def test_an_update_by_hand():
    layers = [np.array([[1.0, 2.0]], np.float32), np.array([[0.5]], np.float32)]
    noise = [np.array([[[1.0, 0.0]], [[0.0, 1.0]], [[2.0, -1.0]]]), np.array([[[1.0]], [[1.0]], [[1.0]]])]
    rewards = np.array([1.0, 2.0, 6.0])
    z = (rewards - 3) / np.sqrt(14 / 3)
    moved = follow_rewards(layers, noise, rewards, 0.3)
    np.testing.assert_allclose(moved[0], [[1 + 0.1 * (z[0] + 2 * z[2]), 2 + 0.1 * (z[1] - z[2])]], rtol=1e-6)
    np.testing.assert_allclose(moved[1], [[0.5]], atol=1e-6)


def test_the_learner_steps_by_the_learning_rate_over_noise_and_decays_it(point_env, monkeypatch):
    from bioppo.algorithms.baselines import nes as module

    steps = []
    monkeypatch.setattr(module, "follow_rewards", lambda layers, noise, rewards, step: steps.append(step) or layers)
    learner = nes(point_env(), learning_rate=0.4, noise=0.1, decay=0.5)
    for _ in range(3):
        learner.update(0.0)
    assert steps == pytest.approx([4.0, 2.0, 1.0])


@pytest.mark.parametrize("flag", [0, 1])
def test_more_answers_become_good_enough(point_env, flag):
    environment = point_env()
    grade = environment.grade

    def within_two(answers):
        graded = grade(answers)
        return graded | {"excess": 10 * (graded["distance"] - 2)}

    environment.grade = within_two
    options = {"population_size": 10, "sets_per_member": 20, "noise": 0.1, "learning_rate": 0.02, "decay": 0.99}
    learner = nes(environment, reward_flag=flag, **options)
    shares = [learner.update(0.0)["search/good_enough"] for _ in range(60)]
    assert environment.simulator_calls == 60 * 10 * 20
    assert np.mean(shares[-5:]) > np.mean(shares[:5]) + 0.05


@pytest.mark.parametrize("flag", [0, 1])
def test_it_continues_exactly(point_env, bitwise_same, tmp_path, flag):
    whole = nes(point_env(), reward_flag=flag)
    for _ in range(2):
        whole.update(0.0)
    write_checkpoint(tmp_path / "c.pt", whole.get_state())
    state, kept = whole.get_state(), copy.deepcopy(whole.get_state())
    scalars = [whole.update(0.0) for _ in range(2)]
    assert bitwise_same(state, kept)
    other = nes(point_env(), seed=9, reward_flag=flag)
    other.set_state(read_checkpoint(tmp_path / "c.pt"))
    assert bitwise_same(scalars, [other.update(0.0) for _ in range(2)])
    assert bitwise_same(whole.get_state(), other.get_state())
    again = nes(point_env(), reward_flag=flag)
    assert bitwise_same(scalars, [again.update(0.0) for _ in range(4)][2:])
    assert not bitwise_same(scalars[0], nes(point_env(), seed=9, reward_flag=flag).update(0.0))


def test_the_environments_excess_comes_before_its_cost(point_env):
    environment = point_env()
    grade = environment.grade
    environment.grade = lambda answers: grade(answers) | {"excess": np.full(len(answers), -1.0)}
    learner = nes(environment, reward_flag=0)
    before = learner.get_state()["layers"]
    scalars = learner.update(0.0)
    assert scalars["search/good_enough"] == scalars["search/reward_mean"] == 1
    # All rewards are equal: nothing is learned, and the step size stays.
    assert all(np.array_equal(one, other) for one, other in zip(before, learner.layers, strict=True))
    assert learner.learning_rate == learner.config.learning_rate


def test_single_answers_are_made_in_whole_batches(point_env):
    solver = nes(point_env()).agent()
    assert isinstance(solver, Solver)

    def answer(rows):
        return solver.answer(np.zeros((rows, 2)), generator=np.random.default_rng(4))

    batch = answer(12)
    assert batch.min() == pytest.approx(-5)
    assert batch.max() == pytest.approx(5)
    np.testing.assert_array_equal(answer(1), batch[:1])
    assert answer(30).shape == (30, 2)
    assert answer(30).min() >= -5 - 1e-12
    question = {"x": np.zeros((3, 2)), "rest": np.zeros((3, 2))}
    assert solver.answer(question, generator=np.random.default_rng(4)).shape == (3, 2)


def test_what_does_not_fit_is_refused(point_env):
    environment = point_env()
    environment.answer_space = None
    with pytest.raises(UserError, match="algo=nes searches for answers, and PointEnv takes actions only: use algo=ppo"):
        nes(environment)
    with pytest.raises(OptionError, match="reward_flag=2: choose one of 0, 1"):
        NESConfig(reward_flag=2)
    with pytest.raises(OptionError, match=r"hidden_sizes=\[0\]: give at least one positive number of units"):
        NESConfig(hidden_sizes=[0])
    with pytest.raises(OptionError, match="sets_per_member=9: give a value of at least 10"):
        NESConfig(sets_per_member=9)
