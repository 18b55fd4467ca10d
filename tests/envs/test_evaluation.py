import numpy as np
import pytest

from bioppo.algorithms.baselines.random import RandomPolicy
from bioppo.envs.evaluation import ask, evaluate, play


class Towards:
    """Walk straight to the origin."""

    def act(self, observation, *, masks, generator):
        return np.clip(-observation, -1, 1)


@pytest.mark.parametrize("episodes", [1, 7, 20])
def test_exactly_the_asked_number_of_whole_episodes_is_played(point_env, episodes):
    trajectories = play(Towards(), point_env(3), episodes=episodes, seed=0, generator=None)
    assert sorted(set(trajectories.episode)) == list(range(episodes))
    for episode in range(episodes):
        steps = trajectories.step[trajectories.episode == episode]
        assert sorted(steps) == list(range(1, len(steps) + 1))
    np.testing.assert_allclose(trajectories.info["distance"], -trajectories.reward)


def test_short_episodes_are_not_over_represented(point_env):
    """Copies play equal shares, so the mean equals that of one copy after another."""
    together = play(Towards(), point_env(4), episodes=400, seed=0, generator=None)
    lengths = np.bincount(together.episode)
    alone = [
        np.bincount(play(Towards(), point_env(1), episodes=1, seed=seed, generator=None).episode)[0]
        for seed in range(400)
    ]
    assert lengths.mean() == pytest.approx(np.mean(alone), abs=0.25)


def test_returns_are_sums_of_rewards(point_env):
    trajectories = play(Towards(), point_env(3), episodes=5, seed=0, generator=None)
    evaluation = evaluate(Towards(), point_env(3), episodes=5, seed=0)
    by_hand = np.bincount(trajectories.episode, weights=trajectories.reward)
    np.testing.assert_allclose(evaluation.episodes["episode_return"], by_hand)
    assert evaluation.scalars["episode_return"] == pytest.approx(by_hand.mean())


def test_an_evaluation_is_a_function_of_its_seed(point_env):
    scores = [
        evaluate(RandomPolicy(point_env()), point_env(), episodes=10, seed=seed).scalars["episode_return"]
        for seed in (1, 1, 2)
    ]
    assert scores[0] == scores[1] != scores[2]


def test_answers_stand_for_episodes(point_env):
    class Corner:
        def answer(self, question, *, generator):
            return np.full((len(question), 2), 1.5) + generator.normal(0, 1e-9, (len(question), 2))

    environment = point_env(3)
    trajectories = ask(Corner(), environment, episodes=7, seed=0, generator=np.random.default_rng(0))
    assert trajectories.episode.tolist() == list(range(7))
    assert np.isnan(trajectories.reward).all()
    assert trajectories.info["cost"].max() < 1e-6
    assert environment.simulator_calls == 7
