"""Copies of a culture that agents act on: spaces, decisions, observations, rewards and whole schedules."""

import warnings
from collections.abc import Mapping
from typing import Any, Self, cast

import gymnasium
import numpy as np
from numpy.typing import NDArray

from ... import UserError
from ..batched import Arrays, BatchedEnv, State, Transition
from .community import Community, StepResult
from .config import DynamicFBAConfig
from .culture.case import Case
from .culture.repairs import STATUSES
from .scaling import ActionScaling, ObservationScaling, interpolate
from .scripted import ScriptedAgent, read_policy

FloatArray = NDArray[np.float64]

EXTINCT = 1e-9
"""gDW/L."""
CREATED = 1e-6
"""Share of the pool that cutting negative concentrations may create before a warning."""


class BatchedCulture(BatchedEnv):
    """Copies of a culture (num_envs), each with ``frame_skip`` steps of ``dt_h`` per decision.

    With one learning agent, spaces are boxes and the reward is (num_envs,). With several, observations and actions are
    mappings by agent's name and the reward is (num_envs, n_agents), in the order of `agents`; others follow the
    ``policy`` of their entry in the case. An observation ends with the time that is left.

    In ``info``: ``agent_reward`` (num_envs, n_learning); of all agents, (num_envs, n): ``growth`` (1/h, the last
    step's), ``lp_status`` (code of `culture.repairs.STATUSES`, the last step's), ``infeasible`` (share of the
    decision's time), ``tied``; ``concentration`` (num_envs, S), ``time_h``, and ``mass_residual`` (at an episode's
    end, else 0).
    Outside of the training split also ``action`` (num_envs, A), ``exchange`` (num_envs, n_fluxes) and ``causes``
    (num_envs, n_causes): the share of the decision's time and of agents for each status but the first.
    """

    def __init__(
        self,
        config: DynamicFBAConfig,
        *,
        num_envs: int,
        seed: int,
        split: str = "train",
        community: Community,
    ) -> None:
        self.config = config
        self.community = community
        self.case: Case = self.community.case
        self.frame_skip = cast("int", config.frame_skip)
        self.horizon = self.decisions = self.case.horizon_steps // self.frame_skip
        self.scaling = ActionScaling(self.case, cast("str", config.action_range), self.community.action_places)
        self.seen = ObservationScaling(self.case, cast("str", config.observation.scaling), config.observation.scale)
        self.scripted = scripted_agents(self.case)
        self.agents = tuple(agent.name for agent in self.case.agents if agent.name not in self.scripted)
        if not self.agents:
            raise UserError("case.agents: all of them have a policy, so none learns; give one policy: learned.")
        positions = [position for position, agent in enumerate(self.case.agents) if agent.name in self.agents]
        self.learning = np.array(positions)
        observations: dict[str, gymnasium.Space[Any]] = {name: self.seen.space(name) for name in self.agents}
        actions: dict[str, gymnasium.Space[Any]] = {name: self.scaling.space(name) for name in self.agents}
        self.alone = len(self.agents) == 1
        spaces = gymnasium.spaces
        super().__init__(
            num_envs=num_envs,
            seed=seed,
            split=split,
            observation_space=observations[self.agents[0]] if self.alone else spaces.Dict(observations),
            action_space=actions[self.agents[0]] if self.alone else spaces.Dict(actions),
        )
        self.records = split != "train"
        self.answered = np.concatenate(
            [np.arange(place.start, place.stop) for name, place in self.scaling.places.items() if name in self.agents]
        )
        low, high = (np.repeat(bound[self.answered, None], config.knots, axis=1) for bound in self._action_limits())
        if len(self.answered):
            self.answer_space = gymnasium.spaces.Box(low, high, dtype=np.float64)
        self._warned = False
        self._none = np.zeros(num_envs)

    def restart(self, copies: NDArray[np.int64]) -> None:
        """Put these copies at the start of the case; nothing is drawn."""
        if "concentration" not in self.state:
            self.state.update(self.community.new_state(self.num_envs))
        else:
            self.community.begin(self.state, copies)

    def advance(self, actions: Arrays) -> Transition:
        """Hold the decisions for ``frame_skip`` steps."""
        state, community = self.state, self.community
        joint = self.joint_actions(actions)
        self._script(joint, first=(state["elapsed_steps"] - 1) * self.frame_skip)
        result = community.step(state, joint)
        reward = self.reward_of(result)
        unfit, tied = result.infeasible_h, result.tied
        causes = share_of_causes(result) if self.records else None
        for number in range(1, self.frame_skip):
            self._script(joint, first=(state["elapsed_steps"] - 1) * self.frame_skip + number)
            result = community.step(state, joint)
            reward = reward + self.reward_of(result)
            unfit = unfit + result.infeasible_h
            causes = None if causes is None else causes + share_of_causes(result)
            tied = None if tied is None or result.tied is None else tied | result.tied
        self.simulator_calls += self.num_envs * self.frame_skip
        over = state["elapsed_steps"] >= self.decisions
        concentration = state["concentration"]
        gone: NDArray[np.bool_] = np.zeros_like(over)
        if self.config.stop_when_extinct:
            gone = np.all(concentration[:, : community.n_agents] < EXTINCT, axis=1)
        ended = over | gone
        if self.config.reward == "final_biomass":
            reward = reward + np.where(ended[:, None], np.maximum(concentration[:, : community.n_agents], 0.0), 0.0)
        terminated = ended if self.config.horizon == "terminated" else gone
        truncated = over & ~terminated
        info = self._information(result, unfit, tied, reward, ended)
        if causes is not None:
            info |= self._records(result, causes, joint)
        given = reward[:, self.learning]
        return Transition(given[:, 0] if self.alone else given, terminated.copy(), truncated, info)

    def observe(self) -> Arrays:
        """Return what every learning agent sees: chosen columns of the state, and the time that is left."""
        left = self.decisions - self.state["elapsed_steps"]
        seen = self.seen.observe(self.state["concentration"], left, self.decisions, self.agents)
        return cast("Mapping[str, np.ndarray]", seen)[self.agents[0]] if self.alone else seen

    def joint_actions(self, actions: Arrays) -> FloatArray:
        """Return the bounds (num_envs, A) that learning agents wrote; those of others are idle."""
        parts = {self.agents[0]: actions} if self.alone else cast("Mapping[str, np.ndarray]", actions)
        joint = np.repeat(self.scaling.idle[None], self.num_envs, axis=0)
        for name, part in parts.items():
            joint[:, self.scaling.places[name]] = self.scaling.physical(name, part)
        return joint

    def reward_of(self, result: StepResult) -> FloatArray:
        """Return the rewards (num_envs, n) of one step."""
        config = self.config
        match config.reward:
            case "spam":
                reward = result.spam_reward
            case "growth":
                reward = result.formed
            case "log_growth":
                reward = result.log_growth
            case "final_biomass":
                reward = np.zeros_like(result.formed)
            case _:
                assert result.released is not None
                reward = result.released
        return reward - config.infeasible_penalty * result.infeasible_h if config.infeasible_penalty else reward

    def grade(self, answers: np.ndarray) -> dict[str, np.ndarray]:
        """Return returns and end states of schedules (n, A_learning, knots), bounds by time; cost: minus their mean.

        The schedule of an action is linear between its knots, of which the first stands for an episode's first step
        and the last for its last one; a decision takes its value at its first step.
        """
        answers = np.asarray(answers, dtype=np.float64).reshape(-1, len(self.answered), self.config.knots)
        state = self.community.new_state(len(answers))
        returns = np.zeros((len(answers), self.community.n_agents))
        unfit = np.zeros_like(returns)
        joint = np.repeat(self.scaling.idle[None], len(answers), axis=0)
        for step in range(self.case.horizon_steps):
            if step % self.frame_skip == 0:
                joint[:, self.answered] = interpolate(answers, np.array([step]), self.case.horizon_steps)[:, :, 0]
            self._script(joint, first=np.full(len(answers), step))
            result = self.community.step(state, joint)
            returns += self.reward_of(result)
            unfit += result.infeasible_h
        if self.config.reward == "final_biomass":
            returns += state["concentration"][:, : self.community.n_agents]
        self.simulator_calls += len(answers) * self.case.horizon_steps
        hours = self.case.horizon_steps * self.case.dt_h
        return {
            "cost": -returns[:, self.learning].mean(axis=1),
            "agent_reward": returns[:, self.learning],
            "concentration": state["concentration"],
            "infeasible": unfit / hours,
            "tied": np.zeros(returns.shape, dtype=bool),
            "mass_residual": self.community.mass_residual(state),
            "time_h": np.full(len(answers), hours),
        }

    def idle_action(self) -> Arrays:
        """Return what an agent writes that forces nothing, (a,), by agent where several learn."""
        scaling = self.scaling
        idle = {name: scaling.written(name, scaling.idle[scaling.places[name]]) for name in self.agents}
        return idle[self.agents[0]] if self.alone else idle

    def facts(self) -> dict[str, Any]:
        """Return what provenance should keep of the case."""
        return {
            "agents": {agent.name: agent.model.name for agent in self.case.agents},
            "learning": list(self.agents),
            "columns": list(self.case.names),
            "decisions": self.decisions,
            "linear_programs": self.community.statistics(),
        }

    def sibling(self, num_envs: int, seed: int, split: str) -> Self:
        """Make other copies of the same culture, which share its linear programs."""
        return type(self)(self.config, num_envs=num_envs, seed=seed, split=split, community=self.community)

    def set_state(self, state: State) -> None:
        """Continue from what `get_state` gave; linear programs are learned anew."""
        super().set_state(state)
        if "basis" in self.state:
            self.state["basis"][:] = -1

    def _script(self, joint: FloatArray, first: NDArray[np.int64]) -> None:
        """Fill in what scripted agents do in steps ``first`` (n,) of the episodes."""
        for name, agent in self.scripted.items():
            joint[:, self.scaling.places[name]] = agent.actions(first)

    def _action_limits(self) -> tuple[FloatArray, FloatArray]:
        return self.scaling.low, self.scaling.high

    def _information(
        self,
        result: StepResult,
        unfit: FloatArray,
        tied: NDArray[np.bool_] | None,
        reward: FloatArray,
        ended: NDArray[np.bool_],
    ) -> dict[str, np.ndarray]:
        state, community = self.state, self.community
        residual = self._none
        if ended.any():
            residual = np.where(ended, community.mass_residual(state), 0.0)
            self._warn_of_created_mass(ended)
        info = {
            "agent_reward": reward[:, self.learning],
            "growth": result.growth,
            "lp_status": result.status,
            "infeasible": unfit / (self.frame_skip * self.case.dt_h),
            "tied": np.zeros(result.status.shape, dtype=bool) if tied is None else tied,
            "concentration": state["concentration"].copy(),
            "mass_residual": residual,
            "time_h": state["community_step"] * self.case.dt_h,
        }
        return info

    def _records(self, result: StepResult, causes: FloatArray, joint: FloatArray) -> dict[str, np.ndarray]:
        """Return what evaluations keep besides."""
        records = {
            "causes": causes / self.frame_skip,
            "action": joint.copy(),
            "exchange": self.community.all_exchanges(result.exchange),
        }
        if result.fluxes is not None:
            records["fluxes"] = self.community.all_fluxes(result.fluxes)
        return records

    def _warn_of_created_mass(self, ended: NDArray[np.bool_]) -> None:
        if self._warned or not self.community.spam:
            return
        created = self.state["clipped"][ended][:, self.community.species]
        pool = np.maximum(self.case.initial + self.case.reactor.inlet, 1e-300)[self.community.species]
        share = (created / np.where(pool > 1e-200, pool, np.inf)).max(initial=0.0)
        if share > CREATED:
            self._warned = True
            warnings.warn(
                f"semantics=spam made {share:.2g} of a species' pool by cutting negative concentrations at 0: lower "
                "case.dt_h, or use semantics=standard.",
                stacklevel=4,
            )


def share_of_causes(result: StepResult) -> FloatArray:
    """Return for each status but optimal the share of agents that have it, (K, n_statuses - 1)."""
    return np.stack([(result.status == code).mean(axis=1) for code in range(1, len(STATUSES))], axis=1)


def scripted_agents(case: Case) -> dict[str, ScriptedAgent]:
    """Return the agents that do not learn, by name."""
    scripted = {agent.name: read_policy(agent, case.horizon_steps) for agent in case.agents}
    return {name: policy for name, policy in scripted.items() if policy is not None}
