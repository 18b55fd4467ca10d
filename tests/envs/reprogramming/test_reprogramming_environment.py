import json
import warnings
from dataclasses import replace

import gymnasium
import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env as check_gymnasium
from stable_baselines3.common.env_checker import check_env as check_stable_baselines

import bioppo
from bioppo import UserError
from bioppo.envs.batched import ActionError
from bioppo.envs.evaluation import evaluate, gather
from bioppo.envs.reprogramming.baselines import ShortestPathPolicy
from bioppo.envs.reprogramming.config import ReprogrammingConfig
from bioppo.envs.reprogramming.data import TRAIN, VALIDATION
from bioppo.envs.reprogramming.environment import ReprogrammingVectorEnv
from bioppo.envs.reprogramming.options import TaskOptions
from bioppo.envs.reprogramming.tables.file import save
from bioppo.envs.reprogramming.task import ReprogrammingTask
from bioppo.envs.single import SingleEnv
from bioppo.envs.stable_baselines_adapter import StableBaselinesAdapter


@pytest.fixture
def make(golden_table):
    """Return a function that makes an environment on the golden table."""

    def build(num_envs=4, seed=0, split="train", **options):
        config = ReprogrammingConfig(task=TaskOptions(**{"gamma": 0.9831} | options))
        task = ReprogrammingTask(golden_table, config)
        return ReprogrammingVectorEnv(config, num_envs=num_envs, seed=seed, split=split, task=task)

    return build


def choose(masks, generator):
    """Draw an allowed action in every row."""
    return np.argmax(masks * generator.random(masks.shape), axis=1)


def golden_episodes(folder):
    return json.loads((folder / "episodes.json").read_text())["episodes"]


@pytest.mark.parametrize("number", range(12))
def test_golden_episodes_replay(make, golden_folder, number):
    episode = golden_episodes(golden_folder)[number]
    environment = make(1, split="train" if episode["mode"] == "train" else "test", horizon=20, horizon_train=20)
    environment.reset(seed=0)
    for key in ("cell", "start"):
        environment.state[key][0] = episode["start"]
    environment.state["target"][0] = episode["target"]
    for step in episode["steps"]:
        assert environment.state["cell"][0] == step["cell"]
        expected = step["mask"] or range(20)  # where nothing is allowed, everything is shown as such
        np.testing.assert_array_equal(np.flatnonzero(environment.action_masks()[0]), expected)
        transition = environment.transition(np.array([step["action"]]))
        assert environment.state["cell"][0] == step["next"]
        assert transition.reward[0] == pytest.approx(step["reward"], abs=1e-9)
        assert transition.terminated[0] == step["terminated"] == transition.info["success"][0]
        assert transition.truncated[0] == step["truncated"]
        assert transition.info["forced_stay"][0] == (not step["mask"])


def test_golden_episodes_have_a_forced_stay(golden_folder):
    assert any(not step["mask"] for episode in golden_episodes(golden_folder) for step in episode["steps"])


@pytest.mark.parametrize("observation", ["index", "dict", "features"])
def test_gymnasium_and_stable_baselines_accept_it(make, observation):
    for noise in (0.0, 0.05):
        environment = SingleEnv(make(1, obs=observation, obs_noise=noise))
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message=".*not registered|.*get_state|.*render")
            check_gymnasium(environment, skip_render_check=True)
            check_stable_baselines(environment)


def test_observations_show_the_state(make):
    index, whole, features = (make(5, obs=kind) for kind in ("index", "dict", "features"))
    task = index.task
    seen, parts, components = (environment.reset(seed=3)[0] for environment in (index, whole, features))
    state = index.state
    np.testing.assert_array_equal(seen[:, 0], state["cell"])
    np.testing.assert_array_equal(seen[:, 1], state["target"])
    assert seen.dtype == np.int32
    assert not seen[:, 2:].any()
    np.testing.assert_array_equal(parts["current_expression"], task.expression[state["cell"]])
    np.testing.assert_array_equal(parts["target_expression"], task.goals.centroid[state["target"]].astype(np.float32))
    np.testing.assert_array_equal(parts["action_mask"], index.action_masks())
    cells, centres = task.components(30)
    np.testing.assert_array_equal(components, np.hstack([cells[state["cell"]], centres[state["target"]]]))
    after = index.step(choose(index.action_masks(), np.random.default_rng(0)))[0]
    np.testing.assert_array_equal(after[:, 2], index.state["elapsed_steps"])


def test_noise_is_in_three_of_ten_training_observations(make):
    environment = make(4000, obs="dict", obs_noise=0.05)
    seen = environment.reset(seed=0)[0]["current_expression"]
    change = seen - environment.task.expression[environment.state["cell"]]
    noisy = (change != 0).any(axis=1)
    assert noisy.mean() == pytest.approx(0.3, abs=0.03)
    inside = np.abs(seen) < environment.observer.limit
    assert change[noisy][inside[noisy]].std() == pytest.approx(0.05, rel=0.05)
    np.testing.assert_array_equal(seen, environment.observe()["current_expression"])
    held_out = make(50, split="validation", obs="dict", obs_noise=0.05)
    seen = held_out.reset(seed=0)[0]["current_expression"]
    np.testing.assert_array_equal(seen, held_out.task.expression[held_out.state["cell"]])


def test_a_copy_does_not_depend_on_how_many_there_are(make):
    one, many = make(1, obs="dict", obs_noise=0.1), make(64, obs="dict", obs_noise=0.1)
    first, second = one.reset(seed=5)[0], many.reset(seed=5)[0]
    for step in range(120):
        for key, values in first.items():
            np.testing.assert_array_equal(values[0], second[key][0])
        choices = np.argmax(many.action_masks() * np.random.default_rng(step).random((64, 20)), axis=1)
        first, reward, *_ = one.step(choices[:1])
        second, rewards, *_ = many.step(choices)
        assert reward[0] == rewards[0]
    assert one.streams.episode[0] > 4


def test_no_training_step_enters_a_held_out_cell(make):
    environment = make(500)
    environment.reset(seed=0)
    generator = np.random.default_rng(0)
    for step in range(200):
        masks = environment.action_masks()
        cell = environment.state["cell"].copy()
        actions = choose(masks, generator) if step % 2 else generator.integers(20, size=500)  # masked ones too
        info = environment.transition(actions).info
        assert (environment.task.split[environment.state["cell"]] == TRAIN).all()
        allowed = masks[np.arange(500), actions] & ~info["forced_stay"]
        np.testing.assert_array_equal(info["self_loop"], ~allowed)
        assert (environment.state["cell"] == cell)[~allowed].all()
        environment.restart(np.arange(0, 500, 7))


def test_evaluations_may_enter_held_out_cells_and_count_them_out(make):
    environment = make(64, split="validation")
    policy = ShortestPathPolicy(environment.task)
    trajectories = gather(policy, environment, seed=1)
    first = trajectories.step == 1
    episodes = environment.task.count_out("validation")
    assert first.sum() == 1000 == environment.suggested_episodes
    played = sorted(zip(trajectories.info["start"][first], trajectories.info["target"][first], strict=True))
    assert played == sorted(zip(episodes.cell, episodes.target, strict=True))
    assert (environment.task.split[trajectories.info["cell"]] == VALIDATION).any()


def test_shortest_paths_have_the_length_that_info_tells(make):
    environment = make(64, split="test", horizon=36)
    found = evaluate(ShortestPathPolicy(environment.task), environment, seed=0, episodes=640)
    solvable = environment.task.count_out("test")
    distance = environment.task.distance[solvable.cell, solvable.target][:640]
    assert found.scalars["success"] == pytest.approx((distance > 0).mean())
    assert found.scalars["length_ratio"] == 1.0


def test_info_tells_of_the_step_just_taken(make):
    environment = make(200, split="test")
    environment.reset(seed=0)
    start, target = environment.state["cell"].copy(), environment.state["target"].copy()
    actions = choose(environment.action_masks(), np.random.default_rng(0))
    *_, info = environment.step(actions)
    task = environment.task
    np.testing.assert_array_equal(info["cell"], task.table.next[start, actions])
    np.testing.assert_array_equal(info["distance"], task.distance[info["cell"], target])
    np.testing.assert_array_equal(info["optimal_length"], task.distance[start, target])
    np.testing.assert_array_equal(info["success"], task.goals.is_goal[info["cell"], target])
    np.testing.assert_array_equal(info["activation"], actions >= 10)
    np.testing.assert_array_equal(info["start"], start)
    assert 0 < info["success"].mean() < 1


def test_episodes_end_at_goals_or_at_the_horizon(make):
    environment = make(300, horizon_train=5)
    environment.reset(seed=0)
    generator = np.random.default_rng(0)
    for _ in range(12):
        elapsed = environment.state["elapsed_steps"].copy() + 1
        _, _, terminated, truncated, info = environment.step(choose(environment.action_masks(), generator))
        np.testing.assert_array_equal(terminated, info["success"])
        np.testing.assert_array_equal(truncated, (elapsed == 5) & ~info["success"])
    scalars = environment.training_scalars()
    assert 0 < scalars["success"] < 1
    assert scalars["episode_length"] <= 5


def test_given_episodes_begin(make):
    environment = make(3, split="test")
    seen = environment.begin(["xc003", 7, "9"], ["xtype1", "xtype2", 1])
    np.testing.assert_array_equal(seen[:, :2], [[3, 1], [7, 2], [9, 1]])
    np.testing.assert_array_equal(environment.reset(seed=9)[0], seen)
    for cells, targets, sentence in (
        ([3, 7], [1, 2], "2 cells and 2 targets are given to 3 copies: give as many"),
        (["xc003"] * 3, [environment.task.types[environment.task.cluster_of_cell[3]]] * 3, "of type xtype. already"),
    ):
        with pytest.raises(UserError, match=sentence):
            environment.begin(cells, targets)
    with pytest.raises(UserError, match=r"^split=train: episodes of a training are drawn"):
        make(1).begin([3], [1])


def test_a_continued_training_goes_on_exactly(make):
    environment, other = make(16), make(16, seed=3)
    environment.reset(seed=1)
    for step in range(40):
        if step == 20:
            other.set_state(environment.get_state())
        actions = choose(environment.action_masks(), np.random.default_rng(step))
        seen, reward, *_ = environment.step(actions)
        if step >= 20:
            again, same, *_ = other.step(actions)
            np.testing.assert_array_equal(seen, again)
            np.testing.assert_array_equal(reward, same)


def test_actions_that_are_none_are_refused(make):
    environment = make(2)
    environment.reset(seed=0)
    with pytest.raises(ActionError, match=r"^An action is not among 0 to 19: give positions"):
        environment.step(np.array([0, 20]))


def test_masks_reach_stable_baselines_as_one_array(make):
    environment = make(6)
    environment.reset(seed=0)
    adapter = StableBaselinesAdapter(environment)
    assert adapter.has_attr("action_masks")
    np.testing.assert_array_equal(np.stack(adapter.env_method("action_masks")), environment.action_masks())


def test_gymnasium_makes_dict_observations_and_the_package_indices(golden_table, tmp_path):
    file = save(replace(golden_table, features=golden_table.features.astype(np.float32)), tmp_path / "table.npz")
    data = {"kind": "table", "table": str(file)}
    one = gymnasium.make("bioppo/Reprogramming-v0", data=data)
    assert set(one.reset(seed=0)[0]) == {"current_expression", "target_expression", "action_mask"}
    index = gymnasium.make("bioppo/Reprogramming-v0", data=data, obs="index")
    assert index.reset(seed=0)[0].shape == (4,)
    many = bioppo.make_env("reprogramming", num_envs=8, seed=0, data=data)
    assert many.reset()[0].shape == (8, 4)
    features = bioppo.make_env("reprogramming", num_envs=8, obs="features", data=data, task={"features": 7})
    assert features.reset()[0].shape == (8, 14)


def test_episodes_drawn_ahead_begin_as_those_drawn_one_by_one(make):
    environment = make(30)
    environment.reset(seed=0)
    pairs = environment.task.pairs(2, 28)
    for step in range(60):
        copies = np.flatnonzero(np.random.default_rng(step).random(30) < 0.5)
        environment.restart(copies)
        uniform = environment.streams.uniform(copies, 0)[:, 0]
        expected = pairs[(uniform * len(pairs)).astype(np.int64)]
        np.testing.assert_array_equal(environment.state["cell"][copies], expected // 3)
        np.testing.assert_array_equal(environment.state["target"][copies], expected % 3)
    assert environment.streams.episode.max() > 20


def test_shares_of_steps_are_logged_and_forgotten(make):
    environment = make(100)
    environment.reset(seed=0)
    seen = [environment.step(np.random.default_rng(step).integers(20, size=100))[4] for step in range(5)]
    scalars = environment.training_scalars()
    for key in ("activation", "self_loop", "forced_stay"):
        assert scalars[key] == pytest.approx(np.mean([info[key] for info in seen]))
    assert not environment.training_scalars()
