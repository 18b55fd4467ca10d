"""Eleven genes as equations: against golden values, known facts of the network, and as an environment."""

import json
from pathlib import Path

import gymnasium
import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env
from stable_baselines3.common.env_checker import check_env as check_stable_baselines_env

from bioppo import UserError
from bioppo.algorithms.baselines.random import RandomPolicy
from bioppo.envs import make_env
from bioppo.envs.evaluation import evaluate
from bioppo.envs.reprogramming import krumsiek
from bioppo.envs.reprogramming.config import ReprogrammingConfig
from bioppo.envs.reprogramming.krumsiek import FIXED_POINTS, GENES, TYPES
from bioppo.envs.reprogramming.krumsiek_environment import KrumsiekVectorEnv
from bioppo.envs.reprogramming.options import DataOptions
from bioppo.envs.single import SingleEnv

GOLDEN = Path(__file__).parents[2] / "data" / "reprogramming"
NAME = "reprogramming_krumsiek11"
BRANCH = {"erythrocyte", "megakaryocyte"}


@pytest.fixture(scope="module")
def golden():
    with np.load(GOLDEN / "krumsiek_ode.npz") as arrays:
        return dict(arrays) | json.loads((GOLDEN / "krumsiek_meta.json").read_text())


@pytest.fixture(scope="module")
def shares():
    """How often each action leads from each type to each, 40 repeats."""
    return krumsiek.outcome_shares(0.03, 40, np.random.default_rng(7))


def test_production_equals_the_golden_values(golden):
    assert list(GENES) == golden["genes"]
    np.testing.assert_allclose(krumsiek.production(golden["x"]), golden["production"], rtol=0, atol=1e-9)


def test_clamped_trajectories_equal_the_golden_values(golden):
    assert float(golden["dt"]) == krumsiek.TIME_STEP
    clamps = golden["clamps_for_final_t5"]
    held = np.full((len(clamps), len(GENES)), np.nan)
    for row, clamp in zip(held, clamps, strict=True):
        for gene, value in clamp.items():
            row[GENES.index(gene)] = value
    reached = krumsiek.integrate(golden["x"][: len(clamps)], 100, held=held)
    np.testing.assert_allclose(reached, golden["final_t5"], rtol=0, atol=1e-9)


def test_the_boolean_rules_have_six_steady_states(golden):
    found = {frozenset(on) for on in krumsiek.fixed_points()}
    assert found == {frozenset(on) for on in golden["boolean_fixed_points"]}
    assert found == {frozenset(on) for on in FIXED_POINTS.values()}
    corners = krumsiek.corners()
    np.testing.assert_allclose(krumsiek.production(corners), corners, atol=1e-12)
    np.testing.assert_array_equal(krumsiek.nearest_type(corners), np.arange(6))


@pytest.mark.parametrize(
    ("start", "actions", "target"),
    [
        ("erythrocyte", ["KO EKLF", "OE Fli1"], "megakaryocyte"),
        ("megakaryocyte", ["OE EKLF", "KO Fli1"], "erythrocyte"),
        ("granulocyte", ["KO Gfi1", "OE EgrNab"], "monocyte"),
        ("monocyte", ["OE Gfi1", "KO cJun", "KO EgrNab", "KO Pu.1"], "granulocyte"),
        ("erythrocyte", ["OE Pu.1"], "EgrNab without Cebpa"),
        ("megakaryocyte", ["OE Pu.1"], "EgrNab without Cebpa"),
        ("EgrNab without Cebpa", ["OE Cebpa"], "monocyte"),
        ("erythrocyte", ["KO Gata1"], "none"),
        ("megakaryocyte", ["KO Gata1"], "none"),
        ("none", ["OE Cebpa"], "granulocyte"),
    ],
)
def test_moves_that_are_certain_in_spite_of_noise(shares, start, actions, target):
    for action in actions:
        column = krumsiek.action_names().index(action)
        assert shares[TYPES.index(start), column, TYPES.index(target)] == 1.0, action


@pytest.mark.parametrize("start", [name for name, on in FIXED_POINTS.items() if "Pu.1" in on])
@pytest.mark.parametrize("action", ["OE Gata1", "OE Gata2"])
def test_gata_factors_toss_a_coin_in_cells_with_pu1(shares, start, action):
    row = shares[TYPES.index(start), krumsiek.action_names().index(action)]
    reached = {TYPES[kind]: share for kind, share in enumerate(row) if share}
    assert set(reached) == BRANCH
    assert all(share >= 0.2 for share in reached.values())


def test_without_noise_nothing_moves_a_cell_that_an_action_does_not_touch():
    corners = krumsiek.corners()
    gata1_off = np.full(6, GENES.index("Gata1"))
    off = corners[:, GENES.index("Gata1")] == 0
    np.testing.assert_allclose(krumsiek.perturb(corners, gata1_off)[off], corners[off], atol=1e-12)


def test_the_id_makes_an_environment_that_both_checkers_accept():
    made = gymnasium.make_vec("bioppo/Reprogramming_Krumsiek11-v0", num_envs=2)
    assert isinstance(made, KrumsiekVectorEnv)
    single = SingleEnv(make_env(NAME, num_envs=1))
    check_env(single, skip_render_check=True)
    check_stable_baselines_env(single)


def test_episodes_do_not_depend_on_the_number_of_copies():
    actions = np.random.default_rng(0).integers(22, size=(4, 5))
    histories = []
    for copies in (2, 5):
        environment = make_env(NAME, num_envs=copies, seed=3, horizon=2)
        history = [environment.reset()[0][:2]]
        for row in actions:
            observation, reward, terminated, *_ = environment.step(row[:copies])
            history += [observation[:2], reward[:2], terminated[:2]]
        histories.append(history)
    for first, second in zip(*histories, strict=True):
        np.testing.assert_array_equal(first, second)


def test_a_saved_environment_continues_exactly():
    environment = make_env(NAME, num_envs=3, seed=1)
    environment.reset()
    environment.step(np.array([1, 12, 20]))
    other = make_env(NAME, num_envs=3, seed=9)
    other.reset()
    other.set_state(environment.get_state())
    for _ in range(2):
        now, again = (one.step(np.array([4, 5, 18])) for one in (environment, other))
        np.testing.assert_array_equal(now[0], again[0])


def test_reward_end_and_observation():
    environment = make_env(NAME, num_envs=2, seed=0, horizon=2, goal_bonus=5.0)
    environment.reset()
    state = environment.state
    state["start"][:] = TYPES.index("erythrocyte")
    state["target"][:] = TYPES.index("megakaryocyte"), TYPES.index("monocyte")
    state["level"][:] = krumsiek.corners()[state["start"]]
    names = krumsiek.action_names()
    observation, reward, terminated, truncated, info = environment.step(
        np.array([names.index("KO EKLF"), names.index("OE Pu.1")])
    )
    np.testing.assert_array_equal(reward, [4.0, -1.0])
    np.testing.assert_array_equal(terminated, [True, False])
    assert not truncated.any()
    np.testing.assert_array_equal(info["success"], [True, False])
    assert TYPES[info["type"][1]] == "EgrNab without Cebpa"
    np.testing.assert_array_equal(observation[1, 11:17], np.eye(6)[TYPES.index("monocyte")])
    assert observation[1, 17] == 0.5
    truncated = environment.step(np.array([0, names.index("KO EKLF")]))[3]
    assert truncated[1]


def test_evaluations_count_out_all_pairs_and_planning_beats_the_rest():
    environment = make_env(NAME, num_envs=30, split="test")
    agents = environment.baselines() | {"random": RandomPolicy(environment)}
    results = {name: evaluate(agent, environment, episodes=30, seed=0) for name, agent in agents.items()}
    episodes = results["plan"].episodes
    assert len(episodes[["start_type", "target_type"]].drop_duplicates()) == 30
    assert (episodes["start_type"] != episodes["target_type"]).all()
    assert results["plan"].scalars["success"] == 1.0
    assert results["plan"].scalars["length"] <= 2.0
    assert results["greedy"].scalars["success"] >= 0.9
    assert results["random"].scalars["success"] <= 0.6
    path = results["plan"].tables["paths"]
    last = path.groupby("episode").last()
    assert (last["next_type"] == last["target_type"]).all()


def test_the_table_environment_names_the_one_without_table():
    with pytest.raises(UserError, match=f"choose env={NAME}"):
        ReprogrammingConfig(data=DataOptions(kind="krumsiek11"))
