"""`bioppo evaluate`: measure a trained agent again, from its run directory alone."""

import argparse
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .arguments import Arguments

if TYPE_CHECKING:
    from ..configs.schema import RunConfig


def main(words: list[str]) -> int:
    """Rebuild the run from its own config, load a checkpoint, and print what it scores on fresh episodes."""
    arguments = parser().parse_args(words)

    import json

    from ..configs.option import OptionError
    from ..configs.saved import read_config
    from ..configs.schema import to_run_config

    folders = [] if arguments.config_dir is None else [arguments.config_dir]
    run = to_run_config(read_config(arguments.run), folders)
    if arguments.episodes is not None and arguments.episodes < 1:
        raise OptionError(f"--episodes {arguments.episodes}: give a value of at least 1.")
    if arguments.question:
        return answer(run, arguments)
    from ..training.saved import evaluate_with_trajectories

    settings = settings_of(run, arguments)
    evaluation, trajectories = evaluate_with_trajectories(run, arguments.run, **settings)
    settings["episodes"] = len(set(trajectories.episode.tolist()))
    if arguments.trajectories is not None:
        write_trajectories(trajectories, arguments.trajectories)
    if arguments.json:
        print(json.dumps(evaluation.scalars | {"provenance": provenance_of(run, arguments.run, settings)}, indent=2))
        return 0
    actions = "the most probable actions" if settings["deterministic"] else "drawn actions"
    print(f"{arguments.run} ({arguments.checkpoint}), {settings['episodes']} fresh episodes, seed {arguments.seed}")
    print(f"  with {actions}")
    width = max(map(len, evaluation.scalars))
    for key, value in evaluation.scalars.items():
        print(f"  {key:<{width}}  {value:.6g}")
    return 0


def answer(run: "RunConfig", arguments: argparse.Namespace) -> int:
    """Print what the agent advises in one case, and write it as CSV."""
    from .. import UserError
    from ..storage.atomic_file import write_atomically
    from ..training.saved import consult

    words = [word.partition("=") for word in arguments.question]
    for key, equals, value in words:
        if not (key and equals and value):
            raise UserError(f"{key}{equals}{value}: describe one case by key=value, such as start=CELL target=TYPE.")
    question = {key: value for key, _, value in words}
    text, table = consult(run, arguments.run, question, checkpoint=arguments.checkpoint)
    name = "-".join(re.sub(r"[^A-Za-z0-9.]+", "_", value) for value in question.values())
    file = arguments.run / "answers" / f"{name}.csv" if arguments.csv is None else arguments.csv
    file.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(file, table.to_csv(index=False).encode())
    print(text)
    print(f"Written to {file}")
    return 0


def parser() -> Arguments:
    """Return the parser of the command's words."""
    words = Arguments(prog="bioppo evaluate", description="Measure a trained agent again.")
    words.add_argument("run", type=Path, help="a run directory, such as results/adhoc/.../seed_0")
    words.add_argument(
        "question", nargs="*", metavar="KEY=VALUE", help="ask for one case instead, such as start=CELL target=TYPE"
    )
    words.add_argument("--csv", type=Path, metavar="FILE.csv", help="where its answer goes (default: RUN/answers/)")
    words.add_argument("--checkpoint", default="last", help="last, best, previous or calls_... (default: last)")
    words.add_argument("--episodes", type=int, help="how many episodes (default: as the run's config says)")
    words.add_argument("--seed", type=int, default=0, help="of the fresh episodes (default: 0)")
    actions = words.add_mutually_exclusive_group()
    actions.add_argument("--deterministic", action="store_true", default=None, help="take the most probable action")
    actions.add_argument(
        "--sampled", dest="deterministic", action="store_false", help="draw actions (default: as the run's config says)"
    )
    words.add_argument("--trajectories", type=Path, metavar="FILE.parquet", help="write every step to this file")
    words.add_argument("--config-dir", type=Path, help="folder of your own code, as in training")
    words.add_argument("--json", action="store_true", help="print JSON, with what was measured how, instead of a table")
    return words


def settings_of(run: "RunConfig", arguments: argparse.Namespace) -> dict[str, Any]:
    """Return how to evaluate: what the command line does not say, the run's config or its environment does."""
    from ..training.build import import_target

    saved = run.evaluation
    deterministic = saved.deterministic if arguments.deterministic is None else arguments.deterministic
    if deterministic is None:
        deterministic = bool(getattr(import_target(run.env), "suggested_deterministic", False))
    return {
        "checkpoint": arguments.checkpoint,
        "episodes": saved.episodes if arguments.episodes is None else arguments.episodes,
        "seed": arguments.seed,
        "deterministic": deterministic,
    }


def provenance_of(run: "RunConfig", directory: Path, settings: dict[str, Any]) -> dict[str, Any]:
    """Return which agent was measured, how, and by which code."""
    from ..training.provenance import provenance
    from ..training.saved import saved_facts

    content = {"run": saved_facts(run, directory, settings["checkpoint"]), "split": "test", **settings}
    return content | provenance(device="cpu", threads=1)


def write_trajectories(trajectories: Any, file: Path) -> None:
    """Write every step of the evaluation as Parquet."""
    from ..storage.atomic_file import write_atomically
    from ..training.saved import trajectory_table

    file.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(file, trajectory_table(trajectories).to_parquet(index=False))
