"""Agents that do not learn: they follow a rule that the case states."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ... import UserError
from .culture.case import Agent
from .scaling import idle_action, interpolate

FloatArray = NDArray[np.float64]

POLICIES = "learned, greedy, {constant: [...]} or {schedule: [[knot, knot, ...], ...]}"


@dataclass(frozen=True)
class ScriptedAgent:
    """Bounds as a function of time.

    Attributes
    ----------
    knots
        ``(n_actions, n_knots)``, at equal distances over the episode.
    """

    knots: FloatArray
    horizon: int

    def actions(self, step: NDArray[np.int64]) -> FloatArray:
        """Return the bounds (n, n_actions) at steps (n,) of the episodes."""
        if self.knots.shape[1] == 2 and np.array_equal(self.knots[:, 0], self.knots[:, 1]):
            return self.knots[None, :, 0]
        return interpolate(self.knots, step, self.horizon).T


def read_policy(agent: Agent, horizon: int) -> ScriptedAgent | None:
    """Return what an agent's ``policy`` says, or None if it learns.

    Raises
    ------
    UserError
        If it cannot be read, or has not one entry for each action.
    """
    key, policy = f"agents.{agent.name}.policy", agent.policy
    if policy in (None, "learned"):
        return None
    if policy == "greedy":
        values = np.array([idle_action(action) for action in agent.actions])
        return ScriptedAgent(np.repeat(values[:, None], 2, axis=1), horizon)
    if not isinstance(policy, Mapping) or len(policy) != 1 or next(iter(policy)) not in ("constant", "schedule"):
        raise UserError(f"{key}={policy}: give {POLICIES}.")
    kind, entry = next(iter(policy.items()))
    try:
        knots = np.array(entry, dtype=np.float64)
    except (TypeError, ValueError):
        raise UserError(f"{key}.{kind}={entry}: give numbers.") from None
    if kind == "constant" and knots.ndim == 1:
        knots = np.repeat(knots[:, None], 2, axis=1)
    if knots.ndim != 2 or len(knots) != len(agent.actions) or knots.shape[1] < 2 or not np.isfinite(knots).all():
        raise UserError(f"{key}.{kind}={entry}: give one entry for each of its {len(agent.actions)} actions.")
    return ScriptedAgent(knots, horizon)
