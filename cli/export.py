"""`bioppo export`: write a trained policy as TorchScript and ONNX, or the sets that an agent hands over."""

from pathlib import Path

from .. import UserError
from .arguments import Arguments


def main(words: list[str]) -> int:
    """Rebuild the run's agent from its directory and write it, or what it hands over."""
    parser = Arguments(prog="bioppo export", description="Write a trained policy as TorchScript and ONNX, or its sets.")
    parser.add_argument("run", type=Path, help="a run directory, such as results/adhoc/.../seed_0")
    parser.add_argument("--output", type=Path, help="folder of the files (default: RUN/export)")
    parser.add_argument("--checkpoint", default="last", help="last, best, previous or calls_... (default: last)")
    parser.add_argument("--config-dir", type=Path, help="folder of your own code, as in training")
    parser.add_argument(
        "--sets", metavar="FORMATS", help="write what the agent hands over instead, such as csv,npz,hdf5,skimpy"
    )
    parser.add_argument("--episodes", type=int, help="how many episodes give sets (default: as the run's config says)")
    parser.add_argument("--seed", type=int, default=0, help="of these episodes (default: 0)")
    arguments = parser.parse_args(words)

    from ..configs.saved import read_config
    from ..configs.schema import to_run_config

    folders = [] if arguments.config_dir is None else [arguments.config_dir]
    run = to_run_config(read_config(arguments.run), folders)
    output = arguments.run / "export" if arguments.output is None else arguments.output
    if arguments.sets is not None:
        from ..training.saved import write_answers

        files = write_answers(
            run,
            arguments.run,
            output,
            checkpoint=arguments.checkpoint,
            episodes=positive(arguments.episodes, run.evaluation.episodes),
            seed=arguments.seed,
            formats=arguments.sets.split(","),
        )
    else:
        from ..training.export import export_policy

        files = export_policy(run, arguments.run, output, checkpoint=arguments.checkpoint)
    for file in files:
        print(file)
    return 0


def positive(given: int | None, otherwise: int | None) -> int | None:
    """Return the number of episodes that was given, or the config's."""
    if given is None:
        return otherwise
    if given < 1:
        raise UserError(f"--episodes {given}: give a value of at least 1.")
    return given
