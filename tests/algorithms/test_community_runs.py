"""Learners of a community through the real command: they train, write scalars by agent, and are evaluated."""

import csv
import json

import numpy as np
import pytest

import bioppo
from bioppo.algorithms.baselines.cem import build_cem
from bioppo.algorithms.baselines.config import CEMConfig
from bioppo.algorithms.independent_ppo.config import IndependentPPOConfig
from bioppo.algorithms.independent_ppo.learner import build_independent_ppo
from bioppo.cli.main import main

CULTURE = (
    "env=dfba env/case=starch_amylase/two env.num_envs=4 env.case.horizon_steps=40 evaluation.episodes=2 "
    "evaluation.baselines=false evaluation.every=400 checkpoint.seconds=0 device=cpu display=off"
).split()
LEARNERS = {
    "independent_ppo": "algo.n_steps=4 algo.batch_size=8 algo.hidden_sizes=[8] +algo.agents.agent2.learning_rate=1e-2",
    "independent_ppo_spam": "algo.grad_updates=2",
    "cem": "algo.knots=3 algo.population_size=8 algo.elite=2 algo.symmetric=true",
}


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def rows(file):
    with file.open() as lines:
        return list(csv.DictReader(lines))


@pytest.mark.parametrize("name", LEARNERS)
def test_a_community_trains_and_is_evaluated(name, tmp_path, capsys):
    words = ["train", *CULTURE, f"algo={name}", *LEARNERS[name].split()]
    assert main([*words, "budget=1280", "hydra.run.dir=unbroken"]) == 0
    progress = rows(tmp_path / "unbroken" / "progress.csv")
    assert int(progress[-1]["simulator_calls"]) >= 1280
    learned = [f"{kind}/{agent}/" for kind in ("train", "environment") for agent in ("agent1", "agent2")]
    for prefix in learned[2:] if name == "cem" else learned:
        assert any(key.startswith(prefix) and progress[-1][key] for key in progress[0]), prefix
    result = json.loads((tmp_path / "unbroken" / "result.json").read_text())
    assert result["best/episode_return"] == pytest.approx(result["best/return_agent1"] + result["best/return_agent2"])
    capsys.readouterr()
    assert main(["evaluate", "unbroken", "--episodes", "2"]) == 0
    assert "episode_return" in capsys.readouterr().out


def test_algorithms_for_one_agent_say_which_trains_several(capsys):
    for name in ("ppo", "trpo", "trpo_ppo"):
        assert main(["train", *CULTURE, f"algo={name}", "budget=100"]) == 2
        assert "has 2 learning agents (agent1, agent2)" in (said := capsys.readouterr().err)
        assert "use algo=independent_ppo" in said


def test_a_mistake_in_an_agents_options_is_one_sentence(capsys):
    words = ["train", *CULTURE, "algo=independent_ppo", "budget=100"]
    assert main([*words, "+algo.agents.agent1.learning_rate=-1"]) == 2
    assert "algo.agents.agent1.learning_rate=-1: give a value of greater than 0." in capsys.readouterr().err
    assert main([*words, "+algo.agents.agent3.gamma=0.5"]) == 2
    assert "algo.agents.agent3: there is no learning agent agent3; did you mean" in capsys.readouterr().err


def test_a_greedy_agent_does_what_the_culture_calls_idle():
    environment = bioppo.make_env("dfba", case="starch_amylase/two", num_envs=2)
    config = IndependentPPOConfig(n_steps=2, batch_size=4, agents={"agent1": {"policy": "greedy"}})
    agent = build_independent_ppo(config, environment, seed=0, device="cpu").agent()
    actions = agent.act(environment.reset()[0], masks=None, generator=None, steps=np.zeros(2))
    joint = environment.joint_actions(actions)
    assert (joint[:, 0] == 0).all()
    assert (joint[:, 1] != 0).all()
    assert environment.horizon == 100


def test_schedules_are_searched_in_any_environment_of_known_length():
    environment = bioppo.make_env("gymnasium", id="Pendulum-v1", num_envs=4)
    learner = build_cem(CEMConfig(knots=4, population_size=4, elite=2), environment, seed=0, device="cpu")
    scalars = learner.update(0.0)
    assert environment.simulator_calls == 4 * 200
    assert scalars["search/return_best"] < 0
