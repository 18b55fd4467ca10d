"""The environment: spaces, time, rewards, independence of copies and order, saving, and other libraries' checkers."""

import pickle

import gymnasium
import numpy as np
import pytest

import bioppo
from bioppo import UserError
from bioppo.envs.batched import ActionError
from bioppo.envs.dfba import DynamicFBAParallelEnv
from bioppo.envs.dfba.baselines import OpenLoopPolicy
from bioppo.envs.evaluation import evaluate
from bioppo.envs.stable_baselines_adapter import StableBaselinesAdapter


def make(case="starch_amylase/single", *, steps=None, **options):
    if steps is not None:
        from bioppo.envs.dfba.options import load_options, plain_case

        case = plain_case(load_options(case)) | {"horizon_steps": steps}
    return bioppo.make_env("dfba", case=case, **{"num_envs": 3, **options})


def random_actions(environment, generator):
    spaces = environment.single_action_space
    if isinstance(spaces, gymnasium.spaces.Box):
        return generator.uniform(-1, 1, (environment.num_envs, *spaces.shape))
    return {name: generator.uniform(-1, 1, (environment.num_envs, *box.shape)) for name, box in spaces.items()}


def test_spaces_of_one_agent_and_of_several():
    alone, together = make(), make("starch_amylase/two")
    assert alone.single_observation_space.shape == (4,)
    assert alone.single_action_space == gymnasium.spaces.Box(-1, 1, (1,), np.float32)
    assert together.agents == ("agent1", "agent2")
    assert set(together.single_action_space.spaces) == {"agent1", "agent2"}
    together.reset(seed=0)
    observation, reward, *_ = together.step(random_actions(together, np.random.default_rng(0)))
    assert reward.shape == (3, 2)
    assert {name: part.shape for name, part in observation.items()} == {"agent1": (3, 5), "agent2": (3, 5)}
    raw = make(semantics="spam")
    assert raw.single_action_space == gymnasium.spaces.Box(-20, 20, (1,), np.float32)
    assert raw.frame_skip == 1
    assert raw.reset(seed=0)[0][0].tolist() == pytest.approx([0.1, 100, 10, 1000])


def test_an_episode_ends_at_its_horizon_and_begins_anew():
    environment = make(steps=40)
    first, _ = environment.reset(seed=0)
    for decision in range(4):
        observation, _, terminated, truncated, info = environment.step(np.zeros((3, 1)))
        assert terminated.all() == (decision == 3)
        assert not truncated.any()
    assert np.array_equal(observation, first)
    assert info["final_obs"][0, -1] == 0
    assert info["mass_residual"].max() < 1e-9
    assert environment.simulator_calls == 3 * 40
    other = make(steps=10, horizon="truncated")
    other.reset(seed=0)
    *_, terminated, truncated, _ = other.step(np.zeros((3, 1)))
    assert truncated.all()
    assert not terminated.any()


def test_actions_are_mapped_to_their_range_and_checked():
    environment = make("necom/facultative")
    environment.reset(seed=0)
    wide = environment.joint_actions({"agent1": np.full((3, 2), -1.0), "agent2": np.full((3, 2), 7.0)})
    assert np.allclose(wide, [[-10, -10, 3, 3]] * 3)
    with pytest.raises(ActionError, match="of agent2 of copy 1 is not finite"):
        environment.step({"agent1": np.zeros((3, 2)), "agent2": np.array([[0, 0], [np.nan, 0], [0, 0]])})


@pytest.mark.parametrize("reward", ["growth", "log_growth", "final_biomass", "spam", "release:Amylase"])
def test_rewards(reward):
    environment = make(steps=100, reward=reward, num_envs=2, infeasible_penalty=0.0)
    environment.reset(seed=0)
    total = np.zeros(2)
    for _ in range(10):
        _, given, *_, info = environment.step(np.array([[0.0], [-0.5]]))
        total += given
    end = info["final_info"]["concentration"] if "final_info" in info else info["concentration"]
    grown = end[:, 0]
    expected = {
        "growth": grown - 0.1,
        "log_growth": np.log(grown / 0.1),
        "final_biomass": grown,
        "spam": (grown - 0.1) / 0.1,
        "release:Amylase": end[:, 3],
    }[reward]
    assert total == pytest.approx(expected, rel=0.03 if reward == "log_growth" else 3e-3)


def test_a_penalty_is_per_hour_without_flux():
    plain, penal = make(steps=1000), make(steps=1000, infeasible_penalty=2.0)
    returns, hours = [], 0.0
    for environment in (plain, penal):
        environment.reset(seed=0)
        total = 0.0
        for _ in range(100):
            _, reward, *_ = environment.step(np.full((3, 1), -1.0))
            total += reward[0]
        returns.append(total)
    trajectories = evaluate(plain.baselines()["greedy"], plain, episodes=1, seed=0)
    hours = trajectories.scalars["infeasible"] * 100
    assert "infeasible_by_clip_action" not in trajectories.scalars  # not kept while training
    plain.records = True
    causes = evaluate(plain.baselines()["constant"], plain, episodes=1, seed=0).scalars
    assert causes["infeasible_by_clip_action"] == pytest.approx(causes["infeasible"])
    assert causes["infeasible_by_relax_maintenance"] == causes["infeasible_by_freeze"] == 0
    assert hours == pytest.approx(79.8)
    assert returns[0] - returns[1] == pytest.approx(2 * hours)


def test_copies_do_not_depend_on_each_other():
    generator = np.random.default_rng(0)
    actions = generator.uniform(-1, 1, (30, 6, 1))
    many, one = make(num_envs=6), make(num_envs=1)
    many.reset(seed=0)
    together = [many.step(action)[1][4] for action in actions]
    one.reset(seed=5)
    assert np.allclose(together, [one.step(action[4:5])[1][0] for action in actions], rtol=0, atol=1e-9)


@pytest.mark.parametrize("semantics", ["spam", "standard"])
@pytest.mark.parametrize("order", [[2, 0, 1, 4, 3], [4, 3, 2, 1, 0]])
def test_permuting_agents_permutes_the_trajectory(semantics, order):
    from bioppo.envs.dfba.options import load_options, plain_case

    content = plain_case(load_options("starch_amylase/five")) | {"horizon_steps": 60}
    content["initial"] = content["initial"] | {f"agent{n}": 0.05 * n for n in range(1, 6)}
    names = list(content["agents"])
    permuted = content | {"agents": {names[place]: content["agents"][names[place]] for place in order}}
    ends = []
    for case in (content, permuted):
        environment = bioppo.make_env("dfba", num_envs=2, case=case, semantics=semantics, frame_skip=1)
        environment.reset(seed=0)
        generators = {name: np.random.default_rng(number) for number, name in enumerate(names)}
        for _ in range(59):
            actions = {name: generators[name].uniform(-1, 1, (2, 1)) for name in environment.agents}
            *_, info = environment.step(actions)
        columns = [environment.case.column(name) for name in (*names, *environment.case.species)]
        ends.append(info["concentration"][:, columns])
    assert np.array_equal(*ends)


def test_saved_and_continued_is_the_same():
    generator = np.random.default_rng(1)
    actions = [random_actions(make("starch_amylase/two"), generator) for _ in range(40)]
    whole = make("starch_amylase/two")
    whole.reset(seed=0)
    for action in actions[:20]:
        whole.step(action)
    saved = pickle.loads(pickle.dumps(whole.get_state()))
    continued = make("starch_amylase/two")
    continued.set_state(saved)
    for action in actions[20:]:
        one, other = whole.step(action), continued.step(action)
        assert np.array_equal(one[1], other[1])
        assert all(np.array_equal(one[0][name], other[0][name]) for name in whole.agents)
    assert whole.simulator_calls == continued.simulator_calls


def test_communities_can_be_pickled():
    environment = make("necom/auxotrophs")
    environment.reset(seed=0)
    generator = np.random.default_rng(2)
    actions = [random_actions(environment, generator) for _ in range(12)]
    for action in actions[:6]:
        environment.step(action)
    copy = pickle.loads(pickle.dumps(environment))
    for action in actions[6:]:
        assert np.array_equal(environment.step(action)[1], copy.step(action)[1])


def test_scripted_agents_leave_a_single_learner():
    from bioppo.envs.dfba.options import load_options, plain_case

    content = plain_case(load_options("starch_amylase/two")) | {"horizon_steps": 100}
    content["agents"] = {name: dict(agent) for name, agent in content["agents"].items()}
    content["agents"]["agent2"]["policy"] = {"schedule": [[0.0, 1.0]]}
    environment = bioppo.make_env("dfba", num_envs=2, case=content)
    environment.records = True
    environment.reset(seed=0)
    _, reward, *_, info = environment.step(np.zeros((2, 1)))
    assert environment.agents == ("agent1",)
    assert reward.shape == (2,)
    assert info["action"][0] == pytest.approx([0.5, 9 / 99])
    content["agents"]["agent2"]["policy"] = {"constant": [0.5, 0.5]}
    with pytest.raises(UserError, match=r"agents.agent2.policy.constant=.*one entry for each of its 1 actions"):
        bioppo.make_env("dfba", case=content)
    content["agents"]["agent1"]["policy"] = content["agents"]["agent2"]["policy"] = "greedy"
    with pytest.raises(UserError, match="none learns"):
        bioppo.make_env("dfba", case=content)


def test_answers_are_schedules(golden):
    row = golden.contents("standard_reference")["schedule"]
    environment = make()
    assert environment.answer_space.shape == (1, 25)
    answers = np.array([[row["knots"]], np.zeros((1, 25))])
    graded = environment.grade(answers)
    assert graded["cost"] == pytest.approx([-row["ret"], -1.8195089315862074], abs=1e-8)
    played = evaluate(OpenLoopPolicy(environment, answers[0]), environment, episodes=1, seed=0)
    assert played.scalars["mean_return"] == pytest.approx(row["ret"], abs=1e-5)  # knots pass through float32


def test_baselines_of_alike_agents():
    environment = make("starch_amylase/two", steps=1000, split="test")
    found = environment.baselines()
    assert set(found) == {"greedy", "constant", "idle_agent1"}
    scalars = {name: evaluate(policy, environment, episodes=1, seed=0).scalars for name, policy in found.items()}
    assert scalars["greedy"]["mean_return"] == pytest.approx(0.9101, abs=1e-4)
    assert scalars["constant"]["mean_return"] == pytest.approx(1.6509, abs=1e-4)
    assert scalars["idle_agent1"]["return_agent1"] > scalars["idle_agent1"]["return_agent2"]


def test_evaluations_write_tidy_tables():
    environment = make("starch_amylase/two", steps=100, split="test", record_fluxes=True, report_ties=True)
    evaluation = evaluate(environment.baselines()["greedy"], environment, episodes=2, seed=0)
    table = evaluation.tables["concentrations"]
    assert list(table.columns) == ["episode", "copy", "time_h", "agent", "quantity", "id", "value", "unit"]
    assert set(table["quantity"]) == {
        "biomass", "concentration", "growth", "exchange_flux", "action", "reward", "lp_status",
    }  # fmt: skip
    end = table[(table["time_h"] == table["time_h"].max()) & (table["id"] == "Glc") & (table["episode"] == 1)]
    assert end["value"].iloc[0] == pytest.approx(evaluation.scalars["final_Glc"])
    assert set(evaluation.tables["fluxes"]["id"]) >= {"ATP_M", "X_Ex"}
    assert evaluation.scalars["tied"] == 0


@pytest.mark.parametrize("case", ["starch_amylase/single", "starch_amylase/two", "necom/facultative"])
def test_pettingzoo_accepts_it(case):
    from pettingzoo.test import parallel_api_test

    parallel_api_test(DynamicFBAParallelEnv(case=case), num_cycles=120)


def test_gymnasium_and_stable_baselines_accept_it():
    from gymnasium.utils.env_checker import check_env
    from stable_baselines3.common.env_checker import check_env as check_for_stable_baselines

    alone = gymnasium.make("bioppo/Dfba-v0", disable_env_checker=True)
    check_env(alone.unwrapped, skip_render_check=True)
    check_for_stable_baselines(alone.unwrapped)
    assert StableBaselinesAdapter(make()).reset().shape == (3, 4)


def test_a_gymnasium_environment_has_one_learner():
    with pytest.raises(UserError, match=r"agent1, agent2 all learn, .*: use the PettingZoo view"):
        gymnasium.make("bioppo/Dfba-v0", case="starch_amylase/two", disable_env_checker=True)


def test_supersuit_wraps_it():
    import supersuit

    single = supersuit.pettingzoo_env_to_vec_env_v1(DynamicFBAParallelEnv(case="starch_amylase/two"))
    wrapped = supersuit.concat_vec_envs_v1(single, 2, num_cpus=1, base_class="stable_baselines3")
    assert wrapped.reset().shape == (4, 5)
    ours = make("starch_amylase/two", num_envs=1)
    ours.reset(seed=0)
    generator = np.random.default_rng(0)
    for _ in range(5):
        actions = generator.uniform(-1, 1, (2, 1)).astype(np.float32)
        _, reward, *_ = wrapped.step(np.concatenate([actions, actions]))
        expected = ours.step({"agent1": actions[:1], "agent2": actions[1:]})[1][0]
        assert reward == pytest.approx(np.tile(expected, 2), rel=1e-6)
