"""Policies that look at nothing but the time: one action for ever, or a course of actions over the episode."""

from collections.abc import Mapping
from typing import Any

import gymnasium
import numpy as np

from ... import UserError
from ...envs.batched import Arrays, BatchedEnv


class ConstantPolicy:
    """Always take the same action, of shape ``space.shape``."""

    def __init__(self, action: np.ndarray, space: gymnasium.Space[Any]) -> None:
        self.action = np.asarray(action, dtype=space.dtype)

    def act(self, observation: Arrays, *, masks: np.ndarray | None, generator: np.random.Generator | None) -> Arrays:
        """Return the action for every copy, (num_envs, ...)."""
        del masks, generator
        first = next(iter(observation.values())) if isinstance(observation, Mapping) else observation
        return np.repeat(self.action[None], len(first), axis=0)


class SchedulePolicy:
    """Follow a course of actions, whatever is observed.

    Parameters
    ----------
    knots
        (n_knots, *action shape): the actions at equal distances in time, the first one at an episode's first step and
        the last one at its last. Between them actions are interpolated linearly.
    horizon
        Steps of an episode.
    space
        Of one action, whose bounds are kept.
    """

    uses_steps = True

    def __init__(self, knots: np.ndarray, horizon: int, space: gymnasium.spaces.Box) -> None:
        self.course = np.clip(interpolated(knots, horizon), space.low, space.high).astype(space.dtype)

    def act(
        self,
        observation: Arrays,
        *,
        masks: np.ndarray | None,
        generator: np.random.Generator | None,
        steps: np.ndarray | None = None,
    ) -> Arrays:
        """Return actions (num_envs, ...) for copies that have taken ``steps`` (num_envs,) steps of their episodes."""
        del observation, masks, generator
        if steps is None:
            raise ValueError("a schedule needs to know how many steps every copy has taken")
        actions: np.ndarray = self.course[np.minimum(steps, len(self.course) - 1)]
        return actions


class CommunityPolicy:
    """Let every agent of a community act by its own policy; observations and actions are mappings by agent."""

    uses_steps = True

    def __init__(self, policies: Mapping[str, Any]) -> None:
        self.policies = dict(policies)

    def act(
        self,
        observation: Arrays,
        *,
        masks: np.ndarray | None,
        generator: np.random.Generator | None,
        steps: np.ndarray | None = None,
    ) -> dict[str, np.ndarray]:
        """Return the actions of all agents, each (num_envs, ...)."""
        del masks
        assert isinstance(observation, Mapping)
        return {
            name: act_at(policy, observation[name], generator=generator, steps=steps)
            for name, policy in self.policies.items()
        }


def act_at(
    policy: Any, observation: Arrays, *, generator: np.random.Generator | None, steps: np.ndarray | None
) -> np.ndarray:
    """Let a policy act that may or may not ask for the time."""
    keywords = {"steps": steps} if getattr(policy, "uses_steps", False) else {}
    actions: np.ndarray = policy.act(observation, masks=None, generator=generator, **keywords)
    return actions


def interpolated(knots: np.ndarray, horizon: int) -> np.ndarray:
    """Return the actions of every step (horizon, ...), linear between knots (n_knots, ...) at equal distances."""
    places = np.linspace(0.0, len(knots) - 1, horizon) if horizon > 1 else np.zeros(1)
    before = np.minimum(places.astype(np.int64), max(len(knots) - 2, 0))
    after = np.minimum(before + 1, len(knots) - 1)
    share = (places - before).reshape(-1, *[1] * (np.ndim(knots) - 1))
    course: np.ndarray = (1.0 - share) * knots[before] + share * knots[after]
    return course


def known_horizon(environment: BatchedEnv, asked_by: str) -> int:
    """Return how many steps an episode has at most, or refuse an environment that does not say."""
    if environment.horizon is None:
        raise UserError(
            f"{asked_by} needs to know how long an episode is, and {type(environment).__name__} has no horizon: "
            "give it one."
        )
    return environment.horizon
