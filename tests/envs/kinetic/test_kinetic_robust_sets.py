"""Robustness as a part of the reward, and as a measure of what agents hand over."""

import json

import numpy as np
import pytest

from bioppo.cli.main import main
from bioppo.configs.option import OptionError
from bioppo.envs.evaluation import evaluate
from bioppo.envs.kinetic.baselines import Nothing
from bioppo.envs.kinetic.config import KineticConfig
from bioppo.envs.kinetic.environment import KineticVectorEnv
from bioppo.envs.kinetic.evaluation import METRICS, ROBUSTNESS
from bioppo.envs.kinetic.robust_sets import DISPLACEMENTS, MEASURED_STARTS
from bioppo.envs.kinetic.robustness import robustness
from bioppo.envs.kinetic.task import make_task

REWARDED = {"robustness_weight": 2.0, "robustness_starts": 3, "robustness_displacement": 0.9}


@pytest.fixture
def make(golden_network, golden_states):
    """Return a function that makes an environment whose starts, near x, are valid in 40 % of cases."""

    def environment(num_envs=6, split="train", members=(0,), **options):
        chosen = {"lambda_part": -20.0, "horizon": 2, "reward": "sigmoid"} | options
        config = KineticConfig(num_envs=num_envs, **chosen)
        task = make_task(config, golden_network, golden_states, training=members, testing=members)
        return KineticVectorEnv(config, num_envs=num_envs, seed=0, split=split, task=task)

    return environment


def still(environment):
    return np.zeros((environment.num_envs, environment.n_parameters))


def test_valid_sets_are_rewarded_at_the_end_for_the_starts_that_return(make, monkeypatch):
    # Nearly all starts return; a stricter rule tells them apart.
    monkeypatch.setattr("bioppo.envs.kinetic.robustness.TOLERANCE", 2e-5)
    environment = make(members=(0, 1), lambda_part=-12.0, **REWARDED)
    plain = make(members=(0, 1), lambda_part=-12.0)
    environment.reset(seed=3)
    plain.reset(seed=3)
    for key in ("parameters", "member"):
        plain.state[key] = environment.state[key].copy()
    seeds = environment.state["start_seed"].copy()
    assert len(set(seeds)) == 6
    reward, without = environment.step(still(environment))[1], plain.step(still(plain))[1]
    np.testing.assert_array_equal(reward, without)
    assert environment.simulator_calls == 6
    _, reward, *_, info = environment.step(still(environment))
    without = plain.step(still(plain))[1]
    valid = info["valid"]
    assert 0 < valid.sum() < 6
    shares = [
        robustness(
            environment.task.nonlinear[member],
            ln_km[None],
            displacement=0.9,
            starts=3,
            generator=np.random.default_rng(seed),
        ).share[0]
        for member, ln_km, seed in zip(info["member"][valid], info["ln_km"][valid], seeds[valid], strict=True)
    ]
    assert 0 < np.mean(shares) < 1
    np.testing.assert_allclose((reward - without)[valid], 2.0 * np.array(shares))
    np.testing.assert_array_equal(reward[~valid], without[~valid])
    # Every start is a simulator call, of the episode and of the training.
    np.testing.assert_array_equal(info["calls"], 2 + 3 * valid)
    assert environment.simulator_calls == 2 * 6 + 3 * valid.sum()


def test_an_episode_that_stops_at_its_first_valid_set_is_rewarded_there(make):
    options = REWARDED | {"robustness_displacement": 0.1}
    environment = make(2, start="fixed", lambda_part=-10.0, stop_when_valid=True, **options)
    environment.reset(seed=0)
    _, reward, terminated, *_ = environment.step(still(environment))
    assert terminated.all()
    np.testing.assert_array_less(2.0, reward)  # K = x returns from every start near it


def episodes(environment, steps):
    return [environment.step(still(environment))[1] for _ in range(steps)]


def test_starts_depend_on_the_copy_alone(make):
    one, many = make(1, **REWARDED), make(4, **REWARDED)
    one.reset(seed=8)
    many.reset(seed=8)
    np.testing.assert_array_equal(np.ravel(episodes(one, 6)), np.array(episodes(many, 6))[:, 0])
    assert one.state["start_seed"][0] == many.state["start_seed"][0]


def test_training_continues_exactly(make, bitwise_same):
    environment, other = make(3, **REWARDED), make(3, **REWARDED)
    environment.reset(seed=1)
    episodes(environment, 3)
    other.set_state(environment.get_state())
    assert bitwise_same(episodes(environment, 3), episodes(other, 3))
    assert bitwise_same(environment.get_state(), other.get_state())


def test_valid_sets_are_integrated_in_the_test_split_only(make):
    nothing = Nothing(258)
    environment = make(robustness_sets=2)
    assert environment.metrics == (*METRICS, ROBUSTNESS)
    assert make().metrics == METRICS
    assert not make().task.nonlinear
    validation = evaluate(nothing, environment.sibling(6, 0, "validation"), episodes=12, seed=0)
    assert "robustness" not in validation.scalars
    assert "robustness" not in validation.tables
    test = evaluate(nothing, environment.sibling(6, 0, "test"), episodes=12, seed=0)
    table = test.tables["robustness"]
    assert table["displacement"].tolist() == list(DISPLACEMENTS) * 2
    assert (table["starts"] == MEASURED_STARTS).all()
    assert (table["lambda_max"] <= -20).all()
    assert test.scalars["robustness"] == table["robustness"][table["displacement"] == 0.25].mean()
    assert test.scalars["robustness"] > 0.5


def test_each_set_is_integrated_at_its_own_state(make):
    test = make(split="test", members=(0, 1), robustness_sets=20, lambda_part=-10.0)
    table = evaluate(Nothing(258), test, episodes=12, seed=0).tables["robustness"]
    assert set(table["member"]) == {0, 1}
    assert (table["lambda_max"] <= -10).all()


def test_without_a_valid_set_robustness_is_zero(make):
    test = make(split="test", robustness_sets=2, lambda_part=-1e6)
    evaluation = evaluate(Nothing(258), test, episodes=6, seed=0)
    assert evaluation.scalars["robustness"] == 0.0
    assert evaluation.tables["robustness"].empty


def test_a_table_shows_robustness(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    words = "train env=kinetic algo=random env.lambda_part=-5 env.robustness_sets=2 env.num_envs=4 budget=20"
    more = "evaluation.episodes=4 evaluation.baselines=false display=off hydra.run.dir=runs/kinetic/seed_0"
    assert main([*words.split(), *more.split()]) == 0
    result = json.loads((tmp_path / "runs/kinetic/seed_0/result.json").read_text())
    assert 0 <= result["last/robustness"] <= 1
    capsys.readouterr()
    assert main(["table", "runs"]) == 0
    assert "robustness" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("option", "sentence"),
    [
        ({"robustness_displacement": 1.5}, "robustness_displacement=1.5: give a value of less than 1"),
        ({"robustness_displacement": 0.0}, "robustness_displacement=0.0: give a value of greater than 0"),
        ({"robustness_weight": -1.0}, "robustness_weight=-1.0: give a value of at least 0"),
        ({"robustness_starts": 0}, "robustness_starts=0: give a value of at least 1"),
        ({"robustness_sets": -1}, "robustness_sets=-1: give a value of at least 0"),
    ],
)
def test_options_that_make_no_sense_are_refused(option, sentence):
    with pytest.raises(OptionError, match=sentence):
        KineticConfig(**option)
