import numpy as np
import pytest

from bioppo import UserError
from bioppo.envs.evaluation import evaluate
from bioppo.envs.kinetic.config import LN_KM_BOUNDS, KineticConfig
from bioppo.envs.kinetic.environment import KineticVectorEnv
from bioppo.envs.kinetic.task import make_task
from bioppo.envs.kinetic.transfer import PerStateSearch, search_cma_es, search_oracle


@pytest.fixture
def environment(golden_network, golden_states):
    """Trained on the first golden state, tested on the second."""
    config = KineticConfig(lambda_part=-15.0, num_envs=4, condition=True, search_calls=[1, 30])
    task = make_task(config, golden_network, golden_states, training=(0,), testing=(1,))
    return KineticVectorEnv(config, num_envs=4, seed=0, task=task)


@pytest.mark.parametrize("search", [search_oracle, search_cma_es])
@pytest.mark.parametrize("calls", [1, 24, 30])
def test_a_search_spends_its_calls_and_hands_over_the_best(environment, search, calls, monkeypatch):
    simulator = environment.task.simulators[1]
    seen = []
    original = simulator.max_eigenvalue

    def counted(ln_km):
        seen.append(original(ln_km))
        return seen[-1]

    monkeypatch.setattr(simulator, "max_eigenvalue", counted)
    best = search(environment.task, 1, calls, np.random.default_rng(0))
    evaluated = np.concatenate(seen)
    assert len(evaluated) == calls
    assert original(best[None])[0] == evaluated.min()
    assert ((best >= LN_KM_BOUNDS[0]) & (best <= LN_KM_BOUNDS[1])).all()


def test_baselines_search_the_held_out_state(environment):
    baselines = environment.baselines()
    assert {"oracle_1", "oracle_30", "cma_es_1", "cma_es_30"} <= baselines.keys()
    test = environment.sibling(4, 0, "test")
    scores = {}
    for name in ("oracle_1", "oracle_30", "cma_es_30"):
        assert isinstance(baselines[name], PerStateSearch)
        evaluation = evaluate(baselines[name], test, episodes=8, seed=0)
        assert set(evaluation.episodes["member"]) == {1}
        assert set(evaluation.episodes["length"]) == {1}  # one answer each, not one for every step of an episode
        scores[name] = evaluation.scalars["lambda_max"]
    assert scores["oracle_30"] < scores["oracle_1"]


def test_a_search_answers_in_the_units_of_the_agent(golden_network, golden_states):
    found = {}
    for param, low, high in (("ln_k_over_x", -6.0, 6.0), ("ln_km", -25.0, 3.0)):
        config = KineticConfig(lambda_part=-15.0, param=param, low=low, high=high, search_calls=[3])
        environment = KineticVectorEnv(
            config, num_envs=2, seed=0, task=make_task(config, golden_network, golden_states[:1])
        )
        solver = environment.baselines()["oracle_3"]
        answer = solver.answer(np.zeros(2, dtype=int), generator=np.random.default_rng(0))
        found[param] = environment.grade(answer)["lambda_max"]
    np.testing.assert_allclose(found["ln_km"], found["ln_k_over_x"], rtol=1e-9)


def test_calls_must_be_positive():
    with pytest.raises(UserError, match=r"search_calls=\[0\]: give numbers of at least 1"):
        KineticConfig(search_calls=[0])
