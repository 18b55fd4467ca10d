from itertools import pairwise

import numpy as np
import pytest

from bioppo import UserError
from bioppo.algorithms.baselines.cma_es import build_cma_es
from bioppo.algorithms.baselines.config import CMAESConfig, NESConfig
from bioppo.algorithms.baselines.nes import build_nes, mean_of_the_best, share_good_enough
from bioppo.configs.option import OptionError
from bioppo.configs.registry import schema_of
from bioppo.envs.evaluation import Solver, evaluate
from bioppo.envs.kinetic.baselines import Nothing, sample_near_x, starts_near_x
from bioppo.envs.kinetic.config import LN_KM_BOUNDS, KineticConfig
from bioppo.envs.kinetic.environment import KineticVectorEnv
from bioppo.envs.kinetic.gradient_search import FoundSets, build_gradient_search, gradient_by_parameters, normalise
from bioppo.envs.kinetic.samplers import build_log_uniform, build_near_x, build_oracle
from bioppo.envs.kinetic.search_config import GradientConfig, LogUniformConfig, NearXConfig, OracleConfig
from bioppo.envs.kinetic.task import make_task
from bioppo.storage.checkpoint import read_checkpoint, write_checkpoint

PART = -20.0
LN_KM_BOX = {"param": "ln_km", "low": LN_KM_BOUNDS[0], "high": LN_KM_BOUNDS[1]}
SAMPLERS = {"oracle": build_oracle, "near_x": build_near_x, "log_uniform": build_log_uniform}
SMALL = {
    "gradient": (build_gradient_search, GradientConfig(starts=4, iterations=3)),
    "oracle": (build_oracle, OracleConfig(population_size=8)),
    "near_x": (build_near_x, NearXConfig(population_size=8)),
    "log_uniform": (build_log_uniform, LogUniformConfig(population_size=8)),
    "nes": (build_nes, NESConfig(population_size=3, sets_per_member=10, hidden_sizes=[8])),
    "cma_es": (build_cma_es, CMAESConfig(population_size=8)),
}


@pytest.fixture
def make(golden_network, golden_states):
    """Return a function that makes the environment on golden steady states."""

    def environment(num_envs=4, seed=0, members=1, **options):
        config = KineticConfig(**({"lambda_part": PART, "num_envs": num_envs} | options))
        positions = list(range(members))
        task = make_task(config, golden_network, golden_states[:members], training=positions, testing=positions)
        return KineticVectorEnv(config, num_envs=num_envs, seed=seed, task=task)

    return environment


def learner_of(name, environment, seed=3):
    build, config = SMALL[name]
    return build(config, environment, seed=seed, device="cpu")


def gradient_search(environment, seed=0, **options):
    return build_gradient_search(GradientConfig(**options), environment, seed=seed, device="cpu")


@pytest.mark.parametrize("name", SMALL)
def test_every_call_is_counted_and_logged_numbers_are_finite(make, name):
    environment = make()
    learner = learner_of(name, environment)
    calls = {"gradient": 4, "nes": 30}.get(name, 8)
    for update in range(1, 6):
        scalars = learner.update(0.0)
        assert environment.simulator_calls == update * calls
        assert all(np.isfinite(value) for value in scalars.values())
    assert isinstance(learner.agent(), Solver)
    answers = learner.agent().answer(np.zeros(5, dtype=int), generator=np.random.default_rng(0))
    assert answers.shape == (5, 258)
    assert environment.simulator_calls == 5 * calls


@pytest.mark.parametrize("name", SMALL)
def test_a_continued_search_equals_an_unbroken_one(make, bitwise_same, tmp_path, name):
    whole = learner_of(name, make())
    # Two updates into the second wave of the gradient search.
    for _ in range(5):
        whole.update(0.0)
    write_checkpoint(tmp_path / "c.pt", whole.get_state())
    scalars = [whole.update(0.0) for _ in range(3)]
    other = learner_of(name, make(), seed=3 if name == "cma_es" else 8)
    other.set_state(read_checkpoint(tmp_path / "c.pt"))
    assert bitwise_same(scalars, [other.update(0.0) for _ in range(3)])
    assert bitwise_same(whole.get_state(), other.get_state())
    again = learner_of(name, make())
    assert bitwise_same(scalars, [again.update(0.0) for _ in range(8)][5:])
    assert not bitwise_same(scalars[0], learner_of(name, make(), seed=8).update(0.0))


@pytest.mark.parametrize("name", [*SAMPLERS, "gradient"])
def test_an_environment_without_constants_is_refused(point_env, name):
    message = f"algo={name} looks for Michaelis constants, and PointEnv has none: use env=kinetic"
    with pytest.raises(UserError, match=message):
        learner_of(name, point_env())


@pytest.mark.parametrize(
    ("name", "kind"), [("gradient", "search"), ("nes", "search"), *((n, "rule") for n in SAMPLERS)]
)
def test_they_are_registered_under_their_names(name, kind):
    schema = schema_of("algo", name)
    assert schema().name == name
    assert schema.kind == kind
    assert schema()._target_.rpartition(".")[2] == SMALL[name][0].__name__


def test_shares_of_the_samplers_are_those_of_the_specification(make):
    """Golden member 0 at -20: 14 to 16 % with uniform saturations, 40 % near x, 0.3 % log-uniform."""
    environment = make(64)
    bands = {"oracle": (0.13, 0.18), "near_x": (0.36, 0.44), "log_uniform": (0.0, 0.01)}
    for name, build in SAMPLERS.items():
        solver = build(schema_of("algo", name)(), environment, seed=0, device="cpu").agent()
        sets = solver.answer(np.zeros(2000, dtype=int), generator=np.random.default_rng(1))
        low, high = bands[name]
        assert low <= environment.grade(sets)["valid"].mean() <= high


def test_near_x_is_normal_around_the_concentrations(golden_simulators):
    simulator = golden_simulators[0]
    ln_km = sample_near_x(simulator, 4000, np.random.default_rng(0), bounds=LN_KM_BOUNDS)
    ratio = ln_km - simulator.ln_concentration
    assert ratio.std() == pytest.approx(0.5, rel=0.01)
    assert abs(ratio.mean()) < 0.01
    clipped = sample_near_x(simulator, 100, np.random.default_rng(0), bounds=(-9.0, -8.0))
    assert (clipped.min(), clipped.max()) == (-9.0, -8.0)


@pytest.mark.parametrize("options", [{}, LN_KM_BOX])
def test_a_sampler_draws_the_same_constants_whatever_the_agent_moves(make, options):
    environment = make(**options)
    sets = learner_of("oracle", environment).agent().answer(np.zeros(6, dtype=int), generator=np.random.default_rng(2))
    reference = learner_of("oracle", make()).agent().answer(np.zeros(6, dtype=int), generator=np.random.default_rng(2))
    expected = make().grade(reference)["lambda_max"]
    np.testing.assert_allclose(environment.grade(sets)["lambda_max"], expected, rtol=1e-9)


def test_a_sampler_draws_around_the_concentrations_of_each_state(make):
    environment = make(members=2, **LN_KM_BOX)
    states = np.repeat([0, 1], 400)
    sets = learner_of("near_x", environment).agent().answer(states, generator=np.random.default_rng(2))
    for state in (0, 1):
        ratio = sets[states == state] - environment.task.ln_concentration(np.array([state]))
        assert abs(ratio.mean()) < 0.01
        assert ratio.std() == pytest.approx(0.5, rel=0.02)


def test_near_x_is_a_baseline_where_doing_nothing_is_something_else(make):
    assert starts_near_x(KineticConfig())
    assert not starts_near_x(KineticConfig(start="uniform"))
    assert not starts_near_x(KineticConfig(start_scale=0.6))
    assert not starts_near_x(KineticConfig(**LN_KM_BOX))
    without = make().baselines()
    environment = make(fixed={"km_substrate1_PGI": 1e-3}, start="uniform")
    whole = environment.baselines()
    assert set(without) == {"nothing", "log_uniform", "oracle"}
    assert set(whole) == {*without, "near_x"}
    assert isinstance(whole["nothing"], Nothing)
    assert whole["nothing"].act(np.zeros((3, 8)), masks=None, generator=None).shape == (3, 257)
    assert whole["near_x"].answer(np.zeros(3, dtype=int), generator=np.random.default_rng(0)).shape == (3, 257)


@pytest.mark.parametrize("options", [{}, LN_KM_BOX, {"fixed": {"km_substrate1_PGI": 1e-3}, "include_inert": False}])
def test_the_gradient_by_parameters_is_that_of_central_differences(make, options):
    environment = make(members=2, **options)
    member = np.array([0, 1, 0])
    generator = np.random.default_rng(3)
    sets = environment.parameters_of(environment.task.simulators[0].ln_concentration + np.zeros((3, 1)), member)
    sets = sets + generator.normal(0, 1, sets.shape)
    direction = generator.normal(size=sets.shape)
    lambda_max, gradient = gradient_by_parameters(environment, sets, member)
    assert environment.simulator_calls == 3
    assert gradient.shape == (3, environment.n_parameters)

    def along(step):
        return environment.max_eigenvalue(environment.ln_km(sets + step * direction, member), member)

    np.testing.assert_allclose(lambda_max, along(0.0))
    difference = (along(1e-5) - along(-1e-5)) / 2e-5
    np.testing.assert_allclose((gradient * direction).sum(axis=1), difference, rtol=1e-3)


def test_constants_at_their_bounds_have_no_gradient(make):
    environment = make()
    sets = np.full((1, 258), 60.0)
    _, gradient = gradient_by_parameters(environment, sets, np.zeros(1, dtype=int))
    np.testing.assert_array_equal(gradient, 0.0)
    np.testing.assert_array_equal(normalise(gradient), 0.0)
    np.testing.assert_allclose(normalise(np.array([[3.0, 4.0], [0.0, 0.0]])), [[0.6, 0.8], [0.0, 0.0]])


def test_the_first_steps_by_hand(make, monkeypatch):
    from bioppo.envs.kinetic import gradient_search as module

    gradients = iter([np.array([[3.0, 4.0]]), np.array([[0.0, -2.0]])])
    monkeypatch.setattr(
        module,
        "gradient_by_parameters",
        lambda environment, sets, member: (np.zeros(1), np.pad(next(gradients), ((0, 0), (0, 256)))),
    )
    search = gradient_search(make(), starts=1, iterations=5, learning_rate=0.5)
    search.wave["parameters"][:] = 5.8
    search.update(0.0)
    # Bias-corrected means of the first step are the unit gradient and its square.
    first = 5.8 - 0.5 * np.array([0.6 / 0.601, 0.8 / 0.801])
    np.testing.assert_allclose(search.wave["parameters"][0, :2], first)
    search.update(0.0)
    mean = (0.7 * 0.3 * np.array([0.6, 0.8]) + 0.3 * np.array([0.0, -1.0])) / (1 - 0.49)
    square = (0.9 * 0.1 * np.array([0.36, 0.64]) + 0.1 * np.array([0.0, 1.0])) / (1 - 0.81)
    np.testing.assert_allclose(search.wave["parameters"][0, :2], first - 0.5 * mean / (np.sqrt(square) + 1e-3))
    np.testing.assert_array_equal(search.wave["parameters"][0, 2:], 5.8)


def test_the_gradient_search_finds_valid_sets(make):
    """From uniform ln K, as measured for the specification: 84 % valid after 1,280 calls."""
    environment = make(64, **LN_KM_BOX)
    search = gradient_search(environment)
    scalars = [search.update(0.0) for _ in range(40)]
    assert environment.simulator_calls == 1280
    medians = [values["search/lambda_median"] for values in scalars]
    assert all(later <= earlier for earlier, later in pairwise(medians))
    assert medians[0] > -5
    assert medians[-1] < PART
    found = search.agent()
    assert len(found.sets) == 32
    incidence = evaluate(found, environment.sibling(64, 0, "test"), episodes=64, seed=0).scalars["incidence"]
    assert 0.68 <= incidence <= 0.95
    np.testing.assert_allclose(environment.grade(found.sets)["lambda_max"], search.wave["best_eigenvalue"], rtol=1e-6)
    assert np.abs(found.sets).max() <= 25
    assert environment.run_scalars()["training_first_valid"] <= 1280


def test_waves_follow_each_other(make):
    search = gradient_search(make(), starts=4, iterations=3)
    first = search.wave["best"].copy()
    np.testing.assert_array_equal(search.agent().sets, first)  # nothing is evaluated yet: the starts themselves
    kept = []
    for update in range(1, 10):
        search.update(0.0)
        kept.append(len(search.agent().sets))
        assert search.iteration == (update - 1) % 3 + 1
    assert kept == [4, 4, 4, 4, 4, 8, 8, 8, 12]
    assert len(np.unique(search.agent().sets, axis=0)) == 12


def test_found_sets_are_used_up_before_any_is_given_twice():
    solver = FoundSets(np.arange(6.0)[:, None])
    drawn = solver.answer(np.zeros((6, 9)), generator=np.random.default_rng(0))[:, 0]
    assert sorted(drawn) == list(range(6))
    assert drawn.tolist() != sorted(drawn)
    counts = np.bincount(solver.answer(np.zeros((15, 9)), generator=np.random.default_rng(0))[:, 0].astype(int))
    assert sorted(counts) == [2, 2, 2, 3, 3, 3]
    assert solver.answer(np.zeros((2, 9)), generator=np.random.default_rng(0)).shape == (2, 1)


def test_several_steady_states_share_the_starts(make):
    search = gradient_search(make(members=2), starts=5, iterations=2)
    assert search.member.tolist() == [0, 1, 0, 1, 0]
    search.update(0.0)
    assert np.isfinite(search.wave["best_eigenvalue"]).all()


def test_nes_rewards_are_the_published_ones_on_this_task(make):
    """The excess over the threshold changes reward flag 1 by a factor only, which standardising takes away."""
    lambda_max = np.random.default_rng(0).normal(-10, 20, (20, 100))
    published = np.exp(-0.1 * np.sort(lambda_max, axis=1)[:, :10].mean(axis=1)) / 2
    ours = mean_of_the_best(lambda_max - PART)
    np.testing.assert_allclose(ours / ours.std(), published / published.std())
    np.testing.assert_allclose(share_good_enough(lambda_max - PART), (lambda_max <= PART).mean(axis=1))


def test_nes_learns_on_this_task(make):
    environment = make()
    config = NESConfig(sets_per_member=20, hidden_sizes=[64, 128])
    learner = build_nes(config, environment, seed=0, device="cpu")
    shares = [learner.update(0.0)["search/good_enough"] for _ in range(8)]
    assert environment.simulator_calls == 3200
    assert np.mean(shares[-3:]) > np.mean(shares[:3]) + 0.1


@pytest.mark.parametrize(
    ("options", "sigma", "start", "expected"),
    [({}, None, 0.0, 2.0), (LN_KM_BOX, 6.0, -11.0, 6.0), (LN_KM_BOX, None, -11.0, 28 / 6)],
)
def test_cma_es_starts_as_the_specification_says(make, options, sigma, start, expected):
    learner = build_cma_es(CMAESConfig(initial_sigma=sigma), make(**options), seed=0, device="cpu")
    assert learner.strategy.sigma == pytest.approx(expected)
    np.testing.assert_allclose(learner.strategy.gp.pheno(learner.strategy.mean), start, atol=1e-9)


def test_options_out_of_range_are_refused():
    with pytest.raises(OptionError, match="starts=0: give a value of at least 1"):
        GradientConfig(starts=0)
    with pytest.raises(OptionError, match="momentum=1: give a value of less than 1"):
        GradientConfig(momentum=1)
    with pytest.raises(OptionError, match="population_size=0: give a value of at least 1"):
        OracleConfig(population_size=0)
