import gymnasium
import numpy as np
import pytest
from gymnasium.vector import AutoresetMode, SyncVectorEnv

from bioppo import UserError
from bioppo.envs.batched import ActionError, NonFiniteError
from bioppo.envs.single import SingleEnv
from bioppo.envs.stable_baselines_adapter import StableBaselinesAdapter


def rollout(environment, steps=20, seed=5):
    """Return the observations and rewards of fixed actions."""
    generator = np.random.default_rng(1)
    seen = [environment.reset(seed=seed)[0]]
    for _ in range(steps):
        actions = generator.uniform(-1, 1, (20, 2))[: environment.num_envs].astype(np.float32)
        observation, reward, *_ = environment.step(actions)
        seen += [observation, reward]
    return seen


def test_equal_seeds_give_equal_episodes(point_env):
    for one, other in zip(rollout(point_env()), rollout(point_env()), strict=True):
        np.testing.assert_array_equal(one, other)


def test_a_copy_does_not_depend_on_how_many_there_are(point_env):
    for one, many in zip(rollout(point_env(1)), rollout(point_env(7)), strict=True):
        np.testing.assert_array_equal(one[0], many[0])


def test_copies_seeds_and_splits_differ(point_env):
    starts = {
        tuple(row)
        for split in ("train", "validation", "test")
        for seed in (0, 1)
        for row in point_env(3, seed, split).reset()[0]
    }
    assert len(starts) == 18


def test_a_list_of_seeds_seeds_every_copy_by_itself(point_env):
    observation, _ = point_env(3).reset(seed=[4, 5, 4])
    np.testing.assert_array_equal(observation[0], observation[2])
    assert not np.array_equal(observation[0], observation[1])


def test_ended_copies_restart_in_the_same_step(point_env):
    environment = point_env(4, horizon=3)
    environment.reset(seed=0)
    assert environment.metadata["autoreset_mode"] == AutoresetMode.SAME_STEP
    still = np.zeros((4, 2), np.float32)
    for _ in range(2):
        *_, info = environment.step(still)
        assert "final_obs" not in info or not info["_final_obs"].all()
    before = environment.state["x"].copy()
    observation, reward, _, truncated, info = environment.step(still)
    ended = truncated
    assert ended.any()
    wind = environment.state["wind"]  # already that of the new episode
    assert wind.shape == (4, 3, 2)
    np.testing.assert_allclose(np.linalg.norm(info["final_obs"][ended], axis=1), -reward[ended], rtol=1e-6)
    assert not np.allclose(info["final_obs"][ended], observation[ended])
    assert (environment.state["elapsed_steps"][ended] == 0).all()
    np.testing.assert_array_equal(info["distance"][ended], -reward[ended])
    assert np.linalg.norm(info["final_obs"] - before, axis=1)[ended].max() < 1


def test_only_the_masked_copies_restart(point_env):
    environment = point_env(3)
    environment.reset(seed=0)
    environment.step(np.zeros((3, 2), np.float32))
    before = environment.state["x"].copy()
    environment.reset(options={"reset_mask": np.array([False, True, False])})
    assert (environment.state["x"] == before).all(axis=1).tolist() == [True, False, True]
    assert environment.state["elapsed_steps"].tolist() == [1, 0, 1]


def test_observations_are_not_views_of_the_state(point_env):
    environment = point_env()
    first, _ = environment.reset(seed=0)
    kept = first.copy()
    environment.step(np.ones((3, 2), np.float32))
    np.testing.assert_array_equal(first, kept)


def test_a_saved_environment_continues_exactly(point_env):
    environment, actions = point_env(), np.full((3, 2), 0.1, np.float32)
    environment.reset(seed=3)
    environment.step(actions)
    saved = environment.get_state()
    expected = [environment.step(actions)[:2] for _ in range(15)]
    other = point_env(seed=99)
    other.reset()
    other.set_state(saved)
    for (observation, reward), (there, reward_there) in zip(
        expected, [other.step(actions)[:2] for _ in range(15)], strict=True
    ):
        np.testing.assert_array_equal(observation, there)
        np.testing.assert_array_equal(reward, reward_there)
    assert other.simulator_calls == environment.simulator_calls


@pytest.mark.parametrize("part", ["x", "wind", "elapsed_steps", "generators"])
def test_every_part_of_the_saved_state_counts(point_env, part):
    environment, actions = point_env(), np.full((3, 2), 0.1, np.float32)
    environment.reset(seed=3)
    environment.step(actions)
    saved = environment.get_state()
    expected = [environment.step(actions)[0] for _ in range(15)]
    other = point_env(seed=99)
    other.reset()
    if part == "generators":
        saved["generators"] = other.get_state()["generators"]
    else:
        saved["state"][part] = other.get_state()["state"][part]
    other.set_state(saved)
    seen = [other.step(actions)[0] for _ in range(15)]
    assert not all(np.array_equal(one, there) for one, there in zip(expected, seen, strict=True))


def test_a_saved_environment_of_another_size_is_refused(point_env):
    saved = point_env(2)
    saved.reset()
    with pytest.raises(UserError, match="2 copies and this one 3"):
        point_env(3).set_state(saved.get_state())


def test_statistics_are_those_of_the_episodes(point_env):
    environment = point_env(2, horizon=2)
    environment.reset(seed=0)
    rewards = [environment.step(np.zeros((2, 2), np.float32))[1] for _ in range(2)]
    scalars = environment.training_scalars()
    assert scalars["episode_return"] == pytest.approx(np.sum(rewards, axis=0).mean())
    assert scalars["reward_mean"] == pytest.approx(np.mean(rewards))
    assert scalars["reward_max"] == pytest.approx(np.max(rewards, axis=0).mean())
    assert scalars["episode_length"] == 2
    assert environment.training_scalars() == {}


@pytest.mark.parametrize(
    ("actions", "words"),
    [
        (np.zeros((2, 2)), "shape \\(2, 2\\): give \\(3, 2\\)"),
        (np.array([[0, 0], [0, np.nan], [0, 0]]), "action of copy 1 is not finite"),
    ],
)
def test_bad_actions_are_refused(point_env, actions, words):
    environment = point_env()
    environment.reset()
    with pytest.raises(ActionError, match=words):
        environment.step(actions)


def test_rewards_and_observations_that_are_not_finite_stop_the_run(point_env):
    environment = point_env()
    environment.reset()
    environment.state["x"][1] = np.nan
    with pytest.raises(NonFiniteError, match="reward of copy 1"):
        environment.step(np.zeros((3, 2)))
    with pytest.raises(NonFiniteError, match="observation of copy 1"):
        environment._observe()


@pytest.mark.parametrize(("keywords", "words"), [({"num_envs": 0}, "num_envs=0"), ({"split": "dev"}, "split=dev")])
def test_bad_arguments_are_refused(point_env, keywords, words):
    with pytest.raises(UserError, match=words):
        point_env(**keywords)


@pytest.mark.parametrize("space", ["box", "discrete", "dict", "multi_discrete", "multi_binary"])
def test_one_copy_passes_both_checkers(point_env, space):
    import warnings

    from gymnasium.utils.env_checker import check_env
    from stable_baselines3.common.env_checker import check_env as stable_baselines_check

    environment = SingleEnv(point_env(1, space=space))
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*not having a spec.*")  # registered ids are tested with kinetic
        check_env(environment)
    stable_baselines_check(environment)


def test_the_adapter_names_last_observations_of_ended_copies_only(point_env):
    adapter = StableBaselinesAdapter(point_env(3, horizon=2))
    adapter.reset()
    adapter.step(np.zeros((3, 2), np.float32))
    observation, reward, ended, infos = adapter.step(np.zeros((3, 2), np.float32))
    assert reward.dtype == np.float32
    for copy in range(3):
        assert bool(infos[copy]) == ended[copy]
        if ended[copy]:
            assert infos[copy]["TimeLimit.truncated"]
            assert not np.array_equal(infos[copy]["terminal_observation"], observation[copy])


def test_the_adapter_takes_gymnasiums_own_vector_environments():
    make = lambda: gymnasium.make("CartPole-v1", max_episode_steps=3)  # noqa: E731
    adapter = StableBaselinesAdapter(SyncVectorEnv([make, make], autoreset_mode=AutoresetMode.SAME_STEP))
    adapter.seed(3)
    adapter.reset()
    for _ in range(3):
        observation, _, ended, infos = adapter.step(np.array([0, 1]))
    assert ended.all()
    for copy in range(2):
        assert infos[copy]["TimeLimit.truncated"]
        assert infos[copy]["terminal_observation"].shape == (4,)
        assert not np.array_equal(infos[copy]["terminal_observation"], observation[copy])
    next_step = SyncVectorEnv([make], autoreset_mode=AutoresetMode.NEXT_STEP)
    with pytest.raises(ValueError, match="SAME_STEP"):
        StableBaselinesAdapter(next_step)
