"""Several PPOs in one community: alone it is PPO, together everyone learns, rules and frozen policies stay."""

import copy

import numpy as np
import pytest
import torch

from bioppo import UserError
from bioppo.algorithms.baselines.random import RandomPolicy
from bioppo.algorithms.baselines.schedules import SchedulePolicy, interpolated, known_horizon
from bioppo.algorithms.independent_ppo.config import AgentConfig, IndependentPPOConfig
from bioppo.algorithms.independent_ppo.learner import build_independent_ppo
from bioppo.algorithms.ppo.config import PPOConfig
from bioppo.algorithms.ppo.learner import build_ppo
from bioppo.algorithms.stable_baselines import StableBaselinesPolicy
from bioppo.algorithms.trpo_ppo.algorithm import TRPOPPO
from bioppo.algorithms.trpo_ppo.config import TRPOPPOConfig
from bioppo.algorithms.trpo_ppo.learner import build_trpo_ppo
from bioppo.configs.option import OptionError
from bioppo.envs.evaluation import evaluate, play
from bioppo.storage.checkpoint import write_checkpoint

SMALL = {"n_steps": 16, "batch_size": 24, "n_epochs": 2, "hidden_sizes": [8], "learning_rate": 1e-2}


def independent(environment, seed=3, **options):
    return build_independent_ppo(IndependentPPOConfig(**(SMALL | options)), environment, seed=seed, device="cpu")


def parameters(learner, name):
    return copy.deepcopy(learner.seats[name].model.policy.state_dict())


@pytest.mark.parametrize("space", ["box", "discrete", "multi_discrete", "dict"])
def test_one_agent_is_ppo(point_env, bitwise_same, space):
    plain = build_ppo(PPOConfig(**SMALL), point_env(space=space), seed=3, device="cpu")
    expected = [plain.update(progress) for progress in (0.0, 0.5)]
    ours = independent(point_env(space=space))
    assert bitwise_same(expected, [ours.update(progress) for progress in (0.0, 0.5)])
    state = ours.get_state()
    assert bitwise_same(plain.get_state(), state["learners"]["agent"])
    assert state["roles"] == {"agent": "agent"}
    one, other = (
        evaluate(learner.agent(), point_env(space=space, split="test"), episodes=20, seed=0).scalars
        for learner in (plain, ours)
    )
    assert one == other


@pytest.mark.parametrize("truncates", [False, True])
def test_one_agent_with_a_name_normalisers_and_schedules_is_ppo(rope_env, bitwise_same, truncates):
    options = SMALL | {
        "normalize_observation": True,
        "normalize_reward": True,
        "schedule": "linear",
        "bootstrap_truncated": truncates,
        "critic_learning_rate": 3e-2,
        "advantage_limit": 1.0,
    }
    make = lambda: rope_env(agents=("left",), truncates=truncates)  # noqa: E731
    plain = build_ppo(PPOConfig(**options), make(), seed=3, device="cpu")
    expected = [plain.update(progress) for progress in (0.0, 0.5)]
    ours = independent(make(), **options)
    scalars = [ours.update(progress) for progress in (0.0, 0.5)]
    assert bitwise_same([{key.replace("/", "/left/"): each[key] for key in each} for each in expected], scalars)
    assert bitwise_same(plain.get_state(), ours.get_state()["learners"]["left"])


def test_one_agent_by_trpo_ppo_is_that(rope_env, bitwise_same):
    shared = {key: SMALL[key] for key in SMALL if key != "learning_rate"}
    plain = build_trpo_ppo(
        TRPOPPOConfig(learning_rate=1e-2, delta=0.03, **shared), rope_env(agents=("left",)), seed=3, device="cpu"
    )
    for progress in (0.0, 0.5):
        plain.update(progress)
    ours = independent(rope_env(agents=("left",)), learner="trpo_ppo", trpo_ppo={"delta": 0.03})
    for progress in (0.0, 0.5):
        ours.update(progress)
    assert bitwise_same(plain.get_state(), ours.get_state()["learners"]["left"])


def test_all_agents_learn_together(rope_env):
    """Two who pull in opposite directions end at the ends of their strength; their sum of rewards says nothing."""
    environment = rope_env(8)
    learner = independent(environment, batch_size=32, n_epochs=6, gamma=0.9)
    for _ in range(20):
        scalars = learner.update(0.0)
    assert environment.simulator_calls == 20 * 16 * 8
    assert scalars["train/left/loss"] != scalars["train/right/loss"]
    pulls = learner.agent().act(rope_env(200).reset()[0], masks=None, generator=None, steps=np.zeros(200))
    assert pulls["left"].mean() < -0.5 < 0.5 < pulls["right"].mean()
    evaluation = evaluate(learner.agent(), rope_env(8, split="test"), episodes=20, seed=0)
    for scalars in (evaluation.scalars, environment.training_scalars()):
        total = scalars["left/episode_return"] + scalars["right/episode_return"]
        assert scalars["episode_return"] == pytest.approx(total)


def test_one_agent_learns_beside_one_that_does_not(rope_env):
    environment = rope_env(8)
    learner = independent(environment, batch_size=32, n_epochs=6, gamma=0.9, agents={"right": {"policy": "greedy"}})
    before = evaluate(learner.agent(), rope_env(8, split="test"), episodes=100, seed=0).scalars
    for _ in range(20):
        learner.update(0.0)
    after = evaluate(learner.agent(), rope_env(8, split="test"), episodes=100, seed=0).scalars
    assert after["left/episode_return"] > before["left/episode_return"] + 4


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"normalize_observation": True, "normalize_reward": True, "agents": {"right": {"share_with": "left"}}},
        {"agents": {"left": {"policy": "greedy"}, "right": {"learner": "trpo_ppo", "delta": 0.02}}},
    ],
)
def test_it_continues_exactly(rope_env, assert_continues_exactly, options):
    assert_continues_exactly(rope_env, lambda environment: independent(environment, **options))


def test_leaving_the_pending_observation_out_is_noticed(rope_env, bitwise_same):
    """It is what agents that do not learn act on."""
    options = {"agents": {"left": {"policy": "constant", "action": [0.5]}}}
    learner = independent(rope_env(), **options)
    learner.update(0.0)
    state = learner.get_state()
    other = independent(rope_env(seed=9), **options)
    assert not bitwise_same(other.get_state()["observation"], state["observation"])
    other.set_state(state)
    assert bitwise_same(other.get_state(), state)


def test_every_agent_has_options_of_its_own(rope_env):
    own = {"hidden_sizes": [4, 4], "learning_rate": 1e-4, "clip_range": 0.1, "gamma": 0.5, "seed": 3}
    learner = independent(
        rope_env(agents=("left", "right", "both")), agents={"right": own, "both": {"learner": "trpo_ppo"}}
    )
    left, right, both = (learner.seats[name].model for name in ("left", "right", "both"))
    assert [part.out_features for part in left.policy.mlp_extractor.policy_net[::2]] == [8]
    assert [part.out_features for part in right.policy.mlp_extractor.policy_net[::2]] == [4, 4]
    assert (left.gamma, right.gamma, right.clip_range(1.0)) == (0.99, 0.5, 0.1)
    assert isinstance(both, TRPOPPO)
    assert both.action_space.shape == (2,)
    scalars = learner.update(0.0)
    assert (scalars["train/left/learning_rate"], scalars["train/right/learning_rate"]) == (1e-2, 1e-4)
    assert "train/both/trpo_kl" in scalars
    assert not any("seconds" in key for key in scalars)


def test_networks_differ_unless_their_seeds_agree(rope_env, bitwise_same):
    apart = independent(rope_env())
    assert not bitwise_same(parameters(apart, "left"), parameters(apart, "right"))
    alike = independent(rope_env(), agents={"left": {"seed": 5}, "right": {"seed": 5}})
    assert bitwise_same(parameters(alike, "left"), parameters(alike, "right"))


def test_sharing_agents_have_one_policy_trained_on_the_steps_of_both(rope_env):
    learner = independent(rope_env(), agents={"right": {"share_with": "left"}})
    assert list(learner.seats) == ["left"]
    model = learner.seats["left"].model
    assert model.n_envs == 6
    learner.update(0.0)
    buffer = model.rollout_buffer
    assert buffer.pos == 16
    environment = learner.community.environment
    assert model.num_timesteps == 2 * environment.simulator_calls
    rewards = buffer.rewards.reshape(16, 2, 3)  # one knot and two places
    assert not np.allclose(rewards[:, 0], rewards[:, 1])
    seen = (
        buffer.observations
        if buffer.observations.ndim == 3
        else buffer.observations.reshape(3 * 2, 16, 2).swapaxes(0, 1)
    )
    np.testing.assert_array_equal(seen[:, :3], seen[:, 3:])
    policies = learner.agent().policies
    assert policies["left"].model is policies["right"].model


def test_agents_by_rule_act_as_they_are_told(rope_env):
    knots = [[0.0], [1.0], [0.0]]
    agents = {
        "left": {"policy": "constant", "action": [-0.5]},
        "right": {"policy": "schedule", "knots": knots},
    }
    learner = independent(rope_env(agents=("left", "right", "both"), horizon=5), agents=agents)
    acted = []
    step = learner.community.step
    learner.community.step = lambda actions: (acted.append(copy.deepcopy(dict(actions))), step(actions))
    learner.update(0.0)
    assert list(learner.seats) == ["both"]
    assert {float(value) for actions in acted for value in actions["left"].ravel()} == {-0.5}
    np.testing.assert_allclose([actions["right"][0, 0] for actions in acted[:10]], [0, 0.5, 1, 0.5, 0] * 2)
    greedy = independent(rope_env(), agents={"left": {"policy": "greedy"}}).agent()
    actions = greedy.act(rope_env(3).reset()[0], masks=None, generator=None, steps=np.zeros(3))
    assert (actions["left"] == 0).all()
    assert not (actions["right"] == 0).any()


def test_a_frozen_agent_keeps_the_policy_of_its_checkpoint(rope_env, bitwise_same, tmp_path):
    learner = independent(rope_env(), normalize_observation=True)
    for _ in range(2):
        learner.update(0.0)
    file = tmp_path / "best.pt"
    write_checkpoint(file, {"learner": learner.get_state(), "simulator_calls": 96})
    frozen = {"trainable": False, "checkpoint": str(file)}
    other = independent(rope_env(seed=4), seed=8, normalize_observation=True, agents={"right": frozen})
    observation = rope_env().reset()[0]

    def act(one, name):
        return one.agent().act(observation, masks=None, generator=None, steps=np.zeros(3))[name]

    np.testing.assert_array_equal(act(other, "right"), act(learner, "right"))
    assert not np.array_equal(act(other, "left"), act(learner, "left"))
    other.update(0.0)
    np.testing.assert_array_equal(act(other, "right"), act(learner, "right"))
    assert list(other.seats) == ["left"]
    state = other.get_state()
    write_checkpoint(file, {"learner": independent(rope_env(), seed=1, normalize_observation=True).get_state()})
    again = independent(rope_env(seed=4), seed=8, normalize_observation=True, agents={"right": frozen})
    assert not bitwise_same(again.get_state()["frozen"], state["frozen"])
    again.set_state(state)  # what was loaded at first counts, whatever became of the file
    assert bitwise_same(again.get_state(), state)
    np.testing.assert_array_equal(act(again, "right"), act(learner, "right"))


def test_a_frozen_policy_may_come_from_another_agent_or_from_ppo(rope_env, bitwise_same, tmp_path):
    file = tmp_path / "last.pt"
    source = independent(rope_env())
    write_checkpoint(file, {"learner": source.get_state()})
    agents = {"right": {"trainable": False, "checkpoint": str(file), "checkpoint_agent": "left"}}
    learner = independent(rope_env(), agents=agents)
    assert bitwise_same(learner.frozen["right"].model.policy.state_dict(), parameters(source, "left"))
    alone = build_ppo(PPOConfig(**SMALL), rope_env(agents=("left",)), seed=6, device="cpu")
    write_checkpoint(file, {"learner": alone.get_state()})
    learner = independent(rope_env(), agents={"left": {"checkpoint": str(file)}})  # to begin with
    assert bitwise_same(parameters(learner, "left"), alone.model.policy.state_dict())
    learner.update(0.0)
    assert not bitwise_same(parameters(learner, "left"), alone.model.policy.state_dict())


def test_checkpoints_that_do_not_fit_are_named(rope_env, tmp_path):
    file = tmp_path / "last.pt"
    write_checkpoint(file, {"learner": independent(rope_env()).get_state()})
    agent = {"trainable": False, "checkpoint": str(file)}
    with pytest.raises(UserError, match=r"checkpoint=.*last.pt does not fit .* give hidden_sizes"):
        independent(rope_env(), agents={"right": agent | {"hidden_sizes": [5]}})
    with pytest.raises(UserError, match=r"was trained without a normaliser: set normalize_observation=false"):
        independent(rope_env(), normalize_observation=True, agents={"right": agent})
    with pytest.raises(UserError, match=r"no learned policy of up: .*checkpoint_agent.* choose one of left, right"):
        independent(rope_env(), agents={"right": agent | {"checkpoint_agent": "up"}})
    with pytest.raises(
        UserError, match=r"agents.right.checkpoint=nowhere.pt cannot be used: nowhere.pt does not exist"
    ):
        independent(rope_env(), agents={"right": {"trainable": False, "checkpoint": "nowhere.pt"}})
    write_checkpoint(file, {"learner": {"costs": np.zeros(3)}})
    with pytest.raises(UserError, match=r"holds no policy network"):
        independent(rope_env(), agents={"right": agent})


MISTAKES = {
    "there is no learning agent up; choose one of left, right": {"up": {}},
    r"agents.left.learning_rte does not exist: did you mean learning_rate": {"left": {"learning_rte": 1}},
    r"agents.left.learning_rate=-1: give a value of greater than 0": {"left": {"learning_rate": -1}},
    r"agents.left.learning_rate=fast: give a number": {"left": {"learning_rate": "fast"}},
    r"agents.left.hidden_sizes=8: give a list": {"left": {"hidden_sizes": 8}},
    r"agents.left.n_steps cannot be given by agent: .* set algo.n_steps": {"left": {"n_steps": 4}},
    r"agents.left=5: give a mapping": {"left": 5},
    r"agents.left.policy=lazy: choose one of learned, constant": {"left": {"policy": "lazy"}},
    r"agents.left.action=None: policy=constant needs it": {"left": {"policy": "constant"}},
    r"agents.left.knots=\[\[1.0\]\]: policy=schedule needs it and no other takes it": {"left": {"knots": [[1.0]]}},
    r"agents.left.action=\[2.0\] is no action of Box": {"left": {"policy": "constant", "action": [2.0]}},
    r"agents.left.action=\[0.0, 0.0\] is no action of": {"left": {"policy": "constant", "action": [0.0, 0.0]}},
    r"agents.left.trainable=false: a frozen agent needs a policy": {"left": {"trainable": False}},
    r"agents.left.gamma: an agent with share_with=right has no network": {"left": {"share_with": "right", "gamma": 1}},
    r"agents.left.gamma: an agent with policy=greedy has no network": {"left": {"policy": "greedy", "gamma": 1}},
    r"share_with=up: there is no other learning agent up": {"left": {"share_with": "up"}},
    r"algo.agents.right follows a rule \(policy=greedy\)": {
        "left": {"share_with": "right"},
        "right": {"policy": "greedy"},
    },
    r"algo.agents.right shares a policy itself": {"left": {"share_with": "right"}, "right": {"share_with": "left"}},
    r"both has observations .* agents that share a policy must observe and act alike": {"both": {"share_with": "left"}},
    r"nobody who learns": {"left": {"policy": "greedy"}, "right": {"policy": "greedy"}, "both": {"policy": "greedy"}},
    r"does not divide the 96 transitions that left, right have together": {
        "left": {"batch_size": 36},
        "right": {"share_with": "left"},
    },
}


@pytest.mark.parametrize("message", MISTAKES)
def test_mistakes_are_named(rope_env, message):
    agents = ("left", "right", "both") if "both" in MISTAKES[message] else ("left", "right")
    with pytest.raises(UserError, match=message):
        independent(rope_env(agents=agents), agents=MISTAKES[message])


def test_sharing_with_a_frozen_agent_is_refused(rope_env, tmp_path):
    agents = {"left": {"share_with": "right"}, "right": {"trainable": False, "checkpoint": str(tmp_path / "x.pt")}}
    write_checkpoint(tmp_path / "x.pt", {"learner": independent(rope_env()).get_state()})
    with pytest.raises(UserError, match=r"share_with=right: algo.agents.right is frozen"):
        independent(rope_env(), agents=agents)


def test_greedy_needs_an_environment_that_knows_what_it_is(point_env):
    class Silent(point_env):
        agents = ("a",)

    with pytest.raises(UserError, match="Silent names no action that leaves it to itself"):
        independent(Silent(), agents={"a": {"policy": "greedy"}})


def test_a_schedule_needs_a_horizon(rope_env):
    environment = rope_env()
    assert known_horizon(environment, "algo.agents.left.policy=schedule") == 8
    environment.horizon = None
    with pytest.raises(UserError, match=r"policy=schedule needs to know how long .* RopeEnv has no horizon"):
        known_horizon(environment, "algo.agents.left.policy=schedule")


def test_algorithms_for_one_agent_refuse_a_community(rope_env):
    with pytest.raises(UserError, match=r"RopeEnv has 2 learning agents \(left, right\).*algo=independent_ppo"):
        build_ppo(PPOConfig(**SMALL), rope_env(), seed=0, device="cpu")


def test_masks_are_refused(masked_env):
    environment = masked_env(space="discrete")
    environment.masked = True
    with pytest.raises(UserError, match="use algo=masked_ppo"):
        independent(environment)


def test_options_of_trpo_ppo_are_checked():
    with pytest.raises(OptionError, match=r"trpo_ppo.dleta does not exist: did you mean delta"):
        IndependentPPOConfig(trpo_ppo={"dleta": 1})
    with pytest.raises(OptionError, match=r"agents.a.delta=0: give a value of greater than 0"):
        IndependentPPOConfig(agents={"a": {"learner": "trpo_ppo", "delta": 0}})
    with pytest.raises(OptionError, match=r"agents.a.delta does not exist"):
        IndependentPPOConfig(agents={"a": {"delta": 0.1}})
    assert AgentConfig().policy == "learned"


def test_a_diverged_agent_is_named_as_such(rope_env):
    from bioppo.envs.batched import NonFiniteError

    learner = independent(rope_env())
    with torch.no_grad():
        learner.seats["right"].model.policy.action_net.weight.fill_(float("nan"))
    with pytest.raises(NonFiniteError, match=r"lower algo.learning_rate"):
        learner.update(0.0)


def test_random_actions_and_evaluations_know_communities(rope_env):
    environment = rope_env(4, agents=("left", "both"))
    trajectories = play(RandomPolicy(environment), environment, episodes=6, seed=0, generator=np.random.default_rng(0))
    assert trajectories.rewards.keys() == {"left", "both"}
    np.testing.assert_allclose(sum(trajectories.rewards.values()), trajectories.reward)
    scalars = environment.measure(trajectories).scalars
    by_hand = np.bincount(trajectories.episode, weights=trajectories.rewards["both"])
    assert scalars["both/episode_return"] == pytest.approx(by_hand.mean())
    with pytest.raises(UserError, match=r"by name, and these are left: give both, left"):
        environment.step({"left": np.zeros((4, 1))})
    with pytest.raises(UserError, match=r"Actions of both have shape \(4, 1\): give \(4, 2\)"):
        environment.step({"left": np.zeros((4, 1)), "both": np.zeros((4, 1))})
    with pytest.raises(UserError, match=r"The action of left of copy 2 is not finite"):
        environment.step({"left": np.array([[0], [0], [np.nan], [0]]), "both": np.zeros((4, 2))})


def test_courses_of_actions_are_linear_between_knots():
    np.testing.assert_allclose(interpolated(np.array([[0.0], [1.0]]), 5)[:, 0], [0, 0.25, 0.5, 0.75, 1])
    np.testing.assert_allclose(interpolated(np.array([[0.3]]), 3)[:, 0], [0.3] * 3)
    np.testing.assert_allclose(interpolated(np.array([[0.3], [1.0]]), 1)[:, 0], [0.3])
    np.testing.assert_allclose(interpolated(np.array([0.0, 2.0, 0.0]), 4), [0, 4 / 3, 4 / 3, 0])


def test_a_schedule_follows_every_copys_own_time(rope_env):
    space = rope_env(agents=("left",)).single_action_space
    policy = SchedulePolicy(np.array([[0.0], [4.0]]), 5, space)
    actions = policy.act(np.zeros((4, 2)), masks=None, generator=None, steps=np.array([0, 1, 4, 9]))
    np.testing.assert_allclose(actions[:, 0], [0, 1, 1, 1])  # within the bounds


def test_agent_returns_one_policy_where_there_is_one_agent(rope_env):
    assert isinstance(independent(rope_env(agents=("left",))).agent(), StableBaselinesPolicy)
