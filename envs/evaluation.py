"""Measure any agent, policy or solver, in any environment, by the same numbers."""

from collections.abc import Mapping
from typing import Any, Protocol, runtime_checkable

import numpy as np

from .batched import Arrays, BatchedEnv
from .trajectories import Evaluation, Trajectories

__all__ = ["Evaluation", "Policy", "Solver", "Trajectories", "ask", "evaluate", "gather", "play"]


@runtime_checkable
class Policy(Protocol):
    """An agent that acts step by step.

    One with ``uses_masks`` is given the environment's masks; one with ``uses_steps`` also ``steps=``, how many steps of
    its episode every copy has taken, (num_envs,). In a community observations and actions are mappings by agent.
    """

    def act(self, observation: Arrays, *, masks: np.ndarray | None, generator: np.random.Generator | None) -> Arrays:
        """Return an action for every copy; without a generator the policy's deterministic one."""
        ...


@runtime_checkable
class Solver(Protocol):
    """An agent that answers at once."""

    def answer(self, question: Any, *, generator: np.random.Generator) -> Any:
        """Return one answer for every row of the question, the observation at the start of an episode."""
        ...


def evaluate(
    agent: Policy | Solver,
    environment: BatchedEnv,
    *,
    episodes: int | None = None,
    seed: int,
    deterministic: bool | None = None,
) -> Evaluation:
    """Measure an agent over whole episodes that begin from fresh seeds.

    Each copy plays a share of the episodes that is fixed beforehand, so that short episodes are not over-represented.
    The environment's and the agent's random numbers come from ``seed`` alone. How many episodes, and whether actions
    are drawn, is the environment's suggestion unless it is given.
    """
    trajectories = gather(agent, environment, episodes=episodes, seed=seed, deterministic=deterministic)
    return environment.measure(trajectories)


def gather(
    agent: Policy | Solver,
    environment: BatchedEnv,
    *,
    episodes: int | None = None,
    seed: int,
    deterministic: bool | None = None,
) -> Trajectories:
    """Return every step or answer of an agent over whole episodes: what `evaluate` measures."""
    generator = np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(1,)))
    episodes = environment.suggested_episodes if episodes is None else episodes
    deterministic = environment.suggested_deterministic if deterministic is None else deterministic
    if isinstance(agent, Policy):
        drawn = None if deterministic and not getattr(agent, "always_draws", False) else generator
        return play(agent, environment, episodes=episodes, seed=seed, generator=drawn)
    return ask(agent, environment, episodes=episodes, seed=seed, generator=generator)


def play(
    policy: Policy, environment: BatchedEnv, *, episodes: int, seed: int, generator: np.random.Generator | None
) -> Trajectories:
    """Let a policy act through ``episodes`` episodes and keep every step."""
    num_envs = environment.num_envs
    quota = episodes // num_envs + (np.arange(num_envs) < episodes % num_envs)
    first_episode = np.concatenate([[0], np.cumsum(quota)[:-1]])
    finished = np.zeros(num_envs, dtype=np.int64)
    step = np.zeros(num_envs, dtype=np.int64)
    masked, timed = getattr(policy, "uses_masks", False), getattr(policy, "uses_steps", False)
    columns: dict[str, list[np.ndarray]] = {"episode": [], "step": [], "reward": []}
    observation, _ = environment.reset(seed=seed)
    while (active := finished < quota).any():
        masks = environment.action_masks() if masked else None
        keywords: dict[str, Any] = {"steps": step.copy()} if timed else {}
        actions = policy.act(observation, masks=masks, generator=generator, **keywords)
        observation, reward, terminated, truncated, info = environment.step(actions)
        step += 1
        columns["episode"].append((first_episode + finished)[active])
        columns["step"].append(step[active])
        columns["reward"].append((reward if reward.ndim == 1 else reward.sum(axis=1))[active])
        if reward.ndim == 2:
            for agent, part in zip(environment.agents, reward.T, strict=True):
                columns.setdefault(f"reward.{agent}", []).append(part[active])
        for key in info.get("final_info", info):
            columns.setdefault(f"info.{key}", []).append(np.asarray(info[key])[active])
        ended = terminated | truncated
        finished += ended
        step[ended] = 0
    return _trajectories(columns)


def ask(
    solver: Solver, environment: BatchedEnv, *, episodes: int, seed: int, generator: np.random.Generator
) -> Trajectories:
    """Let a solver answer; ``answers_per_episode`` independent answers stand for one episode's steps.

    A solver that spends simulator calls on every answer has an ``answers_per_episode`` of its own.
    """
    answers = getattr(solver, "answers_per_episode", environment.answers_per_episode)
    columns: dict[str, list[np.ndarray]] = {"episode": [], "step": [], "reward": []}
    environment.reset(seed=seed)
    for first in range(0, episodes, environment.num_envs):
        observation, _ = environment.reset()
        count = min(environment.num_envs, episodes - first)
        question = _rows(environment.question(observation), count)
        for step in range(1, answers + 1):
            info = environment.grade(np.asarray(solver.answer(question, generator=generator)))
            columns["episode"].append(np.arange(first, first + count))
            columns["step"].append(np.full(count, step))
            columns["reward"].append(np.full(count, np.nan))
            for key, values in info.items():
                columns.setdefault(f"info.{key}", []).append(values)
    return _trajectories(columns)


def _rows(arrays: Arrays, count: int) -> Arrays:
    if isinstance(arrays, Mapping):
        return {key: value[:count] for key, value in arrays.items()}
    return arrays[:count]


def _trajectories(columns: dict[str, list[np.ndarray]]) -> Trajectories:
    joined = {key: np.concatenate(parts) for key, parts in columns.items()}
    info, rewards = (
        {key.removeprefix(prefix): values for key, values in joined.items() if key.startswith(prefix)}
        for prefix in ("info.", "reward.")
    )
    return Trajectories(joined["episode"], joined["step"], joined["reward"], info, rewards)
