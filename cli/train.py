"""`bioppo train`: one run, or with ``--multirun`` all combinations of the values given."""

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import hydra
from omegaconf import DictConfig

from ..configs.schema import RunConfig, register, to_run_config
from .overrides import is_sweep, split_words, sweep_directory
from .sweeper import register_sweeper

if TYPE_CHECKING:
    from ..training.train import Result

register()


def main(words: list[str]) -> int:
    """Compose the config with Hydra and train."""
    overrides, flags = split_words(words)
    # Hydra prints its own messages and ends with status 1, unless it is told to raise.
    os.environ["HYDRA_FULL_ERROR"] = "1"
    if is_sweep(flags) and (directory := sweep_directory(overrides)) is not None:
        overrides = [*overrides, f"hydra.sweep.dir={directory}"]
    # Two words, so that Hydra's own messages name the command; overrides first, as its parser wants them together.
    sys.argv = ["bioppo train", *overrides, *flags]
    register_sweeper()
    task()
    return 0


@hydra.main(version_base="1.3", config_path="pkg://bioppo.configs", config_name="train")
def task(config: DictConfig) -> Any:
    """Train one run in the directory Hydra has chosen; launchers call this in their own processes."""
    from hydra.core.hydra_config import HydraConfig
    from hydra.types import RunMode

    settings = HydraConfig.get()
    directory = Path(settings.runtime.output_dir)
    if settings.mode == RunMode.MULTIRUN:
        train_job(config, directory, settings)
        return
    try:
        train_here(to_run_config(config), directory)
    except Exception as error:
        # Hydra would print a line of its own in front of ours; what is no Exception passes through it unseen.
        raise SystemExit(2) from error


def train_job(config: DictConfig, directory: Path, settings: Any) -> None:
    """Train one job of a sweep; what ends it is written to its directory, and the other jobs go on."""
    from ..training.devices import device_of_job
    from ..training.train import recorded_failure
    from .mistakes import explain

    try:
        with recorded_failure(directory):
            run = to_run_config(config)
            run.device = device_of_job(run.device, settings.job.num)
            if run.display == "auto" and not settings.launcher._target_.endswith("BasicLauncher"):
                run.display = "plain"  # several bars on one terminal would overwrite each other
            train_here(run, directory)
    except Exception as error:
        print(f"bioppo: {_relative(directory)}: {explain(error) or repr(error)}", file=sys.stderr, flush=True)
        raise


def train_here(run: RunConfig, directory: Path) -> None:
    """Train in ``directory`` and print the summary."""
    from ..training.display import make_display
    from ..training.train import train

    result = train(run, _relative(directory), display=make_display(run.display))
    if not (result.directory / "figures").exists():
        from ..reports.curves import draw_run_figures

        draw_run_figures(result.directory)
    show(result, run.display)


def show(result: "Result", display: str) -> None:
    """Print the summary of a finished run."""
    if display == "off":
        return
    from rich.console import Console

    from ..reports.curves import environment_summary
    from ..training.display import summary_table

    console = Console()
    if result.trained:
        console.print(summary_table(result.scalars, result.metrics))
        if (more := environment_summary(result.directory)) is not None:
            console.print(more)
        print(f"Finished: {result.directory}")
    else:
        print(f"Already finished: {result.directory}")


def _relative(directory: Path) -> Path:
    """Return a short form of the directory where it lies below the present one."""
    return directory.relative_to(Path.cwd()) if directory.is_relative_to(Path.cwd()) else directory
