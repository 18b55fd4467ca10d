"""`bioppo train`: one run, or with ``--multirun`` all combinations of the values given."""

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import hydra
from omegaconf import DictConfig

from ..configs.schema import register, to_run_config
from .overrides import is_sweep, split_words, sweep_directory

if TYPE_CHECKING:
    from ..training.train import Result

register()


def main(words: list[str]) -> int:
    """Compose the config with Hydra and train."""
    overrides, flags = split_words(words)
    # Hydra prints its own messages and ends with status 1, unless it is told to raise.
    os.environ["HYDRA_FULL_ERROR"] = "1"
    directory = sweep_directory(overrides) if is_sweep(flags) else None
    if directory is not None:
        overrides = [*overrides, f"hydra.sweep.dir={directory}"]
    # Two words, so that Hydra's own messages name the command; overrides first, as its parser wants them together.
    sys.argv = ["bioppo train", *overrides, *flags]
    try:
        task()
    finally:
        if directory is not None and any(Path(directory).glob("*/seed_*/config.yaml")):
            print(f"Sweep: {directory}\nNext:  bioppo table {directory}  and  bioppo plot {directory}", flush=True)
    return 0


@hydra.main(version_base="1.3", config_path="pkg://bioppo.configs", config_name="train")
def task(config: DictConfig) -> Any:
    """Train one run in the directory Hydra has chosen; launchers call this in their own processes."""
    from hydra.core.hydra_config import HydraConfig
    from hydra.types import RunMode

    try:
        train_here(config, Path(HydraConfig.get().runtime.output_dir))
    except Exception as error:
        if HydraConfig.get().mode == RunMode.MULTIRUN:
            raise
        # Hydra would print a line of its own in front of ours; what is no Exception passes through it unseen.
        raise SystemExit(2) from error


def train_here(config: DictConfig, directory: Path) -> None:
    """Check the config, train in ``directory``, and print the summary."""
    run = to_run_config(config)
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

    from ..training.display import summary_table

    console = Console()
    if result.trained:
        console.print(summary_table(result.scalars, result.metrics))
        print(f"Finished: {result.directory}")
    else:
        print(f"Already finished: {result.directory}")


def _relative(directory: Path) -> Path:
    """Return a short form of the directory where it lies below the present one."""
    return directory.relative_to(Path.cwd()) if directory.is_relative_to(Path.cwd()) else directory
