"""The cross-entropy method: whole populations as batches, by hand, in communities, and exactly continued."""

import numpy as np
import pytest

from bioppo import UserError
from bioppo.algorithms.baselines.cem import build_cem
from bioppo.algorithms.baselines.config import CEMConfig
from bioppo.configs.option import OptionError
from bioppo.envs.evaluation import evaluate, play
from bioppo.storage.checkpoint import read_checkpoint, write_checkpoint

SMALL = {"knots": 3, "population_size": 24, "iterations": 15, "elite": 6}


def cem(environment, seed=2, **options):
    return build_cem(CEMConfig(**(SMALL | options)), environment, seed=seed, device="cpu")


@pytest.fixture
def calm_rope(rope_env):
    """Return a function that makes the rope without wind, which always begins at 1."""

    class CalmRope(rope_env):
        def restart(self, copies):
            super().restart(copies)
            self.state["x"][copies] = 1.0
            self.state["wind"][copies] = 0.0

    return CalmRope


def best_constant(calm_rope):
    returns = []
    for pull in np.linspace(-1, 1, 81):
        environment = calm_rope(1, agents=("left",))
        environment.reset()
        returns.append(sum(environment.step(np.full((1, 1), pull))[1][0] for _ in range(8)))
    return max(returns)


def test_it_finds_more_than_any_constant_action(calm_rope):
    environment = calm_rope(24, agents=("left",))
    learner = cem(environment)
    scalars = []
    while not learner.finished:
        scalars.append(learner.update(0.0))
    assert len(scalars) == 15
    assert environment.simulator_calls == 15 * 24 * 8
    assert learner.best_return > best_constant(calm_rope) + 0.5
    found = evaluate(learner.agent(), calm_rope(3, agents=("left",)), episodes=3, seed=0).scalars
    assert found["episode_return"] == pytest.approx(learner.best_return, abs=1e-4)
    assert scalars[-1]["search/std"] < 0.3 * scalars[0]["search/std"]
    mean = cem(environment, answer="mean")
    mean.set_state(learner.get_state())
    found = evaluate(mean.agent(), calm_rope(3, agents=("left",)), episodes=3, seed=0).scalars["episode_return"]
    assert learner.best_return - 0.5 < found <= learner.best_return


def test_an_iteration_by_hand(calm_rope):
    learner = cem(calm_rope(24, agents=("left",)), smoothing=0.5, min_std=0.8)
    mean, std = learner.mean.copy(), learner.std.copy()
    np.testing.assert_array_equal(mean, np.zeros((3, 1)))
    np.testing.assert_array_equal(std, np.full((3, 1), 0.5))
    seen = {}
    returns_of = learner.returns_of
    learner.returns_of = lambda population: seen.setdefault("returns", returns_of(seen.setdefault("drawn", population)))
    scalars = learner.update(0.0)
    order = np.argsort(seen["returns"])[::-1]
    elite = seen["drawn"][order[:6]]
    np.testing.assert_allclose(learner.mean, 0.5 * mean + 0.5 * elite.mean(axis=0))
    np.testing.assert_allclose(learner.std, np.maximum(0.5 * std + 0.5 * elite.std(axis=0), 1.6 * 14 / 15))
    np.testing.assert_array_equal(learner.best, seen["drawn"][order[0]])
    assert np.abs(seen["drawn"]).max() <= 1
    assert scalars["search/return_best"] == seen["returns"].max()
    assert scalars["search/return_median"] == pytest.approx(np.median(seen["returns"]))


@pytest.mark.parametrize(("copies", "rounds"), [(24, 1), (10, 3), (7, 4), (60, 1)])
def test_returns_do_not_depend_on_how_many_copies_play(calm_rope, copies, rounds):
    environment = calm_rope(copies)
    learner = cem(environment)
    population = np.random.default_rng(0).uniform(-1, 1, (24, 3, 2))
    returns = learner.returns_of(population)
    assert environment.simulator_calls == copies * rounds * 8
    alone = []
    for course in population:
        learner.best = course
        trajectories = play(learner.agent(), calm_rope(1), episodes=1, seed=0, generator=None)
        alone.append(trajectories.reward.sum())
    np.testing.assert_allclose(returns, alone, atol=1e-5)


def test_early_ends_count_until_then(point_env):
    learner = cem(point_env(24))
    returns = learner.returns_of(np.zeros((24, 3, 2)))
    trajectories = play(learner.agent(), point_env(24), episodes=24, seed=0, generator=None)
    by_hand = np.bincount(trajectories.episode, weights=trajectories.reward)
    np.testing.assert_allclose(returns, by_hand)
    assert len(set(np.bincount(trajectories.episode).tolist())) > 1


def test_more_episodes_average_chance(rope_env):
    returns = {}
    for episodes in (1, 16):
        learner = cem(rope_env(48), episodes=episodes)
        returns[episodes] = learner.returns_of(np.zeros((24, 3, 2)))
    assert returns[16].std() < 0.5 * returns[1].std()


def test_agents_follow_courses_of_their_own_or_the_same(calm_rope):
    apart = cem(calm_rope(24, agents=("left", "both")))
    assert apart.mean.shape == (3, 3)
    alike = cem(calm_rope(24), symmetric=True)
    assert alike.mean.shape == (3, 1)
    for learner in (apart, alike):
        learner.update(0.0)
    observation = calm_rope(2).reset()[0]
    actions = alike.agent().act(observation, masks=None, generator=None, steps=np.array([0, 7]))
    np.testing.assert_array_equal(actions["left"], actions["right"])
    np.testing.assert_allclose(actions["left"], alike.best[[0, 2]], rtol=1e-6)
    observation = calm_rope(2, agents=("left", "both")).reset()[0]
    actions = apart.agent().act(observation, masks=None, generator=None, steps=np.array([0, 7]))
    np.testing.assert_allclose(actions["both"], apart.best[[0, 2], 1:], rtol=1e-6)
    with pytest.raises(UserError, match="symmetric=true needs agents that act alike"):
        cem(calm_rope(agents=("left", "both")), symmetric=True)


def test_it_continues_exactly(rope_env, assert_continues_exactly):
    assert_continues_exactly(rope_env, cem)


def test_an_untouched_state_is_saved_too(rope_env, bitwise_same, tmp_path):
    learner = cem(rope_env())
    write_checkpoint(tmp_path / "c.pt", learner.get_state())
    other = cem(rope_env(), seed=9)
    other.set_state(read_checkpoint(tmp_path / "c.pt"))
    assert bitwise_same(learner.get_state(), other.get_state())


def test_the_searched_range_is_the_actions_or_narrower(rope_env):
    learner = cem(rope_env(), low=0.0)
    assert learner.low.tolist() == [0, 0]
    assert learner.high.tolist() == [1, 1]
    np.testing.assert_array_equal(learner.mean, np.full((3, 2), 0.5))
    with pytest.raises(UserError, match=r"algo.low=-2 lies outside of all actions, Box.*or null for their own limit"):
        cem(rope_env(), low=-2.0)
    with pytest.raises(UserError, match=r"algo.high=1.5 lies outside of all actions"):
        cem(rope_env(), high=1.5)
    with pytest.raises(UserError, match=r"algo.low=1.0 and algo.high=None leave no finite range"):
        cem(rope_env(), low=1.0)


def test_what_it_cannot_search_is_refused(point_env, rope_env):
    with pytest.raises(UserError, match=r"algo=cem needs continuous actions, and those of agent are Discrete"):
        cem(point_env(space="discrete"))
    environment = rope_env()
    environment.horizon = None
    with pytest.raises(UserError, match=r"algo=cem needs to know how long an episode is"):
        cem(environment)
    with pytest.raises(OptionError, match=r"elite=40: give at most population_size=24"):
        CEMConfig(**(SMALL | {"elite": 40}))
    with pytest.raises(OptionError, match=r"low=1 and high=0"):
        CEMConfig(low=1.0, high=0.0)
