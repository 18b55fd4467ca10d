"""Policies of earlier runs, out of their checkpoints."""

from pathlib import Path
from typing import Any

from ... import UserError
from ...configs.option import nearest
from ...envs.batched import State
from ...storage.checkpoint import read_checkpoint
from ..stable_baselines import StableBaselinesLearner
from .config import AgentConfig


def saved_policy(own: AgentConfig, name: str) -> State:
    """Return the learner's state that a checkpoint holds for the agent called ``name``.

    Raises
    ------
    UserError
        If the file cannot be read, or holds no policy for that agent.
    """
    place = f"algo.agents.{name}"
    assert own.checkpoint is not None
    try:
        content = read_checkpoint(Path(own.checkpoint))
    except UserError as error:
        raise UserError(f"{place}.checkpoint={own.checkpoint} cannot be used: {error}") from error
    state = content.get("learner", {})
    if "learners" in state:
        roles, asked = state["roles"], own.checkpoint_agent or name
        if asked not in roles and own.checkpoint_agent is None and len(roles) == 1:
            asked = next(iter(roles))
        if asked not in roles:
            raise UserError(
                f"{place}.checkpoint={own.checkpoint} has no learned policy of {asked}: set {place}.checkpoint_agent; "
                f"{nearest(asked, roles)}"
            )
        state = state["learners"][roles[asked]]
    if "policy" not in state:
        raise UserError(
            f"{place}.checkpoint={own.checkpoint} holds no policy network: give a checkpoint of "
            "algo=independent_ppo or algo=ppo."
        )
    found: State = state
    return found


def restore_policy(learner: StableBaselinesLearner, state: State, place: str) -> None:
    """Give a learner the saved policy, and the observation normaliser that it was trained with.

    Raises
    ------
    UserError
        If the saved network is another than the learner's.
    """
    normaliser = learner.model.get_vec_normalize_env()
    if ("normaliser" in state) != (normaliser is not None):
        was, value = ("with", "true") if "normaliser" in state else ("without", "false")
        raise UserError(
            f"{place} was trained {was} a normaliser: set normalize_observation={value} and "
            f"normalize_reward={value} for this agent."
        )
    try:
        learner.model.policy.load_state_dict(state["policy"])
    except RuntimeError as error:
        problem = str(error).splitlines()[-1].strip().rstrip(".")
        raise UserError(
            f"{place} does not fit the network that the agent's options describe ({problem}): give "
            "hidden_sizes and the other options that it was trained with."
        ) from error
    if normaliser is not None:
        running = {key: getattr(normaliser, key) for key in ("returns", "old_obs", "old_reward")}
        learner.restore_normaliser(state["normaliser"] | running)


def kept_policy(learner: StableBaselinesLearner) -> dict[str, Any]:
    """Return the part of a learner's state that makes its policy."""
    state = learner.get_state()
    return {key: state[key] for key in ("policy", "normaliser") if key in state}
