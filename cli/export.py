"""`bioppo export`: write a trained policy as TorchScript and ONNX."""

from pathlib import Path

from .arguments import Arguments


def main(words: list[str]) -> int:
    """Rebuild the run's policy from its directory and write it with a description of its inputs and actions."""
    parser = Arguments(prog="bioppo export", description="Write a trained policy as TorchScript and ONNX.")
    parser.add_argument("run", type=Path, help="a run directory, such as results/adhoc/.../seed_0")
    parser.add_argument("--output", type=Path, help="folder of the files (default: RUN/export)")
    parser.add_argument("--checkpoint", default="last", help="last, best, previous or calls_... (default: last)")
    parser.add_argument("--config-dir", type=Path, help="folder of your own code, as in training")
    arguments = parser.parse_args(words)

    from ..configs.saved import read_config
    from ..configs.schema import to_run_config

    folders = [] if arguments.config_dir is None else [arguments.config_dir]
    run = to_run_config(read_config(arguments.run), folders)
    from ..training.export import export_policy

    output = arguments.run / "export" if arguments.output is None else arguments.output
    for file in export_policy(run, arguments.run, output, checkpoint=arguments.checkpoint):
        print(file)
    return 0
