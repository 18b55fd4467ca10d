"""`bioppo evaluate`: measure a trained agent again, from its run directory alone."""

from pathlib import Path

from .arguments import Arguments


def main(words: list[str]) -> int:
    """Rebuild the run from its own config, load a checkpoint, and print what it scores on fresh episodes."""
    parser = Arguments(prog="bioppo evaluate", description="Measure a trained agent again.")
    parser.add_argument("run", type=Path, help="a run directory, such as results/adhoc/.../seed_0")
    parser.add_argument("--checkpoint", default="last", help="last, best, previous or calls_... (default: last)")
    parser.add_argument("--episodes", type=int, help="how many episodes (default: as the run's config says)")
    parser.add_argument("--seed", type=int, default=0, help="of the fresh episodes (default: 0)")
    parser.add_argument("--deterministic", action="store_true", help="take the most probable action")
    parser.add_argument("--json", action="store_true", help="print JSON instead of a table")
    arguments = parser.parse_args(words)

    import json

    from ..configs.option import OptionError
    from ..configs.saved import read_config
    from ..configs.schema import to_run_config
    from ..training.saved import evaluate_saved

    run = to_run_config(read_config(arguments.run))
    if arguments.episodes is not None and arguments.episodes < 1:
        raise OptionError(f"--episodes {arguments.episodes}: give a value of at least 1.")
    episodes = run.evaluation.episodes if arguments.episodes is None else arguments.episodes
    evaluation = evaluate_saved(
        run,
        arguments.run,
        checkpoint=arguments.checkpoint,
        episodes=episodes,
        seed=arguments.seed,
        deterministic=arguments.deterministic,
    )
    if arguments.json:
        print(json.dumps(evaluation.scalars, indent=2))
        return 0
    print(f"{arguments.run} ({arguments.checkpoint}), {episodes} fresh episodes, seed {arguments.seed}")
    width = max(map(len, evaluation.scalars))
    for key, value in evaluation.scalars.items():
        print(f"  {key:<{width}}  {value:.6g}")
    return 0
