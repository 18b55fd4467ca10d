"""Agents of saved runs, rebuilt from their run directories alone."""

from pathlib import Path
from typing import TYPE_CHECKING

from .. import UserError
from ..algorithms.learner import Policy, Solver
from ..envs.batched import BatchedEnv
from ..envs.evaluation import Evaluation, evaluate
from .build import build_environment, build_learner
from .checkpoint import CheckpointError, read_checkpoint
from .random_state import preserved_random_state, seed_for

if TYPE_CHECKING:
    from ..configs.schema import RunConfig


def load_agent(config: "RunConfig", directory: Path, *, checkpoint: str) -> tuple[Policy | Solver, BatchedEnv]:
    """Return the agent of a checkpoint and a training environment like the one it was trained in.

    Raises
    ------
    UserError
        If there is no such checkpoint, naming those there are, or if it is damaged.
    """
    file = directory / "checkpoints" / f"{checkpoint}.pt"
    if not file.exists():
        there = ", ".join(sorted(path.stem for path in file.parent.glob("*.pt"))) or "none yet"
        raise UserError(f"{directory} has no checkpoint '{checkpoint}': choose one of {there}.")
    try:
        content = read_checkpoint(file)
    except CheckpointError as error:
        raise UserError(f"{error} Choose another with --checkpoint, or train again.") from error
    environment = build_environment(config.env, seed=seed_for(config.seed, "environment"), split="train")
    learner = build_learner(config.algo, environment, seed=seed_for(config.seed, "learner"), device="cpu")
    learner.set_state(content["learner"])
    return learner.agent(), environment


def evaluate_saved(
    config: "RunConfig", directory: Path, *, checkpoint: str, episodes: int, seed: int, deterministic: bool
) -> Evaluation:
    """Measure the agent of a checkpoint on the test split with episodes drawn from ``seed``."""
    with preserved_random_state():
        agent, environment = load_agent(config, directory, checkpoint=checkpoint)
        test = environment.sibling(min(config.env.num_envs, episodes), seed, "test")
        return evaluate(agent, test, episodes=episodes, seed=seed, deterministic=deterministic)
