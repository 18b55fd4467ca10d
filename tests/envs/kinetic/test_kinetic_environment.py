import gymnasium
import numpy as np
import pytest

import bioppo
from bioppo import UserError
from bioppo.envs.batched import ActionError
from bioppo.envs.evaluation import Trajectories, evaluate
from bioppo.envs.kinetic.config import LN_KM_BOUNDS, KineticConfig
from bioppo.envs.kinetic.diversity import count_clusters, influential_parameters, mean_distance
from bioppo.envs.kinetic.environment import KineticVectorEnv
from bioppo.envs.kinetic.errors import KineticInputError
from bioppo.envs.kinetic.evaluation import calls_per_hit, measure, time_constants
from bioppo.envs.kinetic.figures import figures, study_figures
from bioppo.envs.kinetic.rewards import WORST_COST, asinh, asinh_cost, exp10, incidence, sigmoid
from bioppo.envs.kinetic.task import make_task

PART = -20.0


@pytest.fixture
def make(golden_network, golden_states):
    """Return a function that makes the environment on the golden steady states, the first one alone unless told."""

    def environment(num_envs=3, seed=0, split="train", training=(0,), testing=(0,), starts=None, **options):
        config = KineticConfig(**({"lambda_part": PART, "num_envs": num_envs} | options))
        states = golden_states[: max(*training, *testing) + 1]
        task = make_task(config, golden_network, states, training=training, testing=testing, starts=starts)
        return KineticVectorEnv(config, num_envs=num_envs, seed=seed, split=split, task=task)

    return environment


FIRST = np.zeros(1, dtype=int)


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
    np.testing.assert_allclose(asinh(lambda_max, PART), [*-np.arcsinh([-20, 0, 20, 1e9, -1e9]), 0])
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
    extreme = environment.ln_km(np.array([[100.0] * environment.n_parameters]), FIRST)
    assert (extreme == LN_KM_BOUNDS[1]).all()


def test_p_and_ln_km_are_inverse(make):
    ln_km = np.random.default_rng(0).uniform(-12, -3, (2, 258))
    for param in ("ln_k_over_x", "ln_km"):
        environment = make(param=param, low=-25.0, high=3.0)
        both = np.zeros(2, dtype=int)
        np.testing.assert_allclose(environment.ln_km(environment.parameters_of(ln_km, both), both), ln_km)


def test_info_and_the_potential_reward_follow_from_lambda(make):
    environment = make(4, horizon=3)
    environment.reset(seed=1)
    ln_km = environment.ln_km(environment.state["parameters"], environment.state["member"])
    start = environment.task.simulators[0].max_eigenvalue(ln_km)
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


@pytest.mark.parametrize(
    ("reward", "function"),
    [("asinh", asinh), ("sigmoid", sigmoid), ("incidence", incidence), ("exp10", exp10)],
)
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
    monkeypatch.setattr(
        environment, "max_eigenvalue", lambda k, at: np.where(np.arange(len(k)) == 0, np.inf, original(k, at))
    )
    _, reward, *_, info = environment.step(actions_for(environment))
    assert reward[0] == 0
    assert info["invalid_eigen"].tolist() == [True, False]
    assert info["lambda_max"][0] == np.inf
    with pytest.warns(
        UserWarning, match="invalid_eigen: more than 5% of an update's sets have no finite eigenvalues; give"
    ):
        scalars = environment.training_scalars()
    assert scalars["invalid_eigen"] == 0.5
    assert np.isfinite(list(scalars.values())).all()


def test_few_sets_without_eigenvalues_are_no_warning(make, monkeypatch):
    environment = make(20)
    environment.reset(seed=0)
    original = environment.max_eigenvalue
    monkeypatch.setattr(
        environment, "max_eigenvalue", lambda k, at: np.where(np.arange(20) == 0, np.inf, original(k, at))
    )
    environment.step(actions_for(environment))
    assert environment.training_scalars()["invalid_eigen"] == 0.05


def test_an_episode_that_ends_tells_its_last_step_and_starts_anew(make):
    environment = make(3, horizon=2)
    environment.reset(seed=0)
    environment.step(actions_for(environment))
    before = environment.state["parameters"].copy()
    actions = actions_for(environment, 1)
    observation, _, _, truncated, info = environment.step(actions)
    assert truncated.all()
    assert info["_final_info"].all()
    for key in ("lambda_max", "lambda_best", "valid", "stable", "invalid_eigen", "first_hit_step", "calls"):
        np.testing.assert_array_equal(info["final_info"][key], info[key])
    assert (info["calls"] == 3).all()
    np.testing.assert_allclose(info["final_obs"][:, :-1], (before + actions).clip(-6, 6) / 6, rtol=1e-6)
    assert (info["final_obs"][:, -1] == 1).all()
    assert (observation[:, -1] == 0).all()
    np.testing.assert_allclose(observation[:, :-1], environment.state["parameters"] / 6, rtol=1e-6)
    assert not np.isclose(observation[:, :-1], info["final_obs"][:, :-1]).all(axis=1).any()


def test_first_hits_are_remembered_and_may_end_the_episode(make):
    def environment(**options):
        return make(2, lambda_part=-10.0, start="fixed", horizon=4, **options)

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


@pytest.mark.parametrize("start", ["normal", "uniform", "fixed"])
def test_starts(make, start):
    environment = make(40, start=start, reward="sigmoid")
    environment.reset(seed=0)
    drawn = environment.state["parameters"]
    expected = {"normal": 0.5, "uniform": 12 / np.sqrt(12), "fixed": 0.0}[start]
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
    lambda_max = np.array([-30.0, -10.0, 5.0, -25.0, np.inf, -40.0])
    ln_km = np.zeros((6, 4))
    ln_km[[3, 5], 1:3] = [[0.0, 0.0], [3.0, 4.0]]  # the valid single-shot sets; only columns 1 and 2 are compared
    ln_km[5, 0] = 100.0
    trajectories = Trajectories(
        episode=np.array([0, 0, 1, 1, 2, 2]),
        step=np.array([1, 2, 1, 2, 1, 2]),
        reward=np.zeros(6),
        info={
            "lambda_max": lambda_max,
            "valid": lambda_max <= PART,
            "stable": lambda_max < 0,
            "invalid_eigen": ~np.isfinite(lambda_max),
            "member": np.zeros(6, dtype=int),
            "ln_km": ln_km,
        },
    )
    scalars = measure(trajectories, compared=np.array([1, 2])).scalars
    assert scalars == {
        "incidence": pytest.approx(2 / 3),  # of the last sets -10, -25, -40
        "first_hit": 1.0,
        "stable": 1.0,
        "lambda_max": -25.0,
        "lambda_best": -30.0,  # median of -30, -25, -40
        "time_constant": pytest.approx(60 / 25),
        "diversity": pytest.approx(5 / np.sqrt(2)),
        "clusters": 2.0,
        "calls_to_first_valid": pytest.approx((1 + 2 + 2) / 3),
        "invalid_eigen": pytest.approx(1 / 6),
    }


def test_time_constants_of_sets_that_never_return():
    np.testing.assert_allclose(time_constants(np.array([-60.0, -0.001, 0.0, 3.0, np.inf])), [1, 1440, 1440, 1440, 1440])


def test_missed_episodes_cost_all_their_calls():
    assert calls_per_hit(np.array([5, 5, 5]), np.array([2, 0, 0])) == 12
    assert calls_per_hit(np.array([5, 5]), np.array([0, 0])) == 10


def test_the_record_of_training_keeps_ten_episodes_and_the_first_valid_set(make, bitwise_same):
    environment = make(1, horizon=2, reward="sigmoid", lambda_part=-5.0)
    environment.reset(seed=0)
    seen = []
    for step in range(24):
        _, reward, *_, info = environment.step(actions_for(environment, step))
        seen.append((info["lambda_max"][0], reward[0]))
    episodes = np.array(seen).reshape(12, 2, 2)[2:]
    lambda_max, reward = episodes[..., 0], episodes[..., 1]
    scalars = environment.run_scalars()
    assert scalars.keys() == {metric.name for metric in environment.run_metrics}
    expected = {
        "training_lambda_mean": lambda_max.mean(),
        "training_lambda_last": lambda_max[:, -1].mean(),
        "training_lambda_best": lambda_max.min(axis=1).mean(),
        "training_lambda_median": np.median(lambda_max, axis=1).mean(),
        "training_reward_mean": reward.mean(),
        "training_reward_max": reward.max(axis=1).mean(),
    }
    for name, value in expected.items():
        assert scalars[name] == pytest.approx(value)
    valid = [value <= -5.0 for value, _ in seen]
    assert scalars["training_first_valid"] == (valid.index(True) + 1 if any(valid) else None)
    other = make(1, horizon=2, reward="sigmoid", lambda_part=-5.0)
    other.set_state(environment.get_state())
    assert other.run_scalars() == scalars
    assert bitwise_same(other.get_state(), environment.get_state())


def test_distances_are_taken_within_one_steady_state():
    sets = np.array([[0.0], [2.0], [100.0], [101.0]])
    group = np.array([0, 0, 1, 1])
    assert mean_distance(sets, group) == pytest.approx(1.5)
    assert count_clusters(sets, group) == 3  # 100 and 101 are a factor of e apart: one cluster
    assert mean_distance(sets[:1], group[:1]) == 0.0
    assert count_clusters(sets[:0], group[:0]) == 0


def test_constants_matter_where_they_can_change_the_jacobian(zoo_network, zoo_simulator):
    influential = influential_parameters(zoo_network)
    assert 0 < influential.sum() < len(influential)
    base = np.random.default_rng(0).uniform(-12, -3, (1, len(influential)))
    jacobian = zoo_simulator.jacobian(base)
    for index, matters in enumerate(influential):
        moved = base.copy()
        moved[0, index] += 1.0
        assert np.array_equal(zoo_simulator.jacobian(moved), jacobian) != matters, zoo_network.parameter_names[index]


def test_each_copy_is_judged_at_its_own_steady_state(make, golden_simulators):
    environment = make(16, training=(0, 1), lambda_part_scope="member", lambda_part=-20.0)
    environment.reset(seed=0)
    member = environment.state["member"]
    assert set(member.tolist()) == {0, 1}
    *_, info = environment.step(actions_for(environment))
    np.testing.assert_array_equal(info["member"], member)
    for index in (0, 1):
        rows = member == index
        expected = golden_simulators[index].max_eigenvalue(info["ln_km"][rows])
        np.testing.assert_array_equal(info["lambda_max"][rows], expected)
        log_ratio = environment.state["parameters"][rows] + golden_simulators[index].ln_concentration
        np.testing.assert_array_equal(info["ln_km"][rows], log_ratio)
    graded = environment.grade(environment.state["parameters"])
    np.testing.assert_array_equal(graded["lambda_max"], info["lambda_max"])


def test_held_out_states_are_met_in_the_test_split_only(make):
    environment = make(8, training=(0,), testing=(1,), condition=True)
    test = environment.sibling(8, 0, "test")
    validation = environment.sibling(8, 0, "validation")
    for each, member in ((environment, 0), (validation, 0), (test, 1)):
        each.reset(seed=0)
        assert (each.state["member"] == member).all()
    assert environment.lambda_part == PART


def test_what_is_seen_of_a_state_is_standardised_over_training(make, golden_states):
    environment = make(4, training=(0, 1), condition=True)
    features = environment.task.features
    n_species, n_reactions = len(golden_states[0].concentration), len(golden_states[0].flux)
    assert features.shape[1] == n_species + 2 * n_reactions + 71
    np.testing.assert_allclose(features[0], -features[1])  # two states: one deviation to either side, or equal
    assert set(np.round(np.abs(features * np.sqrt(features.shape[1])).ravel(), 6)) == {0.0, 1.0}
    observation, _ = environment.reset(seed=0)
    np.testing.assert_allclose(observation[:, 259:], features[environment.state["member"]], rtol=1e-6)
    assert environment.single_observation_space.contains(observation[0])


def test_measured_constants_stay_and_known_ranges_hold(make, golden_network):
    names = golden_network.parameter_names
    environment = make(3, fixed={names[0]: 1e-4}, ranges={names[5]: [1e-3, 2e-3]}, start="uniform")
    assert environment.n_parameters == 257
    environment.reset(seed=0)
    *_, info = environment.step(np.zeros((3, 257)))
    np.testing.assert_allclose(info["ln_km"][:, 0], np.log(1e-4))
    assert ((info["ln_km"][:, 5] >= np.log(1e-3)) & (info["ln_km"][:, 5] <= np.log(2e-3))).all()
    assert names[0] not in environment.task.parameters.names


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"fixed": {"km_substrate1_PFKK": 1e-3}}, r"fixed.km_substrate1_PFKK: the model has no such constant; did you"),
        ({"ranges": {"km_substrate1_PFKK": [1e-3, 1]}}, r"ranges.km_substrate1_PFKK: the model has no such constant"),
        (
            {"fixed": {"km_substrate1_PFK": -1.0}},
            r"fixed.km_substrate1_PFK=-1.0: give a value between 1.4e-11 and 20",
        ),
        ({"fixed": {"km_substrate1_PFK": 1e3}}, r"fixed.km_substrate1_PFK=1000.0: give a value between"),
        ({"fixed": {"km_substrate1_PFK": "much"}}, r"fixed.km_substrate1_PFK=much: give a value between"),
        (
            {"ranges": {"km_substrate1_PFK": [1.0, 1e-3]}},
            r"ranges.km_substrate1_PFK=\[1.0, 0.001\]: give \[low, high\]",
        ),
        ({"ranges": {"km_substrate1_PFK": [1e-3]}}, r"ranges.km_substrate1_PFK=\[0.001\]: give \[low, high\]"),
        (
            {"fixed": {"km_substrate1_PFK": 1.0}, "ranges": {"km_substrate1_PFK": [1e-3, 2.0]}},
            "the constant is fixed too",
        ),
        ({"members": []}, r"members=\[\]: give at least one steady state"),
        ({"held_out": [-1]}, r"held_out=\[-1\]: give at least one steady state"),
        ({"lambda_part": 0}, "lambda_part=0: a valid set is stable, so give a negative number"),
        ({"lambda_part": "auto"}, "lambda_part=auto: give a negative number or auto_saturation or auto_log_uniform"),
        ({"low": 1.0, "high": 1.0}, "low=1 and high=1: give low < high"),
        ({"beta": 0.0}, "beta=0.0: give a value of greater than 0"),
        ({"horizon": 0}, "horizon=0: give a value of at least 1"),
        ({"num_envs": 0}, "num_envs=0: give a value of at least 1"),
        ({"reward": "tanh"}, "reward=tanh: choose one of asinh_potential, asinh, sigmoid, incidence, exp10"),
        ({"param": "km"}, "param=km: choose one of ln_k_over_x, ln_km"),
        ({"start": "zero"}, "start=zero: choose one of normal, uniform, fixed, file"),
    ],
)
def test_options_that_make_no_sense_are_refused(make, options, sentence):
    with pytest.raises(UserError, match=sentence):
        make(**options)


def test_a_measured_constant_without_effect_is_warned_of(make, zoo_network):
    from bioppo.envs.kinetic.parameters import parameter_space

    inert = next(name for name, acts in zip(zoo_network.parameter_names, zoo_network.acting, strict=True) if not acts)
    with pytest.warns(UserWarning, match="takes part in no rate"):
        space = parameter_space(zoo_network.parameter_names, zoo_network.acting, fixed={inert: 1e-3})
    assert inert not in space.names


def test_a_task_with_nothing_to_move_is_refused(golden_network, make):
    with pytest.raises(KineticInputError, match="fixed names every constant, so that nothing is left to move"):
        make(fixed=dict.fromkeys(golden_network.parameter_names, 1e-3))


def test_inert_constants_and_the_order_of_the_vector_can_be_chosen(zoo_network):
    from bioppo.envs.kinetic.parameters import parameter_space

    names, acting = zoo_network.parameter_names, zoo_network.acting
    space = parameter_space(names, acting, include_inert=False, order=names[::-1])
    assert space.names == tuple(name for name in names[::-1] if acting[names.index(name)])
    ln_km = space.complete(np.arange(len(space.names), dtype=float)[None] / 100)
    for position, name in enumerate(space.names):
        assert ln_km[0, names.index(name)] == position / 100


def test_an_action_with_the_wrong_shape_or_without_a_number_is_refused(make):
    environment = make(2)
    environment.reset(seed=0)
    with pytest.raises(ActionError, match=r"Actions have shape \(2, 3\): give \(2, 258\)"):
        environment.step(np.zeros((2, 3)))
    actions = np.zeros((2, 258))
    actions[1, 7] = np.nan
    with pytest.raises(ActionError, match="The action of copy 1 is not finite"):
        environment.step(actions)


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
    assert {len(score) for score in scores.values()} == {10}


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
    with pytest.raises(UserError, match=r"There is no key 'env\.horizn': did you mean horizon"):
        bioppo.make_env("kinetic", horizn=3)
    with pytest.raises(UserError, match="horizon=0"):
        bioppo.make_env("kinetic", horizon=0)


def test_figures_show_training_and_agents(tmp_path):
    from bioppo.cli.main import main

    words = "train env=kinetic algo=ppo env.num_envs=8 algo.batch_size=20 algo.hidden_sizes=[8] budget=200"
    more = f"env.lambda_part=-20 evaluation.episodes=10 display=off hydra.run.dir={tmp_path}"
    assert main([*words.split(), *more.split()]) == 0
    drawn = figures(tmp_path)
    assert drawn.keys() == {"reward", "eigenvalues", "episodes"}
    selected = [text.get_text() for text in drawn["episodes"].axes[0].get_yticklabels()]
    assert selected == ["last", "75% of training", "50% of training", "25% of training", "first"]
    assert study_figures({"a": [tmp_path], "b": [tmp_path]}).keys() == {"episodes_reward", "episodes_eigenvalues"}
    training, final = drawn["eigenvalues"].axes
    labels = {line.get_label() for line in final.lines}
    assert {"last policy", "doing nothing", "random actions", "uniform saturations", "valid below -20"} <= labels
    median = next(line for line in training.lines if line.get_label() == "median")
    assert median.get_xdata().tolist() == [56, 104, 152, 200]
    assert drawn["reward"].axes[0].get_xlabel() == "simulator calls"


@pytest.mark.slow
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_cma_es_reaches_80_percent_within_1500_calls(make, seed):
    from bioppo.algorithms.baselines.cma_es import build_cma_es
    from bioppo.algorithms.baselines.config import CMAESConfig

    environment = make(64, seed, lambda_part=-38.0)
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
