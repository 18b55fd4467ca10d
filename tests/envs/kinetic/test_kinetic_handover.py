import numpy as np
import pytest

from bioppo import UserError
from bioppo.cli.main import main
from bioppo.envs.kinetic.environment import KineticVectorEnv
from bioppo.envs.kinetic.handover import last_steps
from bioppo.envs.kinetic.populations import read_population
from bioppo.envs.kinetic.simulator import KineticSimulator
from bioppo.envs.kinetic.sources.e_coli_core import load_e_coli_core
from bioppo.envs.kinetic.sources.skimpy_yaml import read_skimpy_model
from bioppo.envs.trajectories import Trajectories


@pytest.fixture(scope="module")
def run(tmp_path_factory, cache):
    """Return a short run with an easy threshold, whose starts are valid already."""
    directory = tmp_path_factory.mktemp("run")
    words = "train env=kinetic algo=ppo env.num_envs=8 algo.batch_size=20 algo.hidden_sizes=[8] budget=100 display=off"
    more = f"env.lambda_part=-5 evaluation.episodes=8 evaluation.baselines=false hydra.run.dir={directory}"
    assert main([*words.split(), *more.split()]) == 0
    return directory


def test_sets_in_every_format_are_valid_and_the_same(run, tmp_path, capsys):
    words = f"export {run} --sets csv,npz,hdf5,skimpy --episodes 6 --output {tmp_path / 'sets'}"
    assert main(words.split()) == 0
    written = capsys.readouterr().out.split()
    assert [file.rpartition("/")[2] for file in written] == [
        "sets.csv",
        "sets.npz",
        "sets.h5",
        "model.yml",
        "model_sets.hdf5",
    ]
    network, state = load_e_coli_core()
    simulator = KineticSimulator(network, state)
    found = [read_population(file) for file in written[:3]]
    for population in found:
        ln_km = population.arranged(network.parameter_names)
        assert 0 < len(ln_km) <= 6
        np.testing.assert_allclose(simulator.max_eigenvalue(ln_km), population.lambda_max, rtol=1e-9)
        assert (population.lambda_max <= -5).all()
        assert population.metadata["lambda_part"] == -5
        assert population.metadata["checkpoint"] == "last"
        np.testing.assert_allclose(ln_km, found[1].ln_km, rtol=1e-12)
    model = read_skimpy_model(written[3], concentration_unit="uM")
    position = [model.network.parameter_names.index(name) for name in network.parameter_names]
    np.testing.assert_allclose(model.require_ln_km()[position], found[1].ln_km[0], rtol=1e-12)


def test_the_same_command_gives_the_same_sets(run, tmp_path):
    for name in ("a", "b"):
        assert main(f"export {run} --sets npz --episodes 6 --output {tmp_path / name}".split()) == 0
    sets = [read_population(tmp_path / name / "sets.npz").ln_km for name in ("a", "b")]
    np.testing.assert_array_equal(*sets)


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        ("--sets pickle", "--sets pickle: choose of csv, npz, hdf5, skimpy."),
        ("--sets csv --episodes 0", "--episodes 0: give a value of at least 1."),
    ],
)
def test_mistakes_end_in_one_sentence(run, words, sentence, capsys):
    assert main(f"export {run} {words}".split()) == 2
    assert capsys.readouterr().err.strip() == f"bioppo: {sentence}"


def test_nothing_valid_is_said(golden_network, golden_states, tmp_path):
    from bioppo.envs.evaluation import gather
    from bioppo.envs.kinetic.config import KineticConfig
    from bioppo.envs.kinetic.task import make_task

    config = KineticConfig(lambda_part=-1e6)
    task = make_task(config, golden_network, golden_states[:1])
    environment = KineticVectorEnv(config, num_envs=2, seed=0, split="test", task=task)
    trajectories = gather(environment.baselines()["nothing"], environment, episodes=2, seed=0)
    with pytest.raises(UserError, match="None of the 2 sets at the end of the episodes is valid: train on"):
        environment.write_answers(trajectories, tmp_path, formats=["csv"], facts={})


def test_the_last_step_of_every_episode_is_found_in_any_order():
    trajectories = Trajectories(np.array([1, 0, 1, 0, 2]), np.array([2, 1, 1, 2, 1]), np.zeros(5), {"x": np.arange(5)})
    assert last_steps(trajectories).tolist() == [3, 0, 4]


def test_other_environments_hand_nothing_over(point_env, tmp_path):
    with pytest.raises(UserError, match="PointEnv hands nothing over that could be written: leave --sets out"):
        point_env().write_answers(None, tmp_path, formats=["csv"], facts={})
