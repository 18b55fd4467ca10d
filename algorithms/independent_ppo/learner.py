"""Independent PPO: a learner of stable-baselines3 for each agent, and the loop that trains them together."""

import json
from collections.abc import Mapping
from typing import Any

import numpy as np
from gymnasium import spaces

from ... import UserError
from ...configs.option import nearest
from ...envs.batched import BatchedEnv, State
from ...envs.evaluation import Policy
from ..baselines.schedules import CommunityPolicy, ConstantPolicy, SchedulePolicy, act_at, known_horizon
from ..ppo.config import PPOConfig
from ..ppo.learner import build_ppo
from ..stable_baselines import StableBaselinesLearner, StableBaselinesPolicy, divergence_named
from ..trpo_ppo.config import TRPOPPOConfig
from ..trpo_ppo.learner import build_trpo_ppo
from .community import LONE, Community, CommunityPart
from .config import AgentConfig, AgentOptions, IndependentPPOConfig, agent_options
from .frozen import kept_policy, restore_policy, saved_policy
from .rollout import Seat, collect
from .seeds import agent_seed


class IndependentPPOLearner:
    """One joint rollout and one fit of every learner per update.

    Parameters
    ----------
    community
        The environment.
    seats
        Learners with the agents they train, by the first of those agents.
    frozen
        Learners that are never fitted, by agent: their policies act.
    scripted
        Policies that follow a rule, by agent.
    seed
        Of what frozen agents draw.
    """

    finished = False

    def __init__(
        self,
        community: Community,
        seats: Mapping[str, Seat],
        frozen: Mapping[str, StableBaselinesLearner],
        scripted: Mapping[str, Policy],
        *,
        seed: int,
    ) -> None:
        self.community = community
        self.seats = dict(seats)
        self.frozen = dict(frozen)
        self.scripted = dict(scripted)
        self.fixed: dict[str, Policy] = {**{name: one.agent() for name, one in frozen.items()}, **scripted}
        self.generator = np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(14,)))

    def update(self, progress: float) -> dict[str, float]:
        """Collect one joint rollout and fit every learner to its agents' part; scalars are ``train/<agent>/...``."""
        seats = list(self.seats.values())
        n_steps = seats[0].model.n_steps
        with divergence_named():
            collect(self.community, seats, self._fixed_actions, n_steps)
        scalars: dict[str, float] = {}
        for name, seat in self.seats.items():
            prefix = "train/" if name == LONE else f"train/{name}/"
            fitted = seat.learner.fit(progress)
            # Seconds are no function of config and seed.
            scalars |= {
                prefix + key.removeprefix("train/"): value for key, value in fitted.items() if key.startswith("train/")
            }
        return scalars

    def agent(self) -> Policy:
        """Return the policies as they are now: of all agents, or the one of an environment that has one."""
        learned: dict[str, Policy] = {
            name: StableBaselinesPolicy(seat.model) for seat in self.seats.values() for name in seat.part.names
        }
        policies = learned | self.fixed
        if not self.community.several:
            return policies[self.community.agents[0]]
        return CommunityPolicy({name: policies[name] for name in self.community.agents})

    def get_state(self) -> State:
        """Return the states of all learners, the policies of frozen agents and what the others see next."""
        return {
            "learners": {name: seat.learner.get_state() for name, seat in self.seats.items()},
            "roles": {agent: name for name, seat in self.seats.items() for agent in seat.part.names},
            "frozen": {name: kept_policy(learner) for name, learner in self.frozen.items()},
            "observation": copied(self.community.observation),
            "generator": json.dumps(self.generator.bit_generator.state),
        }

    def set_state(self, state: State) -> None:
        """Continue from what `get_state` gave for a learner of the same config."""
        for name, seat in self.seats.items():
            seat.learner.set_state(state["learners"][name])
        for name, learner in self.frozen.items():
            restore_policy(learner, state["frozen"][name], f"The saved policy of {name}")
        self.community.observation = copied(state["observation"])
        self.generator.bit_generator.state = json.loads(state["generator"])

    def _fixed_actions(self) -> dict[str, np.ndarray]:
        """Return the actions of agents that learn nothing, drawn where their policies draw."""
        community = self.community
        return {
            name: act_at(policy, community.observed(name), generator=self.generator, steps=community.steps)
            for name, policy in self.fixed.items()
        }


def build_independent_ppo(
    config: IndependentPPOConfig, environment: BatchedEnv, *, seed: int, device: str
) -> IndependentPPOLearner:
    """Build the learner; the global random states of NumPy and torch are seeded, as stable-baselines3 draws from them.

    With one agent it is ``algo=ppo``, bit for bit.

    Raises
    ------
    UserError
        If an agent of the config is none of the environment's, agents cannot share a policy, nobody learns, or an
        option does not fit.
    """
    community = Community(environment)
    for name in config.agents:
        if name not in community.agents:
            raise UserError(f"algo.agents.{name}: there is no learning agent {name}; {nearest(name, community.agents)}")
    options = {name: agent_options(config, name) for name in community.agents}
    frozen: dict[str, StableBaselinesLearner] = {}
    for name, given in options.items():  # before those that learn, which then find the random states as in algo=ppo
        if not given.own.scripted and not given.own.trainable:
            frozen[name] = build_one(community, (name,), given, seed=seed, device=device)
    scripted = {
        name: scripted_policy(given.own, name, community) for name, given in options.items() if given.own.scripted
    }
    seats = {
        names[0]: Seat(
            part := CommunityPart(community, names),
            build_one(community, names, options[names[0]], seed=seed, device=device, part=part),
        )
        for names in tables(options, community)
    }
    if not seats:
        raise UserError("algo.agents leaves nobody who learns: let one agent have policy=learned and trainable=true.")
    return IndependentPPOLearner(community, seats, frozen, scripted, seed=seed)


def build_one(
    community: Community,
    names: tuple[str, ...],
    options: AgentOptions,
    *,
    seed: int,
    device: str,
    part: CommunityPart | None = None,
) -> StableBaselinesLearner:
    """Build the learner of these agents, with the policy of its checkpoint if there is one."""
    part = CommunityPart(community, names) if part is None else part
    own, algorithm, name = options.own, options.algorithm, names[0]
    place = "algo" if name == LONE else f"algo.agents.{name}"
    seed = agent_seed(seed, community.agents.index(name)) if own.seed is None else own.seed
    if isinstance(algorithm, TRPOPPOConfig):
        if algorithm.use_masking:
            raise UserError(f"{place}.use_masking=true: independent_ppo takes no masks, so leave it out.")
        learner: StableBaselinesLearner = build_trpo_ppo(algorithm, part, seed=seed, device=device)
    else:
        assert isinstance(algorithm, PPOConfig)
        rollout = algorithm.n_steps * part.num_envs
        if len(names) > 1 and rollout % algorithm.batch_size:
            raise UserError(
                f"algo.batch_size={algorithm.batch_size} does not divide the {rollout} transitions that "
                f"{', '.join(names)} have together in a rollout: choose a divisor."
            )
        learner = build_ppo(algorithm, part, seed=seed, device=device)
    if own.checkpoint is not None:
        restore_policy(learner, saved_policy(own, name), f"{place}.checkpoint={own.checkpoint}")
    return learner


def tables(options: Mapping[str, AgentOptions], community: Community) -> list[tuple[str, ...]]:
    """Return the agents that learn, those that share a policy together, whose owner stands first.

    Raises
    ------
    UserError
        If an agent shares the policy of one that has none of its own, or acts or observes otherwise.
    """
    followers: dict[str, list[str]] = {}
    for name, given in options.items():
        if (owner := given.own.share_with) is not None:
            check_sharing(name, owner, options, community)
            followers.setdefault(owner, []).append(name)
    return [
        (name, *followers.get(name, []))
        for name, given in options.items()
        if not given.own.scripted and given.own.trainable and given.own.share_with is None
    ]


def check_sharing(name: str, owner: str, options: Mapping[str, AgentOptions], community: Community) -> None:
    """Refuse an agent that cannot have the policy of another."""
    place = f"algo.agents.{name}.share_with={owner}"
    if owner not in options or owner == name:
        raise UserError(f"{place}: there is no other learning agent {owner}; {nearest(owner, set(options) - {name})}")
    other = options[owner].own
    for why, applies in (
        (f"follows a rule (policy={other.policy})", other.scripted),
        ("is frozen (trainable=false)", not other.trainable),
        (f"shares a policy itself (share_with={other.share_with})", other.share_with is not None),
    ):
        if applies:
            raise UserError(f"{place}: algo.agents.{owner} {why}, so name an agent that learns.")
    if not options[name].own.trainable or options[name].own.checkpoint is not None:
        raise UserError(f"{place}: it has the policy of {owner}, so leave trainable and checkpoint out.")
    if community.spaces(name) != community.spaces(owner):
        raise UserError(
            f"{place}: {name} has {shown(community.spaces(name))} and {owner} {shown(community.spaces(owner))}; agents "
            "that share a policy must observe and act alike."
        )


def shown(pair: tuple[spaces.Space[Any], spaces.Space[Any]]) -> str:
    """Return observation and action space as words."""
    return f"observations {pair[0]} and actions {pair[1]}"


def scripted_policy(own: AgentConfig, name: str, community: Community) -> Policy:
    """Return the rule that an agent follows.

    Raises
    ------
    UserError
        If its action or knots do not fit the action space.
    """
    space = community.spaces(name)[1]
    place = f"algo.agents.{name}"
    if not isinstance(space, spaces.Box):
        raise UserError(f"{place}.policy={own.policy} needs continuous actions, and these are {space}: leave it out.")
    if own.policy == "greedy":
        idle = community.environment.idle_action()
        return ConstantPolicy(idle[name] if isinstance(idle, Mapping) else idle, space)
    if own.policy == "constant":
        return ConstantPolicy(fitting(own.action, space, f"{place}.action={own.action}"), space)
    horizon = known_horizon(community.environment, f"{place}.policy=schedule")
    assert own.knots is not None
    knots = [fitting(knot, space, f"{place}.knots: {knot}") for knot in own.knots]
    if not knots:
        raise UserError(f"{place}.knots=[]: give at least one action.")
    return SchedulePolicy(np.array(knots), horizon, space)


def fitting(value: Any, space: spaces.Box, said: str) -> np.ndarray:
    """Return an action of the space, for which one number may stand where there is one component."""
    try:
        action = np.asarray(value, dtype=np.float64).reshape(space.shape)
    except (TypeError, ValueError):
        action = np.full(space.shape, np.nan)
    if not ((space.low <= action) & (action <= space.high)).all():
        raise UserError(f"{said} is no action of {space}: give as many numbers, within its bounds.")
    return action


def copied(observation: Any) -> Any:
    """Return arrays, or mappings of them at any depth, that nothing else changes."""
    if isinstance(observation, Mapping):
        return {key: copied(value) for key, value in observation.items()}
    return np.array(observation)
