"""Agents of saved runs, rebuilt from their run directories alone."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .. import UserError
from ..algorithms.learner import Policy, Solver
from ..envs.batched import BatchedEnv
from ..envs.evaluation import Evaluation, Trajectories, gather
from ..storage.checkpoint import CheckpointError, read_checkpoint
from .build import build_environment, build_learner
from .random_state import preserved_random_state, seed_for

if TYPE_CHECKING:
    import pandas as pd

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


def saved_facts(config: "RunConfig", directory: Path, checkpoint: str) -> dict[str, Any]:
    """Return which agent of which run a checkpoint holds, as JSON values."""
    content = read_checkpoint(directory / "checkpoints" / f"{checkpoint}.pt")
    calls = content["simulator_calls"] if "simulator_calls" in content else content["environment"]["simulator_calls"]
    return {
        "directory": str(directory),
        "env": config.env.name,
        "algo": config.algo.name,
        "seed": config.seed,
        "checkpoint": checkpoint,
        "simulator_calls": calls,
    }


def evaluate_saved(
    config: "RunConfig",
    directory: Path,
    *,
    checkpoint: str,
    episodes: int | None,
    seed: int,
    deterministic: bool | None,
) -> Evaluation:
    """Measure the agent of a checkpoint on the test split with episodes drawn from ``seed``; None: as suggested."""
    evaluation, _ = evaluate_with_trajectories(
        config, directory, checkpoint=checkpoint, episodes=episodes, seed=seed, deterministic=deterministic
    )
    return evaluation


def evaluate_with_trajectories(
    config: "RunConfig",
    directory: Path,
    *,
    checkpoint: str,
    episodes: int | None,
    seed: int,
    deterministic: bool | None,
) -> tuple[Evaluation, Trajectories]:
    """Measure as `evaluate_saved` does, and return every step that was measured too."""
    with preserved_random_state():
        agent, environment = load_agent(config, directory, checkpoint=checkpoint)
        test = copies_for_test(config, environment, episodes, seed)
        trajectories = gather(agent, test, episodes=episodes, seed=seed, deterministic=deterministic)
        return test.measure(trajectories), trajectories


def consult(
    config: "RunConfig", directory: Path, question: Mapping[str, str], *, checkpoint: str
) -> "tuple[str, pd.DataFrame]":
    """Return what the agent of a checkpoint advises in one case: in words, and as a table."""
    with preserved_random_state():
        agent, environment = load_agent(config, directory, checkpoint=checkpoint)
        return environment.consult(agent, question)


def write_answers(
    config: "RunConfig",
    directory: Path,
    folder: Path,
    *,
    checkpoint: str,
    episodes: int | None,
    seed: int,
    formats: list[str],
) -> list[Path]:
    """Let the agent of a checkpoint play the test split and write what it hands over; return the files.

    The config says whether actions are drawn, as it does for every evaluation.
    """
    with preserved_random_state():
        agent, environment = load_agent(config, directory, checkpoint=checkpoint)
        test = copies_for_test(config, environment, episodes, seed)
        suggested, asked = test.suggested_deterministic, config.evaluation.deterministic
        deterministic = suggested if asked is None else asked
        trajectories = gather(agent, test, episodes=episodes, seed=seed, deterministic=deterministic)
    facts = saved_facts(config, directory, checkpoint) | {"episode_seed": seed, "deterministic": deterministic}
    return test.write_answers(trajectories, folder, formats=formats, facts=facts)


def copies_for_test(config: "RunConfig", environment: BatchedEnv, episodes: int | None, seed: int) -> BatchedEnv:
    """Return the environment of the test split, with no more copies than there are episodes."""
    copies = config.evaluation.num_envs or config.env.num_envs
    return environment.sibling(min(copies, episodes or copies), seed, "test")


def trajectory_table(trajectories: Trajectories) -> "pd.DataFrame":
    """Return a row per step: episode, step, reward, those of a community's agents, and ``info`` by key.

    An array of a step becomes a list.
    """
    import pandas as pd

    columns: dict[str, Any] = {
        "episode": trajectories.episode,
        "step": trajectories.step,
        "reward": trajectories.reward,
    }
    columns |= {f"reward.{agent}": values for agent, values in trajectories.rewards.items()}
    for key, values in trajectories.info.items():
        columns[f"info.{key}"] = values if values.ndim == 1 else [row.ravel().tolist() for row in values]
    table = pd.DataFrame(columns).sort_values(["episode", "step"], kind="stable")
    return table.reset_index(drop=True)
