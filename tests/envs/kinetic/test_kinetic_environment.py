import gymnasium
import numpy as np
import pytest

import bioppo
from bioppo import UserError
from bioppo.envs.evaluation import Trajectories, evaluate
from bioppo.envs.kinetic.config import LN_KM_BOUNDS, KineticConfig
from bioppo.envs.kinetic.environment import KineticTask, KineticVectorEnv
from bioppo.envs.kinetic.evaluation import measure
from bioppo.envs.kinetic.figures import figures
from bioppo.envs.kinetic.rewards import WORST_COST, asinh_cost, exp10, incidence, sigmoid

PART = -20.0


@pytest.fixture
def golden_simulator(golden_simulators):
    return golden_simulators[0]


@pytest.fixture
def make(golden_simulator):
    """Return a function that makes the environment on the golden steady state."""

    def environment(num_envs=3, seed=0, split="train", **options):
        config = KineticConfig(**({"lambda_part": PART, "num_envs": num_envs} | options))
        return KineticVectorEnv(
            config, num_envs=num_envs, seed=seed, split=split, task=KineticTask(golden_simulator, PART)
        )

    return environment


def actions_for(environment, seed=0):
    return np.random.default_rng(seed).uniform(-1, 1, (99, environment.n_parameters))[: environment.num_envs]


def rollout(environment, steps=7):
    seen = [environment.reset(seed=4)[0]]
    for step in range(steps):
        observation, reward, *_, info = environment.step(actions_for(environment, step))
        seen += [observation, reward, info["lambda_max"]]
    return seen


def test_rewards_by_hand():
    lambda_max = PART + np.array([-20.0, 0.0, 20.0, 1e9, -1e9, np.inf])
    np.testing.assert_allclose(
        sigmoid(lambda_max, PART),
        [1 / (1 + np.exp(-20)), 0.5, 1 / (1 + np.exp(20)), 1 / (1 + np.exp(20)), 1, 0],
        rtol=1e-8,
    )
    np.testing.assert_array_equal(incidence(lambda_max, PART), [1, 1, 0, 0, 1, 0])
    np.testing.assert_allclose(exp10(lambda_max, PART), [np.exp(4) / 2, np.exp(2) / 2, 0.5, 0, 1000, 0], atol=1e-12)
    np.testing.assert_allclose(asinh_cost(lambda_max, PART), [*np.arcsinh([-20, 0, 20, 1e9, -1e9]), WORST_COST])


def test_the_trap_of_the_sigmoid_reward():
    """Saturations driven to 0 or 1 give lambda near 0, which earns 0.076 at the published threshold."""
    assert sigmoid(np.array([0.0]), -2.5)[0] == pytest.approx(0.0759, abs=1e-4)


def test_equal_seeds_give_equal_episodes_whatever_the_number_of_copies(make):
    alone, many, again = rollout(make(1)), rollout(make(5)), rollout(make(5))
    for one, row, same in zip(alone, many, again, strict=True):
        np.testing.assert_array_equal(one[0], row[0])
        np.testing.assert_array_equal(row, same)


def test_a_step_moves_p_by_beta_times_the_clipped_action(make):
    environment = make(1, beta=0.5, action_limit=2.0)
    environment.reset(seed=0)
    before = environment.state["parameters"].copy()
    action = np.full((1, environment.n_parameters), 0.3)
    action[0, :2] = [100.0, -100.0]
    environment.step(action)
    moved = environment.state["parameters"] - before
    np.testing.assert_allclose(moved[0, :3], [1.0, -1.0, 0.15])


def test_p_stays_between_low_and_high_and_k_between_its_bounds(make):
    environment = make(1, horizon=50)
    environment.reset(seed=0)
    up = np.ones((1, environment.n_parameters)) * 3
    for _ in range(5):
        observation, *_ = environment.step(up)
    assert (environment.state["parameters"] == 6.0).all()
    np.testing.assert_array_equal(observation[0, :-1], 1.0)
    assert observation[0, -1] == pytest.approx(5 / 50)
    assert environment.observation_space.contains(observation)
    extreme = environment.ln_km(np.array([[100.0] * environment.n_parameters]))
    assert (extreme == LN_KM_BOUNDS[1]).all()


def test_p_and_ln_km_are_inverse(make):
    ln_km = np.random.default_rng(0).uniform(-12, -3, (2, 258))
    for param in ("ln_k_over_x", "ln_km"):
        environment = make(param=param, low=-25.0, high=3.0)
        np.testing.assert_allclose(environment.ln_km(environment.parameters_of(ln_km)), ln_km)


def test_info_and_the_potential_reward_follow_from_lambda(make):
    environment = make(4, horizon=3)
    environment.reset(seed=1)
    start = environment.task.simulator.max_eigenvalue(environment.ln_km(environment.state["parameters"]))
    calls = environment.simulator_calls
    assert calls == 4
    previous, best = asinh_cost(start, PART), np.full(4, np.inf)
    for step in range(1, 4):
        _, reward, terminated, truncated, info = environment.step(actions_for(environment, step))
        lambda_max, best = info["lambda_max"], np.minimum(best, info["lambda_max"])
        np.testing.assert_allclose(reward, previous - asinh_cost(lambda_max, PART))
        np.testing.assert_array_equal(info["lambda_best"], best)
        np.testing.assert_array_equal(info["valid"], lambda_max <= PART)
        np.testing.assert_array_equal(info["stable"], lambda_max < 0)
        assert (info["calls"] == step + 1).all()  # one for the start
        previous = asinh_cost(lambda_max, PART)
    assert truncated.all()
    assert not terminated.any()
    assert environment.simulator_calls == calls + 3 * 4 + 4  # the restart computes its potential


@pytest.mark.parametrize(("reward", "function"), [("sigmoid", sigmoid), ("incidence", incidence), ("exp10", exp10)])
def test_direct_rewards_need_no_call_at_the_start(make, reward, function):
    environment = make(2, reward=reward)
    environment.reset()
    assert environment.simulator_calls == 0
    _, earned, *_, info = environment.step(actions_for(environment))
    np.testing.assert_array_equal(earned, function(info["lambda_max"], PART))
    assert environment.simulator_calls == 2


def test_a_set_without_eigenvalues_earns_nothing_and_is_counted(make, monkeypatch):
    environment = make(2)
    environment.reset(seed=0)
    original = environment.max_eigenvalue
    monkeypatch.setattr(environment, "max_eigenvalue", lambda p: np.where(np.arange(len(p)) == 0, np.inf, original(p)))
    _, reward, *_, info = environment.step(actions_for(environment))
    assert reward[0] == 0
    assert info["invalid_eigen"].tolist() == [True, False]
    assert info["lambda_max"][0] == np.inf
    scalars = environment.training_scalars()
    assert scalars["invalid_eigen"] == 0.5
    assert np.isfinite(list(scalars.values())).all()


def test_first_hits_are_remembered_and_may_end_the_episode(golden_simulator):
    def environment(**options):
        config = KineticConfig(lambda_part=-10.0, start="zero", horizon=4, **options)
        return KineticVectorEnv(config, num_envs=2, seed=0, task=KineticTask(golden_simulator, -10.0))

    still = np.zeros((2, 258))
    running = environment()
    running.reset()
    *_, info = running.step(still)
    assert info["valid"].all()  # K = x: half-saturated enzymes are stable and fast on this state
    assert info["first_hit_step"].tolist() == [1, 1]
    *_, truncated, info = running.step(still)
    assert info["first_hit_step"].tolist() == [1, 1]
    stopping = environment(stop_when_valid=True)
    stopping.reset()
    _, _, terminated, truncated, info = stopping.step(still)
    assert terminated.all()
    assert not truncated.any()
    assert info["_final_obs"].all()


@pytest.mark.parametrize("start", ["normal", "uniform", "zero"])
def test_starts(make, start):
    environment = make(40, start=start, reward="sigmoid")
    environment.reset(seed=0)
    drawn = environment.state["parameters"]
    expected = {"normal": 0.5, "uniform": 12 / np.sqrt(12), "zero": 0.0}[start]
    assert drawn.std() == pytest.approx(expected, rel=0.05)
    assert np.abs(drawn).max() <= 6


def test_splits_share_the_simulator_and_not_the_noise(make):
    environment = make(2)
    sibling = environment.sibling(3, 0, "test")
    assert sibling.task is environment.task
    assert sibling.num_envs == 3
    assert not np.array_equal(environment.reset(seed=0)[0][0], sibling.reset(seed=0)[0][0])


def test_answers_are_graded_like_steps(make):
    environment = make(2)
    environment.reset(seed=0)
    *_, info = environment.step(actions_for(environment))
    graded = environment.grade(environment.state["parameters"])
    np.testing.assert_array_equal(graded["lambda_max"], info["lambda_max"])
    np.testing.assert_allclose(graded["cost"], asinh_cost(info["lambda_max"], PART))


def test_measures_by_hand():
    lambda_max = np.array([-30.0, -10.0, 5.0, -25.0, np.inf, -5.0])
    trajectories = Trajectories(
        episode=np.array([0, 0, 1, 1, 2, 2]),
        step=np.array([1, 2, 1, 2, 1, 2]),
        reward=np.zeros(6),
        info={
            "lambda_max": lambda_max,
            "valid": lambda_max <= PART,
            "stable": lambda_max < 0,
            "invalid_eigen": ~np.isfinite(lambda_max),
        },
    )
    scalars = measure(trajectories).scalars
    assert scalars == {
        "incidence": pytest.approx(1 / 3),  # of the last sets -10, -25, -5
        "first_hit": pytest.approx(2 / 3),
        "stable": 1.0,
        "lambda_max": -10.0,
        "lambda_best": -25.0,  # median of -30, -25, -5
        "invalid_eigen": pytest.approx(1 / 6),
    }


def test_baselines_are_those_of_the_specification(make):
    """At -20 the golden state gives uniform saturations an incidence of 0.14 to 0.16, log-uniform sets 0.003."""
    environment = make(64, split="test")
    scores = {
        name: evaluate(agent, environment, episodes=640, seed=0).scalars
        for name, agent in environment.baselines().items()
    }
    assert 0.11 < scores["oracle"]["incidence"] < 0.20
    assert scores["log_uniform"]["incidence"] < 0.02
    assert 0.45 < scores["log_uniform"]["stable"] < 0.61
    assert 0.3 < scores["nothing"]["incidence"] < 0.5  # K = x exp(N(0, 0.5)): 40 %
    assert {len(score) for score in scores.values()} == {6}


# Actions are changes of ln K, in its own units, as the published settings are.
@pytest.mark.filterwarnings("ignore:.*symmetric and normalized.*:UserWarning")
def test_gymnasium_and_stable_baselines_accept_it():
    from gymnasium.utils.env_checker import check_env
    from stable_baselines3.common.env_checker import check_env as stable_baselines_check

    environment = gymnasium.make("bioppo/Kinetic-v0", lambda_part=PART)
    check_env(environment.unwrapped)
    stable_baselines_check(environment.unwrapped)
    batch = gymnasium.make_vec("bioppo/Kinetic-v0", num_envs=2, lambda_part=PART)
    assert batch.num_envs == 2
    observation, _ = batch.reset(seed=0)
    single, _ = environment.reset(seed=0)
    np.testing.assert_array_equal(observation[0], single)


def test_notebooks_make_it_by_name():
    environment = bioppo.make_env("kinetic", num_envs=2, seed=3, lambda_part=-15, horizon=2)
    assert environment.reset()[0].shape == (2, 259)
    assert environment.lambda_part == -15
    with pytest.raises(UserError, match="There is no environment 'kinetics': did you mean kinetic"):
        bioppo.make_env("kinetics")
    with pytest.raises(UserError, match="has no option 'horizn': did you mean horizon"):
        bioppo.make_env("kinetic", horizn=3)
    with pytest.raises(UserError, match="horizon=0"):
        bioppo.make_env("kinetic", horizon=0)


def test_figures_show_training_and_agents(tmp_path):
    from bioppo.cli.main import main

    words = "train env=kinetic algo=ppo env.num_envs=8 algo.batch_size=20 algo.hidden_sizes=[8] budget=200"
    more = f"env.lambda_part=-20 evaluation.episodes=10 display=off hydra.run.dir={tmp_path}"
    assert main([*words.split(), *more.split()]) == 0
    drawn = figures(tmp_path)
    assert drawn.keys() == {"reward", "eigenvalues"}
    training, final = drawn["eigenvalues"].axes
    labels = {line.get_label() for line in final.lines}
    assert {"last policy", "doing nothing", "random actions", "uniform saturations", "valid below -20"} <= labels
    median = next(line for line in training.lines if line.get_label() == "median")
    assert median.get_xdata().tolist() == [56, 104, 152, 200]
    assert drawn["reward"].axes[0].get_xlabel() == "simulator calls"


@pytest.mark.slow
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_cma_es_reaches_80_percent_within_1500_calls(golden_simulator, seed):
    from bioppo.algorithms.baselines.cma_es import build_cma_es
    from bioppo.algorithms.baselines.config import CMAESConfig

    task = KineticTask(golden_simulator, -38.0)
    environment = KineticVectorEnv(KineticConfig(lambda_part=-38.0), num_envs=64, seed=seed, task=task)
    learner = build_cma_es(CMAESConfig(), environment, seed=seed, device="cpu")
    while environment.simulator_calls < 1500:
        learner.update(0.0)
    score = evaluate(learner.agent(), environment.sibling(64, 0, "test"), episodes=200, seed=0).scalars
    assert score["incidence"] >= 0.8


@pytest.mark.slow
def test_ppo_reaches_70_percent_within_40000_calls(tmp_path):
    from bioppo.cli.main import main

    words = f"train env=kinetic algo=ppo env.lambda_part=-38 hydra.run.dir={tmp_path} display=off"
    assert main(words.split()) == 0
    import json

    result = json.loads((tmp_path / "result.json").read_text())
    assert result["last/incidence"] >= 0.7
    assert result["last/incidence"] > 10 * result["oracle/incidence"]
